"""`atacsearch search cells|beds|regions`: nearest neighbours of a query."""

from __future__ import annotations

from collections.abc import Callable
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
from .ranking import ranking_options

_SHARED: tuple[Callable[[Any], Any], ...] = (
    click.argument("query"),
    index_option,
    k_option(10),
    where_option,
    click.option(
        "--item",
        "items",
        multiple=True,
        metavar="NAME",
        help="Of a file with several items (cells of an h5ad, barcodes), ask with this one; may be repeated.",
    ),
    click.option(
        "--columns",
        metavar="A,B|all",
        help="Label columns to show, separated by commas, or all [default: all; a few in a table for reading].",
    ),
    click.option(
        "--vector",
        default="general",
        show_default=True,
        metavar="NAME",
        help="Vectors to compare: general, or a label that the model was trained for, such as cell_type.",
    ),
    model_option(required=False, help="Encode with this model; refused unless it is the index's own."),
    device_option,
    reader_options,
    output_options,
    debug_option,
)


def _shared(command: Any) -> Any:
    for option in reversed(_SHARED):
        command = option(command)
    return command


def _run(
    kind: str,
    query: str,
    index_path: str,
    k: int,
    where: tuple[str, ...],
    items: tuple[str, ...],
    columns: str | None,
    vector: str,
    model: str | None,
    device: str,
    reading: dict[str, Any],
    output: Output,
    contexts: tuple[str, ...] = (),
    ranking: dict[str, Any] | None = None,
) -> None:
    from ..client import open_index
    from .messages import progress, say

    client = open_index(index_path, device=device, model=model, say=say)
    with progress("Encoding", None) as advance:
        table = client.search_table(
            kind,
            query,
            k=k,
            where=where,
            items=items,
            contexts=contexts,
            columns=_names(columns),
            vector=vector,
            **(ranking or {}),
            options=read_options(reading),
            progress=advance,
        )
    if columns is None and output.format == "table":
        table = client.for_reading(kind, table)
    output.write(table)


def _names(columns: str | None) -> list[str] | None:
    """The columns named, None for all."""
    if columns is None or columns.strip() == "all":
        return None
    return [c.strip() for c in columns.split(",") if c.strip()]


@click.group()
@debug_option
def search() -> None:
    """Find the nearest cells, BED files or regions.

    A query is a file (BED, narrowPeak, fragments, h5ad, manifest; each of its items asks), the id of an
    indexed item, a region string (1-based and inclusive, as in samtools and UCSC), or a gene symbol where
    the index has a gene table. Distances are cosine distances. An indexed item is left out of its own
    answers.

    \b
    Example:
      atacsearch search cells new.h5ad --item AAACGAAAGT --index my.index -k 5
      atacsearch search beds peaks.bed --index my.index --where 'assay=ATAC-seq'
      atacsearch search regions chr11:118,340,001-118,345,000 --index my.index
    """


@search.command()
@_shared
@ranking_options
def cells(**arguments: Any) -> None:
    """Find the nearest cells.

    \b
    Example:
      atacsearch search cells peaks.bed --index my.index -k 20 --where 'cell_type in (B, NK)'
      atacsearch search cells 'pbmc#AAACGAAAGTTTGGTT-1' --index my.index --format tsv
      atacsearch search cells peaks.bed --index my.index --rank overlap --candidates 2000
    """
    _run("cells", **arguments)


@search.command()
@_shared
@ranking_options
def beds(**arguments: Any) -> None:
    """Find the nearest BED files.

    \b
    Example:
      atacsearch search beds peaks.narrowPeak.gz --index my.index -k 5 --where 'assay=ATAC-seq'
      atacsearch search beds new.h5ad --item AAACGAAAGT --index my.index --columns cell_type,assay
      atacsearch search beds peaks.bed --index my.index --rank fused --background indexed --format tsv
    """
    _run("beds", **arguments)


@search.command()
@_shared
@click.option(
    "--context",
    "contexts",
    multiple=True,
    metavar="NAME",
    help="Ask with the region as it is in this context [default: in each]; may be repeated.",
)
def regions(**arguments: Any) -> None:
    """Find the nearest regions by their contextual embeddings.

    A region or gene asks with the stored vectors of the universe regions that it overlaps, one query for each of
    them and each context, and is left out of the answers in all contexts; `--where 'context=...'` narrows them.

    \b
    Example:
      atacsearch search regions chr11:118,340,001-118,345,000 --index my.index --context 'B cell'
      atacsearch search regions CD19 --index my.index --where 'context="B cell"'
    """
    _run("regions", **arguments)
