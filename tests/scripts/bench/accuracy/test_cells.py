"""Embeddings, classifiers, splits and the cache of the quality benchmark, on small drawn cells."""

import json

import numpy as np
import pytest
import scipy.sparse as sp

from bench.accuracy.cells import baselines, runs, tables
from bench.accuracy.cells.clusters import kmeans
from bench.accuracy.cells.spectral import Spectral, inverse_frequency, leading
from bench.accuracy.shared.classifiers import inner_folds, logistic, svm
from bench.accuracy.shared.plan import Plan
from bench.accuracy.shared.scores import agreement, score
from bench.common import datasets, folds
from bench.common.cache import Cache, key_of, source_digest


def drawn_cells(seed=0, n=90, batches=2):
    """Three types, each with regions of its own, over 60 regions."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(["a", "b", "c"], n // 3)
    odds = np.full((n, 60), 0.08)
    for i, name in enumerate("abc"):
        odds[labels == name, 20 * i : 20 * i + 20] = 0.35
    matrix = datasets.binary(sp.csr_matrix(rng.random((n, 60)) < odds))
    ids = np.array([f"cell{i}" for i in range(n)])
    batch = np.array([f"rep{i % batches}" for i in range(n)])
    regions = [f"chr1:{1000 * i}-{1000 * i + 500}" for i in range(60)]
    return datasets.Cells(matrix, ids, labels, regions, "hg38", batch)


def test_spectral_vectors_are_eigenvectors_of_the_normalised_affinity():
    matrix = drawn_cells().matrix
    found = Spectral.fit(matrix, 4)
    rows = matrix.toarray() * inverse_frequency(matrix)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    affinity = rows @ rows.T
    degree = affinity.sum(1)
    values, vectors = np.linalg.eigh(affinity / np.sqrt(np.outer(degree, degree)))
    assert values[-1] == pytest.approx(1.0)
    for i in range(4):
        right = vectors[:, -2 - i] * np.sqrt(values[-2 - i])
        assert np.abs(found.vectors[:, i]) == pytest.approx(np.abs(right), abs=1e-8)
    assert found.transform(matrix) == pytest.approx(found.vectors, abs=1e-8)


def test_spectral_vector_of_an_empty_cell_is_zero():
    found = Spectral.fit(drawn_cells().matrix, 3)
    assert found.transform(sp.csr_matrix((1, 60))).tolist() == [[0, 0, 0]]


def test_leading_is_the_singular_value_decomposition():
    matrix = drawn_cells().matrix
    u, s, vt = leading(matrix, 5)
    assert s == pytest.approx(np.linalg.svd(matrix.toarray(), compute_uv=False)[:5])
    assert (matrix @ vt.T) == pytest.approx(u * s, abs=1e-6)
    assert (leading(matrix, 5)[0] == u).all()


def test_every_method_finds_types_that_are_far_apart():
    cells = drawn_cells(n=150)
    (line, _) = datasets.by_batch("drawn", cells)
    (fold,) = line.folds
    task = baselines.Task(
        cells.matrix[fold.reference], cells.matrix[fold.query], cells.labels[fold.reference]
    )
    for method in baselines.methods():
        if not method.missing:
            called = method.call(task)
            assert score(cells.labels[fold.query], called)["accuracy"] > 0.85, method.name


def test_classifiers_choose_inside_the_reference_by_group():
    cells = drawn_cells(batches=3)
    for train, test in inner_folds(cells.labels, cells.batches):
        assert not set(cells.batches[train]) & set(cells.batches[test])
    for classify in (logistic, svm):
        labels, c = classify(cells.matrix, cells.labels, cells.matrix, (0.1, 1.0), balanced=True)
        assert c in (0.1, 1.0)
        assert set(labels) == {"a", "b", "c"}


def test_splits_ask_every_cell_once():
    cells = drawn_cells(batches=4)
    for lines in (datasets.stratified("x", cells), datasets.pairs_of_batches("x", cells)):
        (line,) = lines
        asked = np.concatenate([fold.query for fold in line.folds])
        assert sorted(asked) == list(range(90))
        assert all(not set(fold.reference) & set(fold.query) for fold in line.folds)
    held = datasets.pairs_of_batches("x", cells)[0].folds[0]
    assert not set(cells.batches[held.reference]) & set(cells.batches[held.query])
    assert [line.title for line in datasets.by_batch("x", drawn_cells())] == ["rep0 → rep1", "rep1 → rep0"]


def test_rows_are_made_once_and_taken_afterwards(tmp_path, monkeypatch):
    cells = drawn_cells()
    lines = datasets.by_batch("drawn", cells)
    made = []

    def transfer(files, folder, *, kind, seed, extra=()):
        made.append((kind, seed))
        import anndata

        query = anndata.read_h5ad(files.query)
        assert folds.LABEL not in query.obs
        return ["a"] * query.n_obs, {"seconds": 1.0, "train_seconds": 0.5}

    monkeypatch.setattr(runs, "transfer", transfer)
    monkeypatch.setattr(runs, "has_option", lambda *words: True)

    def run():
        plan = Plan(Cache(tmp_path), (0, 1), ("atacsearch", "spectral 30 + kNN"))
        return runs.run_lines(cells, lines, plan)

    first, second = run(), run()
    assert len(made) == 2 * 2 * 2  # lines, kinds, seeds; nothing in the second run
    assert [r.calls for r in first] == [r.calls for r in second]
    rows = [tables.summary(r, {"split": "x", "labels": "y"}) for r in second]
    ours = next(row for row in rows if row["ours"])
    assert ours["accuracy"] == pytest.approx(1 / 3, abs=0.01)
    assert ours["seeds"] == 2
    assert ours["accuracy_sd"] == 0
    gained = tables.gains(second, {"drawn": True})
    each = next(g for g in gained if g["kind"] == "inductive" and g["baseline"] == "spectral 30 + kNN")
    assert each["accuracy_interval"][1] < -0.3
    assert any(g["line"] == "mean over lines" and g["lines"] == 2 for g in gained)
    assert "spectral 30 + kNN" in tables.cells_table(rows, gained)
    json.dumps([rows, gained])


def test_vectors_of_another_method_are_scored(tmp_path):
    cells = drawn_cells()
    vectors = dict(zip(cells.ids, Spectral.fit(cells.matrix, 5).vectors, strict=True))
    plan = Plan(Cache(tmp_path), (0,), ("nothing",), vectors={"other": vectors})
    results = runs.run_lines(cells, datasets.by_batch("drawn", cells), plan)
    assert {r.method for r in results} == {f"other + {end}" for end in baselines.ENDS}
    assert all(score(r.truth, r.calls[0])["accuracy"] > 0.85 for r in results)


def test_cache_keeps_rows_and_predictions(tmp_path):
    cache = Cache(tmp_path)
    key = key_of("a", 1)
    assert cache.get(key) is None
    cache.put(key, {"seconds": 1}, ["x", None])
    again = Cache(tmp_path)
    assert again.get(key)["n"] == 2
    assert again.predictions(key) == ["x", None]
    (tmp_path / "predictions" / f"{key}.parquet").unlink()
    assert again.get(key) is None
    assert key_of("a", 2) != key
    assert source_digest(("model",)) != source_digest(("training",))


def test_kmeans_finds_the_types():
    cells = drawn_cells()
    clusters = kmeans(Spectral.fit(cells.matrix, 5).vectors, 3, 0)
    assert agreement(cells.labels, clusters)["ari"] > 0.7
