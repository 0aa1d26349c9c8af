"""An index of the tiny world: its reference cells, six BED files with labels, regions in context, two genes."""

from __future__ import annotations

from pathlib import Path

from calling import call
from tiny_world import World


def build_index(world: World, index: Path, relative: bool = False) -> Path:
    """Make the index through the command line.

    Args:
        world: what is indexed; label tables are written beside it.
        index: the folder to make.
        relative: name the files relative to the working folder, which is that of the world.
    """
    folder = Path() if relative else world.folder
    genes = folder / "genes.bed"
    genes.write_text("chr1\t1010200\t1010201\tGENE1|T1\t0\t+\nchr2\t2900100\t2900101\tGENE2|T2\t0\t-\n")
    rows = ["file\tcell_type\tassay\n"]
    for number in range(6):
        half = range(40 + number) if number % 2 == 0 else range(120, 160 + number)
        world.bed(f"f{number}.bed", half)
        rows.append(
            f"f{number}.bed\t{'B' if number % 2 == 0 else 'NK'}\t{'ATAC-seq' if number < 4 else ''}\n"
        )
    (folder / "manifest.tsv").write_text("".join(rows))
    for arguments in (
        ("index", "create", index, "--model", folder / world.model.name, "--genes", genes),
        ("index", "add-cells", index, folder / world.reference.name),
        ("index", "add-beds", index, folder / "manifest.tsv"),
        ("index", "add-regions", index),
    ):
        answer = call(*arguments)
        assert answer.code == 0, answer.err
    return index
