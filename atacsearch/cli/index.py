"""`atacsearch index create|add-cells|add-beds|add-regions|status|verify|repair`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..query.ingest.options import GENES, AddOptions, CalibrateOptions, RegionsOptions
from ..readers.options import ReadOptions
from .from_options import options_of
from .options import Output, debug_option, device_option, model_option, output_options

if TYPE_CHECKING:
    from ..query.ingest.add import Added


@click.group()
@debug_option
def index() -> None:
    """Create an index, add to it, check it.

    An index is a folder that holds vectors, labels and token sets of cells, BED files and regions, and the
    model that made them. What has been published is never changed in place; one process at a time may
    write.

    \b
    Example:
      atacsearch index create my.index --model my.model
      atacsearch index add-cells my.index reference.h5ad
      atacsearch index status my.index
    """


@index.command()
@click.argument("index_path", metavar="INDEX", type=click.Path(path_type=Path))
@model_option()
@click.option("--genes", type=click.Path(exists=True, dir_okay=False, path_type=Path), help=GENES)
@click.option("--url", metavar="URL", help="Keep the vectors on this Qdrant server instead of in the folder.")
@debug_option
def create(index_path: Path, model: str, genes: Path | None, url: str | None) -> None:
    """Create an empty index for one model.

    \b
    Example:
      atacsearch index create my.index --model my.model --genes refseq_tss.bed.gz
    """
    from ..index import create_index
    from .messages import notify

    with create_index(index_path, model, genes=genes, url=url) as made:
        info = made.status().info
    notify(f"{index_path}: created; genome {info.genome or 'unknown'}, model {info.model_digest[:12]}")


def _report(index_path: str, words: str, done: Added) -> None:
    from .messages import notify

    notify(f"{index_path}: added {sum(done.added.values()):,} {words} of {len(done.added):,} sources")
    if done.n_empty:
        notify(
            f"  {done.n_empty:,} of them have no region of the universe: kept, but never found by a search"
        )


@index.command("add-cells")
@click.argument("index_path", metavar="INDEX")
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@options_of(AddOptions)
@device_option
@options_of(ReadOptions)
@debug_option
def add_cells(index_path: str, inputs: tuple[str, ...], device: str, **options: Any) -> None:
    """Add the cells of h5ad or fragment files.

    All `obs` columns are stored as labels; an empty value is null and never votes. A source that is indexed
    already (the same content) is skipped, so an interrupted run is resumed by running it again.

    \b
    Example:
      atacsearch index add-cells my.index reference.h5ad
      atacsearch index add-cells my.index fragments.tsv.gz --labels clusters.tsv --sample pbmc
    """
    from ..index import open_index
    from .messages import notify, progress

    with (
        open_index(index_path, device=device, notify=notify) as opened,
        progress("Encoding", None) as advance,
    ):
        done = opened.add_cells(inputs, progress=advance, **options)
    _report(index_path, "cells", done)


@index.command("add-beds")
@click.argument("index_path", metavar="INDEX")
@click.argument("inputs", nargs=-1, required=True, metavar="MANIFEST|FILE...")
@options_of(AddOptions)
@device_option
@options_of(ReadOptions)
@debug_option
def add_beds(index_path: str, inputs: tuple[str, ...], device: str, **options: Any) -> None:
    """Add BED files, one by one or by a manifest.

    A manifest is a .tsv or .csv with a column `file`; its other columns are stored as labels. An empty
    value is null and never votes.

    \b
    Example:
      atacsearch index add-beds my.index manifest.tsv
      atacsearch index add-beds my.index a.bed b.narrowPeak.gz --labels labels.tsv
    """
    from ..index import open_index
    from .messages import notify, progress

    with (
        open_index(index_path, device=device, notify=notify) as opened,
        progress("Encoding", None) as advance,
    ):
        done = opened.add_beds(inputs, progress=advance, **options)
    _report(index_path, "BED files", done)


@index.command("add-regions")
@click.argument("index_path", metavar="INDEX")
@options_of(RegionsOptions)
@device_option
@debug_option
def add_regions(index_path: str, device: str, **options: Any) -> None:
    """Add regions in context, from all that is indexed.

    A region belongs to a context where it is open in any of its items; its vector is the mean of its
    contextual embeddings over them. A context whose items have not changed is left alone.

    \b
    Example:
      atacsearch index add-regions my.index --context-label cell_type --genes refseq_tss.bed.gz
    """
    from ..index import open_index
    from .messages import notify, progress

    with (
        open_index(index_path, device=device, notify=notify) as opened,
        progress("Encoding", None) as advance,
    ):
        done = opened.add_regions(progress=advance, **options)
    for name, n in done.contexts.items():
        notify(f"  {name}: {n:,} regions")
    same = f", {len(done.unchanged):,} were up to date" if done.unchanged else ""
    n = sum(done.contexts.values())
    notify(f"{index_path}: added {n:,} regions in {len(done.contexts):,} contexts{same}")


@index.command()
@click.argument("index_path", metavar="INDEX")
@output_options
@debug_option
def status(index_path: str, output: Output) -> None:
    """Tell what an index holds.

    \b
    Example:
      atacsearch index status my.index
      atacsearch index status my.index --format json
    """
    from ..index import open_index

    with open_index(index_path) as opened:
        output.write_record(opened.status().to_dict())


@index.command()
@click.argument("index_path", metavar="INDEX")
@debug_option
def verify(index_path: str) -> None:
    """Prove that shards, metadata, vectors and the inverted index agree.

    Exit code 0 where they do; else each disagreement is one line on stdout, and the exit code is 1.

    \b
    Example:
      atacsearch index verify my.index
    """
    from ..errors import AtacsearchError
    from ..index import open_index
    from .messages import notify

    with open_index(index_path) as opened:
        report = opened.verify()
    for note in report.notes:
        notify(note)
    for problem in report.problems:
        click.echo(problem)
    if not report.ok:
        n = len(report.problems)
        raise AtacsearchError(
            f"{index_path}: {n} problem{'s' * (n > 1)}; mend with `atacsearch index repair {index_path}`"
        )
    notify(
        f"{index_path}: generation {report.generation}: {report.shards:,} shards, {report.rows:,} rows and "
        f"{report.points:,} vectors agree"
    )


@index.command()
@click.argument("index_path", metavar="INDEX")
@click.option(
    "--drop-damaged", is_flag=True, help="Leave out shards that are damaged themselves; their items are lost."
)
@debug_option
def repair(index_path: str, drop_damaged: bool) -> None:
    """Rebuild metadata, vectors and the inverted index from the shards.

    \b
    Example:
      atacsearch index repair my.index
    """
    from ..index import open_index
    from .messages import notify

    with open_index(index_path) as opened:
        report = opened.repair(drop_damaged)
    for line in [*report.problems, *report.notes]:
        notify(line)
    notify(f"{index_path}: generation {report.generation} made anew from its shards")


@index.command()
@click.argument("index_path", metavar="INDEX")
@options_of(CalibrateOptions)
@output_options
@debug_option
def calibrate(index_path: str, output: Output, **options: Any) -> None:
    """Fit the confidence of labels that neighbours transfer.

    `add-cells` and `add-beds` do it at their end; this is for another column of groups. Each item of a sample is shown
    only items of other groups, and what it is called there says how far the votes can be trusted. One row per label:
    items, groups, share named right, and the expected calibration error on them.

    \b
    Example:
      atacsearch index calibrate my.index --label cell_type --group donor
    """
    from ..index import open_index
    from .messages import notify

    with open_index(index_path, notify=notify) as opened:
        output.write(opened.calibrate(**options))
