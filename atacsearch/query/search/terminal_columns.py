"""Which columns a table of answers shows for reading, where none were asked for.

Files get every column; a terminal is about a hundred characters wide, and manifests carry checksums, paths and
licences. So a table for reading keeps what tells answers apart: columns of the field by name, then others that
group items, and of the statistics those that are read first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ..regions.statistics import STATISTICS
from .fusion import FUSED

if TYPE_CHECKING:
    from ...store.types import Column

MOST = 4  # label columns
WELL_KNOWN = (
    "cell_type", "cell_line", "celltype", "tissue", "assay", "target", "biosample", "donor", "sample", "batch",
    "study", "condition", "context", "chrom", "start", "end", "name",
)  # fmt: skip
ALWAYS = ("query", "rank", "id", "distance")
STATISTICS_SHOWN = ("shared", "expected", "jaccard", "odds_ratio", "q_value")


def labels_to_show(known: Mapping[str, Column], items: int) -> list[str]:
    """Label columns for reading, at most `MOST`, in the index's order.

    Those with well-known names first; then text columns with at least two values, in which items fall into groups
    (at most half as many values as items), those of the fewest values first.

    Args:
        known: label columns of the collection.
        items: number of its items.
    """
    named = [name for want in WELL_KNOWN for name in known if name.casefold() == want]
    named = [name for name in named if known[name].n_distinct > 0]
    grouping = [
        c
        for c in known.values()
        if c.name not in named and c.kind in ("text", "bool") and 2 <= c.n_distinct <= max(2, items // 2)
    ]
    grouping.sort(key=lambda c: c.n_distinct)
    chosen = [*named, *(c.name for c in grouping)][:MOST]
    return [name for name in known if name in chosen]


def terminal_columns(
    names: Sequence[str], known: Mapping[str, Column], items: int, keep: Sequence[str] = ()
) -> tuple[str, ...]:
    """The columns of an answer that are read on a terminal; the others are in tsv, json and parquet.

    Args:
        names: columns of the answer, with all label columns.
        known: label columns of the collection.
        items: number of its items.
        keep: columns to keep in any case.
    """
    shown = {*labels_to_show(known, items), *STATISTICS_SHOWN, *keep, *ALWAYS}
    counted = {*STATISTICS, *FUSED}
    own = {*known, *(f"label_{name}" for name in known)}
    return tuple(c for c in names if c in shown or not (c in own or c in counted))
