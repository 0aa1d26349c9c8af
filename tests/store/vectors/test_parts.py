"""Parts: how shards are divided and merged, int8 parts, and filters that most points meet."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_items import DIM, make_batch, source

from atacsearch.store.columns import payload_key, payload_values
from atacsearch.store.index.folder import IndexFolder
from atacsearch.store.index.verify import verify_index
from atacsearch.store.manifest import ShardEntry
from atacsearch.store.metadata.where import bind_where, matches, parse_where, to_mask
from atacsearch.store.types import Column
from atacsearch.store.vectors import embedded
from atacsearch.store.vectors import parts as part_plan

Make = Callable[..., IndexFolder]


def shard(number: int, points: int) -> ShardEntry:
    return ShardEntry(number, "cells", "f", source(), points, {"general": points}, 0, "", "")


@given(st.lists(st.integers(1, 40), min_size=1, max_size=30), st.integers(40, 90))
def test_division_is_even_and_bounded(sizes: list[int], most: int) -> None:
    shards = [shard(i, n) for i, n in enumerate(sizes)]
    groups = part_plan.divide(shards, most)
    assert [s for group in groups for s in group] == shards
    assert all(sum(s.n_points for s in group) <= most for group in groups)
    assert len(groups) <= 2 * -(-sum(sizes) // most) + 1


def test_a_shard_larger_than_a_part_stays_whole() -> None:
    groups = part_plan.divide([shard(0, 10), shard(1, 500), shard(2, 10)], 100)
    assert [[s.number for s in group] for group in groups] == [[0], [1], [2]]


@pytest.mark.parametrize("engine", ["qdrant", "auto"])
def test_several_parts_answer_as_one(new_index: Make, monkeypatch: pytest.MonkeyPatch, engine: str) -> None:
    """Random sources in random publishes: exact answers over all parts are those of the scan."""
    monkeypatch.setattr(part_plan, "MAX_PART", 120)
    monkeypatch.setattr(part_plan, "SMALL_PART", 10)
    index = new_index()
    rng = np.random.default_rng(3)
    queries = rng.normal(size=(9, DIM)).astype(np.float32)
    with index.writer() as writer:
        for step in range(5):
            for part in range(rng.integers(1, 6)):
                name = f"s{step}-{part}"
                writer.add(
                    "cells", make_batch(int(rng.integers(5, 100)), 10 * step + part, name), source(name)
                )
            if step == 3:
                writer.delete_source("cells", "s0-0")
            writer.publish()
            snap = index.snapshot()
            parts = snap.manifest.parts_of("cells")
            assert all(p.points <= 120 for p in parts)
            assert len({p.name for p in parts}) == len(parts)
            for where in (None, "depth>150", "cell_type='B cell'"):
                found = snap.knn("cells", queries, 15, where, exact=True, engine=engine)  # type: ignore[arg-type]
                best = snap.knn("cells", queries, 15, where, engine="scan")
                assert [set(i) for i in found.ids] == [set(i) for i in best.ids]
                np.testing.assert_allclose(found.distance, best.distance, atol=1e-5)
    assert len(index.snapshot().manifest.parts_of("cells")) > 2
    assert verify_index(index).ok


@pytest.fixture
def quantised(new_index: Make, monkeypatch: pytest.MonkeyPatch) -> IndexFolder:
    """3,000 cells around 30 centres, held as int8 with a graph."""
    monkeypatch.setattr(embedded, "QUANTISED", 100_000)
    monkeypatch.setattr(embedded, "FULL_SCAN", 50)
    index = new_index(vectors={"general": 64})
    cells = make_batch(3_000, dim=64, side=["left", "right"] * 1_500)
    rng = np.random.default_rng(4)
    cells.vectors["general"] += 4 * rng.normal(size=(30, 64)).astype(np.float32)[np.arange(3_000) % 30]
    with index.writer() as writer:
        writer.add("cells", cells, source())
    return index


def test_int8_parts_verify_and_answer_nearly_exactly(quantised: IndexFolder) -> None:
    snap = quantised.snapshot()
    queries = snap.vectors("cells", snap.all_ids("cells")[:100])
    for where in (None, "side=left", "depth>=110", "cell_type='B cell'", "depth=150"):
        found = snap.knn("cells", queries, 10, where, engine="qdrant")
        best = snap.knn("cells", queries, 10, where, engine="scan")
        shared = [len(set(a) & set(b)) / len(b) for a, b in zip(found.ids, best.ids, strict=True)]
        assert np.mean(shared) > 0.95, where
        # distances are those of the float16 vectors, not of the int8 ones
        np.testing.assert_allclose(found.distance[:, 0], best.distance[:, 0], atol=1e-3)
    exact = snap.knn("cells", queries, 10, exact=True, engine="qdrant")
    best = snap.knn("cells", queries, 10, engine="scan")
    np.testing.assert_allclose(exact.distance, best.distance, atol=1e-3)
    report = verify_index(quantised)
    assert report.ok, report.problems
    assert report.points == 3_000
    files = {p.name for p in quantised.path.glob("vectors/cells/*/**/*") if "quantized" in p.name}
    assert files, "the part holds no int8 vectors"


def test_a_common_filter_that_holds_far_away_still_gives_k(quantised: IndexFolder) -> None:
    """Half of the cells meet the filter, none of the nearest ones do: the engine's own filter answers."""
    snap = quantised.snapshot()
    store = quantised.store
    assert isinstance(store, embedded.EmbeddedStore)
    ids = snap.all_ids("cells")
    query = snap.vectors("cells", [ids[0]])  # even rows are "left", and their centres have even numbers
    found = snap.knn("cells", query, 10, "side=right", engine="qdrant")
    best = snap.knn("cells", query, 10, "side=right", engine="scan")
    assert len(found.ids[0]) == 10
    assert set(snap.rows("cells", found.ids[0], ["side"])["side"].to_pylist()) == {"right"}
    assert found.distance[0, 0] <= best.distance[0, -1] + 1e-3


