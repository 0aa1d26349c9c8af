"""The compiled pass over BED lines. Functions over pointers, see `kernels.compiler`."""

from __future__ import annotations

from .compiler import Kernels
from .types import Numbers

DONE, NEW_CHROM = 0, 1
POS, LINES, HEADERS, N, NAME_STOP, AT_START, UNUSUAL = range(7)
STATE_SIZE = 7

REASONS = (
    "",
    "with fewer than 3 columns",
    "whose start is not a whole number",
    "whose end is not a whole number",
    "with a negative start",
    "with end <= start",
    "with a coordinate above 2,147,483,647",
)
N_REASONS = len(REASONS)
_MAX = 2**31 - 1


def scan_bed(
    buffer: Numbers, stop: int, delimiter: int, names: Numbers, name_at: Numbers, n_names: int,
    chrom: Numbers, start: Numbers, end: Numbers, bad: Numbers, bad_at: Numbers, bad_line: Numbers,
    state: Numbers,
) -> int:  # fmt: skip
    """Read lines from `state[POS]` to the end of the buffer.

    Args:
        buffer: [stop] uint8 text that ends in a newline.
        stop: bytes in it.
        delimiter: byte between columns; 32 stands for any run of spaces and tabs.
        names: uint8, chromosome names one after another.
        name_at: [n_names + 1] int64 places in `names`.
        n_names: how many names are known.
        chrom, start, end: filled, long enough for all lines.
        bad, bad_at, bad_line: [N_REASONS] int64 lines left out, place and number of the first of each reason.
        state: progress; `state[UNUSUAL]` counts lines that are not three tab-separated columns and a newline
            as `bed_bytes` writes them.

    Returns:
        DONE, or NEW_CHROM where the name `[state[POS], state[NAME_STOP])` is not in `names`.
    """
    pos = state[POS]
    n = state[N]
    last = -1
    last_at = 0
    last_length = -1
    blank = delimiter == 32
    while pos < stop:
        line = pos
        reason = 0
        unusual = 0
        same = last_length > 0  # most lines are on the chromosome of the one before
        while same and pos - line < last_length:
            same = buffer[pos] == buffer[last_at + pos - line]
            pos += 1
        same = same and buffer[pos] == delimiter
        if not same:
            pos = line
            while (
                buffer[pos] != 10
                and buffer[pos] != 13
                and not (buffer[pos] == delimiter or (blank and buffer[pos] == 9))
            ):
                pos += 1
        name_stop = pos
        length = name_stop - line
        values_start = 0
        values_end = 0
        if length == 0 or buffer[pos] == 10 or buffer[pos] == 13:
            reason = 1
        for column in range(2):
            if reason != 0:
                break
            pos += 1
            while blank and (buffer[pos] == 32 or buffer[pos] == 9):
                pos += 1
            first = pos
            value = 0
            while 48 <= buffer[pos] < 58:
                value = value * 10 + (buffer[pos] - 48)
                pos += 1
            b = buffer[pos]
            ends_line = b == 10 or b == 13
            ends_field = ends_line or b == delimiter or (blank and b == 9)
            if pos == first and ends_line:
                reason = 1
            elif pos == first or not ends_field:
                reason = 2 + column
                if b == 45 and pos == first and 48 <= buffer[pos + 1] < 58:
                    reason = 4 if column == 0 else 5
            elif pos - first > 10 or value > _MAX:
                reason = 6
            elif column == 0 and ends_line:
                reason = 1
            if buffer[first] == 48 and pos - first > 1:
                unusual = 1
            if column == 0:
                values_start = value
            else:
                values_end = value
        if reason == 0 and values_end <= values_start:
            reason = 5
        if buffer[pos] != 10:
            unusual = 1
        while buffer[pos] != 10:
            pos += 1
        pos += 1
        if reason != 0:
            state[UNUSUAL] += 1
            empty = True
            for i in range(line, pos):
                if buffer[i] > 32:
                    empty = False
                    break
            track = (  # "track" and white space
                line + 5 < pos
                and buffer[line] == 116
                and buffer[line + 1] == 114
                and buffer[line + 2] == 97
                and buffer[line + 3] == 99
                and buffer[line + 4] == 107
                and buffer[line + 5] <= 32
            )
            browser = (  # "browser" and white space
                line + 7 < pos
                and buffer[line] == 98
                and buffer[line + 1] == 114
                and buffer[line + 2] == 111
                and buffer[line + 3] == 119
                and buffer[line + 4] == 115
                and buffer[line + 5] == 101
                and buffer[line + 6] == 114
                and buffer[line + 7] <= 32
            )
            if empty or buffer[line] == 35 or track or browser:
                state[HEADERS] += 1
            elif reason == 2 and state[AT_START] == 1:
                state[HEADERS] += 1  # column names
                state[AT_START] = 0
            else:
                state[AT_START] = 0
                if bad[reason] == 0:
                    bad_at[reason] = line
                    bad_line[reason] = state[LINES]
                bad[reason] += 1
            state[LINES] += 1
            continue
        if buffer[line] == 35:
            state[HEADERS] += 1
            state[LINES] += 1
            state[UNUSUAL] += 1
            continue
        if not same:
            last = -1
            for k in range(n_names):
                if name_at[k + 1] - name_at[k] != length:
                    continue
                same = True
                for i in range(length):
                    if names[name_at[k] + i] != buffer[line + i]:
                        same = False
                        break
                if same:
                    last = k
                    break
            if last < 0:
                state[POS] = line
                state[N] = n
                state[NAME_STOP] = name_stop
                return NEW_CHROM
            last_at = line
            last_length = length
        chrom[n] = last
        start[n] = values_start
        end[n] = values_end
        n += 1
        state[UNUSUAL] += unusual
        state[AT_START] = 0
        state[LINES] += 1
    state[POS] = pos
    state[N] = n
    return DONE


KERNELS = Kernels(__file__, {"scan_bed": (scan_bed, "u1 n n u1 i8 n i4 i8 i8 i8 i8 i8 i8")})
