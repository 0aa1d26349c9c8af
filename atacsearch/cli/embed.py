"""`atacsearch embed`: vectors of cells, BED files or their regions, without an index."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ..api.options import EmbedOptions
from .from_options import options_of
from .options import OutputFile, debug_option, model_option, read_options, reader_options


@click.command()
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@model_option()
@click.option(
    "-o",
    "--output",
    "target",
    required=True,
    type=OutputFile(),
    help="The Parquet file to write: id, vector; for regions also chrom, start, end (0-based half-open).",
)
@options_of(EmbedOptions)
@reader_options
@debug_option
def embed(inputs: tuple[str, ...], model: str, target: Path, reading: dict[str, Any], **options: Any) -> None:
    """Turn cells, BED files or their regions into vectors.

    One vector for each input item, in input order; an item without a region of the universe has a vector of
    zeros. With --level region, one contextual vector for each region that is open in the item.

    \b
    Example:
      atacsearch embed cells.h5ad --model my.model -o vectors.parquet
      atacsearch embed peaks.bed --model my.model --level region -o regions.parquet
    """
    from ..api.embed import embed_to_file
    from .messages import notify, progress

    how = EmbedOptions(**options)
    with progress("Encoding", None) as advance:
        rows, dim = embed_to_file(inputs, model, target, how, read_options(reading), notify, advance)
    notify(f"{target}: {rows:,} vectors of {dim} dimensions ({how.modality})")
