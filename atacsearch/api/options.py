"""Options of the functions beside the index: one table for the command line and for Python."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..options import Options, option


@dataclass(frozen=True)
class TokenizeOptions(Options):
    """How items become token sets."""

    parity: Literal["gtars"] | None = option(
        None,
        "Give exactly the ids that gtars gives: duplicates kept, unk where nothing is hit.",
        choices=("gtars",),
    )


@dataclass(frozen=True)
class EmbedOptions(Options):
    """Which vectors are made, and how."""

    modality: Literal["atac"] = option("atac", "What INPUT holds.", choices=("atac",))
    level: Literal["cell", "region"] = option(
        "cell",
        "One vector an item (cell or BED file), or one a region of each item.",
        choices=("cell", "region"),
    )
    vector: str = option(
        "general",
        "Which vector of an item: general, or a label that the model was trained for, such as cell_type.",
        metavar="NAME",
    )
    device: str = option("auto", "Where the encoder runs.", metavar="auto|cpu|cuda")
    dtype: Literal["auto", "float32", "bfloat16"] = option(
        "auto",
        "How precisely it computes: auto is bfloat16 on a GPU, float32 on a CPU.",
        choices=("auto", "float32", "bfloat16"),
    )


@dataclass(frozen=True)
class UniverseOptions(Options):
    """Which regions a universe holds."""

    genome: str | None = option(
        None, "Genome of the input (hg38, hg19, mm10, mm39 ...).", metavar="NAME", text=True
    )
    max_regions: int = option(
        250_000, "Keep at most this many regions, those covered by most inputs.", minimum=1
    )
    min_width: int | None = option(None, "Narrowest region, in base pairs.", minimum=1)
    max_width: int | None = option(None, "Widest region, in base pairs; wider ones are split.", minimum=1)
