"""Metadata that is copied and added to, rows found by hash, and ids by filter: all as if built anew."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from random_items import FILTERS, fill, make_batch, source

from atacsearch.errors import InputError
from atacsearch.store.index.folder import IndexFolder
from atacsearch.store.index.repair import repair_index
from atacsearch.store.index.verify import verify_index
from atacsearch.store.metadata import database as metadata
from atacsearch.store.metadata.where import bind_where, parse_where, to_mask

Make = Callable[..., IndexFolder]


def database(index: IndexFolder) -> int:
    """Bytes of the current generation's file."""
    generation = index.snapshot().generation
    return (index.path / "generations" / str(generation) / metadata.FILE).stat().st_size


@pytest.fixture
def copies(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each publish copied the file of the generation before."""
    made: list[bool] = []
    write = metadata._write

    def noted(con: object, shards: object, incoming: object, old: object, copied: bool) -> None:
        made.append(copied)
        write(con, shards, incoming, old, copied)  # type: ignore[arg-type]

    monkeypatch.setattr(metadata, "_write", noted)
    return made


def test_added_rows_are_those_of_a_rebuild(new_index: Make, copies: list[bool]) -> None:
    index = new_index()
    with index.writer() as writer:
        writer.add("cells", make_batch(40, 0, "a"), source("a"))
        writer.publish()
        writer.add("cells", make_batch(30, 1, "b"), source("b"))
        writer.add("bedfiles", make_batch(5, 2, "c"), source("c"))
        writer.publish()
        writer.delete_source("cells", "a")
        writer.add("cells", make_batch(20, 3, "a"), source("a"))
        writer.publish()
        writer.add("cells", make_batch(10, 4, "d", late=["x", None] * 5), source("d"))  # a new column
        writer.publish()
        wider = make_batch(10, 5, "e", depth=np.linspace(0.5, 9.5, 10))  # whole numbers become fractions
        writer.add("cells", wider, source("e"))
        writer.publish()
        writer.add("cells", make_batch(10, 6, "f"), source("f"))
        writer.publish()
    # generation 0, the first cells, the first BED files; then as the comments say
    assert copies == [False, False, False, True, False, False, True]
    snap = index.snapshot()
    added, columns = snap.table("cells"), snap.columns("cells")
    assert columns["depth"].dtype == "double"
    assert columns["late"].n_distinct == 1
    assert verify_index(index).ok
    assert repair_index(index).ok
    again = index.snapshot()
    assert again.columns("cells") == columns
    assert again.table("cells").select(added.column_names).equals(added)


def test_replacing_again_and_again_does_not_swell_the_file(new_index: Make, copies: list[bool]) -> None:
    index = new_index()
    with index.writer() as writer:
        for step in range(12):
            writer.delete_source("cells", "a")
            writer.add("cells", make_batch(3_000, step, "a"), source("a"))
            writer.publish()
            if step == 1:
                early = database(index)
    assert index.snapshot().count("cells") == 3_000
    assert database(index) <= 2 * early


@pytest.mark.parametrize("few", [0, 50, 10_000_000])
def test_rows_by_hash_are_rows_by_id(new_index: Make, monkeypatch: pytest.MonkeyPatch, few: int) -> None:
    monkeypatch.setattr(metadata, "FEW", few)
    monkeypatch.setattr(metadata, "HASHED_AFTER", 0)
    index = new_index()
    fill(index)
    snap = index.snapshot()
    ids = snap.all_ids("cells")
    asked = [ids[i] for i in (7, 3, 540, 3, 0)]
    table = snap.table("cells")
    place = {item_id: row for row, item_id in enumerate(ids)}
    expected = table.take([place[i] for i in asked])
    assert snap.rows("cells", asked).equals(expected)
    assert snap.rows("cells", asked, ["late", "tss.score"]).equals(expected.select(["late", "tss.score"]))
    np.testing.assert_array_equal(snap.vectors("cells", asked)[[1]], snap.vectors("cells", [ids[3]]))
    with pytest.raises(InputError, match=r"'no#such' is not among the cells .*1 ids unknown"):
        snap.rows("cells", [ids[0], "no#such"])


def test_ids_with_one_hash_are_told_apart(new_index: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "FEW", 0)
    monkeypatch.setattr(metadata, "HASHED_AFTER", 0)
    index = new_index()
    fill(index)
    snap = index.snapshot()
    ids = snap.all_ids("cells")
    before = snap.rows("cells", ids[5:8])
    hashes, places = snap._metadata._places["cells"]
    same = snap._metadata._joined("hashes_of_wanted", [ids[6]])["hash"].to_numpy()[0]
    at = int(np.searchsorted(hashes, same))
    # the place of every item under the hash of one
    snap._metadata._places["cells"] = (np.full(len(hashes), hashes[at]), places)
    assert snap.rows("cells", [ids[6]]).equals(before.slice(1, 1))


@pytest.mark.parametrize("where", FILTERS, ids=str)
def test_ids_that_match_a_filter(filled: IndexFolder, where: str | list[str]) -> None:
    snap = filled.snapshot()
    bound = bind_where(parse_where(where), snap.manifest.columns["cells"], "cells")
    mask = to_mask(bound, snap.table("cells"))
    expected = {i for i, hit in zip(snap.all_ids("cells"), mask, strict=True) if hit}
    found = snap.matching("cells", where).to_pylist()
    assert set(found) == expected
    assert len(found) == len(expected)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> IndexFolder:
    from random_items import CREATE

    index = IndexFolder.create(tmp_path_factory.mktemp("rows") / "my.index", **CREATE)
    fill(index)
    return index


def test_rows_kept_in_memory_are_the_same(new_index: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "FEW", 0)
    index = new_index()
    fill(index)
    snap = index.snapshot()
    ids = snap.table("cells")["id"].to_pylist()
    asked = [ids[i] for i in (7, 3, 3, 11, 0)]
    first = [
        snap.rows("cells", asked),
        snap.rows("cells", asked, ["cell_type", "id"]),
        snap.vectors("cells", asked),
    ]
    for _ in range(metadata.HELD_AFTER + 2):
        again = [
            snap.rows("cells", asked),
            snap.rows("cells", asked, ["cell_type", "id"]),
            snap.vectors("cells", asked),
        ]
    assert snap._metadata._held["cells"][1].num_rows == len(ids)
    assert again[0].equals(first[0])
    assert again[1].equals(first[1])
    np.testing.assert_array_equal(again[2], first[2])
    with pytest.raises(InputError, match="nowhere"):
        snap.rows("cells", [ids[0], "nowhere"])
