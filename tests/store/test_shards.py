"""Row groups of shards: large sets lie in small groups, so that one file is not read with thousands of others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from random_items import make_batch, source

from atacsearch.store import shards
from atacsearch.store.index.folder import IndexFolder
from atacsearch.store.shards import open_regions
from atacsearch.tokens.token_sets import TokenSets


@pytest.fixture
def large(
    new_index: Callable[..., IndexFolder], monkeypatch: pytest.MonkeyPatch
) -> tuple[IndexFolder, TokenSets]:
    """An index of 50 sets of some 40 tokens, where that counts as large."""
    monkeypatch.setattr(shards, "CELL_TOKENS", 20)
    monkeypatch.setattr(shards, "TOKENS_PER_GROUP", 800)
    rng = np.random.default_rng(0)
    lists = [np.sort(rng.choice(900, rng.integers(30, 50), replace=False)) for _ in range(50)]
    sets = TokenSets.from_lists([x.tolist() for x in lists], universe_digest="u" * 64)
    index = new_index()
    with index.writer() as writer:
        writer.add("bedfiles", replace(make_batch(50), sets=sets), source())
        writer.add("cells", make_batch(40, prefix="t"), source("b"))
        writer.publish()
    return index, sets


def test_large_sets_lie_in_small_groups(large: tuple[IndexFolder, TokenSets]) -> None:
    index, sets = large
    snapshot = index.snapshot()
    (bed,), (cell,) = (snapshot.manifest.shards_of(kind) for kind in ("bedfiles", "cells"))
    groups = pq.ParquetFile(index.path / bed.file).num_row_groups
    assert groups == -(-50 // max(16, int(800 / sets.lengths.mean())))
    assert pq.ParquetFile(index.path / cell.file).num_row_groups == 1
    ids = snapshot.all_ids("bedfiles")
    rows = (49, 0, 17, 18)
    for row, tokens in zip(rows, snapshot.tokens("bedfiles", [ids[i] for i in rows]), strict=True):
        np.testing.assert_array_equal(tokens, sets[row])


def test_open_regions_are_those_of_any_item(large: tuple[IndexFolder, TokenSets]) -> None:
    index, sets = large
    found = open_regions(index.path, index.snapshot().manifest.shards_of("bedfiles"), 1000)
    np.testing.assert_array_equal(np.flatnonzero(found), np.unique(sets.tokens))
