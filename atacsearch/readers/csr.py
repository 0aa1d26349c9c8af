"""Rows of tokens to sets: each item's tokens sorted and made unique."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from .compiled import compiled, trailing_zeros

_U1 = np.uint64(1)


@compiled
def unique_rows(tokens, offsets, first, last, n_regions, counts):  # type: ignore[no-untyped-def]
    """Sort the tokens of items `first` to `last` in place and drop duplicates; `counts` gets what is left.

    Long rows go through a bitmap of the universe, short ones are sorted.
    """
    n_words = (n_regions + 63) // 64
    bitmap = np.zeros(n_words, np.uint64)
    for item in range(first, last):
        low, high = offsets[item], offsets[item + 1]
        n = high - low
        if n < 2:
            counts[item] = n
            continue
        kept = low
        if n * 16 < n_words:
            tokens[low:high].sort()
            for i in range(low, high):
                if kept == low or tokens[kept - 1] != tokens[i]:
                    tokens[kept] = tokens[i]
                    kept += 1
        else:
            for i in range(low, high):
                token = tokens[i]
                bitmap[token >> 6] |= _U1 << np.uint64(token & 63)
            for w in range(n_words):
                bits = bitmap[w]
                while bits != 0:
                    tokens[kept] = w * 64 + trailing_zeros(bits)
                    kept += 1
                    bits &= bits - _U1
                bitmap[w] = 0
        counts[item] = kept - low


@compiled
def compact_rows(tokens, offsets, new_offsets):  # type: ignore[no-untyped-def]
    """Move the rows together in place, each shortened to its new length."""
    for item in range(len(new_offsets) - 1):
        low = offsets[item]
        for i in range(new_offsets[item + 1] - new_offsets[item]):
            tokens[new_offsets[item] + i] = tokens[low + i]


def rows_to_sets(
    offsets: npt.NDArray[np.int64], tokens: npt.NDArray[np.uint32], n_regions: int, threads: int = 1
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint32]]:
    """Make every row a set: ascending, without duplicates. `tokens` is overwritten.

    Args:
        offsets: [n_items + 1] int64.
        tokens: uint32 ids below `n_regions`.
        n_regions: size of the universe.
        threads: rows are shared out among so many.

    Returns:
        (offsets, tokens) of the sets.
    """
    n_items = len(offsets) - 1
    counts = np.zeros(n_items, np.int64)
    cuts = np.searchsorted(offsets, np.linspace(0, offsets[-1], threads + 1)[1:-1])
    bounds = [0, *np.minimum(cuts, n_items).tolist(), n_items]
    spans = list(pairwise(bounds))
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda s: unique_rows(tokens, offsets, s[0], s[1], n_regions, counts), spans))
    new_offsets = np.zeros(n_items + 1, np.int64)
    np.cumsum(counts, out=new_offsets[1:])
    compact_rows(tokens, offsets, new_offsets)
    return new_offsets, tokens[: new_offsets[-1]].copy()
