"""`atacsearch train pretrain|celltype`: models from data; other commands of the group have their own files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ..lazy import LazyCommand, LazyGroup
from ..options import debug_option, device_option, read_options, reader_options
from .command_line import command_line
from .options import RATE, common_options, watch


@click.group(
    cls=LazyGroup,
    lazy={
        "batch": LazyCommand(
            "atacsearch.cli.train.batch:batch", "Train a model to hide the batch of a cell."
        ),
        "bulk": LazyCommand(
            "atacsearch.cli.train.bulk:bulk", "Train a model that gives a BED file a vector for each label."
        ),
    },
)
@debug_option
def train() -> None:
    """Train a model.

    Training writes a checkpoint folder: config.json, model.safetensors, universe.bed.gz, a model card
    (README.md), and training.jsonl, one line an epoch, drawn in training.png. A run that was killed goes on
    where it was when the command is repeated.

    \b
    Example:
      atacsearch train celltype reference.h5ad --label cell_type -o my.model
    """


@train.command()
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@common_options("small")
@click.option("--epochs", type=click.IntRange(1), help="Passes over the input, at the most [default: 5].")
@click.option("--batch-size", type=click.IntRange(2), help="Sets a step [default: 16].")
@click.option("--lr", type=RATE, help="Peak learning rate [default: 5e-4].")
@click.option("--max-tokens", type=click.IntRange(2), help="Tokens of one set in one step [default: 512].")
@click.option(
    "--replacement",
    type=click.Choice(["uniform", "frequency"]),
    default="uniform",
    show_default=True,
    help="Replace by any region, as published, or by regions as often as the data hold them.",
)
@click.option(
    "--contrastive",
    type=click.FloatRange(0),
    default=0.0,
    show_default=True,
    metavar="WEIGHT",
    help="Add a contrast of two halves of each set, with this weight.",
)
@click.option(
    "--anchor",
    type=click.FloatRange(0),
    metavar="WEIGHT",
    help="Keep the vector of half a set near where the warm start or --model put the whole set; 0 is as published "
    "[default: 10].",
)
@click.option(
    "--pooling",
    type=click.Choice(["auto", "mean", "idf"]),
    default="auto",
    show_default=True,
    help="How regions make up a vector: as the warm start says, plain mean, or by inverse document frequency.",
)
@click.option(
    "--holdout",
    type=click.FloatRange(0, 0.5),
    help="Share of the input that tells when to stop and is not trained on [default: 0.05].",
)
@click.option(
    "--precision",
    type=click.Choice(["auto", "float32", "bfloat16"]),
    default="auto",
    show_default=True,
    help="auto is bfloat16 autocast on CUDA.",
)
@click.option(
    "--save-minutes",
    type=click.FloatRange(0),
    help="Write the state to resume from so often, beside each epoch's end [default: 10].",
)
@click.option("--warm-start/--no-warm-start", "warm", default=True, help="Start the token table from an SVD.")
@device_option
@reader_options
@debug_option
def pretrain(
    inputs: tuple[str, ...],
    out: Path,
    universe: str | None,
    base: str | None,
    size: str,
    seed: int,
    restart: bool,
    dry_run: bool,
    replacement: str,
    contrastive: float,
    pooling: str,
    precision: str,
    warm: bool,
    device: str,
    reading: dict[str, Any],
    **given: Any,
) -> None:
    """Pretrain on unlabelled data by replaced-token detection.

    45 % of the tokens of each cell or BED file are replaced by random regions; the model learns to tell which.
    Token files of atacsearch tokenize are streamed, so that a corpus may be larger than memory; other inputs
    are tokenised first. Several GPUs: torchrun --no-python --nproc-per-node 8 atacsearch train pretrain ...

    \b
    Example:
      atacsearch train pretrain cells.h5ad -o base.model
      atacsearch train pretrain peaks/*.bed.gz --universe universe.bed.gz --epochs 20 -o base.model
      atacsearch train pretrain tokens/*.parquet --universe universe.bed.gz --size base -o base.model
    """
    from ...training.loops.pretraining import PretrainSettings
    from ...training.recipes.workflow import pretrain_files
    from ..messages import say

    settings = PretrainSettings(
        replacement=replacement,
        contrastive=contrastive,
        pooling=pooling,
        precision=precision,
        warm=warm,
        seed=seed,
        **{k: v for k, v in given.items() if v is not None},
    )
    with watch() as progress:
        model = pretrain_files(
            inputs,
            out,
            settings=settings,
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
    if not dry_run:
        say(
            f"{out}: model {model.digest[:12]}, {len(model.universe):,} regions, log in {out / 'training.jsonl'}"
        )


@train.command()
@click.argument("inputs", nargs=-1, required=True, metavar="REF...")
@click.option("--label", required=True, metavar="COLUMN", help="Column of the labels, such as cell_type.")
@click.option("--batch", metavar="COLUMN", help="Column of donor, library or replicate.")
@click.option(
    "--unlabelled",
    multiple=True,
    metavar="INPUT",
    help="More data, whose labels are not looked at: the cells to be named, or any others. Repeatable.",
)
@common_options("tiny")
@click.option("--epochs", type=click.IntRange(1), help="Passes over the cells, at the most [default: 8].")
@click.option("--batch-size", type=click.IntRange(4), help="Cells a step [default: 64].")
@click.option("--lr", type=RATE, help="Peak learning rate [default: 1e-3].")
@click.option(
    "--loss",
    type=click.Choice(["head", "proxy", "triplet", "contrastive"]),
    default="head",
    show_default=True,
    help="head: leave the encoder, fit a head whose vector transfers the label. Others train the encoder: a "
    "cosine softmax, the published triplet loss, or a supervised contrastive one.",
)
@click.option(
    "--pretrain-epochs",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Epochs of replaced-token detection on the same input before fine-tuning.",
)
@click.option("--warm-start/--no-warm-start", "warm", default=True, help="Start the token table from an SVD.")
@device_option
@reader_options
@debug_option
def celltype(
    inputs: tuple[str, ...],
    label: str,
    batch: str | None,
    unlabelled: tuple[str, ...],
    out: Path,
    universe: str | None,
    base: str | None,
    size: str,
    seed: int,
    restart: bool,
    dry_run: bool,
    epochs: int | None,
    batch_size: int | None,
    lr: float | None,
    loss: str,
    pretrain_epochs: int,
    warm: bool,
    device: str,
    reading: dict[str, Any],
) -> None:
    """Train a model that tells cells of one label from those of others.

    Without --universe or --model everything is made from the input: a universe from its peaks, and a token
    table from a truncated SVD of its cells, those of --unlabelled inputs included. Cells without a label are
    left out. By default the encoder stays as it is and a class head is fitted on it: cells that are indexed with this
    model get a second vector, named after the label, by which `annotate` transfers that label. A part of the
    cells is held out for the figures of the model card: for a head in five folds, of whole batches where --batch has
    two or more; where the encoder is trained, to tell when to stop, too, a whole batch of three or more, else a
    tenth of every label.

    \b
    Example:
      atacsearch train celltype reference.h5ad --label cell_type --batch donor -o my.model
      atacsearch train celltype reference.h5ad --label cell_type --unlabelled query.h5ad -o my.model
      atacsearch train celltype cells.tsv --label cell_type --model base.model -o my.model
    """
    from ...training.loops.metric_learning import CelltypeSettings
    from ...training.loops.pretraining import PretrainSettings
    from ...training.recipes.workflow import celltype_files
    from ..messages import say

    given = {"epochs": epochs, "batch_size": batch_size, "lr": lr}
    if loss == "head" and any(v is not None for v in given.values()):
        say(
            "--epochs, --batch-size and --lr are for losses that train the encoder: they have no effect on a head"
        )
    settings = CelltypeSettings(loss=loss, seed=seed, **{k: v for k, v in given.items() if v is not None})  # type: ignore[arg-type]
    with watch() as progress:
        summary = celltype_files(
            inputs,
            label,
            out,
            batch=batch,
            unlabelled=unlabelled,
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
    about = f"{out}: {summary['cells']:,} cells, {len(summary['classes'])} labels"
    if loss == "head" and not summary["figures"]:
        say(
            f"{about}; nothing could be held out ({summary['held_out']}): every label is in one group only or has "
            "one cell, so that confidence is uncalibrated"
        )
        return
    if loss == "head":
        ours, theirs = summary["figures"].values()
        say(
            f"{about}; {ours['accuracy']:.3f} of {summary['cells_held_out']:,} held-out cells named right "
            f"({summary['held_out']}), {theirs['accuracy']:.3f} by TF-IDF + SVD + kNN"
        )
        return
    say(
        f"{about}; best epoch "
        f"{summary['best_epoch'] + 1} of {summary['epochs_run']}: {summary['held_out_accuracy']:.3f} of "
        f"{summary['cells_held_out']:,} held-out cells nearest to their own label ({summary['held_out']})"
    )
