"""Marker genes as a second opinion on calls."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from atacsearch.errors import InputError
from atacsearch.genome.genes import GeneAnnotation
from atacsearch.genome.intervals import Intervals
from atacsearch.query.annotate.markers import (
    AGREE,
    DISAGREE,
    NONE,
    Markers,
    marker_regions,
    read_markers,
    rivals,
    verdicts,
)
from atacsearch.tokens.token_sets import TokenSets
from atacsearch.tokens.universe import Universe


def test_reading(tmp_path: Path) -> None:
    path = tmp_path / "genes.tsv"
    path.write_text("gene\tcell_type\tnote\nMS4A1\tB\tx\nCD79A\tB\t\nMS4A1\tB\tagain\nNKG7\tNK\t\n")
    assert read_markers(path) == {"B": ["MS4A1", "CD79A"], "NK": ["NKG7"]}
    path.with_suffix(".csv").write_text("Label,Symbol\nB,MS4A1\n")
    assert read_markers(path.with_suffix(".csv")) == {"B": ["MS4A1"]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("cell_type\tname\nB\tx\n", "expected one called gene"),
        ("cell_type\tgene\nB\n", "line 2: 1 fields"),
        ("cell_type\tgene\nB\t\n", "line 2: the gene is empty"),
        ("cell_type\tgene\n", "holds no marker"),
    ],
)
def test_bad_tables(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "genes.tsv"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_markers(path)


def world() -> tuple[GeneAnnotation, Universe]:
    """100 regions, one every 10 kb; genes at regions 0 (B1), 10 (NK1) and far away (LOST)."""
    start = np.arange(100) * 10_000
    universe = Universe(Intervals.from_columns(["chr1"] * 100, start, start + 500))
    sites = np.array([100, 100_100, 5_000_000])
    tss = Intervals.from_columns(["chr1"] * 3, sites, sites + 1)
    return GeneAnnotation(tss, np.ones(3, bool), ("B1", "NK1", "LOST"), ("",) * 3), universe


def test_regions_of_markers_and_what_is_said() -> None:
    genes, universe = world()
    said: list[str] = []
    reference = TokenSets.from_lists([[0, 5], [10, 5], [0, 7]])
    wanted = {"B": ["b1", "LOST"], "NK": ["NK1"], "Elf": ["LOST", "NOPE"]}
    markers = marker_regions(wanted, genes, universe, reference, ["B", "NK", "T"], said.append)
    assert markers.types == ("B", "NK")
    assert np.flatnonzero(markers.member[0]).tolist() == [0]
    assert markers.share == pytest.approx([2 / 6, 1 / 6])
    assert said == [
        "Markers without a region in the universe (unknown gene, or none near it): LOST, NOPE",
        "Markers of types that no reference item has: Elf",
    ]
    with pytest.raises(InputError, match=r"no type of the reference.*types: T"):
        marker_regions({"B": ["B1"]}, genes, universe, reference, ["T"], said.append)
    with pytest.raises(InputError, match="--genes FILE"):
        marker_regions(wanted, None, universe, reference, ["B"], said.append)


def test_verdicts() -> None:
    member = np.zeros((2, 100), bool)
    member[0, :5], member[1, 5:10] = True, True
    markers = Markers(("B", "NK"), member, np.array([0.02, 0.02]))
    b = [0, 1, 2, 50, 51, 52, 53, 54, 55, 56]
    sets = TokenSets.from_lists([b, b, b, b, [50, 51], [], [0, 5, 50], [5, 60, 61, 62, 63, 64, 65, 66, 67]])
    calls = ["B", "NK", "T", None, "B", None, "B", "B"]
    found = verdicts(sets, calls, markers)
    assert [v.says for v in found] == [AGREE, DISAGREE, NONE, NONE, NONE, NONE, AGREE, NONE]
    assert found[0].score == pytest.approx(np.log2(3.5 / 0.7))
    assert found[1].score == pytest.approx(np.log2(0.5 / 0.7))
    assert found[1].best == "B"
    assert np.isnan(found[2].score)
    assert found[4].best is None
    assert found[7].best == "NK", "one region is no proof"


def test_regions_opened_twice_and_special_tokens_count_once() -> None:
    member = np.zeros((1, 10), bool)
    member[0, 3] = True
    markers = Markers(("B",), member, np.array([0.1]))
    once, twice = verdicts(TokenSets.from_lists([[3, 4], [3, 4, 4, 3, 12]]), ["B", "B"], markers)
    assert once == twice


def test_thin_cells_together_show_a_wrong_label() -> None:
    member = np.zeros((3, 100), bool)
    member[0, :5] = member[1, :5] = True
    member[2, 5:10] = True
    markers = Markers(("naive B", "memory B", "NK"), member, np.array([0.02, 0.02, 0.02]))
    nk = [[5 + i % 5, 60, 61, 62, 63, 64, 65, 66, 67] for i in range(10)]
    sets = TokenSets.from_lists(nk)
    assert {v.says for v in verdicts(sets, ["naive B"] * 10, markers)} == {NONE}, "each alone is no proof"
    found = rivals(sets, ["naive B"] * 10, markers)
    assert list(found) == ["naive B"]
    assert found["naive B"][0] == "NK"
    assert found["naive B"][1:] == pytest.approx((np.log2(10.5 / 2.3), np.log2(0.5 / 2.3)))
    assert rivals(sets, ["NK"] * 10, markers) == {}
    assert rivals(sets, ["naive B"] * 9 + [None], markers) == {}
