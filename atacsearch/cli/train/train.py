"""`atacsearch train pretrain|celltype`: models from data; other commands of the group have their own files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ...training.recipes.options import CelltypeOptions, PretrainOptions
from ..lazy import LazyCommand, LazyGroup
from ..options import debug_option, read_options, reader_options
from .options import recipe_options, run_recipe


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
@recipe_options(PretrainOptions)
@reader_options
@debug_option
def pretrain(inputs: tuple[str, ...], out: Path, reading: dict[str, Any], **options: Any) -> None:
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
    from ...training.recipes.pretrain import pretrain_files

    read = read_options(reading)
    run_recipe(lambda **told: pretrain_files(inputs, out, PretrainOptions(**options), read, **told))


@train.command()
@click.argument("inputs", nargs=-1, required=True, metavar="REF...")
@click.option("--label", required=True, metavar="COLUMN", help="Column of the labels, such as cell_type.")
@recipe_options(CelltypeOptions, first=("batch", "unlabelled"))
@reader_options
@debug_option
def celltype(inputs: tuple[str, ...], label: str, out: Path, reading: dict[str, Any], **options: Any) -> None:
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
    from ...training.recipes.celltype import celltype_files

    read = read_options(reading)
    run_recipe(lambda **told: celltype_files(inputs, label, out, CelltypeOptions(**options), read, **told))
