"""`atacsearch annotate`: label transfer from an index."""

from __future__ import annotations

from typing import Any

import click

from .options import (
    Output,
    debug_option,
    device_option,
    index_option,
    model_option,
    output_options,
    read_options,
    reader_options,
    where_option,
)


@click.command()
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@index_option
@click.option(
    "--label", "labels", multiple=True, required=True, metavar="COLUMN", help="Label column; may be repeated."
)
@click.option(
    "-k",
    "--k",
    type=click.IntRange(min=1),
    metavar="N",
    help="Neighbours that may vote, where neighbours name the items [default: 30, weighted by distance].",
)
@where_option
@click.option(
    "--reference",
    type=click.Choice(["cells", "beds"]),
    help="Collection that votes [default: that of the input's kind].",
)
@click.option(
    "--only", multiple=True, metavar="VALUE", help="Only this label may be an answer; may be repeated."
)
@click.option(
    "--except",
    "without",
    multiple=True,
    metavar="VALUE",
    help="This label may not be an answer; may be repeated.",
)
@click.option(
    "--by",
    type=click.Choice(["auto", "head", "neighbours"]),
    default="auto",
    show_default=True,
    help="What names the items: the class head of the model, or neighbours in the index.",
)
@click.option(
    "--same-group", is_flag=True, help="Let reference items of the query's own study or donor vote, too."
)
@click.option(
    "--coverage",
    type=float,
    metavar="RATE",
    help="Add label_set: the labels that together hold the truth at this rate, such as 0.9.",
)
@click.option(
    "--false-unknown",
    type=float,
    default=0.05,
    show_default=True,
    metavar="SHARE",
    help="Share of items like the reference that may be called unknown.",
)
@click.option(
    "--min-confidence",
    type=float,
    default=0.0,
    show_default=True,
    metavar="P",
    help="Items whose confidence is lower are unknown, too.",
)
@model_option(required=False, help="Encode with this model; refused unless it is the index's own.")
@device_option
@reader_options
@output_options
@debug_option
def annotate(
    inputs: tuple[str, ...],
    index_path: str,
    labels: tuple[str, ...],
    k: int | None,
    where: tuple[str, ...],
    reference: str | None,
    only: tuple[str, ...],
    without: tuple[str, ...],
    by: str,
    same_group: bool,
    coverage: float | None,
    false_unknown: float,
    min_confidence: float,
    model: str | None,
    device: str,
    reading: dict[str, Any],
    output: Output,
) -> None:
    """Name cells or BED files by label transfer.

    INPUT is an h5ad, a fragment file, a BED or narrowPeak file, or a manifest (.tsv/.csv with a column
    `file`). Items are named by the class head of the model, where it was trained for the label (`train celltype`),
    else by the nearest items of the index that have a value in the label column, the nearer the more. One row per
    input item, in input order: item, label, confidence, margin (to the second label), nearest_distance, status. With
    several --label a column label_name follows item.

    `confidence` is a probability, fitted on donors, libraries or collections of the reference that were held out; a
    message says on how many, and when there were too few to promise anything.

    `label` is always the best call; `status` says whether the item is like the reference at all. It is `unknown`
    where the item has no region of the universe (label empty, confidence 0), or where its best label fits it less
    than it fits 95 % of the reference's own held-out items (--false-unknown).

    An item that is itself in the index does not vote for itself: the same id is left out, and so is an item
    with exactly the same regions (for cells: and the same barcode). Neither do items of the same study or donor vote,
    where query and reference have such a column, nor labels whose column NAME_origin says `predicted`.

    \b
    Example:
      atacsearch annotate new.h5ad --index my.index --label cell_type --format tsv > calls.tsv
      atacsearch annotate peaks.tsv --index my.index --label cell_type --label assay
      atacsearch annotate new.h5ad --index my.index --label cell_type --coverage 0.9 --except Doublet
    """
    from ..client import open_index
    from .messages import progress, say

    client = open_index(index_path, device=device, model=model, say=say)
    with progress("Encoding", None) as advance:
        table = client.annotate_table(
            inputs,
            labels,
            k=k,
            where=where,
            only=only,
            without=without,
            reference=reference,
            by=by,
            same_group=same_group,
            coverage=coverage,
            false_unknown=false_unknown,
            min_confidence=min_confidence,
            options=read_options(reading),
            progress=advance,
        )
    output.write(table)
