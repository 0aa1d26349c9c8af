"""Runs the tasks on BED files and makes their rows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.accuracy.beds.held_out import LABELS, can_train_bulk, folds_of_kinds, train_without, vector_of
from bench.accuracy.beds.methods import (
    COMPONENTS,
    BedFiles,
    Floats,
    cosine,
    few_columns,
    idf_cosine,
    jaccard,
    neighbours,
    svd_cosine,
    trained,
    unit_columns,
    without_predicted_kinds,
)
from bench.accuracy.beds.tasks import (
    FAMILIES,
    TASKS,
    Columns,
    Mask,
    Task,
    allowed,
    answerable,
    folds,
    joined,
    with_families,
)
from bench.accuracy.shared.classifiers import Labels
from bench.accuracy.shared.plan import Plan
from bench.accuracy.shared.scores import binomial_interval, interval, paired_bootstrap, score
from bench.common.cache import key_of, source_digest
from bench.common.messages import note

Calls = list[str | None]
Rows = npt.NDArray[np.int64]
KS = (1, 5)


@dataclass(frozen=True)
class Question:
    """A task as it is asked: which files are asked, and which may answer.

    Attributes:
        task: of the table.
        left_out: column whose values are left out whole too, or None.
        rows: files of the task.
        labels: [n] true labels.
        may: [n, n] whether the file of the column may answer for that of the row.
        eligible: [n] whether the file is asked, and some file that may answer has its label.
        total: number of files asked.
        split: training and left-out places of each fold, into `rows`.
        content: digest of the files, their labels and who may answer.
    """

    task: Task
    left_out: str | None
    rows: Rows
    labels: Labels
    may: Mask
    eligible: Mask
    total: int
    split: list[tuple[Rows, Rows]]
    content: str

    @property
    def title(self) -> str:
        """In messages."""
        return self.task.name + ("" if self.left_out is None else f", other {self.left_out}")


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
    similar: dict[str, Floats] = {}
    for task in tasks:
        if len(task.files(columns)) < 2:
            note(f"{task.name}: no files; left out")
            continue
        for left_out in (None, group) if group in columns else (None,):
            question = _question(files, columns, task, left_out)
            if question is None:
                note(f"{task.name}: no file can be answered without its own {left_out}; left out")
                continue
            found = _neighbour_rows(files, columns, question, plan, similar)
            found += _trained_rows(files, question, plan)
            found += _ours(files, columns, question, plan)
            out += [_summary(question, row) for row in found] + _gains(question, found)
    return out


def _question(files: BedFiles, columns: Columns, task: Task, left_out: str | None) -> Question | None:
    """None where no file has an answer."""
    rows = task.files(columns)
    labels = columns[task.label][rows]
    groups = task.groups(columns)
    may = allowed(groups, rows, None if left_out is None else columns[left_out])
    roles = columns["role"][rows]
    may &= roles[None, :] != "query"
    eligible = answerable(labels, may) & (roles != "reference")
    if not eligible.any():
        return None
    if (roles == "both").all():
        split = list(folds(labels, groups[rows] if left_out is None else columns[left_out][rows]))
    else:
        split = [(np.flatnonzero(roles != "query"), np.flatnonzero(roles != "reference"))]
    content = key_of(
        columns["file"][rows].tolist(), columns["n_regions"][rows].tolist() if "n_regions" in columns else 0
    )
    content = key_of(content, labels.tolist(), may.astype(int).tolist(), files.matrix.shape)
    total = int((roles != "reference").sum())
    return Question(task, left_out, rows, labels, may, eligible, total, split, content)


def _kept(
    question: Question, plan: Plan, name: str, settings: str, call: Callable[[], Calls]
) -> list[dict[str, Any]]:
    """The row of a simple method, from the cache or made now; none where it is not wanted."""
    if not plan.wants(name):
        return []
    key = key_of("beds", question.content, name, settings)
    if plan.cache.get(key) is None:
        if plan.only_cached:
            return []
        note(f"{question.title}: {name}")

    def make() -> tuple[dict[str, Any], Calls]:
        began = time.perf_counter()
        calls = call()
        seconds = round(time.perf_counter() - began, 2)
        return {"task": question.task.name, "method": name, "seconds": seconds}, calls

    return [{**plan.cache.made(key, make), "calls": [plan.cache.predictions(key)]}]


def _neighbour_rows(
    files: BedFiles, columns: Columns, question: Question, plan: Plan, similar: dict[str, Floats]
) -> list[dict[str, Any]]:
    """Nearest files by each measure; `similar` keeps the similarities of all files."""
    measures: dict[str, tuple[Callable[[Any], Floats], Any]] = {
        "Jaccard": (jaccard, files.matrix),
        "IDF cosine": (idf_cosine, files.matrix),
        f"TF-IDF + SVD {COMPONENTS}": (svd_cosine, files.matrix),
    }
    vectors = _vectors(files, plan)
    measures |= {name: (cosine, values) for name, values in vectors.items()}
    kinds = joined(columns, ("assay", "target")) if {"assay", "target"} <= set(columns) else None
    found = []
    for name, (measure, values) in measures.items():
        settings = "v1" if name not in vectors else key_of(values.tobytes().hex())

        def near(
            name: str = name, measure: Callable[[Any], Floats] = measure, values: Any = values
        ) -> Floats:
            if name not in similar:
                similar[name] = measure(values)
            return similar[name][np.ix_(question.rows, question.rows)]

        def vote(k: int, near: Callable[[], Floats] = near) -> Calls:
            return neighbours(near(), question.labels, question.may, k)

        def without_predicted(near: Callable[[], Floats] = near) -> Calls:
            assert kinds is not None
            may = without_predicted_kinds(near(), kinds[question.rows], question.may)
            return neighbours(near(), question.labels, may, 1)

        for k in KS:
            found += _kept(question, plan, f"{name} + kNN-{k}", settings, partial(vote, k))
        if kinds is not None and question.task.label == "cell_type":
            title = f"{name} + kNN-1 without predicted assay and target"
            found += _kept(question, plan, title, settings, without_predicted)
    return found


def _trained_rows(files: BedFiles, question: Question, plan: Plan) -> list[dict[str, Any]]:
    """Logistic regression on the files of the other folds."""
    trainable: dict[str, tuple[str, Callable[[Any, Any], tuple[Floats, Floats]], Any]] = {
        "TF-IDF": ("v1", few_columns, files.matrix)
    }
    for name, values in _vectors(files, plan).items():
        trainable[name] = key_of(values.tobytes().hex()), unit_columns, values
    found = []
    for name, (settings, turn, values) in trainable.items():

        @cache
        def sides(
            turn: Callable[[Any, Any], tuple[Floats, Floats]] = turn, values: Any = values
        ) -> list[tuple[Floats, Floats]]:
            rows = question.rows
            return [turn(values[rows[train]], values[rows[test]]) for train, test in question.split]

        def train(balanced: bool, sides: Callable[[], list[tuple[Floats, Floats]]] = sides) -> Calls:
            return trained(sides(), question.labels, question.split, balanced)

        for balanced in (False, True):
            title = f"{name} + {'balanced ' * balanced}logistic, folds"
            found += _kept(question, plan, title, settings, partial(train, balanced))
    return found


def _ours(files: BedFiles, columns: Columns, question: Question, plan: Plan) -> Iterator[dict[str, Any]]:
    """Ours: heads that never saw the files asked; nearest file that may answer by the vector of the label.

    With ten folds of files that share their labels, the same for every task; with a collection left out, also with
    heads that never saw any file of that collection. Where every file may answer for every other one, `annotate`
    with its defaults is given too.
    """
    if not plan.wants("atacsearch"):
        return
    if not can_train_bulk():
        note("this atacsearch has no `train bulk`: its rows are left out")
        return
    fixed, left_out = (columns["role"] != "both").any(), question.left_out
    splits: dict[str, list[tuple[Any, Any]]] = {}
    if fixed:
        splits["given split"] = [
            (np.flatnonzero(columns["role"] != "query"), np.flatnonzero(columns["role"] == "query"))
        ]
    else:
        splits["ten folds"] = folds_of_kinds(columns, None)
        if left_out is not None:
            splits[f"heads without the {left_out}"] = folds_of_kinds(columns, left_out)
    for name, split in splits.items():
        each = [_seed(files, columns, question, split, seed, plan) for seed in plan.seeds]
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
        if all(called is not None for _, called, _ in whole) and (left_out is None or "heads" in name):
            yield {"method": f"{plan.ours}, annotate, {name}", "calls": [c for _, c, _ in whole], **row}


def _seed(
    files: BedFiles,
    columns: Columns,
    question: Question,
    split: Sequence[tuple[Rows, Rows]],
    seed: int,
    plan: Plan,
) -> tuple[Calls, Calls | None, float] | None:
    """Labels by the nearest file that may answer, by `annotate` where the task has no rules by file, and seconds."""
    task, rows = question.task, question.rows
    label, place = vector_of(task), {int(row): i for i, row in enumerate(rows)}
    nearest: Calls = [None] * len(rows)
    called: Calls = [None] * len(rows)
    seconds, source, answered = 0.0, _source(), not task.must_differ
    for training, asked in split:
        found = train_without(
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
        named = found.calls.get(task.name)
        for i, row in enumerate(found.asked):
            if int(row) not in place:
                continue
            own = place[int(row)]
            if label in found.cosines:
                near = np.where(question.may[own, voters], found.cosines[label][i, there], -np.inf)
                if len(near) and np.isfinite(near.max()):
                    nearest[own] = str(columns[task.label][rows[voters[int(near.argmax())]]])
            if named is not None:
                called[own] = _family(task, named[i]) or None
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


def _summary(question: Question, row: Mapping[str, Any]) -> dict[str, Any]:
    """Scores of a method, mean and standard deviation over seeds."""
    truth = question.labels[question.eligible].tolist()
    each = [[calls[i] for i in np.flatnonzero(question.eligible)] for calls in row["calls"]]
    scores = [score(truth, calls) for calls in each]
    hits = round(float(np.mean([s["accuracy"] for s in scores])) * len(truth))
    low, high = binomial_interval(hits, len(truth))
    out = {
        "task": question.task.name,
        "left_out": question.left_out or "",
        "method": row["method"],
        "ours": bool(row.get("ours")),
        "eligible": len(truth),
        "total": question.total,
        "accuracy_interval": [round(low, 4), round(high, 4)],
        "seconds": row["seconds"],
    }
    for name in scores[0]:
        values = [s[name] for s in scores]
        out[name] = round(float(np.mean(values)), 4)
        out[f"{name}_sd"] = round(float(np.std(values, ddof=1)), 4) if len(values) > 1 else None
    return out


def _gains(question: Question, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Ours minus each simple method, as rows with `baseline`."""
    places = np.flatnonzero(question.eligible)
    truth = question.labels[places].tolist()
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
                about = {"task": question.task.name, "left_out": question.left_out or ""}
                names = {"method": name, "baseline": other}
                out.append(
                    {
                        **about,
                        **names,
                        "gain": round(float(a - b), 4),
                        "interval": [round(low, 4), round(high, 4)],
                    }
                )
    return out
