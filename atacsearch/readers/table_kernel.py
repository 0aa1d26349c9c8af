"""The tables that one parsing thread fills, and the compiled calls that look up in, grow and join them.

Barcodes lie in an open-addressing hash table that compares all bytes. `fragment_kernel.scan_lines` has
`find_barcode` spelt out in its loop, where a call would cost on every line: both must hash alike.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .compiled import compiled, inlined, load_u64

# columns of the counters a barcode
FRAGMENTS, IN_UNIVERSE, SHORT, MONO, TSS_WINDOW, TSS_FLANK, BLACKLISTED = range(7)
N_COUNTERS = 8

KEY_BYTES = 24  # bytes of a barcode that lie in the hash table itself
MAX_BARCODE = 65535
PADDING = 32  # bytes that may be looked at past the end of a line or table

MIX_1, MIX_2 = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F)
LOW_32 = np.uint64(0xFFFFFFFF)
U0, U1, U32, U48 = (np.uint64(x) for x in (0, 1, 32, 48))


class Tables(NamedTuple):
    """What one thread has seen so far.

    Attributes:
        slots: [capacity, 4] uint64, capacity a power of two: (hash 16 | length 16 | id + 1 32), then the
            first 24 bytes.
        arena: uint8, the barcodes one after another.
        barcode_at: [n + 1] int64 places in `arena`.
        counters: [n, 8] uint32, columns `FRAGMENTS` … `BLACKLISTED`.
        name_key: [n_names] uint64, chromosome names of up to 7 bytes as one word, else 0.
        names: uint8, the chromosome names one after another.
        name_at: [n_names + 1] int64 places in `names`.
        name_code: [n_names] int64 code of the universe's chromosome, -1 where it has none.
        name_lines: [n_names] int64 fragments on it.
        name_end: [n_names] int64 largest end seen on it.
    """

    slots: npt.NDArray[np.uint64]
    arena: npt.NDArray[np.uint8]
    barcode_at: npt.NDArray[np.int64]
    counters: npt.NDArray[np.uint32]
    name_key: npt.NDArray[np.uint64]
    names: npt.NDArray[np.uint8]
    name_at: npt.NDArray[np.int64]
    name_code: npt.NDArray[np.int64]
    name_lines: npt.NDArray[np.int64]
    name_end: npt.NDArray[np.int64]


@inlined
def low_bytes(word, n):  # type: ignore[no-untyped-def]
    """The first n (0 to 8) bytes of a word, the others zero."""
    return word if n >= 8 else word & ((U1 << np.uint64(8 * n)) - U1)


@inlined
def hash_words(w0, w1, w2, length):  # type: ignore[no-untyped-def]
    """64 bits that stand for up to 24 bytes (or for a hash and 8 more) and their number."""
    h = (w0 ^ (np.uint64(length) * MIX_2)) * MIX_1
    h = ((h ^ (h >> U32)) ^ w1) * MIX_2
    h = ((h ^ (h >> U32)) ^ w2) * MIX_1
    h ^= h >> U32
    return h


@compiled
def find_barcode(buffer, at, length, tables, n_barcodes, arena_used, insert):  # type: ignore[no-untyped-def]
    """Id of a barcode; a new one gets the next id; -1 where it is new and `insert` is off."""
    slots = tables.slots
    w0 = low_bytes(load_u64(buffer, at), length)
    w1 = low_bytes(load_u64(buffer, at + 8), length - 8) if length > 8 else U0
    w2 = low_bytes(load_u64(buffer, at + 16), length - 16) if length > 16 else U0
    h = hash_words(w0, w1, w2, length)
    for i in range(KEY_BYTES, length, 8):
        w = low_bytes(load_u64(buffer, at + i), length - i)
        h = hash_words(h, w, U0, length)
    mask = np.uint64(len(slots) - 1)
    tag = ((h >> U48) << U48) | (np.uint64(length) << U32)
    slot = np.int64(h & mask)
    while True:
        head = slots[slot, 0]
        if head == U0:
            break
        if (head & ~LOW_32) == tag and slots[slot, 1] == w0 and slots[slot, 2] == w1 and slots[slot, 3] == w2:
            found = np.int64(head & LOW_32) - 1
            same = True
            if length > KEY_BYTES:
                place = tables.barcode_at[found]
                for i in range(KEY_BYTES, length):
                    if tables.arena[place + i] != buffer[at + i]:
                        same = False
                        break
            if same:
                return found
        slot = np.int64(np.uint64(slot + 1) & mask)
    if not insert:
        return np.int64(-1)
    slots[slot, 0] = tag | np.uint64(n_barcodes + 1)
    slots[slot, 1] = w0
    slots[slot, 2] = w1
    slots[slot, 3] = w2
    for i in range(length):
        tables.arena[arena_used + i] = buffer[at + i]
    tables.barcode_at[n_barcodes + 1] = arena_used + length
    return np.int64(n_barcodes)


@compiled
def find_name(buffer, at, length, tables):  # type: ignore[no-untyped-def]
    """Place of a chromosome name in the tables, -1 where it is new."""
    key = low_bytes(load_u64(buffer, at), length) if length < 8 else U0
    for i in range(len(tables.name_key)):
        if tables.name_key[i] != key:
            continue
        if length < 8:
            return i
        place = tables.name_at[i]
        if tables.name_at[i + 1] - place != length:
            continue
        same = True
        for j in range(length):
            if tables.names[place + j] != buffer[at + j]:
                same = False
                break
        if same:
            return i
    return -1


@compiled
def rebuild_slots(tables, n_barcodes):  # type: ignore[no-untyped-def]
    """Enter all barcodes of the arena into fresh (zero) slots."""
    for i in range(n_barcodes):
        at = tables.barcode_at[i]
        length = tables.barcode_at[i + 1] - at
        arena = tables.arena
        slots = tables.slots
        w0 = low_bytes(load_u64(arena, at), length)
        w1 = low_bytes(load_u64(arena, at + 8), length - 8) if length > 8 else U0
        w2 = low_bytes(load_u64(arena, at + 16), length - 16) if length > 16 else U0
        h = hash_words(w0, w1, w2, length)
        for j in range(KEY_BYTES, length, 8):
            w = low_bytes(load_u64(arena, at + j), length - j)
            h = hash_words(h, w, U0, length)
        mask = np.uint64(len(slots) - 1)
        slot = np.int64(h & mask)
        while slots[slot, 0] != U0:
            slot = np.int64(np.uint64(slot + 1) & mask)
        slots[slot, 0] = ((h >> U48) << U48) | (np.uint64(length) << U32) | np.uint64(i + 1)
        slots[slot, 1] = w0
        slots[slot, 2] = w1
        slots[slot, 3] = w2


@compiled
def merge_barcodes(other, n_other, tables, n_barcodes, arena_used, mapping):  # type: ignore[no-untyped-def]
    """Enter another thread's barcodes and counters; `mapping[i]` becomes the id of its barcode i here.

    Returns:
        (number of barcodes, bytes of the arena in use); there must be room.
    """
    for i in range(n_other):
        at = other.barcode_at[i]
        length = other.barcode_at[i + 1] - at
        who = find_barcode(other.arena, at, length, tables, n_barcodes, arena_used, True)
        if who == n_barcodes:
            n_barcodes += 1
            arena_used += length
        mapping[i] = who
        for c in range(N_COUNTERS):
            tables.counters[who, c] += other.counters[i, c]
    return n_barcodes, arena_used
