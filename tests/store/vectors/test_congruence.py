"""One set of questions to both vector stores and to the exact scan: they must answer alike."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from random_items import CREATE, DIM, FILTERS, fill, source

from atacsearch.store.index.folder import IndexFolder
from atacsearch.store.index.nearest import Engine
from atacsearch.store.index.repair import repair_index
from atacsearch.store.index.snapshot import Snapshot
from atacsearch.store.index.verify import verify_index
from atacsearch.store.types import Batch

STORES = [
    "embedded",
    "scan",
    "memory",
    pytest.param("server", marks=pytest.mark.server),
]


def options(store: str) -> dict[str, Any]:
    if store == "memory":
        return {"url": ":memory:"}
    if store == "server":
        url = os.environ.get("QDRANT_URL")
        if not url:
            pytest.skip("QDRANT_URL is not set")
        return {"url": url}
    return {}


def engine(store: str) -> Engine:
    return "scan" if store == "scan" else "qdrant"


@pytest.fixture(params=STORES, scope="module")
def store(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def filled(store: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[IndexFolder]:
    index = IndexFolder.create(tmp_path_factory.mktemp(store) / "my.index", **CREATE, **options(store))
    fill(index)
    yield index
    if store == "server":
        drop_collections(index)
    index.close()


def drop_collections(index: IndexFolder) -> None:
    index.store.clean([], [], 0)


def truth(snap: Snapshot, query: np.ndarray, k: int, keep: np.ndarray | None = None) -> list[set[str]]:
    """The obvious way: cosine of everything with everything."""
    ids = np.array(snap.all_ids("cells"))
    vectors = snap.vectors("cells", list(ids)).astype(np.float64)
    norms = np.linalg.norm(vectors, axis=1)
    keep = (norms > 0) & (np.ones(len(ids), bool) if keep is None else keep)
    cosine = (query / np.linalg.norm(query, axis=1, keepdims=True)) @ (vectors[keep] / norms[keep, None]).T
    order = np.argsort(-cosine, axis=1)[:, :k]
    return [set(ids[keep][row]) for row in order]


@pytest.fixture
def queries() -> np.ndarray:
    return np.random.default_rng(9).normal(size=(12, DIM)).astype(np.float32)


def test_exact_top_k(filled: IndexFolder, store: str, queries: np.ndarray) -> None:
    snap = filled.snapshot()
    answer = snap.knn("cells", queries, 10, exact=True, engine=engine(store))
    assert [set(ids) for ids in answer.ids] == truth(snap, queries, 10)
    assert answer.distance.shape == (12, 10)
    assert answer.distance.dtype == np.float32
    assert (np.diff(answer.distance, axis=1) >= 0).all()
    nearest = snap.vectors("cells", [ids[0] for ids in answer.ids])
    cosine = [
        1 - (a @ b) / np.linalg.norm(a) / np.linalg.norm(b) for a, b in zip(queries, nearest, strict=True)
    ]
    np.testing.assert_allclose(answer.distance[:, 0], cosine, atol=1e-5)


@pytest.mark.parametrize("where", FILTERS, ids=str)
def test_filters(filled: IndexFolder, store: str, queries: np.ndarray, where: str | list[str]) -> None:
    snap = filled.snapshot()
    everything = snap.knn("cells", queries[:2], 1_000, where, exact=True, engine=engine(store))
    expected = snap.knn("cells", queries[:2], 1_000, where, exact=True, engine="scan")
    assert [set(ids) for ids in everything.ids] == [set(ids) for ids in expected.ids]
    top = snap.knn("cells", queries, 5, where, exact=True, engine=engine(store))
    best = snap.knn("cells", queries, 5, where, exact=True, engine="scan")
    assert [set(ids) for ids in top.ids] == [set(ids) for ids in best.ids]
    assert np.isnan(top.distance).sum() == sum(5 - len(ids) for ids in top.ids)


def test_exclusions(filled: IndexFolder, store: str, queries: np.ndarray) -> None:
    snap = filled.snapshot()
    ask = {"exact": True, "engine": engine(store)}
    ids = np.array(snap.all_ids("cells"))
    first = snap.knn("cells", queries, 3, **ask)
    unwanted = {i for some in first.ids for i in some}
    answer = snap.knn("cells", queries, 10, exclude=unwanted, **ask)
    assert [set(x) for x in answer.ids] == truth(snap, queries, 10, ~np.isin(ids, list(unwanted)))
    answer = snap.knn("cells", queries, 2, exclude=[x[0] for x in first.ids], **ask)
    assert answer.ids == [x[1:] for x in first.ids]
    many = set(ids[:300])
    answer = snap.knn("cells", queries, 10, exclude=many, **ask)
    assert [set(x) for x in answer.ids] == truth(snap, queries, 10, ~np.isin(ids, list(many)))
    source_of = np.array(snap.table("cells", ["source_id"])["source_id"].to_pylist())
    answer = snap.knn("cells", queries, 10, exclude_sources="a", **ask)
    assert [set(x) for x in answer.ids] == truth(snap, queries, 10, source_of != "a")
    answer = snap.knn("cells", queries, 10, exclude_sources=["a", "b", None] * 4, **ask)
    assert [set(x) for x in answer.ids[:3]] == [
        truth(snap, queries[:1], 10, source_of != "a")[0],
        truth(snap, queries[1:2], 10, source_of != "b")[0],
        truth(snap, queries[2:3], 10)[0],
    ]


def test_empty_and_lone_queries(filled: IndexFolder, store: str, queries: np.ndarray) -> None:
    snap = filled.snapshot()
    queries[1] = 0
    answer = snap.knn("cells", queries, 4, engine=engine(store))
    assert answer.ids[1] == []
    assert np.isnan(answer.distance[1]).all()
    assert len(answer.ids[0]) == 4
    alone = snap.knn("cells", queries[0], 4, engine=engine(store))
    assert alone.ids == answer.ids[:1]
    assert snap.knn("regions", queries, 4, engine=engine(store)).ids == [[]] * 12
    more_than_there_is = snap.knn("cells", queries[:1], 900, engine=engine(store), exact=True)
    assert len(more_than_there_is.ids[0]) == 549


def test_old_snapshot_stays_as_it_was(
    store: str, new_index: Callable[..., IndexFolder], batch: Callable[..., Batch], queries: np.ndarray
) -> None:
    index = new_index(**options(store))
    ask = {"exact": True, "engine": engine(store)}
    with index.writer() as writer:
        writer.add("cells", batch(120, 0, "a"), source("a"))
        writer.publish()
        before = index.snapshot()
        expected = before.knn("cells", queries, 6, **ask)
        writer.add("cells", batch(120, 1, "b"), source("b"))
        writer.publish()
        assert before.knn("cells", queries, 6, **ask).ids == expected.ids
        assert index.snapshot().knn("cells", queries, 6, **ask).ids != expected.ids
    reopened = IndexFolder.open(index.path)
    assert reopened.snapshot().count("cells") == 240
    if store == "server":
        drop_collections(index)
    reopened.close()


def test_verify_passes_and_repair_restores(filled: IndexFolder, store: str, queries: np.ndarray) -> None:
    report = verify_index(filled)
    assert report.ok, report.problems
    assert (report.shards, report.rows, report.points) == (2, 550, 549)
    before = filled.snapshot().knn("cells", queries, 8, exact=True, engine=engine(store))
    report = repair_index(filled)
    assert report.ok, report.problems
    after = filled.snapshot().knn("cells", queries, 8, exact=True, engine=engine(store))
    assert after.ids == before.ids


@pytest.mark.parametrize("store", ["embedded", "memory", pytest.param("server", marks=pytest.mark.server)])
def test_float16(
    store: str, new_index: Callable[..., IndexFolder], batch: Callable[..., Batch], queries: np.ndarray
) -> None:
    index = new_index(dtype="float16", vectors={"general": DIM, "second": 4}, **options(store))
    given = batch(200)
    second = np.zeros((200, 4), np.float32)
    second[:50] = np.random.default_rng(1).normal(size=(50, 4))
    given.vectors["second"] = second  # type: ignore[index]
    with index.writer() as writer:
        writer.add("cells", given, source())
    snap = index.snapshot()
    assert snap.points("cells", "second") == 50
    np.testing.assert_allclose(
        snap.vectors("cells", given.ids), given.vectors["general"], rtol=1e-3, atol=1e-3
    )
    answer = snap.knn("cells", second[:3], 60, name="second", engine="qdrant", exact=True)
    assert [len(ids) for ids in answer.ids] == [50, 50, 50]
    assert [ids[0] for ids in answer.ids] == given.ids[:3]
    assert verify_index(index).ok
    if store == "server":
        drop_collections(index)
