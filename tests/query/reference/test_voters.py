"""Voters of many items at once: the same whether the shards are scanned as they pass or vectors in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from atacsearch.query.annotate.voters import voters_of
from atacsearch.query.reference.reference import Reference, reference_of
from atacsearch.store.index import nearest as nearest_items
from atacsearch.store.index.folder import IndexFolder
from atacsearch.store.index.snapshot import Snapshot
from atacsearch.store.types import Batch, Source
from atacsearch.store.vectors import stream
from atacsearch.tokens.token_sets import TokenSets

DIM, N = 24, 400


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[IndexFolder]:
    """Three sources; half of the cells carry a label, and the last source was deleted."""
    made = IndexFolder.create(
        tmp_path_factory.mktemp("voters") / "my.index",
        model_dir=None,
        model_digest="m" * 64,
        universe_digest="u" * 64,
        vectors={"general": DIM},
    )
    with made.writer() as writer:
        for number, name in enumerate("abc"):
            rng = np.random.default_rng(number)
            items = [f"c{i}" for i in range(N)]
            labels = pa.table(
                {
                    "cell_type": [("B", None, "NK", None)[i % 4] for i in range(N)],
                    "donor": [f"{name}{i % 5}" for i in range(N)],
                }
            )
            sets = TokenSets.from_lists([[i] for i in range(N)], universe_digest="u" * 64)
            vectors = rng.normal(size=(N, DIM)).astype(np.float32)
            writer.add(
                "cells",
                Batch([f"{name}#{i}" for i in items], items, labels, sets, {"general": vectors}),
                Source(name, name),
            )
            writer.publish()
        writer.delete_source("cells", "c")
        writer.publish()
    yield made
    made.close()


def reference(snap: Snapshot, where: Sequence[str]) -> Reference:
    session: Any = SimpleNamespace(
        notify=print, is_class_head=lambda name: False, vector_of=lambda kind, label: "general"
    )
    return reference_of(session, snap, "cells", "cell_type", where=where)


@pytest.mark.parametrize("where", [(), ("donor in (a0, a1, b3)",)], ids=["all", "some donors"])
def test_voters_by_either_scan(
    index: IndexFolder, monkeypatch: pytest.MonkeyPatch, where: tuple[str, ...]
) -> None:
    snap = index.snapshot()
    voters = reference(snap, where)
    vectors = np.random.default_rng(7).normal(size=(60, DIM)).astype(np.float32)

    def own(query: int, ids: Sequence[str], distance: np.ndarray) -> set[str]:
        # the whole source is the query's own for every third item, which so needs a longer answer
        return {i for i in ids if i.startswith("a#")} if query % 3 == 0 else set()

    expected = voters_of(snap, voters, vectors, 15, own)
    streamed: list[int] = []

    def spy(*args: Any) -> Any:
        streamed.append(len(args[3]))
        return stream.nearest(*args)

    monkeypatch.setattr(stream, "LARGE", 1)
    monkeypatch.setattr(stream, "SMALL", 0)
    monkeypatch.setattr(nearest_items, "nearest", spy)
    found = voters_of(snap, voters, vectors, 15, own)
    assert streamed[0] == 60
    assert len(streamed) > 1, "some items needed more neighbours"
    for (ids, distance), (wanted, expected_distance) in zip(found, expected, strict=True):
        assert ids == wanted
        assert len(ids) == 15
        np.testing.assert_allclose(distance, expected_distance, atol=1e-6)
    assert not any(i.startswith("c#") for ids, _ in found for i in ids)
    assert not any(i.startswith("a#") for ids, _ in found[::3] for i in ids)
    assert all(i in voters.codes for ids, _ in found for i in ids)
