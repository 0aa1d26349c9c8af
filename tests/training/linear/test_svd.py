"""Truncated SVD against numpy's exact one."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from atacsearch.training.linear import svd as components
from atacsearch.training.linear.svd import truncated_svd


def made(n: int, f: int, seed: int = 0) -> sp.csr_matrix:
    """Sparse rows of ten kinds, so that some directions stand out and the others fall slowly."""
    rng = np.random.default_rng(seed)
    kinds = rng.random((10, f)) < 0.2
    x = (rng.random((n, f)) < 0.05) | ((rng.random((n, f)) < 0.3) & kinds[np.arange(n) % 10])
    return sp.csr_matrix(x.astype(np.float32))


@pytest.mark.parametrize(("n", "f"), [(300, 800), (800, 300)])
def test_values_and_vectors_are_those_of_an_exact_svd(
    n: int, f: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(components, "SPACE", 150)  # of 300 dimensions
    x = made(n, f)
    values, vectors = truncated_svd(x, 12)
    _, exact, rows = np.linalg.svd(x.toarray(), full_matrices=False)
    assert np.allclose(values, exact[:12], rtol=1e-3)
    assert np.allclose(np.abs(np.sum(vectors[:, :10].T * rows[:10], 1)), 1, atol=1e-2)
    assert np.allclose(vectors.T @ vectors, np.eye(12), atol=1e-4)


def test_a_small_matrix_is_decomposed_whole() -> None:
    x = made(9, 40)
    values, vectors = truncated_svd(x, 9)
    assert np.allclose(values, np.linalg.svd(x.toarray(), compute_uv=False), rtol=1e-4)
    assert np.allclose((x @ vectors) @ vectors.T, x.toarray(), atol=1e-4)


def test_columns_without_entries_get_zeros_and_the_seed_decides_the_bits() -> None:
    x = made(50, 100).tolil()
    x[:, 7] = 0
    values, vectors = truncated_svd(x.tocsr(), 5, seed=3)
    assert not vectors[7].any()
    again = truncated_svd(x.tocsr(), 5, seed=3)
    assert np.array_equal(values, again[0])
    assert np.array_equal(vectors, again[1])


def test_rows_of_low_rank_do_not_break_it() -> None:
    x = sp.csr_matrix(np.kron(np.eye(3, dtype=np.float32), np.ones((20, 5), np.float32)))
    values, vectors = truncated_svd(x, 6)
    assert np.allclose(values, [10] * 3 + [0] * 3, atol=1e-3)
    assert np.allclose((x @ vectors) @ vectors.T, x.toarray(), atol=1e-4)
    assert not vectors[:, 3:].any()


@pytest.mark.parametrize("odd", ["no structure", "cells twice", "empty cells", "peaks twice", "few kinds"])
def test_matrices_of_low_rank_or_none_are_decomposed_rightly(odd: str) -> None:
    """The space is exhausted before it is full: what is drawn beyond must not come back twice."""
    x = {
        "no structure": lambda: sp.identity(300, np.float32, format="csr"),
        "cells twice": lambda: sp.vstack([made(200, 900)] * 2).tocsr(),
        "empty cells": lambda: sp.vstack(
            [made(250, 900), sp.csr_matrix((150, 900), dtype=np.float32)]
        ).tocsr(),
        "peaks twice": lambda: sp.hstack([made(1500, 150)] * 2).tocsr(),
        "few kinds": lambda: made(40, 300)[np.arange(1200) % 40],
    }[odd]()
    values, vectors = truncated_svd(x, 20)
    exact = np.linalg.svd(x.toarray(), compute_uv=False)[:20]
    assert np.allclose(values, exact, rtol=1e-3)
    assert np.allclose(vectors.T @ vectors, np.eye(20), atol=1e-3)


def test_a_matrix_without_entries_has_no_vectors() -> None:
    values, vectors = truncated_svd(sp.csr_matrix((7, 9), dtype=np.float32), 3)
    assert values.shape == (0,)
    assert vectors.shape == (9, 0)


def test_there_are_no_more_vectors_than_columns_with_entries() -> None:
    x = sp.csr_matrix(np.eye(3, 60, dtype=np.float32))
    values, vectors = truncated_svd(sp.vstack([x] * 20).tocsr(), 6)
    assert np.allclose(values, np.sqrt(20), rtol=1e-4)
    assert vectors.shape == (60, 3)
