"""Compiled passes over posting lists: Golomb-Rice codes of item gaps, in blocks of lists.

A list holds the rows of the items that have one token, ascending. In a block lists follow one another as bits,
the lowest bit of a byte first: the gap to the token before (Elias gamma), the number of items (gamma), how the
Rice parameter k differs from the one expected (zigzag, gamma), then one Rice code a gap g: g >> k zeros, a one,
the k low bits of g. Lists of random items take their entropy to within a few per cent. Codes: Golomb 1966
(doi:10.1109/TIT.1966.1053907), Rice 1971 (doi:10.1109/TCOM.1971.1090789), Elias 1975
(doi:10.1109/TIT.1975.1055349). Functions over pointers, see `kernels.compiler`.
"""

from __future__ import annotations

import numpy as np

from .compiler import Kernels, load_u64, trailing_zeros
from .types import Int, Numbers, Words

DAMAGED = -1
MAX_ZEROS = 31  # of a gamma code: values are below 2^32
_U0, _U1, _U64 = np.uint64(0), np.uint64(1), np.uint64(64)


def log2_floor(x: Int) -> int:
    """Place of the highest bit of x >= 1."""
    n = 0
    while x > 1:
        x >>= 1
        n += 1
    return n


def expected_k(n_items: Int, count: Int) -> int:
    """The Rice parameter for random items: the logarithm of ln 2 (about 11/16) times the mean gap, rounded down."""
    room = (n_items - count) * 11
    step = count * 32
    k = 0
    while step <= room:
        step <<= 1
        k += 1
    return k


def put(out: Words, p: Int, value: np.uint64, n: Int) -> Int:
    """Write the n <= 64 bits of a uint64 at bit p of zeroed words; returns the place behind."""
    if n == 0:
        return p
    word = p >> 6
    shift = p & 63
    out[word] |= value << np.uint64(shift)
    if shift + n > 64:
        out[word + 1] |= value >> (_U64 - np.uint64(shift))
    return p + n


def put_gamma(out: Words, p: Int, x: Int) -> Int:
    """Write the Elias gamma code of x >= 1."""
    n = log2_floor(x)
    low = np.uint64(x - (1 << n))
    return put(out, p + n, (low << _U1) | _U1, n + 1)


def read_gamma(data: Numbers, p: Int) -> Int:
    """`x << 6 | zeros` of the gamma code at bit p, which is 2 zeros + 1 bits long; 0 where there is none."""
    word = load_u64(data, p >> 3) >> np.uint64(p & 7)
    zeros = trailing_zeros(word)
    if zeros > MAX_ZEROS:
        return 0
    at = p + zeros + 1
    low = (load_u64(data, at >> 3) >> np.uint64(at & 7)) & ((_U1 << np.uint64(zeros)) - _U1)
    return (((1 << zeros) + np.int64(low)) << 6) | zeros


def rice_bits(items: Numbers, first: Int, last: Int, k: Int) -> Int:
    """Bits of the Rice codes of a list."""
    before = np.int64(-1)
    high: Int = 0
    for i in range(first, last):
        item = np.int64(items[i])
        high += (item - before - 1) >> k
        before = item
    return high + (last - first) * (k + 1)