CONDITIONS = [
    "text=a",
    "text!=a",
    "text in (a, 'b c')",
    "number>0.5",
    "number<=1 and number!=0",
    "number in (0, 1)",
    "flag=true",
    "flag!=true",
    "flag in (true, false)",
]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "b c", None]),
            st.sampled_from([0.0, 0.5, 1.0, 2.0, float("inf"), None]),
            st.sampled_from([True, False, None]),
        ),
        min_size=1,
    )
)
def test_a_payload_matches_as_its_row_does(rows: list[tuple[str | None, float | None, bool | None]]) -> None:
    text, number, flag = zip(*rows, strict=True)
    table = pa.table(
        {
            "text": pa.array(text, pa.string()),
            "number": pa.array(number, pa.float64()),
            "flag": pa.array(flag, pa.bool_()),
        }
    )
    columns = {
        "text": Column("text", "text", "string", 2, True),
        "number": Column("number", "number", "double", 5, True),
        "flag": Column("flag", "bool", "bool", 2, True),
    }
    payloads: list[dict[str, object]] = [{} for _ in rows]
    for name, column in columns.items():
        for payload, value in zip(payloads, payload_values(table[name], column.kind), strict=True):
            if value is not None:
                payload[payload_key(name)] = value
    for condition in CONDITIONS:
        where = bind_where(parse_where(condition), columns, "cells")
        assert [matches(where, p) for p in payloads] == to_mask(where, table).tolist(), condition


def test_parts_are_read_ahead_once_each_and_after_the_first_answer(
    new_index: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = new_index()
    with index.writer() as writer:
        for number in range(2):
            writer.add("cells", make_batch(300, number, f"s{number}"), source(f"s{number}"))
            writer.publish()
    index.close()
    events: list[str] = []
    read = threading.Event()
    answer = embedded.EmbeddedStore._search_part

    def ahead(path: Path) -> None:
        events.append(f"ahead {path.name}")
        read.set()

    def ask(*given: Any) -> Any:
        found = answer(*given)
        events.append("answer")
        return found

    monkeypatch.setattr(embedded, "read_ahead", ahead)
    monkeypatch.setattr(embedded.EmbeddedStore, "_search_part", ask)
    snap = IndexFolder.open(index.path).snapshot()
    names = {part.name for part in snap.manifest.parts_of("cells")}
    query = np.ones(DIM, np.float32)
    snap.knn("cells", query, 3, engine="qdrant")
    assert read.wait(5)
    first = len(names)
    assert events[:first] == ["answer"] * first
    snap.knn("cells", query, 3, engine="qdrant")
    deadline = time.monotonic() + 5
    while len([e for e in events if e != "answer"]) < len(names) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert sorted(e for e in events if e != "answer") == sorted(f"ahead {name}" for name in names)
