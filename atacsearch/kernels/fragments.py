"""The compiled pass over fragment lines: parse, find barcode and regions, count quality, in one loop.

`scan_lines` fills a thread's `Tables` (`fragment_tables`) and the pair buffers, and returns early, with a code,
where Python has to make room or to look a new chromosome name up.
"""

from __future__ import annotations

import numpy as np

from .compiler import Kernels, load_u64, trailing_zeros
from .fragment_tables import (
    BLACKLISTED,
    FRAGMENTS,
    IN_UNIVERSE,
    INLINED,
    LOW_32,
    MAX_BARCODE,
    MIX_1,
    MIX_2,
    MONO,
    N_COUNTERS,
    SHORT,
    TSS_WINDOW,
    U0,
    U1,
    U32,
    find_barcode,
    find_name,
    low_bytes,
)
from .types import Int, Numbers, Words

# why `scan_lines` returned
DONE, NEW_CHROM, MORE_BARCODES, MORE_PAIRS = 0, 1, 2, 3

# places in the state array
POS, CODE, LINES, HEADERS, N_BARCODES, ARENA_USED, N_PAIRS, AT_START, NAME_STOP, N_SAMPLE, SAMPLE_MASK = (
    range(11)
)
STATE_SIZE = 11

REASONS = (
    "",
    "with fewer than 4 columns",
    "whose start is not a whole number",
    "whose end is not a whole number",
    "with a negative start",
    "with end <= start",
    "with a coordinate above 2,147,483,647",
    "without a barcode",
)
N_REASONS = len(REASONS)

_ONES = np.uint64(0x0101010101010101)
_HIGHS = np.uint64(0x8080808080808080)
_ZEROS = np.uint64(0x3030303030303030)  # eight "0"
_ABOVE_NINE = np.uint64(0x7676767676767676)  # lifts bytes from 10 on above 127
_NEWLINES = np.uint64(0x0A0A0A0A0A0A0A0A)
_U8, _U16 = np.uint64(8), np.uint64(16)
_MAX = 2**31 - 1


def _zero_bytes(word: np.uint64) -> np.uint64:
    """High bit set in (at least the lowest of) the bytes that are zero."""
    return (word - _ONES) & ~word & _HIGHS


def _n_digits(word: np.uint64) -> int:
    """Number of leading bytes (0 to 8) that were digits, of a word xored with `_ZEROS`."""
    return trailing_zeros(((word + _ABOVE_NINE) | word) & _HIGHS) >> 3


def _number(word: np.uint64, n: Int) -> np.int64:
    """The number that n (1 to 8) leading digit values spell: pairs, fours and eights are joined side by side."""
    w = word << np.uint64(8 * (8 - n))
    w = (w * np.uint64(10) + (w >> _U8)) & np.uint64(0x00FF00FF00FF00FF)
    w = (w * np.uint64(100) + (w >> _U16)) & np.uint64(0x0000FFFF0000FFFF)
    return np.int64((w * np.uint64(10000) + (w >> U32)) & LOW_32)


def _hits_any(
    bin_at: Numbers,
    first: Numbers,
    last: Numbers,
    starts: Numbers,
    ends: Numbers,
    shift: Int,
    code: Int,
    start: Int,
    end: Int,
) -> bool:
    """Whether an interval of an index overlaps [start, end)."""
    found = False
    at = bin_at[code] + (start >> shift)
    if at < bin_at[code + 1]:
        for i in range(first[at], last[code]):
            if starts[i] >= end:
                break
            if ends[i] > start:
                found = True
                break
    return found


def _is_header(buffer: Numbers, at: Int, stop: Int) -> bool:
    """Blank lines, `#…`, `track …` and `browser …`."""
    i = at
    while buffer[i] == 32 or buffer[i] == 9 or buffer[i] == 13:
        i += 1
    found = buffer[at] == 35 or buffer[i] == 10
    if not found:
        word = load_u64(buffer, at)
        n = 0
        if low_bytes(word, 5) == np.uint64(0x6B63617274):  # "track"
            n = 5
        elif low_bytes(word, 7) == np.uint64(0x72657377_6F7262):  # "browser"
            n = 7
        if n > 0:
            c = buffer[at + n] if at + n < stop else np.uint8(10)
            found = c == 32 or c == 9 or c == 10 or c == 13
    return found


