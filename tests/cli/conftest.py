"""The tiny world, written once, and an index of its reference."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from calling import Run, call
from tiny_world import World, build_world


@pytest.fixture(scope="session")
def run() -> Run:
    """Runs a command; anything but an exit code is a failure of the test."""
    return call


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return build_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="session")
def built(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of the reference cells, six BED files, and regions in context; not to be changed."""
    index = tmp_path_factory.mktemp("indexed") / "my.index"
    genes = world.folder / "genes.bed"
    genes.write_text("chr1\t1010200\t1010201\tGENE1|T1\t0\t+\nchr2\t2900100\t2900101\tGENE2|T2\t0\t-\n")
    rows = ["file\tcell_type\tassay\n"]
    for number in range(6):
        half = range(40 + number) if number % 2 == 0 else range(120, 160 + number)
        world.bed(f"f{number}.bed", half)
        rows.append(
            f"f{number}.bed\t{'B' if number % 2 == 0 else 'NK'}\t{'ATAC-seq' if number < 4 else ''}\n"
        )
    (world.folder / "manifest.tsv").write_text("".join(rows))
    for arguments in (
        ("index", "create", index, "--model", world.model, "--genes", genes),
        ("index", "add-cells", index, world.reference),
        ("index", "add-beds", index, world.folder / "manifest.tsv"),
        ("index", "add-regions", index),
    ):
        answer = call(*arguments)
        assert answer.code == 0, answer.err
    return index


@pytest.fixture
def index(built: Path, tmp_path: Path) -> Path:
    """A copy of the index, to be changed."""
    return Path(shutil.copytree(built, tmp_path / "my.index"))
