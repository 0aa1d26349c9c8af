"""`atacsearch compare`: the regions that set two cell types, files or contexts apart."""

from __future__ import annotations

from pathlib import Path

import click

from .options import Output, debug_option, index_option, output_options


@click.command()
@click.argument("a")
@click.argument("b")
@index_option
@click.option(
    "--in",
    "collection",
    type=click.Choice(["cells", "beds"]),
    help="Whose items selections mean [default: cells where both sides have some].",
)
@click.option(
    "--min-difference",
    type=click.FloatRange(0, 1),
    default=0.1,
    show_default=True,
    metavar="D",
    help="Least difference of the fractions of items that have the region.",
)
@click.option(
    "--q",
    type=click.FloatRange(0, 1),
    default=0.05,
    show_default=True,
    metavar="Q",
    help="Largest q value (Fisher's exact test, two-sided; Benjamini and Hochberg).",
)
@click.option(
    "-k",
    "--k",
    type=click.IntRange(min=1),
    metavar="N",
    help="At most N regions in each direction [default: all].",
)
@click.option("--genome", metavar="NAME", help="Genome of a BED file (hg38, hg19, mm10, mm39 ...).")
@click.option(
    "--liftover",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="CHAIN",
    help="Lift a BED file from its genome to the index's with this chain file.",
)
@output_options
@debug_option
def compare(
    a: str,
    b: str,
    index_path: str,
    collection: str | None,
    min_difference: float,
    q: float,
    k: int | None,
    genome: str | None,
    liftover: Path | None,
    output: Output,
) -> None:
    """Tell which regions set two cell types, files or contexts apart.

    A and B are each a BED file, the id of an indexed item, a condition such as cell_type=B, or a context of the
    collection regions. One of them may be `rest`: all other items that have the columns of the other's condition.

    One row for each universe region that is more often open on one side: `name` says on which, `score` is 1,000
    times the difference of the fractions, log2_odds_ratio has half an item added to each count. Two single files
    or items are compared as sets, without a test. Written to FILE.bed the regions are in order of position; else
    the largest difference comes first. Items count as independent, so q of cells says nothing of other donors.

    \b
    Example:
      atacsearch compare 'cell_type=B cell' 'cell_type=NK' --index my.index -o b_nk.bed
      atacsearch compare cell_type=Monocyte rest --index my.index -k 20
      atacsearch compare mine.bed 'assay=ATAC-seq' --in beds --index my.index --min-difference 0.5
    """
    from ..client import open_index
    from ..query.regions.compare import write_bed
    from ..readers.options import ReadOptions
    from .messages import say

    table = open_index(index_path, say=say).compare_table(
        a,
        b,
        collection=collection,
        min_difference=min_difference,
        q=q,
        k=k,
        options=ReadOptions(genome=genome, liftover=liftover),
    )
    if output.path is not None and output.path.suffix == ".bed" and output.format == "tsv":
        write_bed(table, output.path)
    else:
        output.write(table)
