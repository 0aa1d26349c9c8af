"""Runs the tasks on BED files and makes their rows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from bench.accuracy.beds.held_out import LABELS, offered, together, unseen, vector_of
from bench.accuracy.beds.methods import (
    COMPONENTS,
    BedFiles,
    cosine,
    few_columns,
    idf_cosine,
    jaccard,
    neighbours,
    predicted_apart,
    svd_cosine,
    trained,
    unit_columns,
)
from bench.accuracy.beds.tasks import FAMILIES, TASKS, Task, allowed, answerable, folds, joined, with_families
from bench.accuracy.shared.plan import Plan
from bench.accuracy.shared.scores import binomial_interval, paired_bootstrap, score
from bench.common.cache import key_of, source_digest
from bench.common.messages import note

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
    grouped = groups[rows] if apart is None else columns[apart][rows]
    if (roles == "both").all():
        split = list(folds(labels, grouped))
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
        f"TF-IDF + SVD {COMPONENTS}": (svd_cosine, files.matrix),
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
    found += _ours(files, columns, task, rows, may, apart, plan)
    whole = [row for row in found if row is not None]
    return [_summary(task, apart, labels, eligible, asked, row) for row in whole] + _gains(
        task, apart, labels, eligible, whole
    )


def _ours(
    files: BedFiles,
    columns: Mapping[str, Any],
    task: Task,
    rows: Any,
    may: Any,
    apart: str | None,
    plan: Plan,
) -> Iterable[dict[str, Any]]:
    """Ours: heads that never saw the files asked; nearest file that may answer by the vector of the label.

    With ten folds of files that share their labels, the same for every task; with a collection left out, also with
    heads that never saw any file of that collection. Where every file may answer for every other one, `annotate`
    with its defaults is given too.
    """
    if not plan.wants("atacsearch"):
        return
    if not offered():
        note("this atacsearch has no `train bulk`: its rows are left out")
        return
    fixed = (columns["role"] != "both").any()
    splits: dict[str, list[tuple[Any, Any]]] = {}
    if fixed:
        splits["given split"] = [
            (np.flatnonzero(columns["role"] != "query"), np.flatnonzero(columns["role"] == "query"))
        ]
    else:
        splits["ten folds"] = together(columns, None)
        if apart is not None:
            splits[f"heads without the {apart}"] = together(columns, apart)
    for name, split in splits.items():
        each = [_seed(files, columns, task, rows, may, split, seed, plan) for seed in plan.seeds]
        whole = [found for found in each if found is not None]
        if not whole:
            continue
        seconds = round(float(np.mean([s for _, _, s in whole])), 1)
        row = {"ours": True, "seconds": seconds}
        yield {
            "method": f"{plan.ours}, nearest, {name}",
            "calls": [nearest for nearest, _, _ in whole],
            **row,
        }
        if all(called is not None for _, called, _ in whole) and (apart is None or "heads" in name):
            yield {"method": f"{plan.ours}, annotate, {name}", "calls": [c for _, c, _ in whole], **row}


def _seed(
    files: BedFiles,
    columns: Mapping[str, Any],
    task: Task,
    rows: Any,
    may: Any,
    split: Sequence[tuple[Any, Any]],
    seed: int,
    plan: Plan,
) -> tuple[Calls, Calls | None, float] | None:
    """Labels by the nearest file that may answer, by `annotate` where the task has no rules by file, and seconds."""
    label, place = vector_of(task), {int(row): i for i, row in enumerate(rows)}
    nearest: Calls = [None] * len(rows)
    called: Calls = [None] * len(rows)
    seconds, source, answered = 0.0, _source(), not task.apart
    for training, asked in split:
        found = unseen(
            columns,
            training,
            asked,
            plan.cache,
            source=source,
            genome=files.genome,
            seed=seed,
            extra=plan.extra,
            tasks=TASKS if task in TASKS else (task,),
            labels=LABELS if label in LABELS else (*LABELS, label),
            only_cached=plan.only_cached,
        )
        if found is None:
            return None
        seconds += found.seconds
        there = np.flatnonzero(np.isin(found.training, rows))
        voters = np.array([place[int(row)] for row in found.training[there]], np.int64)
        says = found.calls.get(task.name)
        for i, row in enumerate(found.asked):
            if int(row) not in place:
                continue
            own = place[int(row)]
            if label in found.cosines:
                near = np.where(may[own, voters], found.cosines[label][i, there], -np.inf)
                if len(near) and np.isfinite(near.max()):
                    nearest[own] = str(columns[task.label][rows[voters[int(near.argmax())]]])
            if says is not None:
                called[own] = _family(task, says[i]) or None
    return nearest, called if answered else None, seconds


def _family(task: Task, label: str) -> str:
    return FAMILIES.get(label, label) if task.label == "assay_family" else label


@cache
def _source() -> str:
    """Digest of the program as it was when the run began."""
    return source_digest()


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
    from bench.accuracy.shared.scores import interval

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
