"""`atacsearch annotate`: label transfer from an index."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..query.annotate.options import AnnotateOptions
from ..readers.options import ReadOptions
from .from_options import options_of
from .options import (
    Output,
    OutputFile,
    debug_option,
    device_option,
    index_option,
    model_option,
    output_options,
)

if TYPE_CHECKING:
    from ..index import Index

ADDING = ("coverage", "doublets", "ontology", "markers", "clusters")  # columns to the calls


@click.command()
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@index_option
@click.option(
    "--label", multiple=True, required=True, metavar="COLUMN", help="Label column; may be repeated."
)
@options_of(AnnotateOptions)
@click.option(
    "--explain",
    metavar="ITEM",
    help="Print who voted on this item instead: source, distance, weight and shared regions.",
)
@click.option(
    "--explain-bed",
    type=OutputFile(),
    metavar="FILE",
    help="With --explain: write the regions that the item shares with its voters as BED.",
)
@model_option(required=False, help="Encode with this model; refused unless it is the index's own.")
@device_option
@options_of(ReadOptions)
@output_options
@debug_option
def annotate(
    inputs: tuple[str, ...],
    index_path: str,
    label: tuple[str, ...],
    explain: str | None,
    explain_bed: Path | None,
    model: str | None,
    device: str,
    output: Output,
    **options: Any,
) -> None:
    """Name cells or BED files by label transfer.

    INPUT is an h5ad or h5mu, a 10x matrix, a fragment file, a Cell Ranger folder, a BED or narrowPeak file, or a
    manifest (.tsv/.csv with a column `file`).

    Items are named by the class head of the model, where it was trained for the label (`train celltype`), else by the
    nearest items of the index that have a value in the label column; a nearer item counts more.

    There is one row per input item, in input order: item, label, confidence, margin (to the second label),
    nearest_distance, status. With several --label a column label_name follows item.

    `confidence` is a probability, fitted on donors, libraries or collections of the reference that were held out; a
    message says on how many, and when there were too few to promise anything.

    `label` is always the best call; `status` says whether the item is like the reference at all. It is `unknown`
    where the item has no region of the universe (label empty, confidence 0), or where its best label fits it less
    than it fits 95 % of the reference's own held-out items (--false-unknown).

    An item that is itself in the index does not vote for itself: the same id is left out, and so is an item
    with exactly the same regions (for cells: and the same barcode). Neither do items of the same study or donor vote,
    where query and reference have such a column, nor labels whose column NAME_origin says `predicted`.

    Items with too few open regions are of status `low_quality`, with --doublets cells that look like two are
    `doublet`. With -o FILE.h5ad and one input h5ad the calls are written into a copy of it: obs columns
    atacsearch_LABEL (`unknown` unless assigned), _best, _confidence, _status ..., obsm X_atacsearch, uns atacsearch.

    \b
    Example:
      atacsearch annotate new.h5ad --index my.index --label cell_type --format tsv > calls.tsv
      atacsearch annotate peaks.tsv --index my.index --label cell_type --label assay
      atacsearch annotate new.h5ad --index my.index --label cell_type --coverage 0.9 --except Doublet
      atacsearch annotate new.h5ad --index my.index --label cell_type --doublets --ontology -o annotated.h5ad
      atacsearch annotate new.h5ad --index my.index --label cell_type --explain AAACGAAAGT-1 --explain-bed why.bed
    """
    from ..index import open_index
    from .messages import notify, progress

    if explain_bed is not None and explain is None:
        raise click.UsageError("--explain-bed needs --explain ITEM")
    copy = output.path if output.path is not None and output.path.suffix.lower() == ".h5ad" else None
    with open_index(index_path, device=device, model=model, notify=notify) as index:
        if explain is not None:
            _explain(index, inputs, label, explain, explain_bed, output, options)
            return
        with progress("Encoding", None) as advance:
            calls = index.annotate(inputs, label, output=copy, progress=advance, **options)
        if copy is None:
            output.write(calls)


def _explain(
    index: Index,
    inputs: tuple[str, ...],
    label: tuple[str, ...],
    item: str,
    bed: Path | None,
    output: Output,
    options: dict[str, Any],
) -> None:
    """Print who voted on one item, instead of the calls."""
    from ..query.annotate.explain import write_regions
    from .messages import notify

    options.pop("ontology_confidence")
    beside = [options.pop(name) for name in ADDING]
    as_h5ad = output.path is not None and output.path.suffix.lower() == ".h5ad"
    if len(label) > 1 or as_h5ad or any(beside):
        raise click.UsageError(
            "--explain tells of one --label, in a table; leave out the others, -o .h5ad and what adds columns "
            "(--coverage, --doublets, --ontology, --markers, --clusters)"
        )
    why = index.explain(inputs, label[0], item, **options)
    (row,) = why.call
    notify(f"{row['item']}: {row['label']}, confidence {row['confidence']:.3f}, {row['status']}")
    if bed is not None:
        write_regions(why.regions.table, bed)
    output.write(why.voters)
