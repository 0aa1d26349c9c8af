"""`atacsearch annotate`: label transfer from an index."""

from __future__ import annotations

from typing import Any

import click

from .options import (
    Output,
    debug_option,
    device_option,
    index_option,
    k_option,
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
@k_option(15)
@where_option
@click.option(
    "--reference",
    type=click.Choice(["cells", "beds"]),
    help="Collection that votes [default: that of the input's kind].",
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
    k: int,
    where: tuple[str, ...],
    reference: str | None,
    model: str | None,
    device: str,
    reading: dict[str, Any],
    output: Output,
) -> None:
    """Name cells or BED files by label transfer.

    INPUT is an h5ad, a fragment file, a BED or narrowPeak file, or a manifest (.tsv/.csv with a column
    `file`). The k nearest items of the index that have a value in the label column vote, weighted by their
    cosine distance. One row per input item, in input order: item, label, confidence (share of the votes),
    margin (to the second label), nearest_distance, status. With several --label a column label_name follows
    item.

    `label` is always the best call; `status` says whether to trust it. It is `unknown` where the item has no
    region of the universe (label empty, confidence 0), where confidence < 0.5, or where the nearest distance
    exceeds the 99th percentile of the distance from a reference item to its nearest other one.

    An item that is itself in the index does not vote for itself: the same id is left out, and so is an item
    with exactly the same regions (for cells: and the same barcode).

    \b
    Example:
      atacsearch annotate new.h5ad --index my.index --label cell_type --format tsv > calls.tsv
      atacsearch annotate peaks.tsv --index my.index --label cell_type --label assay
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
            reference=reference,
            options=read_options(reading),
            progress=advance,
        )
    output.write(table)
