"""What all matrices have in common: peaks checked against their genome, and items of the token sets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ...genome.bounds import extents
from ...genome.intervals import Intervals
from ...tokens.token_sets import TokenSets
from ..genome_check import SourceGenome, check_genome, report_chroms
from ..items import Items
from ..labels import with_constants
from ..liftover import lift_intervals
from ..options import ReadOptions
from ..report import ReadReport
from ..source import CellSource
from .tokens import PeakTokens

if TYPE_CHECKING:
    import pyarrow as pa

    from ...tokens.universe import Universe


def refuse_parity(parity: str | None, source: str) -> None:
    """Refuse `parity` for a matrix."""
    if parity is not None:
        raise InputError(f"{source}: parity='gtars' is for BED and fragment files, not for matrices")


def matrix_items(
    source: CellSource,
    sets: TokenSets,
    labels: pa.Table,
    report: ReadReport,
    genome: SourceGenome,
    digest: str,
) -> Items:
    """The items of a matrix: its token sets with ids, and the labels that all cells share added."""
    report.n_cells = len(sets)
    return Items(
        kind="cells",
        sets=sets,
        ids=source.ids(sets.names),
        labels=with_constants(labels, {**source.constants, "lifted_from": genome.lifted_from}),
        report=report,
        genome=genome.name,
        source=source.name,
        content_digest=digest,
    )


def tokens_of_peaks(
    peaks: Intervals,
    rows: npt.NDArray[np.int64],
    n_peaks: int,
    universe: Universe,
    genome: SourceGenome,
    options: ReadOptions,
    report: ReadReport,
) -> PeakTokens:
    """Check peaks against their genome, lift them where they are of another, and find their tokens.

    Args:
        peaks: [n] intervals.
        rows: [n] int64 column of the matrix that each peak stands for.
        n_peaks: columns of the matrix.
        universe: regions that the tokens stand for.
        genome: what `resolve_genome` found.
        options: strictness.
        report: gets notes and the fraction of peaks in the universe.
    """
    if genome.lift is not None:
        peaks, kept = lift_intervals(peaks, genome.lift, report)
        rows = rows[kept]
    lines = np.bincount(peaks.chrom, minlength=len(peaks.chroms))
    report_chroms(dict(zip(peaks.chroms, lines.tolist(), strict=True)), universe, report)
    check_genome(genome, universe, peaks, extents(peaks), report, options.strict_genome)
    tokens = PeakTokens.of(peaks, rows, n_peaks, universe)
    report.mapped_fraction = tokens.mapped / len(peaks)
    return tokens
