"""The baseline finds types that differ in their peaks, whichever cells it is fitted on."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from atacsearch.demo.baseline import TfIdf, transfer


def cells(n: int, seed: int) -> tuple[sp.csr_matrix, np.ndarray]:
    """Two types over 80 peaks: each opens its own half more often."""
    rng = np.random.default_rng(seed)
    kinds = np.array(["B", "NK"], dtype=object)[rng.integers(0, 2, n)]
    p = np.full((n, 80), 0.05)
    p[kinds == "B", :40] = 0.4
    p[kinds == "NK", 40:] = 0.4
    return sp.csr_matrix((rng.random((n, 80)) < p).astype(np.float32)), kinds


@pytest.mark.parametrize("fit_on_query", [False, True])
def test_transfer(fit_on_query: bool) -> None:
    reference, labels = cells(120, 0)
    query, truth = cells(60, 1)
    called = transfer(reference, labels, query, fit_on_query=fit_on_query, components=10)
    assert (called == truth).mean() > 0.95
    again = transfer(reference, labels, query, fit_on_query=fit_on_query, components=10)
    assert (called == again).all()


def test_only_open_or_closed_matters() -> None:
    matrix, _ = cells(30, 2)
    counts = matrix * 3
    a, b = (TfIdf.fit(m).transform(m) for m in (matrix, counts))
    assert abs(a - b).max() == 0


def test_an_empty_cell_stays_zero() -> None:
    matrix, _ = cells(30, 3)
    matrix = sp.vstack([matrix, sp.csr_matrix((1, 80), dtype=np.float32)]).tocsr()
    weighted = TfIdf.fit(matrix).transform(matrix)
    assert weighted[30].nnz == 0
    assert np.isfinite(weighted.data).all()


def test_fewer_peaks_than_components() -> None:
    reference, labels = cells(40, 4)
    query, truth = cells(20, 5)
    assert (transfer(reference, labels, query, components=500) == truth).mean() > 0.9
