"""Tasks and simple methods on BED files, on small drawn files."""

import gzip

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.linear_model import LogisticRegression

from bench.accuracy.beds import held_out, methods, runs, tables
from bench.accuracy.beds.tasks import TASKS, Task, allowed, answerable, folds, with_families
from bench.accuracy.shared.plan import Plan
from bench.common.cache import Cache


def drawn_files(folder, n=24):
    """A manifest of BED files: two targets with regions of their own, in three cell lines, two collections."""
    rng = np.random.default_rng(0)
    lines = ["\t".join(("file", "genome", "collection", "cell_type", "cell_type_kind", "assay", "target"))]
    for i in range(n):
        target, cell = ("CTCF", "MAX")[i % 2], ("A", "B", "C")[i % 3]
        own = rng.random(100) < np.where(np.arange(100) // 50 == i % 2, 0.5, 0.05)
        starts = 10_000 + 5_000 * np.flatnonzero(own)
        with gzip.open(folder / f"f{i}.bed.gz", "wt") as file:
            file.writelines(f"chr1\t{s}\t{s + 400}\n" for s in starts)
        row = (f"f{i}.bed.gz", "hg19", f"c{i // 12}", cell, "cell line", "TF ChIP-seq", target)
        lines.append("\t".join(row))
    (folder / "labels.tsv").write_text("\n".join(lines) + "\n")
    return folder / "labels.tsv"


def test_jaccard_counts_shared_over_united():
    matrix = sp.csr_matrix(np.array([[1, 1, 0], [1, 0, 1], [0, 0, 0]], np.float32))
    assert methods.jaccard(matrix)[0].tolist() == pytest.approx([1, 1 / 3, 0])


def test_neighbours_ask_only_those_who_may_answer():
    near = np.array([[1, 0.9, 0.5, 0.4], [0.9, 1, 0, 0], [0.5, 0, 1, 0], [0.4, 0, 0, 1]])
    labels = np.array(["x", "x", "y", "y"])
    may = allowed(np.array(["g", "g", "h", "i"]), np.arange(4))
    assert methods.neighbours(near, labels, may, 1)[0] == "y"  # file 1 is of its own group
    assert methods.neighbours(near, labels, ~np.eye(4, dtype=bool), 3)[0] == "y"
    assert methods.neighbours(near, labels, ~np.eye(4, dtype=bool), 1)[0] == "x"
    assert answerable(labels, may).tolist() == [False, False, True, True]
    assert methods.neighbours(near, labels, np.zeros((4, 4), bool), 2) == [None] * 4


def test_neighbours_with_the_predicted_kind_are_left_out():
    near = np.array([[1, 0.9, 0.5], [0.9, 1, 0.1], [0.5, 0.1, 1]])
    kinds = np.array(["hidden", "CTCF", "MAX"])
    may = ~np.eye(3, dtype=bool)
    assert methods.without_predicted_kinds(near, kinds, may)[0].tolist() == [False, False, True]
    same = methods.without_predicted_kinds(near, np.array(["hidden", "CTCF", "CTCF"]), may)
    assert same[0].tolist() == [False, True, True]  # nobody else would be left


def test_few_columns_fit_the_same_model():
    rng = np.random.default_rng(1)
    rows = sp.csr_matrix((rng.random((40, 300)) < 0.2).astype(np.float32))
    labels = np.array(["x", "y"] * 20)
    weights = methods.TfIdf.fit(rows[:30])
    a, b = methods.few_columns(rows[:30], rows[30:])
    wide = LogisticRegression(C=10, tol=1e-8, max_iter=1000).fit(weights.transform(rows[:30]), labels[:30])
    narrow = LogisticRegression(C=10, tol=1e-8, max_iter=1000).fit(a, labels[:30])
    right = wide.predict_proba(weights.transform(rows[30:]))
    assert narrow.predict_proba(b) == pytest.approx(right, abs=1e-4)


def test_folds_leave_out_whole_groups():
    labels, groups = np.array(["x", "y"] * 10), np.arange(20) // 4
    parts = list(folds(labels, groups))
    assert sorted(np.concatenate([test for _, test in parts])) == list(range(20))
    assert all(not set(groups[train]) & set(groups[test]) for train, test in parts)


def test_the_published_tasks_are_those_of_the_shared_files(data_dir):
    files = methods._rows(data_dir / "bulk" / "labels.tsv", "both")
    columns = with_families({k: np.array([f[k] for f in files if f["genome"] == "hg19"]) for k in files[0]})
    counts = {}
    for task in TASKS:
        rows = task.files(columns)
        may = allowed(task.groups(columns), rows)
        counts[task.name] = int(answerable(columns[task.label][rows], may).sum()), len(rows)
    assert counts["TF target, other cell lines only"] == (107, 127)
    assert counts["assay family"] == (202, 202)
    assert counts["histone mark"] == (48, 48)


def test_tables_of_bed_files(tmp_path):
    table = drawn_files(tmp_path)
    files, others = methods.read_files(table, tmp_path / "kept")
    assert others == 0
    assert files.matrix.shape[0] == 24
    task = Task("target", "target", {"assay": ("TF ChIP-seq",)}, ("cell_type",))
    assert task.where() == ["assay in ('TF ChIP-seq')"]
    plan = Plan(Cache(tmp_path / "kept"), (0,), ("Jaccard", "TF-IDF"))
    rows = runs.run_tasks(files, plan, [task])
    assert {row["left_out"] for row in rows} == {"", "collection"}
    assert all(row["accuracy"] > 0.9 for row in rows), rows
    assert all(row["eligible"] == row["total"] == 24 for row in rows)
    again = runs.run_tasks(files, Plan(plan.cache, (0,), plan.wanted, only_cached=True), [task])
    assert again == rows
    assert "TF-IDF + logistic, folds" in tables.beds_table(rows)
    ours = {**rows[0], "method": "atacsearch", "ours": True, "accuracy": 0.5}
    first = tables.headline([*rows, ours]).splitlines()[2]
    assert "| atacsearch: 0.500 [" in first
    assert "Jaccard + kNN-1: 1.000" in first or "TF-IDF" in first


def test_another_table_is_asked_against_the_reference(tmp_path):
    table = drawn_files(tmp_path)
    lines = table.read_text().splitlines()
    (tmp_path / "query.tsv").write_text("\n".join([lines[0], *lines[1:7]]) + "\n")
    table.write_text("\n".join([lines[0], *lines[7:]]) + "\n")
    files, _ = methods.read_files(table, tmp_path / "kept", query=tmp_path / "query.tsv")
    plan = Plan(Cache(tmp_path / "kept"), (0,), ("Jaccard + kNN-1", "TF-IDF + logistic"))
    rows = runs.run_tasks(files, plan, [Task("target", "target", {})], None)
    assert [(row["eligible"], row["total"]) for row in rows] == [(6, 6), (6, 6)]
    assert all(row["accuracy"] == 1 for row in rows)


def test_a_task_within_one_collection_has_no_line_for_other_collections(tmp_path):
    files, _ = methods.read_files(drawn_files(tmp_path), tmp_path / "kept")
    plan = Plan(Cache(tmp_path / "kept"), (0,), ("Jaccard + kNN-1",))
    task = Task("target", "target", {"collection": ("c1",)})
    assert {row["left_out"] for row in runs.run_tasks(files, plan, [task])} == {""}


def test_files_that_share_their_labels_are_left_out_together():
    kinds = np.arange(60) % 30
    columns = {
        "assay_family": np.array(["TF"] * 60),
        "cell_type": np.array([f"line {k // 6}" for k in kinds]),
        "assay": np.array(["a"] * 60),
        "target": np.array([f"TF{k % 6}" for k in kinds]),
        "collection": np.array(["one"] * 20 + ["two"] * 40),
    }
    split = held_out.folds_of_kinds(columns, None)
    assert len(split) == 10
    assert sorted(np.concatenate([out for _, out in split])) == list(range(60))
    assert all(not set(kinds[train]) & set(kinds[out]) for train, out in split)
    assert [len(out) for _, out in held_out.folds_of_kinds(columns, "collection")] == [20, 40]
