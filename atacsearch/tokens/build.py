"""Building a universe: coverage cut-off consensus over peak files, peaks of matrices, and fragments.

Every source gives weighted peaks. Where more than one source covers a stretch, the cut-off is raised inside
it until the pieces are within the width limit, so that a broad domain does not swallow the narrow peaks in it
(the coverage cut-off universe of Rymuza et al., NAR 2024, doi:10.1093/nar/gkae685, with a width limit). Kept
are the regions with most coverage.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from atacsearch.errors import InputError

from ..genome.aliases import canonical_chroms
from ..genome.assemblies import ASSEMBLIES, canonical_genome, get_assembly
from ..genome.bounds import check_bounds
from ..genome.intervals import Intervals, concat_ranges, sorted_unique
from ..genome.overlap import OverlapIndex
from .options import MAX_REGIONS, MAX_WIDTH, MIN_WIDTH
from .universe import Universe

_PILED_UP = 4.0  # mean depth from which plain intervals are taken for fragments
_ENRICHED = 3.0  # depth over the mean of covered windows from which fragments make a peak
_MIN_DEPTH = 3
_WINDOW = 10_000  # bp

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Pileup:
    """Intervals whose depth counts, such as fragments or reads, rather than each one being a peak."""

    intervals: Intervals


UniverseSource = (
    Intervals | Pileup | tuple[Intervals, npt.ArrayLike]
)  # the array: cells in which a peak is open


def build_universe(
    sources: Sequence[UniverseSource],
    *,
    genome: str | None = None,
    max_regions: int = MAX_REGIONS,
    min_width: int | None = None,
    max_width: int | None = None,
    cutoff: int | None = None,
) -> Universe:
    """Make a sorted universe of regions that do not overlap.

    Args:
        sources: `Intervals` of a peak file; `Pileup` of fragments; `(peaks, coverage)` of a matrix, coverage
            [n] being the number of cells in which a peak is open. Plain intervals that lie 4 deep on average
            are taken for fragments.
        genome: assembly name; checked against the coordinates and kept with the universe.
        max_regions: keep this many, by coverage.
        min_width: narrower regions are widened to this many bp; default 200.
        max_width: wider ones are split to at most this many bp; default 1,000. The peaks of a matrix that is
            the only source, or of several that all have the same ones, are left as they are unless a width
            is given.
        cutoff: least number of sources that cover a region; default 1 up to 9 sources, 2 from 10 on.

    Returns:
        The universe: chromosomes in the order of the genome (else natural order), regions by start.

    Raises:
        InputError: no intervals, or limits that contradict each other. GenomeError: coordinates the genome
            lacks.
    """
    if max_regions < 1:
        raise InputError(f"max_regions is {max_regions}; expected at least 1")
    sources = _as_one(sources)
    as_they_are = (
        min_width is None and max_width is None and len(sources) == 1 and isinstance(sources[0], tuple)
    )
    low, high = _width_limits(min_width, max_width)
    named = [(_canonical(peaks, genome), weights) for peaks, weights in map(_peaks_of, sources)]
    chroms = _chromosomes([peaks for peaks, _ in named], genome)
    peaks = [_recode(found, weights, chroms) for found, weights in named]
    peaks = [p for p in peaks if len(p[0])]
    if not peaks:
        raise InputError("the inputs hold no intervals; a universe needs at least one region")
    if as_they_are:
        regions, score = _merge_overlapping(*peaks[0])
    else:
        regions, score = _consensus_regions(peaks, len(chroms), cutoff, high)
    best = np.lexsort((regions.start, regions.chrom, -score))[:max_regions]
    regions = regions.take(np.sort(best))
    if not as_they_are:
        regions = _widen(regions, low, high, _lengths(chroms, genome))
    return _as_universe(regions, chroms, genome)


def _width_limits(min_width: int | None, max_width: int | None) -> tuple[int, int]:
    """The least and greatest width; a default gives way to a limit that the user gives."""
    low = MIN_WIDTH if min_width is None else min_width
    high = max(MAX_WIDTH, low) if max_width is None else max_width
    low = min(low, high) if min_width is None else low
    if not 1 <= low <= high:
        raise InputError(f"widths from {low} to {high} bp are no range; expected 1 <= min_width <= max_width")
    return low, high


def _consensus_regions(
    peaks: Sequence[tuple[Intervals, Floats]], n_chroms: int, cutoff: int | None, max_width: int
) -> tuple[Intervals, Floats]:
    """Regions that enough sources cover, and the coverage of each [n]."""
    least = cutoff if cutoff is not None else (1 if len(peaks) < 10 else 2)
    regions = _consensus([p for p, _ in peaks], n_chroms, least, max_width)
    if not len(regions):
        raise InputError(f"no region is covered by {least} of the {len(peaks)} inputs; use a lower cut-off")
    return regions, _scores(regions, peaks)


def _as_universe(regions: Intervals, chroms: tuple[str, ...], genome: str | None) -> Universe:
    """The universe of the regions, after a check of their bounds; chromosomes without a region are left out."""
    made = Intervals(chroms, regions.chrom.astype(np.int32), regions.start, regions.end)
    known = canonical_genome(genome)
    if known in ASSEMBLIES:
        check_bounds(made, str(known), "the universe to build")
    used = sorted_unique(made.chrom)
    recode = np.full(len(chroms), -1, np.int32)
    recode[used] = np.arange(len(used))
    return Universe(
        Intervals(tuple(chroms[i] for i in used), recode[made.chrom], made.start, made.end), genome=genome
    )


# -- sources to weighted peaks


def _as_one(sources: Sequence[UniverseSource]) -> Sequence[UniverseSource]:
    """Matrices that all have the same peaks, such as a reference and its query, are one with all the cells."""
    tables = [source for source in sources if isinstance(source, tuple)]
    if len(tables) < 2 or len(tables) < len(sources):
        return sources
    first = tables[0][0]
    for peaks, _ in tables[1:]:
        if peaks.chroms != first.chroms or not all(
            np.array_equal(getattr(peaks, name), getattr(first, name)) for name in ("chrom", "start", "end")
        ):
            return sources
    return [(first, np.stack([np.asarray(coverage, np.float64) for _, coverage in tables]).sum(0))]


def _peaks_of(source: UniverseSource) -> tuple[Intervals, Floats]:
    """Peaks of a source and a weight in (0, 1] for each."""
    if isinstance(source, tuple):
        peaks, weights = source[0], np.asarray(source[1], np.float64)
        if len(peaks) != len(weights):
            raise InputError(f"{len(weights)} coverages do not fit {len(peaks)} peaks")
        return peaks, weights / max(float(weights.max(initial=0.0)), 1e-300)
    if isinstance(source, Pileup):
        return _call_peaks(source.intervals)
    if not len(source):
        return source, np.ones(0)
    merged = _union(source)
    depth = float((source.end - source.start).sum() / max(int((merged.end - merged.start).sum()), 1))
    return _call_peaks(source) if depth >= _PILED_UP else (source, np.ones(len(source)))


def _call_peaks(fragments: Intervals) -> tuple[Intervals, Floats]:
    """Stretches where fragments lie much deeper than on average; weighted by their greatest depth."""
    if not len(fragments):
        return fragments, np.ones(0)
    bases = int((fragments.end - fragments.start).sum())
    touched = sorted_unique((fragments.chrom.astype(np.int64) << 32) + fragments.start // _WINDOW)
    cutoff = max(_MIN_DEPTH, round(_ENRICHED * bases / (len(touched) * _WINDOW)))
    found: list[tuple[Ints, Ints, Ints, Floats]] = []
    for code in range(len(fragments.chroms)):
        own = fragments.take(fragments.chrom == code)
        at, depth = _coverage([own])
        begin, end, top = _runs(at[:-1], at[1:], depth, cutoff)
        found.append((np.full(len(begin), code, np.int64), begin, end, top.astype(np.float64)))
    chrom, start, stop, top = (np.concatenate(x) for x in zip(*found, strict=True))
    peaks = Intervals(fragments.chroms, chrom.astype(np.int32), start, stop)
    return peaks, np.asarray(top / max(float(top.max(initial=1.0)), 1.0), np.float64)


# -- consensus


def _coverage(sets: Sequence[Intervals]) -> tuple[Ints, Ints]:
    """Positions [m + 1] where the depth changes on one chromosome, and the depth [m] between them."""
    starts, ends = (np.concatenate(x) for x in ([s.start for s in sets], [s.end for s in sets]))
    events = np.sort(np.concatenate([starts * 2 + 1, ends * 2]))  # the last bit tells a start from an end
    depth = np.cumsum(np.where(events & 1, 1, -1))
    at = events >> 1
    last = np.flatnonzero(np.append(at[1:] != at[:-1], True))
    return at[last], depth[last[:-1]]


def _runs(begin: Ints, end: Ints, value: npt.NDArray[np.int64], least: int) -> tuple[Ints, Ints, Ints]:
    """Joined stretches of touching pieces with value >= least: starts, ends, greatest value of each."""
    keep = value >= least
    begin, end, value = begin[keep], end[keep], value[keep]
    if not len(begin):
        return begin, end, value
    first = np.flatnonzero(np.concatenate([[True], begin[1:] > end[:-1]]))
    last = np.append(first[1:], len(begin)) - 1
    return begin[first], end[last], np.maximum.reduceat(value, first)


def _consensus(sets: Sequence[Intervals], n_chroms: int, least: int, max_width: int) -> Intervals:
    """Regions covered by at least `least` sets, none wider than `max_width`."""
    merged = [_union(s) for s in sets]
    parts: list[tuple[Ints, Ints, Ints]] = []
    for code in range(n_chroms):
        own = [m.take(m.chrom == code) for m in merged]
        own = [m for m in own if len(m)]
        if own:
            start, end = _raise_cutoff(*_coverage(own), least, max_width)
            parts.append((np.full(len(start), code, np.int64), start, end))
    chrom, start, end = (np.concatenate(x) for x in zip(*parts, strict=True))
    return Intervals(sets[0].chroms, chrom.astype(np.int32), start, end)


def _raise_cutoff(at: Ints, depth: Ints, least: int, max_width: int) -> tuple[Ints, Ints]:
    """Runs of depth >= least; too wide ones by a higher cut-off, and so on; plateaus are tiled."""
    begin, end, value = at[:-1], at[1:], depth
    starts: list[Ints] = []
    ends: list[Ints] = []
    level = least
    while len(begin):
        first, last, top = _runs(begin, end, value, level)
        wide = last - first > max_width
        plateau = wide & (top <= level)
        starts.append(first[~wide])
        ends.append(last[~wide])
        tiled = _tile(first[plateau], last[plateau], max_width)
        starts.append(tiled[0])
        ends.append(tiled[1])
        go_on = wide & ~plateau
        if not go_on.any():
            break
        first, last = first[go_on], last[go_on]
        inside = np.searchsorted(first, begin, "right") - 1
        kept = (inside >= 0) & (begin < last[inside]) & (value > level)
        begin, end, value = begin[kept], end[kept], value[kept]
        level = max(level + 1, int(level * 1.1))
        if len(value) and int(value.max()) < level:
            level = int(value.max())
    start, stop = np.concatenate(starts), np.concatenate(ends)
    order = np.argsort(start)
    return start[order], stop[order]


def _tile(start: Ints, end: Ints, max_width: int) -> tuple[Ints, Ints]:
    """Each stretch cut into equal pieces of at most `max_width`."""
    pieces = -(-(end - start) // max_width)
    row = np.repeat(np.arange(len(start)), pieces)
    number = concat_ranges(np.zeros(len(start), np.int64), pieces)
    width = (end - start)[row]
    return start[row] + width * number // pieces[row], start[row] + width * (number + 1) // pieces[row]


def _scores(regions: Intervals, peaks: Sequence[tuple[Intervals, Floats]]) -> Floats:
    """[n] coverage: summed over the sources, the greatest weight of a peak on the region."""
    index = OverlapIndex(regions)
    total = np.zeros(len(regions))
    for own, weights in peaks:
        best = np.zeros(len(regions))
        rows, positions = index.query(own)
        np.maximum.at(best, index.order[positions], weights[rows])
        total += best
    return total


# -- finishing


def _union(x: Intervals) -> Intervals:
    """Overlapping and touching intervals joined, sorted."""
    if not len(x):
        return x
    order = np.lexsort((x.start, x.chrom))
    base = x.chrom[order].astype(np.int64) << 32
    start, reach = base + x.start[order], np.maximum.accumulate(base + x.end[order])
    first = np.flatnonzero(np.concatenate([[True], start[1:] > reach[:-1]]))
    last = np.append(first[1:], len(start)) - 1
    chrom = x.chrom[order][first]
    base = chrom.astype(np.int64) << 32
    return Intervals(x.chroms, chrom, start[first] - base, reach[last] - base)


def _merge_overlapping(peaks: Intervals, weights: Floats) -> tuple[Intervals, Floats]:
    """Peaks as they are, but those that share a base joined, with the greatest weight."""
    order = np.lexsort((peaks.start, peaks.chrom))
    base = peaks.chrom[order].astype(np.int64) << 32
    start, reach = base + peaks.start[order], np.maximum.accumulate(base + peaks.end[order])
    first = np.flatnonzero(np.concatenate([[True], start[1:] >= reach[:-1]]))
    last = np.append(first[1:], len(start)) - 1
    chrom = peaks.chrom[order][first]
    base = chrom.astype(np.int64) << 32
    merged = Intervals(peaks.chroms, chrom, start[first] - base, reach[last] - base)
    return merged, np.maximum.reduceat(weights[order], first)


def _widen(x: Intervals, min_width: int, max_width: int, lengths: Ints) -> Intervals:
    """Widen narrow regions about their middle; join or part neighbours that then overlap."""
    need = np.maximum(min_width - (x.end - x.start), 0)
    limit = np.maximum(lengths[x.chrom], x.end)
    # What does not fit before one end of the chromosome goes to the other side of the region.
    start = np.clip(x.start - need // 2, 0, np.maximum(limit - (x.end - x.start) - need, 0))
    end = np.minimum(start + (x.end - x.start) + need, limit)
    chrom_list, start_list, end_list = x.chrom.tolist(), start.tolist(), end.tolist()
    out: list[tuple[int, int, int]] = []
    for code, begin, stop in zip(chrom_list, start_list, end_list, strict=True):
        if out and out[-1][0] == code and begin < out[-1][2]:
            _, before, until = out[-1]
            if max(stop, until) - before <= max_width:
                out[-1] = (code, before, max(stop, until))
                continue
            middle = (begin + until) // 2
            if stop - before >= 2 * min_width:  # neither part below the least width
                middle = min(max(middle, before + min_width), stop - min_width)
            out[-1] = (code, before, middle)
            begin = middle
        out.append((code, begin, stop))
    columns = np.array(out, np.int64).reshape(-1, 3)
    return Intervals(x.chroms, columns[:, 0].astype(np.int32), columns[:, 1], columns[:, 2])


def _canonical(x: Intervals, genome: str | None) -> Intervals:
    """The same with the chromosome names of the genome, so that `1` and `chr1` of two inputs meet."""
    known = canonical_genome(genome)
    return x.rename(canonical_chroms(x.chroms, known if known in ASSEMBLIES else None)[0])


def _chromosomes(sets: Sequence[Intervals], genome: str | None) -> tuple[str, ...]:
    """All chromosome names, in the order of the genome, the rest in natural order."""
    names = {name for x in sets for name in x.chroms}
    known = canonical_genome(genome)
    first = [c for c in get_assembly(known).chroms if c in names] if known in ASSEMBLIES and known else []
    rest = sorted(names - set(first), key=_natural)
    return (*first, *rest)


def _natural(name: str) -> tuple[bool, list[tuple[int, int, str]]]:
    parts = re.findall(r"\d+|\D+", name)
    return "_" in name, [(0, int(p), "") if p.isdigit() else (1, 0, p) for p in parts]


def _lengths(chroms: tuple[str, ...], genome: str | None) -> Ints:
    known = canonical_genome(genome)
    lengths = get_assembly(known).chroms if known in ASSEMBLIES and known else {}
    return np.array([lengths.get(c, np.iinfo(np.int64).max) for c in chroms], np.int64)


def _recode(peaks: Intervals, weights: Floats, chroms: tuple[str, ...]) -> tuple[Intervals, Floats]:
    """The same with chromosome codes that all sources share, and without intervals that hold no base."""
    place = {name: i for i, name in enumerate(chroms)}
    recode = np.array([place[c] for c in peaks.chroms], np.int32)
    real = peaks.end > peaks.start
    codes = recode[peaks.chrom] if len(recode) else peaks.chrom
    return Intervals(chroms, codes[real], peaks.start[real], peaks.end[real]), weights[real]
