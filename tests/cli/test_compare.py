"""`atacsearch compare` on the tiny world, through the command line and Python."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from calling import Run
from tiny_world import PER_CHROM, World, of_type, regions

import atacsearch as ats
from atacsearch.readers.bed import read_bed


def test_cell_types_are_told_apart_by_their_regions(run: Run, built: Path, tmp_path: Path) -> None:
    answer = run(
        "compare", "cell_type=B", "cell_type=NK", "--index", built, "--q", 0.3, "-o", tmp_path / "d.bed"
    )
    assert answer.code == 0, answer.err
    assert "30 items (cells)" in answer.err
    rows = [line.split("\t") for line in (tmp_path / "d.bed").read_text().splitlines()]
    assert rows[0][:6] == ["#chrom", "start", "end", "name", "score", "strand"]
    x = regions()
    place = {(x.chroms[x.chrom[i]], str(x.start[i])): i for i in range(2 * PER_CHROM)}
    types = {name: set(of_type(name).tolist()) for name in ("B", "NK")}
    assert len(rows) > 20
    assert all(place[row[0], row[1]] in types[row[3].removeprefix("cell_type=")] for row in rows[1:])
    assert {row[3] for row in rows[1:]} == {"cell_type=B", "cell_type=NK"}
    assert len(read_bed(tmp_path / "d.bed")) == len(rows) - 1


def test_contexts_name_the_same_items(run: Run, built: Path) -> None:
    words = [
        json.loads(run("compare", *sides, "--index", built, "--q", 1, "--format", "json").out)
        for sides in (("B", "NK"), ("cell_type=B", "cell_type=NK"))
    ]
    assert [r["q_value"] for r in words[0]] == [r["q_value"] for r in words[1]]


def test_two_files_and_python(run: Run, world: World, built: Path) -> None:
    bed = world.bed("compared.bed", range(10, 44))
    answer = run("compare", bed, "f0.bed", "--index", built, "--format", "tsv")  # f0.bed has 0 to 39
    assert answer.code == 0, answer.err
    names = [r["name"] for r in answer.rows()]
    assert (names.count(str(bed)), names.count("f0.bed")) == (4, 10)
    assert {r["p_value"] for r in answer.rows()} == {""}
    with ats.open_index(built) as index:
        assert len(index.compare(bed, "f0.bed")) == 14


@pytest.mark.parametrize(
    ("sides", "options", "message"),
    [
        (("cell_type=B", "cell_type=Z"), (), "cell_type is one of B, NK"),
        (("cell_type=B", "donor=d1"), (), "exclude each other"),
        (("cell_type=B", "what"), (), "contexts: B, NK"),
        (("assay=ATAC-seq", "donor=d1"), (), "no items in the same collection"),
        (("cell_type=B", "rest"), ("--min-difference", 2), "min-difference"),
    ],
)
def test_bad_input(
    run: Run, built: Path, sides: tuple[str, str], options: tuple[object, ...], message: str
) -> None:
    answer = run("compare", *sides, "--index", built, *options)
    assert answer.code == 2
    assert message in answer.err


def test_the_rest_of_a_context_is_the_rest_of_its_label(run: Run, built: Path) -> None:
    words = [
        json.loads(run("compare", side, "rest", "--index", built, "--q", 1, "--format", "json").out)
        for side in ("B", "cell_type=B")
    ]
    assert [r["n_b"] for r in words[0]] == [r["n_b"] for r in words[1]]


def test_a_long_condition_is_no_path(run: Run, built: Path) -> None:
    values = ", ".join(["B", *(f"'a name of a cell type that is rather long {i}'" for i in range(9))])
    answer = run("compare", f"cell_type in ({values})", "cell_type=NK", "--index", built, "--q", 1)
    assert answer.code == 0, answer.err


def test_a_difference_of_just_the_least_one_is_kept() -> None:
    from types import SimpleNamespace

    from atacsearch.query.regions.compare import shown_rows, tested
    from atacsearch.query.regions.options import CompareOptions

    session = SimpleNamespace(notify=lambda text: None)
    found = tested(np.array([[900, 600], [900, 601]]), (3000, 3000))
    rows = shown_rows(session, found, CompareOptions())  # type: ignore[arg-type]
    assert found.counts[rows, 1].tolist() == [600]
