"""`atacsearch overlap`: which files, cell types and contexts have a region."""

from __future__ import annotations

from typing import Any

import click

from ..query.regions.options import OverlapOptions, OverlapQuery
from ..readers.options import ReadOptions
from .from_options import options_of
from .options import Output, debug_option, index_option, output_options


@click.command()
@click.argument("query")
@index_option
@options_of(OverlapQuery)
@options_of(OverlapOptions)
@options_of(ReadOptions, only=("genome", "strict_genome", "liftover"))
@output_options
@debug_option
def overlap(query: str, index_path: str, output: Output, **options: Any) -> None:
    """Tell which files, cell types and contexts have a region.

    QUERY is a region string (1-based and inclusive, as in samtools and UCSC), a gene symbol where the index has a
    gene table (each of its promoters asks), or a BED file (each of its regions asks). Answers carry the BED interval
    that was asked for, 0-based half-open; intervals that only touch do not overlap.

    Answers are exact, and go through the universe: an indexed item has the universe regions that its own
    regions overlap, and is an answer where it has one that the query overlaps (`query_regions` of them).
    n_open of n_all items of a group have at least one of those; n_regions of them are open in any.

    \b
    Example:
      atacsearch overlap chr11:118,340,001-118,345,000 --index my.index
      atacsearch overlap CD19 --index my.index --in cells --by cell_type --all
      atacsearch overlap peaks.bed --index my.index --in beds --together --columns cell_type,assay -k 20
    """
    from ..index import open_index
    from .messages import notify

    with open_index(index_path, notify=notify) as index:
        output.write(index.overlap(query, **options))
