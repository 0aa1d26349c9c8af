"""The compiled passes of interval overlap. Functions over pointers, see `kernels.compiler`."""

from __future__ import annotations

from .compiler import Kernels
from .types import Numbers

MAX_POSITION = 2**32 - 1  # half of the bytes to go through, and no genome has longer chromosomes


def find_ranges(
    chrom: Numbers, start: Numbers, end: Numbers, n: int, recode: Numbers, real_only: int, starts: Numbers,
    ends: Numbers, bounds: Numbers, first: Numbers, last: Numbers, totals: Numbers,
) -> int:  # fmt: skip
    """For every query, the run of regions with `region.end > start` and `region.start < end`.

    Each search begins where the one before ended and gallops from there where that is far, so that sorted
    queries cost a few steps each.

    Args:
        chrom, start, end: [n] queries, int32 and int64.
        n: number of queries.
        recode: int64 code of each query chromosome among those of the regions, -1 for none.
        real_only: whether queries with `end <= start` find nothing; else they find what both bounds allow.
        starts, ends: uint32 of the regions by chromosome code, each sorted within a chromosome.
        bounds: [n_codes + 1] int64 places at which chromosomes begin.
        first, last: [n] int64, filled: the run is `first <= position < last`; 0 and 0 where there is none.
        totals: [2] int64, filled: pairs, and queries with a run.

    Returns:
        1 where `first` never falls over the queries that have a run, else 0.
    """
    at = 0
    pairs = 0
    hit = 0
    rising = 1
    before = 0
    for i in range(n):
        code = recode[chrom[i]]
        low = start[i]
        high = end[i]
        if code < 0 or (real_only and high <= low):
            first[i] = 0
            last[i] = 0
            continue
        low = 0 if low < 0 else MAX_POSITION if low > MAX_POSITION else low
        high = 0 if high < 0 else MAX_POSITION if high > MAX_POSITION else high
        floor = bounds[code]
        top = bounds[code + 1]
        if at < floor or at > top:
            at = floor
        # The first region that ends beyond `low` is in (below, above]. It is mostly near: eight at a time first,
        # which the compiler turns into one comparison.
        jumps = 0
        while at + 8 <= top and ends[at + 7] <= low and jumps < 16:
            at += 8
            jumps += 1
        if at + 8 <= top and ends[at + 7] > low and (at == floor or ends[at - 1] <= low):
            passed = 0
            for k in range(8):
                passed += ends[at + k] <= low
            at += passed
        else:
            step = 1
            if at < top and ends[at] <= low:
                below = at
                above = at + 1
                while above < top and ends[above] <= low:
                    below = above
                    step *= 2
                    above = below + step if below + step < top else top
            else:
                above = at
                below = at - 1
                while below >= floor and ends[below] > low:
                    above = below
                    step *= 2
                    below = above - step if above - step >= floor else floor - 1
            while above - below > 1:
                middle = (below + above) >> 1
                if ends[middle] <= low:
                    below = middle
                else:
                    above = middle
            at = above
        # and from there the first one that begins at or after `high`: mostly the next or the one after
        above = at
        stop = at + 8 if at + 8 < top else top
        while above < stop and starts[above] < high:
            above += 1
        if above == at + 8:
            below = above - 1
            step = 1
            while above < top and starts[above] < high:
                below = above
                step *= 2
                above = below + step if below + step < top else top
            while above - below > 1:
                middle = (below + above) >> 1
                if starts[middle] < high:
                    below = middle
                else:
                    above = middle
        first[i] = 0
        last[i] = 0
        if above > at:
            first[i] = at
            last[i] = above
            pairs += above - at
            hit += 1
            if at < before:
                rising = 0
            before = at
    totals[0] = pairs
    totals[1] = hit
    return rising


def expand_ranges(first: Numbers, last: Numbers, n: int, rows: Numbers, positions: Numbers) -> int:
    """Write a row and a position for everything in the [n] ranges; returns how many."""
    at = 0
    for i in range(n):
        for position in range(first[i], last[i]):
            rows[at] = i
            positions[at] = position
            at += 1
    return at


def union_ranges(first: Numbers, last: Numbers, n: int, positions: Numbers) -> int:
    """Write the distinct positions of [n] ranges whose `first` never falls, ascending; returns how many."""
    at = 0
    after = 0
    for i in range(n):
        position = first[i] if first[i] > after else after
        while position < last[i]:
            positions[at] = position
            position += 1
            at += 1
        after = position if position > after else after
    return at


def mark_ranges(first: Numbers, last: Numbers, n: int, seen: Numbers) -> int:
    """Set `seen` at every position of the [n] ranges, which may come in any order."""
    for i in range(n):
        position = first[i]
        while position < last[i]:
            seen[position] = 1
            position += 1
    return 0


KERNELS = Kernels(
    __file__,
    {
        "find_ranges": (find_ranges, "i4 i8 i8 n i8 n u4 u4 i8 i8 i8 i8"),
        "expand_ranges": (expand_ranges, "i8 i8 n i8 i8"),
        "union_ranges": (union_ranges, "i8 i8 n u4"),
        "mark_ranges": (mark_ranges, "i8 i8 n u1"),
    },
)
