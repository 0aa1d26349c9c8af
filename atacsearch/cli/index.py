"""`atacsearch index create|add-cells|add-beds|add-regions|status|verify|repair`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .options import (
    Output,
    debug_option,
    device_option,
    model_option,
    output_options,
    read_options,
    reader_options,
)

_GENES_HELP = "Gene table: BED6 of transcription start sites (name = gene|transcript) or GTF."
_genes_option = click.option(
    "--genes", type=click.Path(exists=True, dir_okay=False, path_type=Path), help=_GENES_HELP
)
_labels_option = click.option(
    "--labels",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="TSV of label columns by item (column item, barcode or id, else the first); adds or replaces.",
)
_replace_option = click.option(
    "--replace", is_flag=True, help="Replace a source that is indexed already, by content or by path."
)


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
@_genes_option
@click.option("--url", metavar="URL", help="Keep the vectors on this Qdrant server instead of in the folder.")
@debug_option
def create(index_path: Path, model: str, genes: Path | None, url: str | None) -> None:
    """Create an empty index for one model.

    \b
    Example:
      atacsearch index create my.index --model my.model --genes refseq_tss.bed.gz
    """
    from ..client import create_index
    from .messages import say

    client = create_index(index_path, model, genes=genes, url=url)
    info = client.session.index.info
    say(f"{index_path}: created; genome {info.genome or 'unknown'}, model {info.model_digest[:12]}")


def _add(kind: str, index_path: str, inputs: tuple[str, ...], device: str, **options: Any) -> None:
    from ..client import open_index
    from .messages import progress, say

    client = open_index(index_path, device=device, say=say)
    reading = read_options(options.pop("reading"))
    with progress("Encoding", None) as advance:
        add = client.add_cells if kind == "cells" else client.add_beds
        done = add(inputs, options=reading, progress=advance, **options)
    words = "cells" if kind == "cells" else "BED files"
    say(f"{index_path}: added {sum(done.added.values()):,} {words} of {len(done.added):,} sources")
    if done.n_empty:
        say(f"  {done.n_empty:,} of them have no region of the universe: kept, but never found by a search")


@index.command("add-cells")
@click.argument("index_path", metavar="INDEX")
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@_labels_option
@_replace_option
@device_option
@reader_options
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
    _add("cells", index_path, inputs, device, **options)


@index.command("add-beds")
@click.argument("index_path", metavar="INDEX")
@click.argument("inputs", nargs=-1, required=True, metavar="MANIFEST|FILE...")
@_labels_option
@_replace_option
@device_option
@reader_options
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
    _add("bedfiles", index_path, inputs, device, **options)


@index.command("add-regions")
@click.argument("index_path", metavar="INDEX")
@click.option(
    "--context-label",
    default="cell_type",
    show_default=True,
    metavar="COLUMN",
    help="Items that share a value of this label column form one context.",
)
@click.option(
    "--context", "contexts", multiple=True, metavar="VALUE", help="Only this context; may be repeated."
)
@_genes_option
@device_option
@debug_option
def add_regions(
    index_path: str, context_label: str, contexts: tuple[str, ...], genes: Path | None, device: str
) -> None:
    """Add regions in context, from all that is indexed.

    A region belongs to a context where it is open in any of its items; its vector is the mean of its
    contextual embeddings over them. A context whose items have not changed is left alone.

    \b
    Example:
      atacsearch index add-regions my.index --context-label cell_type --genes refseq_tss.bed.gz
    """
    from ..client import open_index
    from .messages import progress, say

    client = open_index(index_path, device=device, say=say)
    with progress("Encoding", None) as advance:
        done = client.add_regions(context_label, contexts=contexts, genes=genes, progress=advance)
    for name, n in done.contexts.items():
        say(f"  {name}: {n:,} regions")
    same = f", {len(done.unchanged):,} were up to date" if done.unchanged else ""
    n = sum(done.contexts.values())
    say(f"{index_path}: added {n:,} regions in {len(done.contexts):,} contexts{same}")


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
    from ..client import open_index

    output.write_record(open_index(index_path).status())


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
    from ..client import open_index
    from ..errors import AtacsearchError
    from .messages import say

    report = open_index(index_path).verify()
    for note in report.notes:
        say(note)
    for problem in report.problems:
        click.echo(problem)
    if not report.ok:
        n = len(report.problems)
        raise AtacsearchError(
            f"{index_path}: {n} problem{'s' * (n > 1)}; mend with `atacsearch index repair {index_path}`"
        )
    say(
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
    from ..client import open_index
    from .messages import say

    report = open_index(index_path).repair(drop_damaged)
    for line in [*report.problems, *report.notes]:
        say(line)
    say(f"{index_path}: generation {report.generation} made anew from its shards")


@index.command()
@click.argument("index_path", metavar="INDEX")
@click.option(
    "--label",
    "labels",
    multiple=True,
    metavar="COLUMN",
    help="Label column; may be repeated [default: text columns of 2 to 500 values].",
)
@click.option(
    "--group",
    metavar="COLUMN",
    help="Column of donor, library, study or collection, of which whole values are held out [default: by name].",
)
@click.option(
    "--kind", type=click.Choice(["cells", "beds"]), default="cells", show_default=True, help="Collection."
)
@output_options
@debug_option
def calibrate(index_path: str, labels: tuple[str, ...], group: str | None, kind: str, output: Output) -> None:
    """Fit the confidence of labels that neighbours transfer.

    `add-cells` and `add-beds` do it at their end; this is for another column of groups. Each item of a sample is shown
    only items of other groups, and what it is called there says how far the votes can be trusted. One row per label:
    items, groups, share named right, and the expected calibration error on them.

    \b
    Example:
      atacsearch index calibrate my.index --label cell_type --group donor
    """
    import pyarrow as pa

    from ..client import open_index
    from ..query.reference.calibrate import report
    from .messages import say

    client = open_index(index_path, say=say)
    output.write(pa.Table.from_pylist(report(client.calibrate(kind, labels or None, group))))
