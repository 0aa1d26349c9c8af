"""`atacsearch compare`: the regions that set two cell types, files or contexts apart."""

from __future__ import annotations

from typing import Any

import click

from ..query.regions.options import CompareOptions, CompareQuery
from ..readers.options import ReadOptions
from .from_options import options_of
from .options import Output, debug_option, index_option, output_options


@click.command()
@click.argument("a")
@click.argument("b")
@index_option
@options_of(CompareQuery)
@options_of(CompareOptions)
@options_of(ReadOptions, only=("genome", "liftover"))
@output_options
@debug_option
def compare(a: str, b: str, index_path: str, output: Output, **options: Any) -> None:
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
    from ..index import open_index
    from ..query.regions.compare import write_bed
    from .messages import notify

    with open_index(index_path, notify=notify) as index:
        found = index.compare(a, b, **options)
        if output.path is not None and output.path.suffix == ".bed" and output.format == "tsv":
            write_bed(found.table, output.path)
        else:
            output.write(found)
