"""Pairs that do not fit in memory: the same sets, by way of a temporary file and in parts."""

import errno
import os

import numpy as np
import pyarrow.parquet as pq
import pytest
from fragment_reference import read_slowly
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sources import fragments, random_regions, universe_of, write

from atacsearch.errors import InputError
from atacsearch.readers import compressed
from atacsearch.readers.fragments import pairs, worker
from atacsearch.readers.inputs.open import open_input, open_input_parts
from atacsearch.readers.options import ReadOptions
from atacsearch.tokens.token_sets import TokenSets, write_sets

SMALL = {"kind": "fragments", "min_fragments": 1}


@pytest.fixture
def tight(monkeypatch):
    """Room for a few pairs in memory, and parts of a few pairs."""
    monkeypatch.setattr(pairs, "IN_MEMORY", 400)
    monkeypatch.setattr(pairs, "PART_PAIRS", 37)
    monkeypatch.setattr(worker, "_PAIRS", 29)
    monkeypatch.setattr(compressed, "PLAIN_BYTES", 900)


@pytest.fixture
def world(tmp_path):
    rng = np.random.default_rng(8)
    regions = random_regions(rng, 200)
    barcodes = ["s1#" + "".join(rng.choice(list("ACGT"), 12)) for _ in range(60)] + ["s1", "s2#AA", "é"]
    lines = fragments(rng, regions, 2500, barcodes)
    return regions, lines, write(tmp_path / "f.tsv", "\n".join(lines) + "\n")


@pytest.mark.parametrize("threads", [1, 3])
def test_parts_from_a_file_agree_with_the_slow_way(world, tight, threads):
    regions, lines, path = world
    tokens, quality, _ = read_slowly(lines, regions)
    parts = list(open_input_parts(path, universe_of(regions), ReadOptions(**SMALL, threads=threads)))
    assert len(parts) > 10
    assert [name for part in parts for name in part.sets.names] == sorted(quality)
    found = {n: t.tolist() for part in parts for n, t in zip(part.sets.names, part.sets, strict=True)}
    assert found == {barcode: sorted(set(tokens[barcode])) for barcode in quality}
    assert [n for p in parts for n in p.labels["n_fragments"].to_pylist()] == [
        quality[b]["n"] for b in sorted(quality)
    ]
    assert len({id(part.report) for part in parts}) == 1
    whole = open_input(path, universe_of(regions), ReadOptions(**SMALL))[0]
    assert whole.sets.names == TokenSets.concat([part.sets for part in parts]).names
    assert whole.ids == tuple(i for part in parts for i in part.ids)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_barcodes_memory_and_parts(data, tmp_path, monkeypatch):
    name = st.text(st.characters(codec="utf-8", exclude_characters="\t\r\n, "), min_size=2, max_size=14)
    barcodes = data.draw(st.lists(name.map("s#".__add__) | name, min_size=1, max_size=9, unique=True))
    rows = data.draw(
        st.lists(
            st.tuples(st.integers(0, 400), st.integers(1, 60), st.sampled_from(barcodes)),
            min_size=1,
            max_size=60,
        )
    )
    lines = [f"chr1\t{at}\t{at + width}\t{who}\t1" for at, width, who in rows]
    regions = [("chr1", 20 * i, 20 * i + 30) for i in range(20)]
    for module, what, low in (
        (pairs, "IN_MEMORY", 0),
        (pairs, "PART_PAIRS", 1),
        (worker, "_PAIRS", 1),
    ):
        monkeypatch.setattr(module, what, data.draw(st.integers(low, 50)))
    monkeypatch.setattr(compressed, "PLAIN_BYTES", data.draw(st.integers(1, 400)))
    path = write(tmp_path / "f.tsv", "\n".join(lines) + "\n")
    parity = data.draw(st.sampled_from([None, "gtars"]))
    items = open_input(
        path, universe_of(regions), ReadOptions(**SMALL, threads=data.draw(st.integers(1, 3)), parity=parity)
    )[0]
    tokens, _, _ = read_slowly(lines, regions, unk=len(regions) if parity else None)
    expected = {b: found if parity else sorted(set(found)) for b, found in sorted(tokens.items())}
    assert [(n, t.tolist()) for n, t in zip(items.sets.names, items.sets, strict=True)] == list(
        expected.items()
    )


def test_a_list_of_cells_keeps_its_order(world, tight, tmp_path):
    regions, lines, path = world
    tokens, quality, _ = read_slowly(lines, regions)
    chosen = sorted(quality, key=lambda b: b[::-1])[::2]
    listed = write(tmp_path / "cells.txt", "\n".join(chosen) + "\n")
    items = open_input(path, universe_of(regions), ReadOptions(**SMALL, whitelist=listed))[0]
    assert list(items.sets.names) == chosen
    assert [t.tolist() for t in items.sets] == [sorted(set(tokens[b])) for b in chosen]


def test_names_that_are_no_text_are_sets_all_the_same(tight, tmp_path):
    names = [b"A\xff\xfe", b"A\xc3\xa9", b"Z", b"B\xf0\x9f\x98\x80", b"\xff"]
    lines = [b"chr1\t%d\t%d\t%s\t1" % (i % 90, i % 90 + 9, names[i % 5]) for i in range(400)]
    path = write(tmp_path / "f.tsv", b"\n".join(lines) + b"\n")
    items = open_input(path, universe_of([("chr1", 0, 40), ("chr1", 40, 100)]), ReadOptions(**SMALL))[0]
    assert len(items.sets) == 5
    assert items.sets.lengths.tolist() == [2] * 5


def test_a_full_disk_is_said_and_leaves_no_file(world, tight, tmp_path, monkeypatch):
    regions, _, path = world

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(pairs.os, "pwrite", full)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(pairs.tempfile, "tempdir", None)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(InputError, match=r"No space left on device.*TMPDIR"):
        open_input(path, universe_of(regions), ReadOptions(**SMALL))
    assert sorted(tmp_path.iterdir()) == before


def test_sets_written_in_parts_are_read_back(tmp_path):
    whole = TokenSets.from_lists([[1, 5, 900_000], [], [7], [0, 2**32 - 1]], list("abcd"), "u" * 64)
    parts = [whole.take([0, 1]), whole.take([2]), whole.take([3])]
    assert write_sets(parts, tmp_path / "t.parquet") == (4, 6, 1)
    back = TokenSets.from_parquet(tmp_path / "t.parquet")
    assert (back.names, back.universe_digest) == (whole.names, whole.universe_digest)
    assert back.tokens.tolist() == whole.tokens.tolist()
    assert back.offsets.tolist() == whole.offsets.tolist()
    assert pq.ParquetFile(tmp_path / "t.parquet").num_row_groups == 3
    with pytest.raises(InputError, match="different universes"):
        write_sets([whole, TokenSets.from_lists([[1]], ["x"], "v" * 64)], tmp_path / "t.parquet")
