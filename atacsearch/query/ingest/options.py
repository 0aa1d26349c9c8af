"""How an index is added to: one table for the command line and for Python."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ...options import Options, option
from ...readers.options import ReadOptions

GENES = "Gene table: BED6 of transcription start sites (name = gene|transcript) or GTF."


@dataclass(frozen=True)
class AddOptions(Options):
    """How cells or BED files are added."""

    labels: str | Path | None = option(
        None, "TSV of label columns by item (column item, barcode or id, else the first); adds or replaces."
    )
    replace: bool = option(False, "Replace a source that is indexed already, by content or by path.")
    read: ReadOptions = field(default_factory=ReadOptions)


@dataclass(frozen=True)
class RegionsOptions(Options):
    """Which contexts are added."""

    context_label: str = option(
        "cell_type", "Items that share a value of this label column form one context.", metavar="COLUMN"
    )
    contexts: tuple[str, ...] = option(
        (), "Only this context; may be repeated.", flag="--context", metavar="VALUE", multiple=True
    )
    genes: str | Path | None = option(None, GENES)


@dataclass(frozen=True)
class CalibrateOptions(Options):
    """What confidence is fitted for, and on which groups."""

    kind: Literal["cells", "beds"] = option("cells", "Collection.", choices=("cells", "beds"))
    label: tuple[str, ...] = option(
        (),
        "Label column; may be repeated [default: text columns of 2 to 500 values].",
        metavar="COLUMN",
        multiple=True,
    )
    group: str | None = option(
        None,
        "Column of donor, library, study or collection, of which whole values are held out [default: by name].",
        metavar="COLUMN",
    )