def encode_lists(
    items: Numbers, offsets: Numbers, n_lists: int, first_token: int, n_items: int, per_block: int,
    out: Words, block_first: Numbers, block_at: Numbers, n_blocks: Numbers,
) -> Int:  # fmt: skip
    """Encode the lists of consecutive tokens, empty ones left out.

    Args:
        items: uint32, ascending within a list.
        offsets: [n_lists + 1] int64.
        n_lists: tokens; the first of them is `first_token`.
        n_items: items there are; all of a list are below.
        per_block: postings after which a block is full.
        out: zeroed uint64 words, room for 8 bytes a posting and 32 a list.
        block_first, block_at: filled: first token of each block (uint32), its first byte in `out` (int64).
        n_blocks: [1] int64, filled.

    Returns:
        Bytes written.
    """
    p: Int = 0
    blocks = 0
    held = per_block
    before = 0
    for i in range(n_lists):
        first = offsets[i]
        last = offsets[i + 1]
        count = last - first
        if count == 0:
            continue
        token = first_token + i
        if held >= per_block:
            p = (p + 7) & ~7
            block_first[blocks] = np.uint32(token)
            block_at[blocks] = p >> 3
            blocks += 1
            held = 0
            before = token - 1
        expected = expected_k(n_items, count)
        k = expected
        size = rice_bits(items, first, last, k)
        while k > 0:
            smaller = rice_bits(items, first, last, k - 1)
            if smaller >= size:
                break
            size = smaller
            k -= 1
        if k == expected:
            while k < 31:
                smaller = rice_bits(items, first, last, k + 1)
                if smaller >= size:
                    break
                size = smaller
                k += 1
        p = put_gamma(out, p, token - before)
        p = put_gamma(out, p, count)
        p = put_gamma(out, p, 2 * (k - expected) + 1 if k >= expected else 2 * (expected - k))
        low = (_U1 << np.uint64(k)) - _U1
        last_item = np.int64(-1)
        for j in range(first, last):
            item = np.int64(items[j])
            gap = item - last_item - 1
            last_item = item
            p = put(out, p + (gap >> k), ((np.uint64(gap) & low) << _U1) | _U1, k + 1)
        before = token
        held += count
    n_blocks[0] = blocks
    return (p + 7) >> 3


def decode_blocks(
    data: Numbers, starts: Numbers, stops: Numbers, firsts: Numbers, n_blocks: int, wanted: Numbers,
    n_wanted: int, low_token: int, high_token: int, n_items: int, tokens: Numbers, counts: Numbers,
    items: Numbers, totals: Numbers,
) -> int:  # fmt: skip
    """Decode lists of some blocks.

    Args:
        data: uint8, with 8 bytes to spare behind the last block.
        starts, stops: [n_blocks] int64 bytes of the blocks, rising.
        firsts: [n_blocks] int64 first tokens of the blocks.
        wanted: [n_wanted] int64 tokens, rising; -1 as `n_wanted` for all.
        low_token, high_token: only tokens in this half-open range.
        n_items: items there are.
        tokens, counts, items: filled, uint32, int64 and uint32; room for as many as the blocks have bits.
        totals: [2] int64, filled: lists and postings.

    Returns:
        0, or `DAMAGED`.
    """
    lists = 0
    taken: Int = 0
    w = 0
    for b in range(n_blocks):
        p: Int = starts[b] * 8
        end = stops[b] * 8
        token: Int = firsts[b] - 1
        while p < end:
            code = read_gamma(data, p)
            zeros = code & 63
            if code == 0 or p + zeros >= end:  # nothing but the bits that fill the last byte
                if end - p >= 8:
                    return DAMAGED
                break
            p += 2 * zeros + 1
            token += code >> 6
            if token >= high_token:
                break
            code = read_gamma(data, p)
            count = code >> 6
            p += 2 * (code & 63) + 1
            if code == 0 or p > end or count > n_items or count > end - p:
                return DAMAGED
            code = read_gamma(data, p)
            p += 2 * (code & 63) + 1
            if code == 0 or p > end:
                return DAMAGED
            difference = code >> 6
            k: Int = expected_k(n_items, count)
            k += difference >> 1 if difference & 1 else -(difference >> 1)
            if k < 0 or k > 31:
                return DAMAGED
            low = (_U1 << np.uint64(k)) - _U1
            item = np.int64(-1)
            i = 0
            while i < count:
                if p >= end:
                    return DAMAGED
                skew = p & 7
                word = load_u64(data, p >> 3) >> np.uint64(skew)
                left: Int = 64 - skew
                began = i
                while i < count:
                    zeros = trailing_zeros(word)
                    used = zeros + 1 + k
                    if used > left or used >= 64:
                        break
                    item += 1 + (zeros << k) + np.int64((word >> np.uint64(zeros + 1)) & low)
                    items[taken + i] = np.uint32(item)
                    i += 1
                    word >>= np.uint64(used)
                    left -= used
                    p += used
                if i == began:  # a code longer than a word
                    high: Int = 0
                    while word == _U0:
                        high += left
                        p += left
                        if p >= end:
                            return DAMAGED
                        skew = p & 7
                        word = load_u64(data, p >> 3) >> np.uint64(skew)
                        left = 64 - skew
                    zeros = trailing_zeros(word)
                    high += zeros
                    p += zeros + 1
                    if p > end:
                        return DAMAGED
                    word = load_u64(data, p >> 3) >> np.uint64(p & 7)
                    item += 1 + (high << k) + np.int64(word & low)
                    items[taken + i] = np.uint32(item)
                    i += 1
                    p += k
            if p > end or item >= n_items:
                return DAMAGED
            while w < n_wanted and wanted[w] < token:
                w += 1
            if token >= low_token and (n_wanted < 0 or (w < n_wanted and wanted[w] == token)):
                tokens[lists] = np.uint32(token)
                counts[lists] = count
                lists += 1
                taken += count
            if n_wanted >= 0:
                if w < n_wanted and wanted[w] == token:
                    w += 1
                if w == n_wanted or (b + 1 < n_blocks and wanted[w] >= firsts[b + 1]):
                    break
    totals[0] = lists
    totals[1] = taken
    return 0


