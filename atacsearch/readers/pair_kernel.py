"""Compiled loops over (barcode, token) pairs: sort keys of barcodes, grouping by barcode, rows of items."""

from __future__ import annotations

import numpy as np

from .compiled import compiled

_U8 = np.uint64(8)


@compiled
def name_keys(arena, barcode_at, first, last, prefix, keys):  # type: ignore[no-untyped-def]
    """Keys of barcodes `first` to `last`: the eight bytes after `prefix`, big-endian, so that keys sort as names.

    A barcode that begins otherwise gets the least or the greatest key.
    """
    skip = len(prefix)
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


@compiled
def count_codes(codes, counts):  # type: ignore[no-untyped-def]
    """Add the number of times that each code occurs to `counts`."""
    for i in range(len(codes)):
        counts[codes[i]] += 1


@compiled
def group_tokens(codes, tokens, at, out):  # type: ignore[no-untyped-def]
    """Write each token to its code's next place, in order, and move that place on."""
    for i in range(len(codes)):
        code = codes[i]
        out[at[code]] = tokens[i]
        at[code] += 1


@compiled
def count_runs(codes, lengths, item_of, counts):  # type: ignore[no-untyped-def]
    """Add the lengths of runs to their items' counts; `item_of[code] < 0` leaves a run out."""
    for i in range(len(codes)):
        item = item_of[codes[i]]
        if item >= 0:
            counts[item] += lengths[i]


@compiled
def scatter_runs(codes, lengths, tokens, item_of, first, at, out):  # type: ignore[no-untyped-def]
    """Copy runs of tokens to their items' next places (`at[item - first]`), and move those on."""
    place = 0
    for i in range(len(codes)):
        item = item_of[codes[i]]
        n = lengths[i]
        if item >= 0:
            to = at[item - first]
            for j in range(n):
                out[to + j] = tokens[place + j]
            at[item - first] = to + n
        place += n