def _line_end(buffer: Numbers, at: Int) -> Int:
    """Place after the next newline; there is one."""
    zeros = _zero_bytes(load_u64(buffer, at) ^ _NEWLINES)
    while zeros == U0:
        at += 8
        zeros = _zero_bytes(load_u64(buffer, at) ^ _NEWLINES)
    return at + (trailing_zeros(zeros) >> 3) + 1


def scan_lines(
    buffer: Numbers, stop: int, delimiter: int, insertions: int, emit_unk: int, unk: int, keep_below: int,
    bin_at: Numbers, bin_first: Numbers, region_stop: Numbers,
    region_start: Numbers, region_end: Numbers, region_value: Numbers, shift: int,
    tss_bin_at: Numbers, tss_first: Numbers, tss_stop: Numbers,
    tss_start: Numbers, tss_end: Numbers, tss_value: Numbers, tss_shift: int, n_tss: int,
    black_bin_at: Numbers, black_first: Numbers, black_stop: Numbers,
    black_start: Numbers, black_end: Numbers, black_shift: int, n_black: int,
    slots: Words, n_slots: int, arena: Numbers, arena_room: int,
    barcode_at: Numbers, barcode_room: int, counters: Numbers,
    name_key: Words, names: Numbers, name_at: Numbers,
    name_code: Numbers, name_lines: Numbers, name_end: Numbers, n_names: int,
    pair_barcode: Numbers, pair_token: Numbers, pair_room: int,
    bad: Numbers, bad_at: Numbers, bad_line: Numbers,
    sample: Numbers, sample_room: int, state: Numbers,
) -> int:  # fmt: skip
    """Read lines from `state[POS]` to `stop`, where a line ends.

    Args:
        buffer: uint8 text; `buffer[stop - 1]` is a newline, and at least `PADDING` bytes follow it.
        stop: where to stop.
        delimiter: byte between columns.
        insertions: count the two cut sites, the bases `start` and `end - 1`, instead of the fragment.
        emit_unk: add a pair with `unk` for a fragment that hits nothing.
        unk: id of the unknown token.
        keep_below: pairs are kept for barcode ids below this.
        bin_at, bin_first, region_stop, region_start, region_end, region_value, shift: `BinIndex` of the universe.
        tss_bin_at, tss_first, tss_stop, tss_start, tss_end, tss_value, tss_shift: `BinIndex` of windows (value 0)
            and flanks (value 1) of TSS.
        n_tss: how many there are.
        black_bin_at, black_first, black_stop, black_start, black_end, black_shift: `BinIndex` of the blacklist.
        n_black: how many there are.
        slots, arena, barcode_at, counters, name_key, names, name_at, name_code, name_lines, name_end: `Tables`.
        n_slots, arena_room, barcode_room, n_names: rows of the slots, bytes and barcodes there is room for, names.
        pair_barcode, pair_token: uint32, filled from `state[N_PAIRS]` on.
        pair_room: pairs there is room for.
        bad: [N_REASONS] int64 lines left out.
        bad_at: [N_REASONS] int64 place of the first such line.
        bad_line: [N_REASONS] int64 its number within this call, from 0.
        sample: [sample_room, 3] int32 chromosome name, start and end of fragments picked by a hash.
        sample_room: fragments there is room for.
        state: progress.

    Returns:
        DONE, or what the caller must provide before calling again (nothing of the line at `state[POS]` is
        counted yet).
    """
    delimiters = np.uint64(delimiter) * _ONES
    pos: Int = state[POS]
    n_barcodes = state[N_BARCODES]
    arena_used: Int = state[ARENA_USED]
    n_pairs = state[N_PAIRS]
    n_lines = state[LINES]
    sample_mask = np.uint64(state[SAMPLE_MASK])
    code_out = DONE
    name: Int = -1
    last_key = U0
    name_length: Int = -1
    code: Int = np.int64(-1)
    while pos < stop:
        line: Int = pos
        reason = 0
        # chromosome: as on the line before, in most files
        word = load_u64(buffer, pos)
        zeros = _zero_bytes(word ^ delimiters)
        short = zeros != U0
        length: Int = trailing_zeros(zeros) >> 3 if short else 8
        known = short and length == name_length and low_bytes(word, length) == last_key
        if known:
            pos += length + 1
        else:
            if buffer[pos] == 35:
                state[HEADERS] += 1
                n_lines += 1
                pos = _line_end(buffer, pos)
                continue
            length = 0
            while buffer[pos + length] != delimiter and buffer[pos + length] != 10:
                length += 1
            if buffer[pos + length] == 10 or length == 0:
                reason = 1
            pos += length + 1
        name_stop = line + length
        # start and end
        start = np.int64(0)
        end = np.int64(0)
        if reason == 0:
            first = pos
            word = load_u64(buffer, pos) ^ _ZEROS
            n_digits: Int = _n_digits(word)
            start = _number(word, n_digits) if n_digits > 0 else np.int64(0)
            pos += n_digits
            if n_digits == 8:
                c = np.int64(buffer[pos]) - 48
                while 0 <= c < 10:
                    start = start * 10 + c
                    pos += 1
                    c = np.int64(buffer[pos]) - 48
                n_digits = pos - first
            if n_digits == 0 or buffer[pos] != delimiter:
                reason = 2
                if buffer[pos] == 45 and n_digits == 0 and 48 <= buffer[pos + 1] < 58:
                    reason = 4
                elif n_digits > 0 and (buffer[pos] == 10 or buffer[pos] == 13):
                    reason = 1
            elif n_digits > 10 or start > _MAX:
                reason = 6
            pos += 1
        if reason == 0:
            first = pos
            word = load_u64(buffer, pos) ^ _ZEROS
            n_digits = _n_digits(word)
            end = _number(word, n_digits) if n_digits > 0 else np.int64(0)
            pos += n_digits
            if n_digits == 8:
                c = np.int64(buffer[pos]) - 48
                while 0 <= c < 10:
                    end = end * 10 + c
                    pos += 1
                    c = np.int64(buffer[pos]) - 48
                n_digits = pos - first
            if n_digits == 0 or buffer[pos] != delimiter:
                reason = 3
                if n_digits > 0 and (buffer[pos] == 10 or buffer[pos] == 13):
                    reason = 1
                elif buffer[pos] == 45 and 48 <= buffer[pos + 1] < 58:
                    reason = 5
            elif n_digits > 10 or end > _MAX:
                reason = 6
            elif end <= start:
                reason = 5
            pos += 1
        if reason == 0:
            # barcode: up to the next delimiter or the end of the line
            barcode = pos
            while True:
                word = load_u64(buffer, pos)
                zeros = _zero_bytes(word ^ delimiters) | _zero_bytes(word ^ _NEWLINES)
                if zeros != U0:
                    pos += trailing_zeros(zeros) >> 3
                    break
                pos += 8
            # the lowest set bit of a zero-byte mask is exact, whatever bits above it say
            barcode_stop = pos
            pos = pos + 1 if buffer[pos] == 10 else _line_end(buffer, pos)
            if buffer[barcode_stop - 1] == 13 and buffer[barcode_stop] == 10:
                barcode_stop -= 1
            length = barcode_stop - barcode
            if length <= 1:
                lone = buffer[barcode]
                if length <= 0 or lone == 46 or lone == 45 or lone == 42:  # . - *
                    reason = 7
            elif length == 10 and load_u64(buffer, barcode) == np.uint64(0x4F435241425F4F4E):  # "NO_BARCO"
                if buffer[barcode + 8] == 68 and buffer[barcode + 9] == 69:  # "DE"
                    reason = 7
            elif length > MAX_BARCODE:
                reason = 7
        if reason != 0:
            pos = _line_end(buffer, line)
            if _is_header(buffer, line, stop):
                state[HEADERS] += 1
            elif state[AT_START] == 1 and reason == 2:
                state[HEADERS] += 1  # column names
                state[AT_START] = 0
            else:
                state[AT_START] = 0
                if bad[reason] == 0:
                    bad_at[reason] = line
                    bad_line[reason] = n_lines
                bad[reason] += 1
            n_lines += 1
            continue
        if not known:
            state[AT_START] = 0
            name_length = name_stop - line
            name = find_name(buffer, line, name_length, name_key, names, name_at, n_names)
            if name < 0:
                state[NAME_STOP] = name_stop
                code_out = NEW_CHROM
                pos = line
                break
            last_key = name_key[name]
            if name_length >= 8:
                name_length = -1  # long names are looked up on every line
            code = name_code[name]
        if n_barcodes >= barcode_room or arena_used + length > arena_room:
            code_out = MORE_BARCODES
            pos = line
            break
        who = find_barcode(buffer, barcode, length, slots, n_slots, arena, barcode_at, n_barcodes, arena_used)
        if who == n_barcodes:
            n_barcodes += 1
            arena_used += length
        # regions
        hits = 0
        fits = True
        keep = who < keep_below
        if code >= 0:
            at = bin_at[code] + (start >> shift)
            if at < bin_at[code + 1]:
                for i in range(bin_first[at], region_stop[code]):
                    if region_start[i] >= end:
                        break
                    if region_end[i] <= start:
                        continue
                    if insertions and not (
                        region_start[i] <= start or (region_start[i] < end and region_end[i] >= end)
                    ):
                        continue
                    if keep:
                        if n_pairs + hits >= pair_room:
                            fits = False
                            break
                        pair_barcode[n_pairs + hits] = who
                        pair_token[n_pairs + hits] = region_value[i]
                    hits += 1
        if fits and emit_unk and hits == 0 and keep:
            fits = n_pairs < pair_room
            if fits:
                pair_barcode[n_pairs] = who
                pair_token[n_pairs] = unk
                n_pairs += 1
        if not fits:
            code_out = MORE_PAIRS
            pos = line
            break
        if keep:
            n_pairs += hits
        # counters
        name_lines[name] += 1
        if end > name_end[name]:
            name_end[name] = end
        row = who * N_COUNTERS
        counters[row + FRAGMENTS] += np.uint32(1)
        if hits > 0:
            counters[row + IN_UNIVERSE] += np.uint32(1)
        width = end - start
        if width < 147:
            counters[row + SHORT] += np.uint32(1)
        elif width < 294:
            counters[row + MONO] += np.uint32(1)
        if n_tss > 0 and code >= 0:
            for site in (start, end - 1):
                at = tss_bin_at[code] + (site >> tss_shift)
                if at < tss_bin_at[code + 1]:
                    for i in range(tss_first[at], tss_stop[code]):
                        if tss_start[i] > site:
                            break
                        if tss_end[i] > site:
                            counters[row + TSS_WINDOW + tss_value[i]] += np.uint32(1)
        if (
            n_black > 0
            and code >= 0
            and _hits_any(
                black_bin_at, black_first, black_stop, black_start, black_end, black_shift, code, start, end
            )
        ):
            counters[row + BLACKLISTED] += np.uint32(1)
        # a sample that does not depend on the order of lines
        picked = (np.uint64(start) * MIX_1) ^ (np.uint64(end) * MIX_2)
        picked = (picked ^ (picked >> U32)) * MIX_1
        if ((picked >> U32) & sample_mask) == U0:
            n = state[N_SAMPLE]
            if n == sample_room:
                sample_mask = (sample_mask << U1) | U1
                n = _thin(sample, n, sample_mask)
            if ((picked >> U32) & sample_mask) == U0 and n < sample_room:
                sample[3 * n + 0] = name
                sample[3 * n + 1] = start
                sample[3 * n + 2] = end
                n += 1
            state[N_SAMPLE] = n
        n_lines += 1
    state[POS] = pos
    state[LINES] = n_lines
    state[CODE] = code_out
    state[N_BARCODES] = n_barcodes
    state[ARENA_USED] = arena_used
    state[N_PAIRS] = n_pairs
    state[SAMPLE_MASK] = np.int64(sample_mask)
    return code_out


