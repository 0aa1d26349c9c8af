"""The scan of passing shards for large batches: the answers of the scan in memory, ties in order of ids."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from random_items import CREATE, DIM, make_batch, source

from atacsearch.errors import InputError
from atacsearch.store.index import nearest as nearest_items
from atacsearch.store.index.folder import IndexFolder
from atacsearch.store.index.snapshot import Snapshot
from atacsearch.store.vectors import parts, stream
from atacsearch.store.vectors.base import normalised
from atacsearch.store.vectors.chunks import vector_chunks
from atacsearch.store.vectors.stream import Bound, nearest, worth_streaming

Make = Callable[..., IndexFolder]
WIDE_DIM = 64  # enough for a bound of fewer columns


@pytest.fixture
def streamed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let every batch be large and every product small; the number of queries of each scan."""
    asked: list[int] = []

    def spy(*args: Any) -> Any:
        asked.append(len(args[3]))
        return nearest(*args)

    sizes = {
        "LARGE": 1,
        "SMALL": 0,
        "WIDE": 16,
        "LONG": 70,
        "ROWS": 150,
        "GROUP": 16,
        "PAIRS": 99,
        "WAITING": 2,
    }
    for name, value in sizes.items():
        monkeypatch.setattr(stream, name, value)
    monkeypatch.setattr(nearest_items, "nearest", spy)
    return asked


def directed(n: int, seed: int, dim: int = WIDE_DIM, noise: float = 0.05) -> np.ndarray:
    """Vectors that mostly vary along six directions."""
    main = np.random.default_rng(99).normal(size=(6, dim))
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(n, 6)) @ main + noise * rng.normal(size=(n, dim))).astype(np.float32)


@pytest.fixture(params=["any direction", "few directions"], scope="module")
def filled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[IndexFolder]:
    """Several parts and shards, one source deleted, one replaced, some cells without a vector."""
    options = {**CREATE, "vectors": {"general": WIDE_DIM}}
    index = IndexFolder.create(tmp_path_factory.mktemp("stream") / "my.index", **options)
    with pytest.MonkeyPatch.context() as patch, index.writer() as writer:
        patch.setattr(parts, "MAX_PART", 300)
        patch.setattr(parts, "SMALL_PART", 10)
        for number, (name, n) in enumerate({"a": 250, "b": 170, "c": 90, "d": 3, "e": 131}.items()):
            cells = make_batch(n, number, name, dim=WIDE_DIM)
            if request.param == "few directions":
                cells.vectors["general"][:] = directed(n, number)
            cells.vectors["general"][::9] = 0
            writer.add("cells", cells, source(name))
            writer.publish()
        writer.delete_source("cells", "c")
        writer.publish()
        writer.delete_source("cells", "b")
        writer.add("cells", make_batch(80, 9, "b", dim=WIDE_DIM), source("b"))
        writer.publish()
    yield index
    index.close()


def check_alike(
    snap: Snapshot, queries: np.ndarray, k: int, where: str | None = None, **options: Any
) -> None:
    found = snap.knn("cells", queries, k, where, **options)
    best = snap.knn("cells", queries, k, where, engine="scan", **options)
    assert [set(ids) for ids in found.ids] == [set(ids) for ids in best.ids]
    np.testing.assert_allclose(found.distance, best.distance, atol=2e-6)
    assert found.distance.dtype == np.float32


@pytest.mark.parametrize(
    "where", [None, "cell_type='B cell'", "depth>150 and doublet=true", "cell_type=nothing"]
)
@pytest.mark.parametrize("k", [1, 10, 200])
def test_answers_of_the_scan_in_memory(
    filled: IndexFolder, streamed: list[int], k: int, where: str | None
) -> None:
    snap = filled.snapshot()
    assert len(snap.manifest.parts_of("cells")) > 1
    queries = np.concatenate([directed(23, 5), np.random.default_rng(6).normal(size=(14, WIDE_DIM))])
    check_alike(snap, queries, k, where)
    assert streamed == [37]


def test_more_neighbours_than_there_are(filled: IndexFolder, streamed: list[int]) -> None:
    snap = filled.snapshot()
    found = snap.knn("cells", directed(7, 5), 999)
    points = snap.points("cells")
    assert [len(ids) for ids in found.ids] == [points] * 7
    assert points < snap.count("cells") == 250 + 3 + 131 + 80
    assert np.isnan(found.distance[:, points:]).all()
    assert streamed == [7]


def test_queries_without_a_vector(filled: IndexFolder, streamed: list[int]) -> None:
    snap = filled.snapshot()
    queries = directed(8, 5)
    queries[[0, 5]] = 0
    check_alike(snap, queries, 4)
    assert streamed == [6]
    assert snap.knn("cells", np.zeros((3, WIDE_DIM)), 4).ids == [[], [], []]
    assert snap.knn("cells", np.empty((0, WIDE_DIM)), 4).ids == []
    assert snap.knn("regions", queries, 4).ids == [[]] * 8
    assert streamed == [6]


