"""What `overlap` and `compare` are asked, and how: one table for the command line and for Python."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ...errors import InputError
from ...options import Options, option
from ...readers.options import ReadOptions


@dataclass(frozen=True)
class OverlapQuery(Options):
    """Who has this: a region string (1-based inclusive), a gene symbol, or a BED file (each region asks).

    Attributes:
        query: as the user wrote it.
    """

    query: str | Path
    collections: tuple[str, ...] = option(
        (),
        "Collection that answers; may be repeated [default: all that hold something].",
        flag="--in",
        choices=("cells", "beds", "regions"),
        multiple=True,
    )


@dataclass(frozen=True)
class OverlapOptions(Options):
    """How the items are counted and shown."""

    by: str | None = option(
        None,
        "Count cells and BED files by this label column; `id` names them one by one "
        "[default: BED files by id, cells by cell_type].",
        metavar="COLUMN",
    )
    where: tuple[str, ...] = option(
        (),
        "Only items with e.g. 'assay=ATAC-seq', 'n_fragments>=1000', 'cell_type in (B, NK)'; joined by `and`; "
        "may be repeated.",
        metavar="CONDITION",
        multiple=True,
    )
    together: bool = option(False, "Ask with all regions of the file or gene as one query.")
    every: bool = option(False, "Show groups in which nothing is open, too.", flag="--all")
    k: int | None = option(
        None,
        "At most N rows for each query and collection [default: all].",
        flag="-k/--k",
        metavar="N",
        minimum=1,
    )
    columns: tuple[str, ...] = option(
        (), "Label columns to add to rows of single items, separated by commas.", metavar="A,B"
    )
    read: ReadOptions = field(default_factory=ReadOptions)


@dataclass(frozen=True)
class CompareQuery(Options):
    """Which regions set A and B apart.

    Attributes:
        a, b: each a BED file, an indexed id, a condition such as `cell_type=B`, a context, or (one of them) `rest`.
    """

    a: str | Path
    b: str | Path
    collection: Literal["cells", "beds"] | None = option(
        None,
        "Whose items selections mean [default: cells where both sides have some].",
        flag="--in",
        choices=("cells", "beds"),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if "rest" in (str(self.a), str(self.b)) and str(self.a) == str(self.b):
            raise InputError("rest is all but the other side: give the other one, as cell_type=B")


@dataclass(frozen=True)
class CompareOptions(Options):
    """Which differences are shown."""

    min_difference: float = option(
        0.1,
        "Least difference of the fractions of items that have the region.",
        metavar="D",
        minimum=0,
        maximum=1,
    )
    q: float = option(
        0.05,
        "Largest q value (Fisher's exact test, two-sided; Benjamini and Hochberg).",
        metavar="Q",
        minimum=0,
        maximum=1,
    )
    k: int | None = option(
        None,
        "At most N regions in each direction [default: all].",
        flag="-k/--k",
        metavar="N",
        minimum=1,
    )
    read: ReadOptions = field(default_factory=ReadOptions)
