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
    click.argument("queries", nargs=-1, metavar="[QUERY]..."),
    index_option,
    click.option(
        "--text",
        metavar="WORDS",
        help="Only answers whose labels have all these words; without a QUERY, ranked by them.",
    ),
    click.option("--centroid", is_flag=True, help="Ask once with the mean vector of all queries."),
    k_option(10),
    click.option(
        "--offset",
        type=click.IntRange(min=0),
        default=0,
        metavar="N",
        help="Leave out the first N answers of each query, for the next page.",
    ),
    where_option,
    click.option(
        "--group-by",
        metavar="COLUMN",
        help="One answer, the best, for each value of this label column, such as study.",
    ),
    click.option(
        "--diverse",
        is_flag=True,
        help="Choose answers that differ from one another (maximal marginal relevance).",
    ),
    click.option(
        "--mmr-lambda",
        type=click.FloatRange(0, 1),
        metavar="X",
        help="With --diverse, weight of likeness to the query; 1 is the order by distance [default: 0.5].",
    ),
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
    queries: tuple[str, ...],
    index_path: str,
    text: str | None,
    centroid: bool,
    k: int,
    offset: int,
    group_by: str | None,
    diverse: bool,
    mmr_lambda: float | None,
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

    if mmr_lambda is not None and not diverse:
        raise click.UsageError("--mmr-lambda is the weight of --diverse, which is not given")
    client = open_index(index_path, device=device, model=model, say=say)
    with progress("Encoding", None) as advance:
        table = client.search_table(
            kind,
            queries or None,
            text=text,
            centroid=centroid,
            k=k,
            offset=offset,
            group_by=group_by,
            diverse=diverse if mmr_lambda is None else mmr_lambda,
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
        table = client.for_reading(kind, table, keep=() if group_by is None else group_by)
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

    A QUERY is a file (BED, narrowPeak, fragments, h5ad, manifest; each of its items asks), the id of an
    indexed item, a region string (1-based and inclusive, as in samtools and UCSC), or a gene symbol (all its
    promoters) where the index has a gene table. Several ask one by one, or together with --centroid. --text
    finds items by the words of their labels, alone or among the answers of a QUERY. Distances are cosine
    distances; answers at one distance come in the order of their ids. An indexed item is left out of its own
    answers.

    \b
    Example:
      atacsearch search cells new.h5ad --item AAACGAAAGT --index my.index -k 5
      atacsearch search beds --text 'CTCF liver' --index my.index
      atacsearch search beds peaks.bed --text liver --group-by study --index my.index
      atacsearch search beds hg19.bed --liftover hg19ToHg38.over.chain.gz --index my.index
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
