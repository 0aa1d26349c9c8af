"""Options of the training recipes: one table for the command line and for Python. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ...options import Options, option

Size = Literal["tiny", "small", "base"]
SIZES = ("tiny", "small", "base")
WARM = "Start the token table from an SVD."


@dataclass(frozen=True)
class RunOptions(Options):
    """What every recipe takes: what a run starts from, and how it runs."""

    universe: str | Path | None = option(
        None, "Universe of a fresh model [default: made from the input].", metavar="U", text=True
    )
    model: str | Path | None = option(None, "Go on from this checkpoint.", metavar="BASE", text=True)
    size: Size = option("tiny", "Size of a fresh model; base is the paper's.", choices=SIZES)
    seed: int = option(0, "Seed of everything random.", minimum=0, maximum=2**32 - 1)
    dry_run: bool = option(
        False, "Say sizes, steps and the expected time, from a few timed steps; write nothing."
    )
    restart: bool = option(False, "Begin anew where an unfinished run lies in the output folder.")
    warm_start: bool = option(True, WARM, flag="--warm-start/--no-warm-start")
    device: str = option("auto", "Where the encoder runs.", metavar="auto|cpu|cuda")


@dataclass(frozen=True)
class PretrainOptions(RunOptions):
    """Pretraining by replaced-token detection."""

    size: Size = option("small", "Size of a fresh model; base is the paper's.", choices=SIZES)
    epochs: int = option(5, "Passes over the input, at the most.", minimum=1)
    batch_size: int = option(16, "Sets a step.", minimum=2)
    lr: float = option(5e-4, "Peak learning rate.", above=0, maximum=1)
    max_tokens: int = option(512, "Tokens of one set in one step.", minimum=2)
    replacement: Literal["uniform", "frequency"] = option(
        "uniform",
        "Replace by any region, as published, or by regions as often as the data hold them.",
        choices=("uniform", "frequency"),
    )
    contrastive: float = option(
        0.0, "Add a contrast of two halves of each set, with this weight.", metavar="WEIGHT", minimum=0
    )
    anchor: float = option(
        10.0,
        "Keep the vector of half a set near where the warm start or --model put the whole set; 0 is as published.",
        metavar="WEIGHT",
        minimum=0,
    )
    pooling: Literal["auto", "mean", "idf"] = option(
        "auto",
        "How regions make up a vector: as the warm start says, plain mean, or by inverse document frequency.",
        choices=("auto", "mean", "idf"),
    )
    holdout: float = option(
        0.05, "Share of the input that tells when to stop and is not trained on.", minimum=0, maximum=0.5
    )
    precision: Literal["auto", "float32", "bfloat16"] = option(
        "auto", "auto is bfloat16 autocast on CUDA.", choices=("auto", "float32", "bfloat16")
    )
    save_minutes: float = option(
        10.0, "Write the state to resume from so often, beside each epoch's end.", minimum=0
    )


@dataclass(frozen=True)
class CelltypeOptions(RunOptions):
    """Cell-type fine-tuning."""

    batch: str | None = option(None, "Column of donor, library or replicate.", metavar="COLUMN")
    unlabelled: tuple[str | Path, ...] = option(
        (),
        "More data, whose labels are not looked at: the cells to be named, or any others. Repeatable.",
        metavar="INPUT",
        multiple=True,
        text=True,
    )
    epochs: int | None = option(None, "Passes over the cells, at the most [default: 8].", minimum=1)
    batch_size: int | None = option(None, "Cells a step [default: 64].", minimum=4)
    lr: float | None = option(None, "Peak learning rate [default: 1e-3].", above=0, maximum=1)
    loss: Literal["head", "proxy", "triplet", "contrastive"] = option(
        "head",
        "head: leave the encoder, fit a head whose vector transfers the label. Others train the encoder: a "
        "cosine softmax, the published triplet loss, or a supervised contrastive one.",
        choices=("head", "proxy", "triplet", "contrastive"),
    )
    pretrain_epochs: int = option(
        0, "Epochs of replaced-token detection on the same input before fine-tuning.", minimum=0
    )


@dataclass(frozen=True)
class BatchOptions(RunOptions):
    """Batch correction."""

    label: str | None = option(None, "Column of what must be kept, such as cell_type.", metavar="COLUMN")
    epochs: int = option(8, "Passes over the cells.", minimum=1)
    batch_size: int = option(64, "Cells a step.", minimum=4)
    lr: float = option(1e-3, "Peak learning rate.", above=0, maximum=1)
    strength: float = option(1.0, "Weight of the reversed gradient at its peak.", minimum=0)
    layers: int = option(2, "Last encoder layers that train.", minimum=1)
    table_lr: float = option(
        0.0, "Learning rate of the token table; 0 leaves it as it is.", minimum=0, maximum=1
    )
    pretrain_epochs: int = option(
        0, "Epochs of replaced-token detection on the same input before.", minimum=0
    )


@dataclass(frozen=True)
class BulkOptions(RunOptions):
    """Label heads for BED files."""

    group: str | None = option(
        None, "Column of the collection; whole ones are held out to choose.", metavar="COLUMN"
    )
    unlabelled: tuple[str | Path, ...] = option(
        (), "More files, without labels. Repeatable.", metavar="INPUT", multiple=True, text=True
    )
    pretrain_epochs: int = option(
        0,
        "Epochs of replaced-token detection on subsamples of the files, for the general vector.",
        minimum=0,
    )
