"""`atacsearch tokenize`: cells or BED files as sets of universe regions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ..api.options import TokenizeOptions
from .from_options import options_of
from .options import OutputFile, debug_option, read_options, reader_options, universe_option


@click.command()
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@universe_option()
@click.option(
    "-o",
    "--output",
    "target",
    required=True,
    type=OutputFile(),
    help="The Parquet file to write: columns id, tokens (list<uint32>).",
)
@options_of(TokenizeOptions)
@reader_options
@debug_option
def tokenize(
    inputs: tuple[str, ...], universe: str, target: Path, parity: str | None, reading: dict[str, Any]
) -> None:
    """Turn cells or BED files into token sets.

    INPUT is an h5ad or h5mu, a 10x matrix, a fragment file, a Cell Ranger folder, a BED or narrowPeak file, or a
    manifest (.tsv/.csv with a column `file`). The tokens of an item are the regions of the universe that it overlaps,
    ascending, each once. The digest of the universe is in the metadata of the file.

    \b
    Example:
      atacsearch tokenize fragments.tsv.gz --universe universe.bed.gz -o tokens.parquet
      atacsearch tokenize peaks.tsv --universe epiagent-ccre-hg38 -o tokens.parquet --genome hg38
    """
    from ..api.tokenize import write_tokens
    from .messages import notify

    read = read_options({**reading, "parity": parity})
    n_items, n_tokens, n_empty = write_tokens(inputs, universe, target, read, notify)
    notify(f"{target}: {n_items:,} items, {n_tokens:,} tokens, {n_empty:,} items empty")
