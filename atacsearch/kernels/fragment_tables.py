"""The tables that one parsing thread fills, and the compiled calls that grow and join them.

Barcodes lie in an open-addressing hash table that compares all bytes: a hash only tells where to look.
Functions over pointers, see `kernels.compiler`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .compiler import Kernels, load_u64
from .types import Int, Numbers, Words

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


def low_bytes(word: np.uint64, n: Int) -> np.uint64:
    """The first n (0 to 8) bytes of a word, the others zero."""
    return word if n >= 8 else word & ((U1 << np.uint64(8 * n)) - U1)


def hash_words(w0: np.uint64, w1: np.uint64, w2: np.uint64, length: Int) -> np.uint64:
    """64 bits that stand for up to 24 bytes (or for a hash and 8 more) and their number."""
    h = (w0 ^ (np.uint64(length) * MIX_2)) * MIX_1
    h = ((h ^ (h >> U32)) ^ w1) * MIX_2
    h = ((h ^ (h >> U32)) ^ w2) * MIX_1
    h ^= h >> U32
    return h


def find_barcode(
    buffer: Numbers,
    at: Int,
    length: Int,
    slots: Words,
    n_slots: Int,
    arena: Numbers,
    barcode_at: Numbers,
    n_barcodes: Int,
    arena_used: Int,
) -> np.int64:
    """Id of the barcode `buffer[at : at + length]`; one that is new is entered as `n_barcodes`.

    There must be an empty slot, room for the barcode in `arena`, and `PADDING` bytes after it in `buffer`.
    """
    w0 = low_bytes(load_u64(buffer, at), length)
    w1 = low_bytes(load_u64(buffer, at + 8), length - 8) if length > 8 else U0
    w2 = low_bytes(load_u64(buffer, at + 16), length - 16) if length > 16 else U0
    h = hash_words(w0, w1, w2, length)
    for i in range(KEY_BYTES, length, 8):
        h = hash_words(h, low_bytes(load_u64(buffer, at + i), length - i), U0, length)
    mask = np.uint64(n_slots - 1)
    tag = ((h >> U48) << U48) | (np.uint64(length) << U32)
    slot = np.int64(h & mask)
    who = np.int64(-1)
    while who < 0:
        place = 4 * slot
        head = slots[place]
        if head == U0:
            slots[place] = tag | np.uint64(n_barcodes + 1)
            slots[place + 1] = w0
            slots[place + 2] = w1
            slots[place + 3] = w2
            for i in range(length):
                arena[arena_used + i] = buffer[at + i]
            barcode_at[n_barcodes + 1] = arena_used + length
            who = np.int64(n_barcodes)
        elif (
            (head & ~LOW_32) == tag
            and slots[place + 1] == w0
            and slots[place + 2] == w1
            and slots[place + 3] == w2
        ):
            who = np.int64(head & LOW_32) - 1
            for i in range(KEY_BYTES, length):
                if arena[barcode_at[who] + i] != buffer[at + i]:
                    who = np.int64(-1)
                    break
        slot = np.int64(np.uint64(slot + 1) & mask)
    return who


def find_name(
    buffer: Numbers, at: Int, length: Int, name_key: Words, names: Numbers, name_at: Numbers, n_names: Int
) -> np.int64:
    """Place of a chromosome name in the tables, -1 where it is new."""
    key = low_bytes(load_u64(buffer, at), length) if length < 8 else U0
    found = np.int64(-1)
    for i in range(n_names):
        if name_key[i] == key:
            same = name_at[i + 1] - name_at[i] == length
            if same and length >= 8:
                for j in range(length):
                    if names[name_at[i] + j] != buffer[at + j]:
                        same = False
                        break
            if same:
                found = np.int64(i)
                break
    return found


def rebuild_slots(slots: Words, n_slots: int, arena: Numbers, barcode_at: Numbers, n_barcodes: int) -> int:
    """Enter all barcodes of the arena into fresh (zero) slots; each is written over itself in the arena."""
    used = 0
    for i in range(n_barcodes):
        length = barcode_at[i + 1] - barcode_at[i]
        find_barcode(arena, used, length, slots, n_slots, arena, barcode_at, i, used)
        used += length
    return used


def merge_barcodes(
    other_arena: Numbers, other_at: Numbers, other_counters: Numbers, n_other: int, slots: Words,
    n_slots: int, arena: Numbers, barcode_at: Numbers, counters: Numbers, n_barcodes: int, arena_used: int,
    mapping: Numbers,
) -> int:  # fmt: skip
    """Enter another thread's barcodes and counters; `mapping[i]` becomes the id of its barcode i here.

    Returns:
        Number of barcodes; there must be room.
    """
    for i in range(n_other):
        at = other_at[i]
        length = other_at[i + 1] - at
        who = find_barcode(other_arena, at, length, slots, n_slots, arena, barcode_at, n_barcodes, arena_used)
        if who == n_barcodes:
            n_barcodes += 1
            arena_used += length
        mapping[i] = who
        for c in range(N_COUNTERS):
            counters[who * N_COUNTERS + c] += other_counters[i * N_COUNTERS + c]
    return n_barcodes


INLINED = (low_bytes, hash_words, find_barcode, find_name)
KERNELS = Kernels(
    __file__,
    {
        "rebuild_slots": (rebuild_slots, "u8 n u1 i8 n"),
        "merge_barcodes": (merge_barcodes, "u1 i8 u4 n u8 n u1 i8 u4 n n i4"),
    },
    INLINED,
)
