"""Rows of tokens to sets: each item's tokens sorted and made unique."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from .compiler import Kernels, trailing_zeros
from .types import Numbers, Words

_U0, _U1 = np.uint64(0), np.uint64(1)
_SHORT = 48  # rows up to here are sorted by insertion


def unique_rows(
    tokens: Numbers, offsets: Numbers, first: int, last: int, bitmap: Words, n_words: int, counts: Numbers
) -> int:
    """Sort the tokens of items `first` to `last` in place and drop duplicates; `counts` gets what is left.

    Long rows go through a bitmap of the universe (`n_words` words, all zero before and after).
    """
    for item in range(first, last):
        low = offsets[item]
        high = offsets[item + 1]
        kept = low
        if high - low <= _SHORT:
            for i in range(low, high):
                token = tokens[i]
                j = kept
                while j > low and tokens[j - 1] > token:
                    j -= 1
                if j == low or tokens[j - 1] != token:
                    for k in range(kept, j, -1):
                        tokens[k] = tokens[k - 1]
                    tokens[j] = token
                    kept += 1
        else:
            for i in range(low, high):
                place = np.uint64(tokens[i])
                bitmap[np.int64(place >> np.uint64(6))] |= _U1 << (place & np.uint64(63))
            for w in range(n_words):
                bits = bitmap[w]
                while bits != _U0:
                    tokens[kept] = np.uint32(w * 64 + trailing_zeros(bits))
                    kept += 1
                    bits &= bits - _U1
                bitmap[w] = _U0
        counts[item] = kept - low
    return 0


def compact_rows(tokens: Numbers, offsets: Numbers, new_offsets: Numbers, n: int) -> int:
    """Move the n rows together in place, each shortened to its new length."""
    for item in range(n):
        low = offsets[item]
        for i in range(new_offsets[item + 1] - new_offsets[item]):
            tokens[new_offsets[item] + i] = tokens[low + i]
    return 0


KERNELS = Kernels(
    __file__,
    {"unique_rows": (unique_rows, "u4 i8 n n u8 n i8"), "compact_rows": (compact_rows, "u4 i8 i8 n")},
)


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
    n_words = (n_regions + 63) // 64

    def work(span: tuple[int, int]) -> None:
        KERNELS("unique_rows", tokens, offsets, *span, np.zeros(n_words, np.uint64), n_words, counts)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, spans))
    new_offsets = np.zeros(n_items + 1, np.int64)
    np.cumsum(counts, out=new_offsets[1:])
    KERNELS("compact_rows", tokens, offsets, new_offsets, n_items)
    return new_offsets, tokens[: new_offsets[-1]].copy()
