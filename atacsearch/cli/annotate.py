"""`atacsearch annotate`: label transfer from an index."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .options import (
    Output,
    OutputFile,
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
@click.option(
    "--doublets", is_flag=True, help="Look for droplets that held cells of two types: status doublet."
)
@click.option(
    "--ontology",
    is_flag=True,
    help="Add the most specific term of the Cell Ontology that is probable enough, also above all labels.",
)
@click.option(
    "--ontology-confidence",
    type=float,
    default=0.8,
    show_default=True,
    metavar="P",
    help="What is probable enough for --ontology.",
)
@click.option(
    "--markers",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="GENES.tsv",
    help="Marker genes (columns cell_type and gene): add whether their activity agrees with the call.",
)
@click.option(
    "--clusters",
    metavar="COLUMN",
    help="Column of the input with clusters: add the majority call of each, beside the calls of single items.",
)
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
    doublets: bool,
    ontology: bool,
    ontology_confidence: float,
    markers: Path | None,
    clusters: str | None,
    explain: str | None,
    explain_bed: Path | None,
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
    from ..client import open_index
    from .messages import progress, say

    if explain_bed is not None and explain is None:
        raise click.UsageError("--explain-bed needs --explain ITEM")
    copy = output.path if output.path is not None and output.path.suffix.lower() == ".h5ad" else None
    client = open_index(index_path, device=device, model=model, say=say)
    how: dict[str, Any] = {
        "k": k,
        "where": where,
        "only": only,
        "without": without,
        "reference": reference,
        "by": by,
        "same_group": same_group,
        "false_unknown": false_unknown,
        "min_confidence": min_confidence,
        "options": read_options(reading),
    }
    if explain is not None:
        beside = coverage is not None or doublets or ontology or markers is not None or clusters is not None
        if len(labels) > 1 or copy is not None or beside:
            raise click.UsageError(
                "--explain tells of one --label, in a table; leave out the others, -o .h5ad and what adds columns "
                "(--coverage, --doublets, --ontology, --markers, --clusters)"
            )
        call, voters, regions = client.explain_tables(inputs, labels[0], explain, **how)
        (row,) = call.to_pylist()
        say(f"{row['item']}: {row['label']}, confidence {row['confidence']:.3f}, {row['status']}")
        if explain_bed is not None:
            from ..query.annotate.explain import write_regions

            write_regions(regions, explain_bed)
        output.write(voters)
        return
    with progress("Encoding", None) as advance:
        table = client.annotate_table(
            inputs,
            labels,
            coverage=coverage,
            doublets=doublets,
            ontology=ontology_confidence if ontology else False,
            markers=markers,
            clusters=clusters,
            output=copy,
            progress=advance,
            **how,
        )
    if copy is None:
        output.write(table)
