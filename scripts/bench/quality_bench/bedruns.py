"""Runs the tasks on BED files and makes their rows."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from .bedproduct import LABELS, offered, train_and_annotate
from .beds import (
    BedFiles,
    cosine,
    few_columns,
    idf_cosine,
    jaccard,
    neighbours,
    predicted_apart,
    trained,
    unit_columns,
)
from .bedtasks import TASKS, Task, allowed, answerable, folds, joined, with_families
from .cache import key_of, source_digest
from .cellruns import Plan, note
from .scores import binomial_interval, paired_bootstrap, score
from .tables import markdown, spread

Calls = list[str | None]
KS = (1, 5)


def run_tasks(
    files: BedFiles, plan: Plan, tasks: Sequence[Task] = TASKS, group: str | None = "collection"
) -> list[dict[str, Any]]:
    """Rows of all tasks: each method with all files that may answer, and without those of the same `group`.

    Args:
        files: of one genome.
        plan: what to run and where rows are kept.
        tasks: the questions.
        group: column whose values are also left out whole, or None.
    """
    columns = with_families(files.columns)
    out = []
    similar: dict[str, Any] = {}
    for task in tasks:
        rows = task.files(columns)
        if len(rows) < 2:
            note(f"{task.name}: no files; left out")
            continue
        for apart in (None, group) if group in columns else (None,):
            out += _task_rows(files, columns, task, rows, apart, plan, similar)
    return out


def _task_rows(
    files: BedFiles,
    columns: Mapping[str, Any],
    task: Task,
    rows: Any,
    apart: str | None,
    plan: Plan,
    similar: dict[str, Any],
) -> list[dict[str, Any]]:
    labels = columns[task.label][rows]
    groups = task.groups(columns)
    may = allowed(groups, rows, None if apart is None else columns[apart])
    roles = columns["role"][rows]
    may &= roles[None, :] != "query"
    eligible = answerable(labels, may) & (roles != "reference")
    asked = int((roles != "reference").sum())
    if not eligible.any():
        note(f"{task.name}: no file can be answered without its own {apart}; left out")
        return []
    together = groups[rows] if apart is None else columns[apart][rows]
    if (roles == "both").all():
        split = list(folds(labels, together))
    else:
        split = [(np.flatnonzero(roles != "query"), np.flatnonzero(roles != "reference"))]
    content = key_of(
        columns["file"][rows].tolist(), columns["n_regions"][rows].tolist() if "n_regions" in columns else 0
    )
    content = key_of(content, labels.tolist(), may.astype(int).tolist(), files.matrix.shape)

    def simple(name: str, settings: str, call: Callable[[], Calls]) -> dict[str, Any] | None:
        if not plan.wants(name):
            return None
        key = key_of("beds", content, name, settings)
        if plan.cache.get(key) is None:
            if plan.only_cached:
                return None
            note(f"{task.name}{'' if apart is None else f', other {apart}'}: {name}")

        def make() -> Any:
            began = time.perf_counter()
            calls = call()
            return {
                "task": task.name,
                "method": name,
                "seconds": round(time.perf_counter() - began, 2),
            }, calls

        row = plan.cache.made(key, make)
        return {**row, "calls": [plan.cache.predictions(key)]}

    def of(name: str, make: Callable[[Any], Any], rows_of: Any) -> Any:
        if name not in similar:
            similar[name] = make(rows_of)
        return similar[name][np.ix_(rows, rows)]

    found = []
    measures: dict[str, tuple[Callable[[Any], Any], Any]] = {
        "Jaccard": (jaccard, files.matrix),
        "IDF cosine": (idf_cosine, files.matrix),
    }
    vectors = _vectors(files, plan)
    measures |= {name: (cosine, values) for name, values in vectors.items()}
    kinds = joined(columns, ("assay", "target")) if {"assay", "target"} <= set(columns) else None
    for name, (make, values) in measures.items():
        settings = "v1" if name not in vectors else key_of(values.tobytes().hex())
        for k in KS:
            found.append(
                simple(
                    f"{name} + kNN-{k}",
                    settings,
                    lambda name=name, make=make, values=values, k=k: neighbours(
                        of(name, make, values), labels, may, k
                    ),
                )
            )
        if kinds is not None and task.label == "cell_type":

            def without_predicted(name: str = name, make: Any = make, values: Any = values) -> Calls:
                near = of(name, make, values)
                return neighbours(near, labels, predicted_apart(near, kinds[rows], may), 1)

            found.append(
                simple(f"{name} + kNN-1 without predicted assay and target", settings, without_predicted)
            )
    trainable = {"TF-IDF": ("v1", few_columns, files.matrix)}
    trainable |= {name: (key_of(v.tobytes().hex()), unit_columns, v) for name, v in vectors.items()}
    for name, (settings, turn, values) in trainable.items():

        @cache
        def sides(turn: Any = turn, values: Any = values) -> list[Any]:
            return [turn(values[rows[train]], values[rows[test]]) for train, test in split]

        for balanced in (False, True):
            found.append(
                simple(
                    f"{name} + {'balanced ' * balanced}logistic, folds",
                    settings,
                    lambda sides=sides, balanced=balanced: trained(sides(), labels, split, balanced),
                )
            )
    found += _ours(files, columns, task, rows, split, apart, plan)
    whole = [row for row in found if row is not None]
    return [_summary(task, apart, labels, eligible, asked, row) for row in whole] + _gains(
        task, apart, labels, eligible, whole
    )


def _ours(
    files: BedFiles,
    columns: Mapping[str, Any],
    task: Task,
    rows: Any,
    split: Any,
    apart: str | None,
    plan: Plan,
) -> Iterable[dict[str, Any]]:
    """Ours in the same folds as the trained baselines; files outside of the task are trained on in every fold,
    unless they belong to a group that is left out.
    """
    if not plan.wants("atacsearch"):
        return
    if not offered():
        note("this atacsearch has no `train bulk`: its rows are left out")
        return
    source = source_digest()
    everywhere = task.groups(columns) if apart is None else columns[apart]
    made = []
    for seed in plan.seeds:
        calls: Calls = [None] * len(rows)
        seconds = 0.0
        for number, (_, test) in enumerate(split):
            out = rows[test]
            left = np.isin(everywhere, np.unique(everywhere[out]))
            left[out] = True
            left |= columns["role"] == "query"
            training = np.flatnonzero(~left)
            columns_asked = [name for name in LABELS if name in columns] or [task.label]
            content = [columns["path"][training].tolist(), columns["path"][out].tolist()]
            content += [[columns[name][training].tolist() for name in columns_asked]]
            key = key_of("beds ours", content, task.label, task.where(), list(plan.extra), seed, source)
            if plan.cache.get(key) is None:
                if plan.only_cached:
                    break
                note(f"{task.name}, fold {number}: atacsearch, seed {seed}")

            def make(training: Any = training, out: Any = out, seed: int = seed) -> Any:
                with tempfile.TemporaryDirectory() as temporary:
                    labels, took = train_and_annotate(
                        columns,
                        training,
                        out,
                        Path(temporary),
                        label=task.label,
                        where=task.where(),
                        genome=files.genome,
                        seed=seed,
                        extra=plan.extra,
                    )
                return {"task": task.name, "method": plan.ours, "seed": seed, **took}, labels

            row = plan.cache.made(key, make)
            seconds += row["seconds"]
            for i, label in zip(test, plan.cache.predictions(key), strict=True):
                calls[int(i)] = label
        else:
            made.append((calls, seconds))
    if made:
        yield {
            "method": f"{plan.ours}, folds",
            "ours": True,
            "calls": [calls for calls, _ in made],
            "seconds": round(float(np.mean([s for _, s in made])), 1),
        }


def _vectors(files: BedFiles, plan: Plan) -> dict[str, Any]:
    out = {}
    for name, by_id in plan.vectors.items():
        if all(item in by_id for item in files.columns["file"]):
            out[name] = np.array([by_id[item] for item in files.columns["file"]], np.float64)
        else:
            note(f"{name}: not every file has a vector there; left out")
    return out


def _summary(
    task: Task, apart: str | None, labels: Any, eligible: Any, asked: int, row: Mapping[str, Any]
) -> dict[str, Any]:
    truth = labels[eligible]
    each = [[calls[i] for i in np.flatnonzero(eligible)] for calls in row["calls"]]
    scores = [score(truth, calls) for calls in each]
    hits = round(float(np.mean([s["accuracy"] for s in scores])) * len(truth))
    low, high = binomial_interval(hits, len(truth))
    out = {
        "task": task.name,
        "left_out": apart or "",
        "method": row["method"],
        "ours": bool(row.get("ours")),
        "eligible": len(truth),
        "total": asked,
        "accuracy_interval": [round(low, 4), round(high, 4)],
        "seconds": row["seconds"],
    }
    for name in scores[0]:
        values = [s[name] for s in scores]
        out[name] = round(float(np.mean(values)), 4)
        out[f"{name}_sd"] = round(float(np.std(values, ddof=1)), 4) if len(values) > 1 else None
    return out


def _gains(
    task: Task, apart: str | None, labels: Any, eligible: Any, rows: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Ours minus each simple method, as rows with `baseline`."""
    from .scores import interval

    places = np.flatnonzero(eligible)
    truth = labels[places].tolist()
    sides = {
        row["method"]: (bool(row.get("ours")), [[calls[i] for i in places] for calls in row["calls"]])
        for row in rows
    }
    out = []
    for name, (is_ours, mine) in sides.items():
        for other, (also, theirs) in sides.items():
            if is_ours and not also:
                drawn = paired_bootstrap(truth, mine, theirs)["accuracy"]
                a, b = (np.mean([score(truth, c)["accuracy"] for c in side]) for side in (mine, theirs))
                low, high = interval(drawn)
                words = {"task": task.name, "left_out": apart or "", "method": name, "baseline": other}
                out.append(
                    {**words, "gain": round(float(a - b), 4), "interval": [round(low, 4), round(high, 4)]}
                )
    return out


def beds_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Markdown of all tasks."""
    scored = [row for row in rows if "baseline" not in row]
    parts = [
        markdown(
            (
                "task",
                "also left out",
                "method",
                "eligible of total",
                "accuracy",
                "95 %",
                "macro-F1",
                "balanced",
            ),
            [
                (
                    row["task"],
                    row["left_out"],
                    f"**{row['method']}**" if row["ours"] else row["method"],
                    f"{row['eligible']} of {row['total']}",
                    spread(row, "accuracy"),
                    "{:.3f} to {:.3f}".format(*row["accuracy_interval"]),
                    spread(row, "macro_f1"),
                    spread(row, "balanced_accuracy"),
                )
                for row in scored
            ],
        )
    ]
    gained = [row for row in rows if "baseline" in row]
    if gained:
        parts += [
            "",
            "### ours minus a simple method, accuracy",
            "",
            markdown(
                ("task", "also left out", "baseline", "gain"),
                [
                    (
                        r["task"],
                        r["left_out"],
                        r["baseline"],
                        "{:+.3f} [{:+.3f}, {:+.3f}]".format(r["gain"], *r["interval"]),
                    )
                    for r in gained
                ],
            ),
        ]
    return "\n".join(parts)
