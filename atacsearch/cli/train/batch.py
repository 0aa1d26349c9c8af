"""`atacsearch train batch`: vectors from which the batch cannot be told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ..options import debug_option, device_option, read_options, reader_options
from .command_line import command_line
from .options import RATE, common_options, watch


@click.command()
@click.argument("inputs", nargs=-1, required=True, metavar="REF...")
@click.option("--batch", required=True, metavar="COLUMN", help="Column of donor, library or replicate.")
@click.option("--label", metavar="COLUMN", help="Column of what must be kept, such as cell_type.")
@common_options("tiny")
@click.option("--epochs", type=click.IntRange(1), help="Passes over the cells [default: 8].")
@click.option("--batch-size", type=click.IntRange(4), help="Cells a step [default: 64].")
@click.option("--lr", type=RATE, help="Peak learning rate [default: 1e-3].")
@click.option(
    "--strength", type=click.FloatRange(0), help="Weight of the reversed gradient at its peak [default: 1]."
)
@click.option("--layers", type=click.IntRange(1), help="Last encoder layers that train [default: 2].")
@click.option(
    "--table-lr",
    type=click.FloatRange(0, 1),
    help="Learning rate of the token table; 0 leaves it as it is [default: 0].",
)
@click.option(
    "--pretrain-epochs",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Epochs of replaced-token detection on the same input before.",
)
@click.option("--warm-start/--no-warm-start", "warm", default=True, help="Start the token table from an SVD.")
@device_option
@reader_options
@debug_option
def batch(
    inputs: tuple[str, ...],
    batch: str,
    label: str | None,
    out: Path,
    universe: str | None,
    base: str | None,
    size: str,
    seed: int,
    restart: bool,
    dry_run: bool,
    pretrain_epochs: int,
    warm: bool,
    device: str,
    reading: dict[str, Any],
    **given: Any,
) -> None:
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
    from ...training.loops.batch_correction import BatchSettings
    from ...training.loops.pretraining import PretrainSettings
    from ...training.recipes.batch import batch_files
    from ..messages import say

    settings = BatchSettings(seed=seed, **{k: v for k, v in given.items() if v is not None})
    with watch() as progress:
        summary = batch_files(
            inputs,
            batch,
            out,
            label=label,
            settings=settings,
            warm=warm,
            pretraining=PretrainSettings(epochs=pretrain_epochs, seed=seed) if pretrain_epochs else None,
            universe=universe,
            base=base,
            size=size,
            options=read_options(reading),
            device=device,
            restart=restart,
            dry_run=dry_run,
            command=command_line(),
            say=say,
            progress=progress,
        )
    if dry_run:
        return
    changes = ", ".join(
        f"{name.replace('_', ' ')} {summary['before'][name]:.3f} -> {value:.3f}"
        for name, value in summary["after"].items()
        if name in summary["before"]
    )
    say(f"{out}: {summary['cells']:,} cells, {len(summary['batches'])} batches; {changes}")