def count_tokens(
    tokens: Numbers, offsets: Numbers, n_rows: int, base: int, last: Numbers, counts: Numbers
) -> int:
    """Count the items of each token; an item that names a token twice counts once. `last` starts as -1."""
    for row in range(n_rows):
        for i in range(offsets[row], offsets[row + 1]):
            token = tokens[i]
            if last[token] != base + row:
                last[token] = base + row
                counts[token] += 1
    return 0


def place_items(
    tokens: Numbers, offsets: Numbers, n_rows: int, base: int, last: Numbers, at: Numbers, items: Numbers
) -> int:
    """Write each item to the next place of each of its tokens, and move that place on."""
    for row in range(n_rows):
        for i in range(offsets[row], offsets[row + 1]):
            token = tokens[i]
            if last[token] != base + row:
                last[token] = base + row
                items[at[token]] = np.uint32(base + row)
                at[token] += 1
    return 0


def count_kept(
    tokens: Numbers,
    counts: Numbers,
    n_lists: int,
    items: Numbers,
    new_row: Numbers,
    first_token: int,
    sizes: Numbers,
) -> int:
    """Add the number of items of each list whose `new_row` is not negative to `sizes[token - first_token]`."""
    at = 0
    for i in range(n_lists):
        kept = 0
        for j in range(at, at + counts[i]):
            kept += new_row[items[j]] >= 0
        at += counts[i]
        sizes[np.int64(tokens[i]) - first_token] += kept
    return 0


def place_kept(
    tokens: Numbers,
    counts: Numbers,
    n_lists: int,
    items: Numbers,
    new_row: Numbers,
    first_token: int,
    at: Numbers,
    out: Numbers,
) -> int:
    """Write the new rows of each list's kept items to its token's next places, and move those on."""
    read = 0
    for i in range(n_lists):
        token = np.int64(tokens[i]) - first_token
        to = at[token]
        for j in range(read, read + counts[i]):
            row = new_row[items[j]]
            if row >= 0:
                out[to] = np.uint32(row)
                to += 1
        at[token] = to
        read += counts[i]
    return 0


def count_groups(
    lists: Numbers, bounds: Numbers, n_queries: int, first_query: int, offsets: Numbers, items: Numbers,
    group: Numbers, n_groups: int, seen: Numbers, found: Numbers, present: Numbers,
) -> int:  # fmt: skip
    """Per query and group, how many items have any of its lists; per list and group, whether any item has it.

    Args:
        lists: int64 lists of the queries one after another; -1 for a token that no item has.
        bounds: [n_queries + 1] int64.
        first_query: number of the first query, from 0 and never used before with this `seen`.
        offsets: [n_lists + 1] int64 into `items`.
        items: uint32.
        group: [n_items] int32, -1 for items that do not count.
        seen: [n_items] int32, the last query that met the item; starts as -1.
        found: [n_queries, n_groups] int64, added to.
        present: [n_lists, n_groups] uint8, set.
    """
    for q in range(n_queries):
        for i in range(bounds[q], bounds[q + 1]):
            one = lists[i]
            if one < 0:
                continue
            for j in range(offsets[one], offsets[one + 1]):
                item = items[j]
                g = group[item]
                if g >= 0:
                    present[one * n_groups + g] = 1
                    if seen[item] != first_query + q:
                        seen[item] = first_query + q
                        found[q * n_groups + g] += 1
    return 0


