"""What comes out of a reader: `Items`. What goes in is in `source.py` and `options.py`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from ..tokens.token_sets import TokenSets
from .report import ReadReport


@dataclass(frozen=True)
class Items:
    """The items of one source, tokenised, in input order, empty ones included.

    Attributes:
        kind: the collection they belong to, "cells" or "bedfiles".
        sets: token sets; `sets.names` are the items as the user knows them (obs_name, barcode, file as
            written).
        ids: [n] ids in an index: `sample#barcode` for cells, the item for BED files.
        labels: `pyarrow.Table` [n]: obs or manifest columns and quality; an empty field is null.
        report: what was read, skipped and dropped.
        genome: assembly; None where it is not known.
        source: the path as given.
        content_digest: sha256 (hexadecimal) of the content that was read.
        counting: counting rule of fragments; None for matrices and BED files.
    """

    kind: Literal["cells", "bedfiles"]
    sets: TokenSets
    ids: tuple[str, ...]
    labels: Any
    report: ReadReport
    genome: str | None
    source: str
    content_digest: str
    counting: str | None = None
