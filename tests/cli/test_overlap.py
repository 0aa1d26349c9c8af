"""`atacsearch overlap` on the tiny world, through the command line and Python."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from calling import Run
from tiny_world import FIRST, STEP, World

import atacsearch as ats

FIRST_TWO = f"chr1:{FIRST + 1}-{FIRST + STEP + 100}"  # overlaps two universe regions


def test_a_region_names_files_cell_types_and_contexts(run: Run, built: Path) -> None:
    answer = run("overlap", FIRST_TWO, "--index", built, "--format", "tsv")
    assert answer.code == 0, answer.err
    rows = answer.rows()
    assert {r["value"] for r in rows if r["collection"] == "beds"} == {"f0.bed", "f2.bed", "f4.bed"}
    (cells,) = [r for r in rows if (r["collection"], r["value"]) == ("cells", "B")]
    assert cells["n_all"] == "30"
    assert 0 < int(cells["n_open"]) <= 30
    assert float(cells["fraction"]) == pytest.approx(int(cells["n_open"]) / 30, rel=1e-4)
    (context,) = [r for r in rows if (r["collection"], r["value"]) == ("regions", "B")]
    assert (context["by"], context["n_all"]) == ("cell_type", "33")
    assert {(r["query_chrom"], r["query_start"], r["query_end"]) for r in rows} == {
        ("chr1", str(FIRST), str(FIRST + STEP + 100))
    }
    assert f"BED chr1 {FIRST} {FIRST + STEP + 100}, overlaps 2 regions of the universe" in answer.err


def test_python_says_the_same(run: Run, built: Path) -> None:
    answer = run("overlap", FIRST_TWO, "--index", built, "--by", "id", "--in", "cells", "--format", "json")
    with ats.open_index(built) as index:
        frame = index.overlap(FIRST_TWO, by="id", collections="cells")
    assert list(frame) == json.loads(answer.out)
    assert len(frame)


def test_a_gene_asks_with_its_promoter(run: Run, built: Path) -> None:
    answer = run(
        "overlap", "GENE1", "--index", built, "--in", "beds", "--by", "assay", "--all", "--format", "tsv"
    )
    assert answer.code == 0, answer.err
    (row,) = answer.rows()
    assert (row["query"], row["query_start"], row["value"]) == ("GENE1", "1009200", "ATAC-seq")
    assert (row["n_open"], row["n_all"], row["fraction"]) == ("2", "4", "0.5")


def test_a_bed_file_asks_region_by_region_or_together(run: Run, world: World, built: Path) -> None:
    bed = world.bed("asking.bed", [38, 43, 130])
    each = run("overlap", bed, "--index", built, "--in", "beds", "--format", "tsv").rows()
    assert len({r["query"] for r in each}) == 3
    assert {r["value"] for r in each if r["query"] == each[-1]["query"]} == {"f1.bed", "f3.bed", "f5.bed"}
    together = run(
        "overlap", bed, "--index", built, "--in", "beds", "--together", "--columns", "cell_type", "-k", 1,
        "--format", "tsv",
    ).rows()  # fmt: skip
    assert [(r["value"], r["n_regions"], r["cell_type"]) for r in together] == [("f4.bed", "2", "B")]


def test_deleted_files_are_gone(run: Run, world: World, index: Path) -> None:
    manifest = world.folder / "manifest.tsv"
    lines = manifest.read_text().splitlines()
    kept = world.folder / "fewer.tsv"
    kept.write_text("\n".join(line for line in lines if not line.startswith("f0.bed")) + "\n")
    with ats.open_index(index) as client:
        (source,) = _sources(client)
        with client._session.index.writer() as writer:
            writer.delete_source("bedfiles", source)
        client.add_beds(kept)
        left = client.overlap(FIRST_TWO, collections="beds")
    assert sorted(left["value"]) == ["f2.bed", "f4.bed"]
    assert run("index", "verify", index).code == 0


def _sources(client: ats.Index) -> list[str]:
    table = client._session.snapshot().sources()
    rows = zip(table["kind"].to_pylist(), table["source_id"].to_pylist(), strict=True)
    return [source for kind, source in rows if kind == "bedfiles"]


def test_an_older_index_and_a_damaged_one(run: Run, index: Path) -> None:
    folder = index / "postings" / "bedfiles"
    shutil.rmtree(folder)
    first = run("overlap", FIRST_TWO, "--index", index, "--in", "beds", "--format", "tsv")
    assert "an older version" in first.err
    again = run("overlap", FIRST_TWO, "--index", index, "--in", "beds", "--format", "tsv")
    assert "an older version" not in again.err
    assert first.out == again.out
    (file,) = folder.iterdir()
    data = bytearray(file.read_bytes())
    data[0] ^= 255
    file.write_bytes(data)
    broken = run("overlap", FIRST_TWO, "--index", index, "--in", "beds")
    assert broken.code == 2
    assert "is damaged" in broken.err
    assert f"atacsearch index repair {index}" in broken.err
    assert run("index", "verify", index).code == 1
    assert run("index", "repair", index).code == 0
    mended = run("overlap", FIRST_TWO, "--index", index, "--in", "beds", "--format", "tsv")
    assert mended.out == first.out


@pytest.mark.parametrize(
    ("query", "options", "message"),
    [
        ("chr9:1-100", (), "no chromosome 'chr9'"),
        ("chr1:1-100", (), "overlaps no region of the universe"),
        ("chr1:200-100", (), "ends before it starts"),
        (FIRST_TWO, ("--by", "colour"), "no such column"),
        ("NOGENE", (), "no gene of the gene table"),
        (FIRST_TWO, ("--columns", "colour"), "no such column; there are: assay, cell_type"),
    ],
)
def test_bad_input_gets_one_line(
    run: Run, built: Path, query: str, options: tuple[str, ...], message: str
) -> None:
    answer = run("overlap", query, "--index", built, *options)
    assert (answer.code, answer.out) == (2, "")
    assert message in answer.err.splitlines()[-1]


def test_other_files_are_refused(run: Run, world: World, built: Path) -> None:
    answer = run("overlap", world.query, "--index", built)
    assert answer.code == 2
    assert "overlap asks with a BED file" in answer.err


def test_an_empty_index(run: Run, world: World, tmp_path: Path) -> None:
    assert run("index", "create", tmp_path / "e", "--model", world.model).code == 0
    answer = run("overlap", FIRST_TWO, "--index", tmp_path / "e")
    assert answer.code == 2
    assert "the index is empty" in answer.err


def test_columns_by_any_case_and_of_one_collection_alone(run: Run, built: Path) -> None:
    rows = [
        run("overlap", FIRST_TWO, "--index", built, "--by", by, "--format", "tsv").rows()
        for by in ("cell_type", "CELL_TYPE")
    ]
    assert [(r["value"], r["n_open"]) for r in rows[0]] == [(r["value"], r["n_open"]) for r in rows[1]]
    words = ("--by", "id", "--columns", "assay", "--format", "tsv")
    both = run("overlap", FIRST_TWO, "--index", built, *words).rows()
    assert {r["assay"] for r in both if r["collection"] == "beds"} == {"ATAC-seq", ""}
    assert {r["assay"] for r in both if r["collection"] == "cells"} == {""}
