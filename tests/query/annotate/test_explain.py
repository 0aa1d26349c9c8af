"""Who voted and which regions they share with the item."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from memory_reference import MemorySnapshot, make_session

from atacsearch.genome.genes import GeneAnnotation
from atacsearch.genome.intervals import Intervals
from atacsearch.query.annotate.explain import Votes, explain, shared_regions, write_regions
from atacsearch.tokens.token_sets import TokenSets
from atacsearch.tokens.universe import Universe


def test_shared_regions_by_rarity_and_votes() -> None:
    idf = np.array([0.1, 2.0, 1.0, 3.0, 5.0], np.float32)
    voters = TokenSets.from_lists([[0, 1, 2], [0, 3], [4]])
    each, tokens, score, holders = shared_regions(
        np.array([3, 2, 1, 0, 9]), voters, np.array([1.0, 2.0, 1.0]), idf
    )
    assert [x.tolist() for x in each] == [[1, 2, 0], [3, 0], []]
    assert tokens.tolist() == [3, 1, 2, 0], "3 has half of the votes"
    assert score == pytest.approx([1.5, 0.5, 0.25, 0.075])
    assert holders.tolist() == [1, 1, 1, 2]


class Snapshot(MemorySnapshot):
    """A reference that knows its sources, as the real one does."""

    def sources(self) -> pa.Table:
        return pa.table({"kind": ["cells"], "source_id": ["s1"], "name": ["study.h5ad"]})


@pytest.fixture
def reference() -> Snapshot:
    sets = TokenSets.from_lists([[0, 1], [1, 2], [1, 3], [1]])
    labels = pa.table(
        {"cell_type": ["B", "B", "NK", "NK"], "donor": ["d1", "d1", "d2", "d2"], "source_id": ["s1"] * 4}
    )
    return Snapshot([f"c{i}" for i in range(4)], np.eye(4, dtype=np.float32), labels, sets)


def test_tables_of_voters_and_regions(reference: Snapshot, tmp_path: Path) -> None:
    session = make_session(reference, lambda sets: np.zeros((len(sets), 4)))
    start = np.arange(4) * 10_000
    session.universe = Universe(Intervals.from_columns(["chr1"] * 4, start, start + 500))
    session.genes = None
    votes = Votes("cell_type", "cells", ["c0", "c2"], ["B", "NK"], np.array([0.1, 0.2]), np.array([3.0, 1.0]))
    voters, regions = explain(session, reference, np.array([0, 1, 2], np.uint32), votes)
    assert voters["id"].to_pylist() == ["c0", "c2"]
    assert voters["source"].to_pylist() == ["study.h5ad"] * 2
    assert voters["donor"].to_pylist() == ["d1", "d2"]
    assert voters["weight"].to_pylist() == [0.75, 0.25]
    assert voters["shared"].to_pylist() == [2, 1]
    assert voters["jaccard"].to_pylist() == pytest.approx([2 / 3, 1 / 4])
    assert voters["regions"].to_pylist() == ["chr1:0-500; chr1:10000-10500", "chr1:10000-10500"]
    assert regions["start"].to_pylist() == [0, 10_000], "the common region comes last"
    assert regions["voters"].to_pylist() == [1, 2]
    assert regions["gene"].to_pylist() == [None, None]

    tss = Intervals.from_columns(["chr1"], np.array([600]), np.array([601]))
    session.genes = GeneAnnotation(tss, np.array([True]), ("GENE1",), ("",))
    voters, regions = explain(session, reference, np.array([0, 1, 2], np.uint32), votes)
    assert voters["regions"].to_pylist()[0].startswith("chr1:0-500 (GENE1)")
    assert regions["tss_distance"].to_pylist()[0] == -101
    write_regions(regions, tmp_path / "why.bed")
    lines = [line.split("\t") for line in (tmp_path / "why.bed").read_text().splitlines()]
    assert lines[0][:7] == ["chr1", "0", "500", "GENE1", "1000", ".", "1"]
    assert len(lines) == 2


def test_an_item_that_shares_nothing(reference: Snapshot, tmp_path: Path) -> None:
    session = make_session(reference, lambda sets: np.zeros((len(sets), 4)))
    session.universe = Universe(Intervals.from_columns(["chr1"] * 4, np.arange(4) * 9, np.arange(4) * 9 + 5))
    session.genes = None
    votes = Votes("cell_type", "cells", ["c2"], ["NK"], np.array([1.0]), np.array([0.0]))
    voters, regions = explain(session, reference, np.array([2], np.uint32), votes)
    assert voters["shared"].to_pylist() == [0]
    assert voters["regions"].to_pylist() == [""]
    assert regions.num_rows == 0
    write_regions(regions, tmp_path / "none.bed")
    assert (tmp_path / "none.bed").read_text() == ""
