"""Runs methods over the lines of the single-cell table, row by row, each kept as soon as it is done."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.accuracy.cells.baselines import ENDS, Method, Task, label_vectors, methods
from bench.accuracy.cells.product import transfer
from bench.accuracy.shared.plan import KINDS, OURS, Plan
from bench.common.cache import key_of, source_digest
from bench.common.commands import has_option
from bench.common.datasets import Cells, Fold, Line
from bench.common.folds import write_fold
from bench.common.messages import note

Floats = npt.NDArray[np.float64]
Made = tuple[dict[str, Any], Sequence[str | None]]  # facts of a row, and the labels that were given
Found = tuple[str, str, int, dict[str, Any]]  # method, kind, seed and row


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
            for name, kind, seed, row in FoldRows(cells, line, fold, plan).rows(known):
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


class FoldRows:
    """The rows of one fold of a line, from the cache or made now."""

    def __init__(self, cells: Cells, line: Line, fold: Fold, plan: Plan) -> None:
        self.cells, self.line, self.fold, self.plan = cells, line, fold, plan
        self.split = key_of(cells.digest, fold.reference.tolist(), fold.query.tolist())
        batches = None
        if cells.batches is not None:
            batches = cells.batches[fold.reference], cells.batches[fold.query]
        labels = cells.labels[fold.reference]
        self.task = Task(cells.matrix[fold.reference], cells.matrix[fold.query], labels, batches)

    def rows(self, known: Sequence[Method]) -> Iterator[Found]:
        """Method, kind, seed and row of the simple methods, of given vectors and of ours."""
        for method in known:
            for seed in self.plan.seeds if method.drawn else (0,):
                make = None if method.missing else partial(self._simple, method, seed)
                yield from self._row(method.name, method.kind, seed, method.drawn, method.settings, make)
        for name, vectors in self.plan.vectors.items():
            yield from self._vector_rows(name, vectors)
        for kind in self.plan.kinds:
            if not self.plan.wants(OURS):
                continue
            if kind == "transductive" and not has_option("--unlabelled", "train", "celltype"):
                note("train celltype has no --unlabelled: the transductive rows of ours are left out")
                continue
            for seed in self.plan.seeds:
                make = partial(self._ours, kind, seed)
                yield from self._row(self.plan.ours, kind, seed, True, source_digest(), make)

    def _row(
        self, name: str, kind: str, seed: int, drawn: bool, settings: str, make: Callable[[], Made] | None
    ) -> Iterator[Found]:
        """The row under its key; nothing where it is not there and may or can not be made."""
        cache = self.plan.cache
        key = key_of("cells", self.split, name, kind, settings, seed)
        row = cache.get(key)
        if row is None:
            if self.plan.only_cached or make is None:
                return
            note(f"{self.line.key}, {self.fold.name}: {name}, {kind}" + (f", seed {seed}" if drawn else ""))
            about = {"dataset": self.line.dataset, "line": self.line.title, "fold": self.fold.name}
            facts, labels = make()
            row = cache.put(
                key, {**about, "method": name, "kind": kind, "seed": seed, "drawn": drawn, **facts}, labels
            )
        yield name, kind, seed, row

    def _simple(self, method: Method, seed: int) -> Made:
        task = self.task
        task.seed, task.chosen, task.used = seed, {}, set()
        shared = task.spent
        began = time.perf_counter()
        labels = method.call(task)
        # A shared embedding counts in full for each method that uses it, whoever made it.
        spent = time.perf_counter() - began - (task.spent - shared)
        spent += sum(task.kept[key][1] for key in task.used)
        return {"seconds": round(spent, 2), "chosen": task.chosen}, labels.tolist()

    def _ours(self, kind: str, seed: int) -> Made:
        with tempfile.TemporaryDirectory() as temporary:
            files = write_fold(self.cells, self.fold, Path(temporary))
            labels, took = transfer(files, Path(temporary), kind=kind, seed=seed, extra=self.plan.extra)
        return took, labels

    def _vector_rows(self, name: str, vectors: Mapping[str, Floats]) -> Iterator[Found]:
        ids = self.cells.ids
        lacking = sum(cell not in vectors for cell in ids)
        if lacking:
            note(f"{name}: {lacking:,} of {len(ids):,} cells have no vector there; left out")
            return
        sides = [
            np.array([vectors[cell] for cell in ids[rows]], np.float64)
            for rows in (self.fold.reference, self.fold.query)
        ]
        content = key_of([side.tobytes().hex() for side in sides])

        def make(end: str) -> Made:
            began = time.perf_counter()
            labels, chosen = label_vectors(sides[0], self.task.labels, sides[1], end, self.task.groups)
            return {"seconds": round(time.perf_counter() - began, 2), "chosen": chosen}, labels.tolist()

        for end in ENDS:
            yield from self._row(f"{name} + {end}", KINDS[0], 0, False, content, partial(make, end))
