"""Intervals of one assembly carried to another over the aligned blocks of a chain file.

The rule is that of UCSC's `liftOver` (Hinrichs et al. 2006, doi:10.1093/nar/gkj144) without `-multiple`: an interval
is lifted where exactly one chain aligns at least `min_match` of its bases; it becomes the stretch from the first to
the last of its aligned bases there, on the forward strand. Beyond that rule, what would come out more than
`MAX_STRETCH` times as long is dropped: it would open regions that the data say nothing about.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .aliases import canonical_chrom
from .chain import Chains
from .intervals import Intervals, concat_ranges

MIN_MATCH = 0.95  # share of an interval's bases that one chain must align, liftOver's default
MAX_STRETCH = 2.0  # lifted length over length

LIFTED, NO_CHROMOSOME, DELETED, PARTIAL, SPLIT, DUPLICATED, STRETCHED = range(7)
REASONS = {
    NO_CHROMOSOME: "on chromosomes that the chain file lacks",
    DELETED: "deleted",
    PARTIAL: "partly deleted",
    SPLIT: "split",
    DUPLICATED: "duplicated",
    STRETCHED: "stretched",
}


@dataclass(frozen=True)
class Lifted:
    """What became of intervals.

    Attributes:
        intervals: those that were lifted, in input order, with the new assembly's names and coordinates.
        rows: [m] int64 where each was in the input.
        fate: [n] int8 of every input interval: `LIFTED` or a reason among `REASONS`.
    """

    intervals: Intervals
    rows: npt.NDArray[np.int64]
    fate: npt.NDArray[np.int8]

    @property
    def lost(self) -> dict[str, int]:
        """Reason -> intervals that were not lifted for it."""
        counts = np.bincount(self.fate, minlength=len(REASONS) + 1)
        return {text: int(counts[code]) for code, text in REASONS.items() if counts[code]}


def lift(intervals: Intervals, chains: Chains, min_match: float = MIN_MATCH) -> Lifted:
    """Carry intervals over.

    Args:
        intervals: of the old assembly, 0-based half-open; chromosome names in any known style.
        chains: from the old assembly to the new one.
        min_match: share of its bases, above 0 and at most 1, that one chain must align.

    Returns:
        What was lifted and why the rest was not: `deleted` (no base is aligned), `partly deleted` (one chain, too
        few bases), `split` (several chains, none with enough), `duplicated` (several, each with enough),
        `stretched`.

    Raises:
        ValueError: `min_match` is no such share.
    """
    if not 0 < min_match <= 1:
        raise ValueError(f"min_match={min_match}: expected a share above 0, at most 1")
    n = len(intervals)
    fate = np.full(n, DELETED, np.int8)
    code = _codes(intervals.chroms, chains)[intervals.chrom]
    fate[code < 0] = NO_CHROMOSOME
    start, end = (code << 32) + intervals.start, (code << 32) + intervals.end
    # blocks that may overlap: from the first that reaches beyond the start to the last that begins before the end
    first = np.searchsorted(chains.reach, start, "right")
    stop = np.searchsorted(chains.start, end, "left")
    first[code < 0] = stop[code < 0] = 0
    block = concat_ranges(first, stop)
    row = np.repeat(np.arange(n), np.maximum(stop - first, 0))
    low = np.maximum(chains.start[block], start[row])
    high = np.minimum(chains.end[block], end[row])
    real = high > low
    block, row, low, high = block[real], row[real], low[real], high[real]
    chain = chains.chain[block]
    offset = low - chains.start[block]
    beyond = chains.end[block] - high
    new_low = chains.new_start[block] + np.where(chains.reverse[chain], beyond, offset)
    new_high = new_low + (high - low)
    # one entry an interval and chain
    key = row * len(chains.new_chrom) + chain
    order = np.argsort(key, kind="stable")
    firsts = np.flatnonzero(np.diff(key[order], prepend=-1))
    if not len(firsts):
        return Lifted(_none(chains), np.empty(0, np.int64), fate)
    aligned = np.add.reduceat((high - low)[order], firsts)
    new_low = np.minimum.reduceat(new_low[order], firsts)
    new_high = np.maximum.reduceat(new_high[order], firsts)
    row, chain = row[order][firsts], chain[order][firsts]
    length = (intervals.end - intervals.start)[row]
    enough = aligned >= min_match * length
    n_chains, n_enough = np.bincount(row, minlength=n), np.bincount(row[enough], minlength=n)
    fate[n_chains == 1] = PARTIAL
    fate[n_chains > 1] = SPLIT
    fate[n_enough > 1] = DUPLICATED
    fate[n_enough == 1] = LIFTED
    stretched = enough & (new_high - new_low > MAX_STRETCH * length)
    fate[row[stretched & (n_enough[row] == 1)]] = STRETCHED
    kept = enough & (fate[row] == LIFTED)
    found = Intervals(chains.new_chroms, chains.new_chrom[chain[kept]], new_low[kept], new_high[kept])
    return Lifted(found, row[kept], fate)


def _none(chains: Chains) -> Intervals:
    empty = np.empty(0, np.int64)
    return Intervals(chains.new_chroms, empty.astype(np.int32), empty, empty)


def _codes(names: tuple[str, ...], chains: Chains) -> npt.NDArray[np.int64]:
    """Place of each chromosome name among those of the old assembly, through aliases too; -1 for none."""
    exact = {name: i for i, name in enumerate(chains.old_chroms)}
    canonical = {canonical_chrom(name, chains.old_genome): i for name, i in reversed(exact.items())}
    found = [exact.get(name, canonical.get(canonical_chrom(name, chains.old_genome), -1)) for name in names]
    return np.array(found or [-1], np.int64)
