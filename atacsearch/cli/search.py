"""`atacsearch search cells|beds|regions`: nearest neighbours of a query."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeVar

import click

from ..query.search.options import SearchOptions, SearchQuery
from ..readers.options import ReadOptions
from .from_options import options_of
from .options import Output, debug_option, device_option, index_option, model_option, output_options

F = TypeVar("F", bound=Callable[..., Any])
RANKING = ("rank", "statistics", "candidates", "background")  # of items that have regions to count


def _options(skip: Sequence[str] = ("contexts",)) -> Callable[[F], F]:
    """The options of a search, but those to skip."""

    def decorate(command: F) -> F:
        for decorator in reversed(
            (
                click.argument("queries", nargs=-1, metavar="[QUERY]..."),
                index_option,
                options_of(SearchQuery, skip=skip),
                options_of(SearchOptions, skip=skip),
                model_option(
                    required=False, help="Encode with this model; refused unless it is the index's own."
                ),
                device_option,
                options_of(ReadOptions),
                output_options,
                debug_option,
            )
        ):
            command = decorator(command)
        return command

    return decorate


def _run(
    kind: Literal["cells", "beds", "regions"],
    queries: tuple[str, ...],
    index_path: str,
    model: str | None,
    device: str,
    output: Output,
    **options: Any,
) -> None:
    from ..index import open_index
    from .messages import notify, progress

    with open_index(index_path, device=device, model=model, notify=notify) as index:
        with progress("Encoding", None) as advance:
            hits = index.search(kind, queries or None, progress=advance, **options)
        output.write(hits)


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
@_options()
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
@_options()
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
@_options(skip=RANKING)
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
