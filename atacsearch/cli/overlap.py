"""`atacsearch overlap`: which files, cell types and contexts have a region."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .options import Output, debug_option, index_option, output_options, where_option


@click.command()
@click.argument("query")
@index_option
@click.option(
    "--in",
    "collections",
    multiple=True,
    type=click.Choice(["cells", "beds", "regions"]),
    help="Collection that answers; may be repeated [default: all that hold something].",
)
@click.option(
    "--by",
    metavar="COLUMN",
    help="Count cells and BED files by this label column; `id` names them one by one "
    "[default: BED files by id, cells by cell_type].",
)
@where_option
@click.option("--together", is_flag=True, help="Ask with all regions of the file or gene as one query.")
@click.option("--all", "every", is_flag=True, help="Show groups in which nothing is open, too.")
@click.option(
    "-k",
    "--k",
    type=click.IntRange(min=1),
    metavar="N",
    help="At most N rows for each query and collection [default: all].",
)
@click.option(
    "--columns", metavar="A,B", help="Label columns to add to rows of single items, separated by commas."
)
@click.option("--genome", metavar="NAME", help="Genome of the query (hg38, hg19, mm10, mm39 ...).")
@click.option(
    "--strict-genome", is_flag=True, help="Refuse a file that fits the genome no better than by chance."
)
@click.option(
    "--liftover",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="CHAIN",
    help="Lift the query from its genome to the index's with this chain file.",
)
@output_options
@debug_option
def overlap(
    query: str,
    index_path: str,
    columns: str | None,
    genome: str | None,
    strict_genome: bool,
    liftover: Path | None,
    output: Output,
    **arguments: Any,
) -> None:
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
    from ..client import open_index
    from ..readers.options import ReadOptions
    from .messages import say

    table = open_index(index_path, say=say).overlap_table(
        query,
        columns=[] if columns is None else [c.strip() for c in columns.split(",") if c.strip()],
        options=ReadOptions(genome=genome, strict_genome=strict_genome, liftover=liftover),
        **arguments,
    )
    output.write(table)
