"""`atacsearch universe build|info`: the vocabulary of regions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ..api.options import UniverseOptions
from .from_options import options_of
from .options import Output, OutputFile, debug_option, output_options


@click.group()
@debug_option
def universe() -> None:
    """Build a universe or look into one.

    A universe is a BED file of regions: the vocabulary of a model, one token a line.

    \b
    Example:
      atacsearch universe build peaks/*.narrowPeak.gz -o universe.bed.gz --genome hg38
      atacsearch universe info universe.bed.gz
    """


@universe.command()
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@click.option(
    "-o",
    "--output",
    "target",
    required=True,
    type=OutputFile(),
    help="The BED file to write; .gz is compressed.",
)
@options_of(UniverseOptions)
@debug_option
def build(inputs: tuple[str, ...], target: Path, **options: Any) -> None:
    """Build a universe from BED files, fragments or an h5ad.

    Regions open in more than a cut-off of the inputs are merged, split or widened to the stated widths,
    sorted, and made not to overlap. The peaks of an h5ad are kept by the number of cells in which they are
    open.

    \b
    Example:
      atacsearch universe build a.bed b.narrowPeak.gz c.h5ad -o universe.bed.gz --genome hg38
    """
    from ..api.tokenize import build_universe
    from .messages import notify

    made = build_universe(inputs, **options)
    made.save(target)
    notify(f"{target}: {len(made):,} regions, genome {made.genome or 'unknown'}, digest {made.digest[:12]}")


@universe.command()
@click.argument("name", metavar="UNIVERSE")
@click.option("--genome", metavar="NAME", help="Genome, where the file does not say it.")
@output_options
@debug_option
def info(name: str, genome: str | None, output: Output) -> None:
    """Tell what a universe holds.

    UNIVERSE is a BED file or the name of a known public universe.

    \b
    Example:
      atacsearch universe info universe.bed.gz
      atacsearch universe info epiagent-ccre-hg38 --format json
    """
    from dataclasses import asdict

    from ..tokens.universe import Universe

    output.write_record(asdict(Universe.load(name, genome=genome).info()))
