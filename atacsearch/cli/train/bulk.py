"""`atacsearch train bulk`: several vectors of a BED file, one for each label."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ..options import debug_option, device_option, read_options, reader_options
from .command_line import command_line
from .options import common_options, watch


@click.command()
@click.argument("inputs", nargs=-1, required=True, metavar="MANIFEST...")
@click.option(
    "--label",
    "labels",
    required=True,
    multiple=True,
    metavar="A,B",
    help="Label columns, separated by commas or repeated, such as cell_type,assay,target.",
)
@click.option(
    "--group", metavar="COLUMN", help="Column of the collection; whole ones are held out to choose."
)
@click.option("--unlabelled", multiple=True, metavar="INPUT", help="More files, without labels. Repeatable.")
@common_options("tiny")
@click.option(
    "--pretrain-epochs",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Epochs of replaced-token detection on subsamples of the files, for the general vector.",
)
@click.option("--warm-start/--no-warm-start", "warm", default=True, help="Start the token table from an SVD.")
@device_option
@reader_options
@debug_option
def bulk(
    inputs: tuple[str, ...],
    labels: tuple[str, ...],
    group: str | None,
    unlabelled: tuple[str, ...],
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
    from ...training.bulk.train import BulkSettings
    from ...training.loops.pretraining import PretrainSettings
    from ...training.recipes.bulk import bulk_files
    from ..messages import say

    names = [name.strip() for given in labels for name in given.split(",") if name.strip()]
    with watch() as progress:
        summary = bulk_files(
            inputs,
            names,
            out,
            group=group,
            unlabelled=unlabelled,
            settings=BulkSettings(seed=seed),
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
    say(f"{out}: {summary['files']:,} files; held out to choose: {summary['held_out']}")
    for label, found in summary["labels"].items():
        right = found["held_out_accuracy"]
        measured = "no file could be held out to choose or to measure"
        if right is not None:
            measured = f"{right:.3f} of held-out files nearest to their own value"
        say(f"  {label}: {found['classes']} values of {found['files']:,} files, {found['head']}; {measured}")
