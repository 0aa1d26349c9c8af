"""Runs methods over the lines of the single-cell table, row by row, each kept as soon as it is done."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.accuracy.cells.baselines import ENDS, Method, Task, label_vectors, methods
from bench.accuracy.cells.product import transfer
from bench.accuracy.shared.plan import KINDS, OURS, Plan
from bench.common.cache import key_of, source_digest
from bench.common.commands import has_option
from bench.common.datasets import Cells, Fold, Line
from bench.common.folds import write_fold
from bench.common.messages import note


@dataclass(frozen=True)
class Result:
    """A method on a line, all folds together.

    Attributes:
        line: of the table.
        method: name.
        kind: `inductive` or `transductive`.
        ours: whether it is ours.
        drawn: whether seeds matter to it.
        truth: [n] true labels of the line's query cells, fold after fold.
        calls: predictions of each seed, [n] each.
        seconds: of all folds, mean over seeds.
    """

    line: Line
    method: str
    kind: str
    ours: bool
    drawn: bool
    truth: tuple[str, ...]
    calls: tuple[tuple[str | None, ...], ...]
    seconds: float


def run_lines(cells: Cells, lines: Iterable[Line], plan: Plan) -> list[Result]:
    """Run all methods of the plan on the lines of one data set; rows that are there are taken.

    A method is in the answer for those seeds that have every fold.
    """
    known = [m for m in methods() if m.kind in plan.kinds and plan.wants(m.name)]
    for name in sorted({m.needs for m in known if m.missing and m.needs}):
        note(f"no {name}: no rows that need it are made")
    results = []
    for line in lines:
        rows: dict[tuple[str, str], dict[int, list[dict[str, Any]]]] = {}
        for fold in line.folds:
            for name, kind, seed, row in _fold_rows(cells, line, fold, known, plan):
                rows.setdefault((name, kind), {}).setdefault(seed, []).append(row)
        truth = tuple(np.concatenate([cells.labels[fold.query] for fold in line.folds]).tolist())
        for (name, kind), seeds in rows.items():
            whole = {s: found for s, found in seeds.items() if len(found) == len(line.folds)}
            if not whole:
                continue
            calls = tuple(
                tuple(label for row in found for label in plan.cache.predictions(row["key"]))
                for found in whole.values()
            )
            spent = float(np.mean([sum(row["seconds"] for row in found) for found in whole.values()]))
            drawn = any(row["drawn"] for found in whole.values() for row in found)
            results.append(Result(line, name, kind, name == plan.ours, drawn, truth, calls, spent))
    return results


def _fold_rows(
    cells: Cells, line: Line, fold: Fold, known: Sequence[Method], plan: Plan
) -> Iterable[tuple[str, str, int, dict[str, Any]]]:
    """Method, kind, seed and row, of one fold."""
    split = key_of(cells.digest, fold.reference.tolist(), fold.query.tolist())
    batches = None
    if cells.batches is not None:
        batches = cells.batches[fold.reference], cells.batches[fold.query]
    task = Task(cells.matrix[fold.reference], cells.matrix[fold.query], cells.labels[fold.reference], batches)

    def row_of(name: str, kind: str, seed: int, drawn: bool, settings: str, make: Any = None) -> Any:
        key = key_of("cells", split, name, kind, settings, seed)
        if plan.cache.get(key) is None:
            if plan.only_cached or make is None:
                return None
            note(f"{line.key}, {fold.name}: {name}, {kind}" + (f", seed {seed}" if drawn else ""))
        about = {"dataset": line.dataset, "line": line.title, "fold": fold.name, "method": name}
        about |= {"kind": kind, "seed": seed, "drawn": drawn}

        def whole() -> Any:
            facts, labels = make()
            return {**about, **facts}, labels

        return plan.cache.made(key, whole)

    for method in known:
        for seed in plan.seeds if method.drawn else plan.seeds[:1]:

            def simple(method: Method = method, seed: int = seed) -> Any:
                task.seed, task.chosen, task.used = seed, {}, set()
                shared = task.spent
                began = time.perf_counter()
                labels = method.call(task)
                # A shared embedding counts in full for each method that uses it, whoever made it.
                spent = time.perf_counter() - began - (task.spent - shared)
                spent += sum(task.kept[key][1] for key in task.used)
                return {"seconds": round(spent, 2), "chosen": task.chosen}, labels.tolist()

            at = seed if method.drawn else 0
            make = None if method.missing else simple
            row = row_of(method.name, method.kind, at, method.drawn, method.settings, make)
            if row is not None:
                yield method.name, method.kind, at, row
    for name, vectors in plan.vectors.items():
        yield from _vector_rows(name, vectors, cells, fold, task, row_of)
    for kind in plan.kinds:
        if not plan.wants(OURS):
            continue
        if kind == "transductive" and not has_option("--unlabelled", "train", "celltype"):
            note("train celltype has no --unlabelled: the transductive rows of ours are left out")
            continue
        for seed in plan.seeds:

            def ours(kind: str = kind, seed: int = seed) -> Any:
                with tempfile.TemporaryDirectory() as temporary:
                    files = write_fold(cells, fold, Path(temporary))
                    labels, took = transfer(files, Path(temporary), kind=kind, seed=seed, extra=plan.extra)
                return took, labels

            row = row_of(plan.ours, kind, seed, True, source_digest(), ours)
            if row is not None:
                yield plan.ours, kind, seed, row


def _vector_rows(
    name: str, vectors: dict[str, Any], cells: Cells, fold: Fold, task: Task, row_of: Any
) -> Iterable[tuple[str, str, int, dict[str, Any]]]:
    lacking = sum(cell not in vectors for cell in cells.ids)
    if lacking:
        note(f"{name}: {lacking:,} of {len(cells.ids):,} cells have no vector there; left out")
        return
    sides = [
        np.array([vectors[cell] for cell in cells.ids[rows]], np.float64)
        for rows in (fold.reference, fold.query)
    ]
    content = key_of([side.tobytes().hex() for side in sides])
    for end in ENDS:

        def make(end: str = end) -> Any:
            began = time.perf_counter()
            labels, chosen = label_vectors(sides[0], task.labels, sides[1], end, task.groups)
            return {"seconds": round(time.perf_counter() - began, 2), "chosen": chosen}, labels.tolist()

        row = row_of(f"{name} + {end}", KINDS[0], 0, False, content, make)
        if row is not None:
            yield f"{name} + {end}", KINDS[0], 0, row
