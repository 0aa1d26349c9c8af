"""`atacsearch train batch`: vectors from which the batch cannot be told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ...training.recipes.options import BatchOptions
from ..options import debug_option, read_options, reader_options
from .options import recipe_options, run_recipe


@click.command()
@click.argument("inputs", nargs=-1, required=True, metavar="REF...")
@click.option("--batch", required=True, metavar="COLUMN", help="Column of donor, library or replicate.")
@recipe_options(BatchOptions, first=("label",))
@reader_options
@debug_option
def batch(inputs: tuple[str, ...], batch: str, out: Path, reading: dict[str, Any], **options: Any) -> None:
    """Train a model to hide the batch of a cell.

    A classifier tries to tell the batch from the vector, and the encoder learns, by its reversed gradient, to
    give it nothing to go by. With --label the labels are kept, and the classifier compares batches within each
    label, so that batches of different composition are not forced together. A fifth of the cells is held out:
    the summary and the model card say how well batches are mixed and labels kept there, before and after.

    \b
    Example:
      atacsearch train batch reference.h5ad --batch donor --label cell_type -o my.model
      atacsearch train batch reference.h5ad --batch library --model base.model -o my.model
    """
    from ...training.recipes.batch import batch_files

    read = read_options(reading)
    run_recipe(lambda **told: batch_files(inputs, batch, out, BatchOptions(**options), read, **told))
