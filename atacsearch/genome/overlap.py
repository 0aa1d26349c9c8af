"""Half-open interval overlap as two binary searches, for any order and any nesting of the searched regions.

Regions are sorted by (chromosome, start, end) and split into layers within which the ends rise with the
starts, so that the regions a query overlaps are one contiguous run of a layer: `region.end > start` and
`region.start < end`. A universe without containment has one layer; nested ones have as many as the nesting is
deep. As in bioframe's `arrops`, the kernel is plain numpy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .intervals import Intervals, concat_ranges

MAX_POSITION = 2**32 - 1  # positions share an int64 key with the chromosome code
_MAX_LAYERS = 64  # deeper nesting is finished by filtering instead of by more layers


@dataclass(frozen=True)
class Layer:
    """Regions of an `OverlapIndex` whose ends rise with their starts.

    Attributes:
        start_key: [n] int64, `chrom << 32 | start`, sorted.
        end_key: [n] int64, `chrom << 32 | end`, sorted (the running maximum where `filter_end` is set).
        position: [n] int64, place of each region in the (chromosome, start, end) order.
        filter_end: [n] int64 true end keys where the layer is still nested, else None.
    """

    start_key: npt.NDArray[np.int64]
    end_key: npt.NDArray[np.int64]
    position: npt.NDArray[np.int64]
    filter_end: npt.NDArray[np.int64] | None = None


class OverlapIndex:
    """What is searched: regions sorted once, queried many times.

    Attributes:
        chroms: chromosome names; their places are the codes in the keys of the layers.
        codes: chromosome name to code.
        order: [n] int64, `order[position]` is the row of the region in the intervals that were indexed.
        layers: the monotone layers.
        in_order: whether `order` is 0, 1, 2, … (the regions came sorted).
    """

    def __init__(self, regions: Intervals) -> None:
        self.chroms = regions.chroms
        self.codes = {name: code for code, name in enumerate(regions.chroms)}
        start_key = _key(regions.chrom, regions.start)
        end_key = _key(regions.chrom, regions.end)
        if _is_monotone(start_key, end_key):
            self.order = np.arange(len(regions), dtype=np.int64)
        else:
            self.order = np.lexsort((end_key, start_key)).astype(np.int64)
            start_key, end_key = start_key[self.order], end_key[self.order]
        self.in_order = bool(np.all(self.order[:-1] < self.order[1:]))
        self.layers = tuple(_split_layers(start_key, end_key))

    def query(
        self, queries: Intervals, codes: dict[str, int] | None = None
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """All pairs of a query and an indexed region with `region.start < end` and `region.end > start`.

        Args:
            queries: intervals, in any order; names that the index does not have overlap nothing.
            codes: chromosome name to code, where names are matched through aliases; default: exact names.

        Returns:
            ([n_pairs] int64 query rows, rising; [n_pairs] int64 positions in (chromosome, start, end) order,
            rising within a row). `order[positions]` gives the rows of the regions.
        """
        lookup = self.codes if codes is None else codes
        recode = np.fromiter((lookup.get(c, -1) for c in queries.chroms), np.int64, len(queries.chroms))
        chrom = recode[queries.chrom] if len(queries.chroms) else np.empty(0, np.int64)
        known: npt.NDArray[np.int64] | None = None
        start, end = queries.start, queries.end
        if (recode < 0).any():
            known = np.flatnonzero(chrom >= 0)
            chrom, start, end = chrom[known], start[known], end[known]
        low, high = _key(chrom, start), _key(chrom, end)

        # neighbouring queries touch neighbouring memory: sorting unsorted ones first is several times faster
        descents = np.count_nonzero(low[:-1] > low[1:])
        by_start = np.argsort(low) if descents * 20 > len(low) else None
        if by_start is not None:
            sorted_low, sorted_high = low[by_start], high[by_start]

        found: list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]] = []
        for layer in self.layers:
            if by_start is None:
                first = np.searchsorted(layer.end_key, low, "right")
                last = np.searchsorted(layer.start_key, high, "left")
            else:
                first, last = np.empty_like(low), np.empty_like(low)
                first[by_start] = np.searchsorted(layer.end_key, sorted_low, "right")
                last[by_start] = np.searchsorted(layer.start_key, sorted_high, "left")
            rows = np.repeat(np.arange(len(low), dtype=np.int64), np.maximum(last - first, 0))
            hits = concat_ranges(first, last)
            if layer.filter_end is not None:
                keep = layer.filter_end[hits] > low[rows]
                rows, hits = rows[keep], hits[keep]
            found.append((rows, layer.position[hits]))
        if len(found) == 1:
            rows, positions = found[0]
        elif found:
            rows = np.concatenate([r for r, _ in found])
            positions = np.concatenate([p for _, p in found])
            by_row = np.lexsort((positions, rows))
            rows, positions = rows[by_row], positions[by_row]
        else:
            rows = positions = np.empty(0, np.int64)
        return (rows if known is None else known[rows]), positions


def _key(chrom: npt.NDArray[np.integer], position: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """One sortable int64 of chromosome code and position; positions outside of any genome are clipped."""
    return (chrom.astype(np.int64) << 32) + np.clip(position, 0, MAX_POSITION)


def _is_monotone(start_key: npt.NDArray[np.int64], end_key: npt.NDArray[np.int64]) -> bool:
    return bool(np.all(start_key[:-1] <= start_key[1:]) and np.all(end_key[:-1] <= end_key[1:]))


def _split_layers(start_key: npt.NDArray[np.int64], end_key: npt.NDArray[np.int64]) -> list[Layer]:
    """Peel off, again and again, the regions that no earlier region outreaches."""
    layers: list[Layer] = []
    left = np.arange(len(start_key), dtype=np.int64)
    while len(left):
        ends = end_key[left]
        reach = np.maximum.accumulate(ends)
        if len(layers) + 1 == _MAX_LAYERS:
            layers.append(Layer(start_key[left], reach, left, ends))
            break
        outer = ends == reach
        layers.append(Layer(start_key[left[outer]], ends[outer], left[outer]))
        left = left[~outer]
    return layers
