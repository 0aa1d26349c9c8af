"""`BinIndex`: intervals sorted for compiled look-up, one table access and a short walk a query.

Intervals are sorted by chromosome and start. A bin of 2**shift bases holds the first interval that can still
overlap anything in it: the first whose running maximum of ends reaches past the bin's start. From there a walk
ends at the first interval that starts at or after the query's end. Exact for any order and any overlap of the
intervals.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ...genome.intervals import Intervals

MAX_COORDINATE = 2**31 - 1


class BinIndex(NamedTuple):
    """Arrays of an index over intervals of n_chroms chromosomes.

    Attributes:
        bin_at: [n_chroms + 1] int64, where a chromosome's bins begin in `first`.
        first: [n_bins] int32, first interval to look at.
        stop: [n_chroms] int64, where a chromosome's intervals end.
        start: [n] int32, sorted within a chromosome.
        end: [n] int32.
        value: [n] uint32, what a hit yields (token id, or a kind).
        shift: log2 of the bin width.
    """

    bin_at: npt.NDArray[np.int64]
    first: npt.NDArray[np.int32]
    stop: npt.NDArray[np.int64]
    start: npt.NDArray[np.int32]
    end: npt.NDArray[np.int32]
    value: npt.NDArray[np.uint32]
    shift: int


def build_bins(regions: Intervals, value: npt.NDArray[np.uint32], n_chroms: int) -> BinIndex:
    """Index intervals whose `chrom` codes are below `n_chroms`.

    Args:
        regions: in any order, overlapping or not.
        value: [n] uint32, what a hit on each interval yields.
        n_chroms: number of chromosome codes.
    """
    order = np.lexsort((regions.start, regions.chrom))
    chrom = regions.chrom[order].astype(np.int64)
    start, end = regions.start[order], regions.end[order]
    begin = np.searchsorted(chrom, np.arange(n_chroms + 1))
    extent = np.zeros(n_chroms, np.int64)
    np.maximum.at(extent, chrom, end)
    shift = _bin_shift(int(extent.sum()), len(order))
    n_bins = (extent >> shift) + 1
    bin_at = np.zeros(n_chroms + 1, np.int64)
    np.cumsum(n_bins, out=bin_at[1:])
    first = np.empty(bin_at[-1], np.int32)
    for code in range(n_chroms):
        low, high = begin[code], begin[code + 1]
        reach = np.maximum.accumulate(end[low:high]) if high > low else end[low:high]
        edges = np.arange(n_bins[code], dtype=np.int64) << shift
        first[bin_at[code] : bin_at[code + 1]] = low + np.searchsorted(reach, edges, "right")
    return BinIndex(
        bin_at,
        first,
        begin[1:].astype(np.int64),
        start.astype(np.int32),
        end.astype(np.int32),
        value[order],
        shift,
    )


def empty_bins() -> BinIndex:
    """An index of no intervals, for a TSS table or blacklist that the user does not give."""
    none = Intervals((), np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0, np.int64))
    return build_bins(none, np.empty(0, np.uint32), 0)


def _bin_shift(extent: int, n: int) -> int:
    """The width that makes about as many bins as intervals: most walks see one or two, and the table stays small."""
    shift = 8
    while extent >> shift > max(2 * n, 1024):
        shift += 1
    return shift
