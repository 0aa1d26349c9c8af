"""Filters to ask with, and an index of several publishes to ask."""

from __future__ import annotations

from random_items import make_batch, source

from atacsearch.store.index.folder import IndexFolder

FILTERS = [
    "cell_type='B cell'",
    "cell_type!='B cell'",
    "cell_type in (NK, 'T cell')",
    "depth>150",
    "depth<=150 and depth!=140",
    "depth=150",
    "depth in (150, 151, 1)",
    "tss.score<0.5",
    "doublet=true",
    "doublet!=true",
    "n_tokens>=4",
    "source_id=b",
    "late=x",
    "late!=x",
    "cell_type=nothing",
    ["cell_type!=NK", "depth>=120", "tss.score>-1"],
]


def fill(index: IndexFolder) -> None:
    """Four publishes: a, then b and c with one more column, then c deleted, then b replaced."""
    with index.writer() as writer:
        first = make_batch(400, 0, "a")
        first.vectors["general"][7] = 0
        writer.add("cells", first, source("a"))
        writer.publish()
        writer.add("cells", make_batch(150, 1, "b", late=["x", "y", None] * 50), source("b"))
        writer.add("cells", make_batch(100, 2, "c"), source("c"))
        writer.publish()
        writer.delete_source("cells", "c")
        writer.publish()
        writer.delete_source("cells", "b")
        writer.add("cells", make_batch(150, 3, "b", late=["x", "y", None] * 50), source("b"))
