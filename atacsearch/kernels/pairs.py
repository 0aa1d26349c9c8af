"""Compiled loops over (barcode, token) pairs: sort keys of barcodes, grouping by barcode, rows of items.

Functions over pointers, see `kernels.compiler`; each returns 0 where nothing else is said.
"""

from __future__ import annotations

import numpy as np

from .compiler import Kernels
from .types import Numbers, Words

_U8 = np.uint64(8)


def name_keys(
    arena: Numbers, barcode_at: Numbers, first: int, last: int, prefix: Numbers, skip: int, keys: Words
) -> int:
    """Keys of barcodes `first` to `last` that sort as their names: the eight bytes after `prefix`, big-endian.

    A barcode that does not begin with the `skip` bytes of the prefix gets the least or the greatest key.
    """
    for i in range(first, last):
        at, stop = barcode_at[i], barcode_at[i + 1]
        side = 0
        for j in range(skip):
            mine = np.int64(arena[at + j]) if at + j < stop else -1
            theirs = np.int64(prefix[j])
            if mine != theirs:
                side = 1 if mine > theirs else -1
                break
        if side != 0:
            keys[i] = np.uint64(0) if side < 0 else ~np.uint64(0)
            continue
        key = np.uint64(0)
        for j in range(8):
            place = at + skip + j
            key = (key << _U8) | (np.uint64(arena[place]) if place < stop else np.uint64(0))
        keys[i] = key
    return 0


def count_codes(codes: Numbers, n: int, counts: Numbers) -> int:
    """Add the number of times that each code occurs to `counts`."""
    for i in range(n):
        counts[codes[i]] += 1
    return 0


def group_tokens(codes: Numbers, tokens: Numbers, n: int, at: Numbers, out: Numbers) -> int:
    """Write each token to its code's next place, in order, and move that place on."""
    for i in range(n):
        code = codes[i]
        out[at[code]] = tokens[i]
        at[code] += 1
    return 0


def count_runs(codes: Numbers, lengths: Numbers, n: int, item_of: Numbers, counts: Numbers) -> int:
    """Add the lengths of runs to their items' counts; `item_of[code] < 0` leaves a run out."""
    for i in range(n):
        item = item_of[codes[i]]
        if item >= 0:
            counts[item] += lengths[i]
    return 0


def scatter_runs(
    codes: Numbers,
    lengths: Numbers,
    n: int,
    tokens: Numbers,
    item_of: Numbers,
    first: int,
    at: Numbers,
    out: Numbers,
) -> int:
    """Copy runs of tokens to their items' next places (`at[item - first]`), and move those on."""
    place = 0
    for i in range(n):
        item = item_of[codes[i]]
        length = lengths[i]
        if item >= 0:
            to = at[item - first]
            for j in range(length):
                out[to + j] = tokens[place + j]
            at[item - first] = to + length
        place += length
    return 0


KERNELS = Kernels(
    __file__,
    {
        "name_keys": (name_keys, "u1 i8 n n u1 n u8"),
        "count_codes": (count_codes, "u4 n i8"),
        "group_tokens": (group_tokens, "u4 u4 n i8 u4"),
        "count_runs": (count_runs, "u4 u4 n i4 i8"),
        "scatter_runs": (scatter_runs, "u4 u4 n u4 i4 n i8 u4"),
    },
)
