"""A universe from several inputs takes the genome that they name, and refuses two."""

from __future__ import annotations

from pathlib import Path

import pytest

from atacsearch.errors import GenomeError
from atacsearch.readers.inputs.universes import universe_from_inputs


def manifest(folder: Path, name: str, genome: str) -> Path:
    (folder / f"{name}.bed").write_text("chr1\t1000\t1500\nchr1\t3000\t3400\n")
    path = folder / f"{name}.tsv"
    path.write_text(f"file\tgenome\n{name}.bed\t{genome}\n")
    return path


def test_genome_comes_from_the_inputs(tmp_path: Path) -> None:
    made = universe_from_inputs([manifest(tmp_path, "a", "hg38"), manifest(tmp_path, "b", "GRCh38")])
    assert made.genome == "hg38"
    assert [made.region(i) for i in range(len(made))] == [("chr1", 1000, 1500), ("chr1", 3000, 3400)]


def test_what_the_user_says_comes_first(tmp_path: Path) -> None:
    assert universe_from_inputs([manifest(tmp_path, "a", "hg38")], "hg19").genome == "hg19"


def test_two_genomes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(GenomeError, match=r"a\.tsv is hg38, but .*b\.tsv is hg19"):
        universe_from_inputs([manifest(tmp_path, "a", "hg38"), manifest(tmp_path, "b", "hg19")])