def list_items(
    lists: Numbers, bounds: Numbers, n_queries: int, offsets: Numbers, items: Numbers, group: Numbers,
    slot: Numbers, queries: Numbers, rows: Numbers, hits: Numbers,
) -> int:  # fmt: skip
    """All pairs of a query and an item that has any of its lists, and how many of them it has.

    Args:
        lists, bounds, offsets, items: as for `count_groups`.
        group: [n_items] int32 row of each item in the answer, -1 for items that do not count.
        slot: [n_items] int64 scratch, -1.
        queries, rows, hits: filled, int64, int32, int64; room for the postings of all queries.

    Returns:
        The number of pairs.
    """
    n = 0
    for q in range(n_queries):
        began = n
        for i in range(bounds[q], bounds[q + 1]):
            one = lists[i]
            if one < 0:
                continue
            for j in range(offsets[one], offsets[one + 1]):
                item = items[j]
                if group[item] < 0:
                    continue
                if slot[item] >= began:
                    hits[slot[item]] += 1
                else:
                    slot[item] = n
                    queries[n] = q
                    rows[n] = group[item]
                    hits[n] = 1
                    n += 1
    return n


def count_lists(
    tokens: Numbers,
    counts: Numbers,
    n_lists: int,
    items: Numbers,
    group: Numbers,
    n_groups: int,
    found: Numbers,
) -> int:
    """Add the items of each group that have each token to `found` [n_tokens, n_groups] int64."""
    at = 0
    for i in range(n_lists):
        base = np.int64(tokens[i]) * n_groups
        for j in range(at, at + counts[i]):
            g = group[items[j]]
            if g >= 0:
                found[base + g] += 1
        at += counts[i]
    return 0


def mixed(x: Int) -> np.int64:
    """64 bits that look random (splitmix64, Steele et al. 2014, doi:10.1145/2714064.2660195)."""
    z = (np.uint64(x) + _U1) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.int64((z ^ (z >> np.uint64(31))) >> _U1)


def sum_lists(
    tokens: Numbers,
    counts: Numbers,
    n_lists: int,
    items: Numbers,
    new_row: Numbers,
    sizes: Numbers,
    sums: Numbers,
) -> int:
    """Add number and hashes of each list's kept items to its token's place."""
    at = 0
    for i in range(n_lists):
        token = tokens[i]
        for j in range(at, at + counts[i]):
            row = new_row[items[j]]
            if row >= 0:
                sizes[token] += 1
                sums[token] += mixed(row)
        at += counts[i]
    return 0


def sum_pairs(tokens: Numbers, rows: Numbers, n: int, sizes: Numbers, sums: Numbers) -> int:
    """Add one and the row's hash to the place of the token of each pair."""
    for i in range(n):
        sizes[tokens[i]] += 1
        sums[tokens[i]] += mixed(rows[i])
    return 0


KERNELS = Kernels(
    __file__,
    {
        "encode_lists": (encode_lists, "u4 i8 n n n n u8 u4 i8 i8"),
        "decode_blocks": (decode_blocks, "u1 i8 i8 i8 n i8 n n n n u4 i8 u4 i8"),
        "count_tokens": (count_tokens, "u4 i8 n n i4 i8"),
        "place_items": (place_items, "u4 i8 n n i4 i8 u4"),
        "count_kept": (count_kept, "u4 i8 n u4 i4 n i8"),
        "place_kept": (place_kept, "u4 i8 n u4 i4 n i8 u4"),
        "count_groups": (count_groups, "i8 i8 n n i8 u4 i4 n i4 i8 u1"),
        "list_items": (list_items, "i8 i8 n i8 u4 i4 i8 i8 i4 i8"),
        "count_lists": (count_lists, "u4 i8 n u4 i4 n i8"),
        "sum_lists": (sum_lists, "u4 i8 n u4 i4 i8 i8"),
        "sum_pairs": (sum_pairs, "u4 u4 n i8 i8"),
    },
    inlined=(log2_floor, expected_k, put, put_gamma, read_gamma, rice_bits, mixed),
)