def _thin(sample: Numbers, n: Int, mask: np.uint64 | int) -> int:
    """Keep those of the first n rows whose hash has the bits of `mask` clear; returns how many."""
    kept = 0
    for i in range(n):
        picked = (np.uint64(sample[3 * i + 1]) * MIX_1) ^ (np.uint64(sample[3 * i + 2]) * MIX_2)
        picked = (picked ^ (picked >> U32)) * MIX_1
        if ((picked >> U32) & np.uint64(mask)) == U0:
            for k in range(3):
                sample[3 * kept + k] = sample[3 * i + k]
            kept += 1
    return kept


def thin_sample(sample: Numbers, n: int, mask: int) -> int:
    """`_thin` for callers outside of the pass."""
    return _thin(sample, n, mask)


KERNELS = Kernels(
    __file__,
    {
        "scan_lines": (
            scan_lines,
            "u1 n n n n n n "
            "i8 i4 i8 i4 i4 u4 n "
            "i8 i4 i8 i4 i4 u4 n n "
            "i8 i4 i8 i4 i4 n n "
            "u8 n u1 n i8 n u4 "
            "u8 u1 i8 i8 i8 i8 n "
            "u4 u4 n i8 i8 i8 i4 n i8",
        ),
        "thin_sample": (thin_sample, "i4 n n"),
    },
    (*INLINED, _zero_bytes, _n_digits, _number, _hits_any, _is_header, _line_end, _thin),
)
