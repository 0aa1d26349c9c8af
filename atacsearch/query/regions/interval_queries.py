"""What `overlap` asks: regions, genes and BED files as token sets of the universe, one query each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ...genome.intervals import Intervals, sorted_unique
from ...genome.region_strings import format_region
from ..inputs import is_file
from ..session import Session
from .region_queries import intervals_of_text, region_tokens

if TYPE_CHECKING:
    from ...readers.options import ReadOptions


@dataclass(frozen=True)
class Asked:
    """Queries as sets of universe regions.

    Attributes:
        names: [q] region string of each, or the symbol of a gene.
        intervals: [q] what each was resolved to, 0-based half-open; None where it is more than one interval.
        bounds: [q + 1] int64; query i asks for `tokens[bounds[i]:bounds[i + 1]]`.
        tokens: uint32, each once in a query; none for a query that overlaps no universe region.
    """

    names: tuple[str, ...]
    intervals: Intervals | None
    bounds: npt.NDArray[np.int64]
    tokens: npt.NDArray[np.uint32]

    def __len__(self) -> int:
        return len(self.names)

    def together(self, name: str) -> Asked:
        """All of them as one query."""
        tokens = sorted_unique(self.tokens)
        return Asked((name,), None, np.array([0, len(tokens)], np.int64), tokens)


def ask(session: Session, query: str | Path, options: ReadOptions) -> Asked:
    """Resolve a query: a BED file first, then a region string, then a gene symbol.

    Args:
        session: the open index.
        query: a BED file (each region asks on its own), a region string (1-based inclusive), or a gene of the
            index's gene table (each of its promoters asks).
        options: genome of the file or region, and a chain file to lift it with.

    Raises:
        InputError: it is none of these, or overlaps no region of the universe.
        GenomeError: of another genome.
    """
    text = str(query)
    if is_file(text):
        return _from_file(session, text, options)
    wanted = intervals_of_text(session, text, options)
    region_tokens(session, text, wanted)  # says what was asked; an error where it overlaps nothing
    distinct = _distinct(wanted)
    names = [text] * len(distinct)
    return _asked(session, names, distinct)


def _distinct(intervals: Intervals) -> Intervals:
    """Each interval once; promoters of several transcripts are often the same."""
    keys = np.stack([intervals.chrom.astype(np.int64), intervals.start, intervals.end], 1)
    _, first = np.unique(keys, axis=0, return_index=True)
    return intervals.take(np.sort(first))


def _asked(session: Session, names: list[str], intervals: Intervals) -> Asked:
    rows, tokens = session.universe.overlap(intervals)
    bounds = np.searchsorted(rows, np.arange(len(intervals) + 1))
    return Asked(tuple(names), intervals, bounds.astype(np.int64), tokens)


def _from_file(session: Session, path: str, options: ReadOptions) -> Asked:
    from ...genome.bounds import extents
    from ...readers.bed import read_bed
    from ...readers.genome_check import check_genome, report_chroms, resolve_genome
    from ...readers.inputs.detect import detect_kind
    from ...readers.liftover import lift_intervals
    from ...readers.report import ReadReport

    kind = detect_kind(path)
    if kind != "bed":
        raise InputError(
            f"{path}: is {kind}; overlap asks with a BED file, a region (chr1:1001-1500) or a gene"
        )
    universe = session.universe
    report = ReadReport(path, "bed")
    genome = resolve_genome(options.genome, None, universe.genome, report, options.liftover)
    intervals = read_bed(path, report)
    if genome.lift is not None:
        intervals, _ = lift_intervals(intervals, genome.lift, report)
    lines = np.bincount(intervals.chrom, minlength=len(intervals.chroms))
    report_chroms(dict(zip(intervals.chroms, lines.tolist(), strict=True)), universe, report)
    check_genome(genome, universe, intervals, extents(intervals), report, options.strict_genome)
    columns = zip(intervals.names().tolist(), intervals.start.tolist(), intervals.end.tolist(), strict=True)
    asked = _asked(session, [format_region(*one) for one in columns], intervals)
    for line in report.lines():
        session.notify(line)
    hit = int(np.count_nonzero(np.diff(asked.bounds)))
    if not hit:
        raise InputError(
            f"{path}: none of its {len(asked):,} regions overlaps a region of the universe "
            f"(chromosomes {', '.join(universe.intervals.chroms[:3])} ...)"
        )
    session.notify(f"{path}: {len(asked):,} regions, {hit:,} overlap the universe")
    return asked
