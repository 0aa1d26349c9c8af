"""`atacsearch train bulk`: several vectors of a BED file, one for each label."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ...training.recipes.options import BulkOptions
from ..options import debug_option, read_options, reader_options
from .options import recipe_options, run_recipe


@click.command()
@click.argument("inputs", nargs=-1, required=True, metavar="MANIFEST...")
@click.option(
    "--label",
    required=True,
    multiple=True,
    metavar="A,B",
    help="Label columns, separated by commas or repeated, such as cell_type,assay,target.",
)
@recipe_options(BulkOptions, first=("group", "unlabelled"))
@reader_options
@debug_option
def bulk(
    inputs: tuple[str, ...], label: tuple[str, ...], out: Path, reading: dict[str, Any], **options: Any
) -> None:
    """Train a model that gives a BED file a vector for each label.

    Without --universe or --model everything is made from the input: a universe from its regions, a token table
    from a truncated SVD, then a head for each label, whose vector leaves out what other labels explain. An index
    of such a model holds all of the vectors, and annotate --label uses the one of that name. Files without a
    value are left out of that label.

    \b
    Example:
      atacsearch train bulk files.tsv --label cell_type,assay,target -o bulk.model
      atacsearch train bulk files.tsv --label cell_type --label assay --group collection -o bulk.model
    """
    from ...training.recipes.bulk import bulk_files

    read = read_options(reading)
    names = [name.strip() for given in label for name in given.split(",") if name.strip()]
    run_recipe(lambda **told: bulk_files(inputs, names, out, BulkOptions(**options), read, **told))