def test_unwanted_ids_and_sources(
    filled: IndexFolder, streamed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    snap = filled.snapshot()
    queries = directed(9, 5)
    first = snap.knn("cells", queries, 3).ids
    check_alike(snap, queries, 5, exclude=[ids[0] for ids in first])
    check_alike(snap, queries, 5, exclude=first)
    check_alike(snap, queries, 5, exclude={i for ids in first for i in ids})
    assert streamed == [9] * 4
    found = snap.knn("cells", queries, 5, exclude_sources="a", exact=True)
    assert not any(i.startswith("a#") for ids in found.ids for i in ids)
    monkeypatch.setattr(nearest_items, "OVERFETCH", 2)
    check_alike(snap, queries, 5, exclude=first, exact=True)
    assert streamed == [9] * 4, "a scan cannot leave out sources or very many ids"


def test_ties_are_in_order_of_ids(new_index: Make, streamed: list[int]) -> None:
    """Every vector occurs many times, in several shards; the first by id are the answers."""
    index = new_index()
    kinds = np.random.default_rng(1).normal(size=(4, DIM)).astype(np.float32)
    kind_of: dict[str, int] = {}
    with index.writer() as writer:
        for number in range(3):
            cells = make_batch(150, number, f"s{(number * 2) % 3}")
            which = np.random.default_rng(number).integers(0, 4, 150)
            cells.vectors["general"][:] = kinds[which]
            kind_of.update(zip(cells.ids, which.tolist(), strict=True))
            writer.add("cells", cells, source(f"s{number}"))
            writer.publish()
    for k in (1, 30, 130, 140):
        found = index.snapshot().knn("cells", kinds, k)
        similarity = normalised(kinds) @ normalised(kinds).T
        for query, ids in enumerate(found.ids):
            assert ids == sorted(kind_of, key=lambda i: (-similarity[query, kind_of[i]], i))[:k]
    assert streamed == [4] * 4


def test_float16_and_named_vectors(new_index: Make, streamed: list[int]) -> None:
    index = new_index(dtype="float16", vectors={"general": DIM, "second": 4})
    cells, others = make_batch(200, 0, "a"), make_batch(60, 1, "b")
    second = np.zeros((200, 4), np.float32)
    second[:50] = np.random.default_rng(1).normal(size=(50, 4))
    cells.vectors["second"] = second  # type: ignore[index]
    with index.writer() as writer:
        writer.add("cells", others, source("b"))  # has no vector of that name at all
        writer.add("cells", cells, source("a"))
    snap = index.snapshot()
    check_alike(snap, cells.vectors["general"][:20], 15)
    check_alike(snap, second[:6], 15, name="second")
    found = snap.knn("cells", second[:6], 60, name="second")
    assert [len(ids) for ids in found.ids] == [50] * 6
    assert [ids[0] for ids in found.ids] == list(cells.ids[:6])
    assert streamed == [20, 6, 6]


def test_a_shard_that_cannot_be_read_is_named(filled: IndexFolder, streamed: list[int]) -> None:
    snap = filled.snapshot()
    path = filled.path / snap.manifest.shards_of("cells")[1].file
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=rf"{path.name} .*cannot be read .*run: atacsearch index verify"):
        snap.knn("cells", directed(7, 5), 3)
    path.write_bytes(whole[:4_000] + bytes(2_000) + whole[6_000:])
    with pytest.raises(InputError, match=rf"{path.name} .*cannot be read .*run: atacsearch index verify"):
        snap.knn("cells", directed(7, 5), 3)
    path.unlink()
    with pytest.raises(InputError, match=r"cannot be read any more .*run: atacsearch index verify"):
        snap.knn("cells", directed(7, 5), 3)
    path.write_bytes(whole)
    check_alike(snap, directed(7, 5), 3)


def test_chunks_hold_every_vector_once(filled: IndexFolder) -> None:
    snap = filled.snapshot()
    shards = snap.manifest.shards_of("cells")
    whole = normalised(snap.vectors("cells", snap.all_ids("cells")))
    mask = np.random.default_rng(0).random(len(whole)) < 0.6
    for size, some in ((1, None), (50, None), (50, mask), (5_000, mask)):
        found = list(vector_chunks(snap.index, shards, "general", size, some))
        rows = np.concatenate([rows for rows, _ in found])
        assert all(len(rows) == size for rows, _ in found[:-1])
        wanted = whole.any(1) if some is None else whole.any(1) & some
        np.testing.assert_array_equal(rows, np.flatnonzero(wanted))
        np.testing.assert_array_equal(np.concatenate([values for _, values in found]), whole[rows])
    assert list(vector_chunks(snap.index, shards, "general", 50, np.zeros(len(whole), bool))) == []


@pytest.mark.parametrize("noise", [0.0, 0.05, 0.5, 5.0])
def test_the_bound_is_never_too_low(noise: float) -> None:
    queries = normalised(directed(60, 1, noise=noise))
    others = normalised(np.concatenate([directed(200, 2, noise=noise), directed(200, 3, noise=9.0)]))
    bound = Bound(queries)
    assert bound.width == (16 if noise < 0.1 else bound.width)
    assert bound.width <= WIDE_DIM
    product = (bound.columns_of(queries) @ bound.columns_of(others).T).numpy()
    truth = queries.astype(np.float64) @ others.T.astype(np.float64)
    assert (product + bound.slack >= truth).all()
    assert bound.slack < 1e-4


def test_large_batches_are_streamed() -> None:
    assert worth_streaming(1_000_000, 192, stream.LARGE, 30)
    assert not worth_streaming(1_000_000, 192, stream.LARGE - 1, 30)
    assert not worth_streaming(1_000_000, 192, stream.LARGE, stream.MOST + 1)
    assert not worth_streaming(10_000, 192, stream.LARGE, 30)
