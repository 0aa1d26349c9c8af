"""Collections large enough for a graph: approximate answers are nearly the exact ones, filters included."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from random_items import make_batch, source

from atacsearch.store.index.folder import IndexFolder
from atacsearch.store.vectors import exact as scan
from atacsearch.store.vectors.exact import top_k

DIM = 512


@pytest.fixture
def large(new_index: Callable[..., IndexFolder]) -> IndexFolder:
    index = new_index(vectors={"general": DIM})
    given = make_batch(12_000, dim=DIM)
    rng = np.random.default_rng(4)
    given.vectors["general"] += 4 * rng.normal(size=(50, DIM)).astype(np.float32)[np.arange(12_000) % 50]
    with index.writer() as writer:
        writer.add("cells", given, source())
    return index


def test_recall_of_the_graph(large: IndexFolder) -> None:
    snap = large.snapshot()
    queries = snap.vectors("cells", snap.all_ids("cells")[:200])
    for where in (None, "cell_type='B cell'", "depth>190"):
        graph = snap.knn("cells", queries, 10, where, engine="qdrant")
        exact = snap.knn("cells", queries, 10, where, engine="scan")
        shared = [len(set(a) & set(b)) / 10 for a, b in zip(graph.ids, exact.ids, strict=True)]
        assert np.mean(shared) > 0.95, where
    assert snap.knn("cells", queries, 1).ids == [[i] for i in snap.all_ids("cells")[:200]]


def test_the_scan_is_chosen_by_size() -> None:
    assert scan.worth_scanning(15_000, 128, 1)
    assert not scan.worth_scanning(50_000, 128, 1)
    assert scan.worth_scanning(50_000, 128, 1_000)
    assert not scan.worth_scanning(500_000, 128, 1_000)


def test_top_k_against_sorting() -> None:
    rng = np.random.default_rng(0)
    for n, k in [(5, 5), (63, 3), (64, 64), (1_000, 15), (4_133, 15), (4_096, 1)]:
        scores = rng.normal(size=(7, n)).astype(np.float32)
        expected = np.argsort(-scores, axis=1)[:, :k]
        assert [set(r) for r in top_k(scores, k)] == [set(r) for r in expected]
