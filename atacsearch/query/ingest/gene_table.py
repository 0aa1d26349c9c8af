"""The gene table of an index: a file of TSS that turns gene symbols into regions.

It is checked before it is kept, and belongs to the index: the copy lies in its folder.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ...genome.genes import GeneAnnotation
    from ..session import Session


def read_genes(path: str | Path) -> GeneAnnotation:
    """Read a gene table (BED6 of TSS with names `gene|transcript`, or GTF).

    Raises:
        InputError: it cannot be read, or holds no gene.
    """
    from ...genome.genes import GeneAnnotation

    return GeneAnnotation.from_file(path)


def keep_genes(session: Session, path: str | Path) -> None:
    """Put a gene table into the index, in the place of the one before.

    Raises:
        InputError: the table cannot be read.
        LockedError: another process writes to this index.
    """
    path = Path(path)
    read_genes(path)
    with session.index.writer():
        folder = session.index.path / "genes"
        folder.mkdir(exist_ok=True)
        older = [p for p in folder.iterdir() if p.name != path.name]
        temporary = session.index.path / f".genes.{os.getpid()}.tmp"
        shutil.copyfile(path, temporary)
        temporary.replace(folder / path.name)
        for old in older:
            old.unlink()
    session.__dict__.pop("genes", None)
