"""The compiled pass over BED lines: chromosome, start and end of each, bad lines counted by reason."""

from __future__ import annotations

import numpy as np

from .compiled import compiled

DONE, NEW_CHROM = 0, 1
POS, LINES, HEADERS, N, NAME_STOP, AT_START = range(6)
STATE_SIZE = 6

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


@compiled
def _starts_with(buffer, at, stop, word):  # type: ignore[no-untyped-def]
    """Whether a line begins with a word and white space."""
    n = len(word)
    if at + n >= stop:
        return False
    for i in range(n):
        if buffer[at + i] != word[i]:
            return False
    return buffer[at + n] <= 32


@compiled
def scan_bed(  # type: ignore[no-untyped-def]
    buffer, delimiter, names, name_at, chrom, start, end, bad, bad_at, bad_line, state, track, browser
):
    """Read lines from `state[POS]` to the end of the buffer.

    Args:
        buffer: uint8 text that ends in a newline.
        delimiter: byte between columns; 32 stands for any run of spaces and tabs.
        names: uint8, chromosome names one after another.
        name_at: [n_names + 1] int64 places in `names`.
        chrom, start, end: filled, long enough for all lines.
        bad, bad_at, bad_line: [N_REASONS] int64 lines left out, place and number of the first of each reason.
        state: progress.
        track, browser: uint8 words that begin a header line.

    Returns:
        DONE, or NEW_CHROM where the name `[state[POS], state[NAME_STOP])` is not in `names`.
    """
    stop = len(buffer)
    pos = state[POS]
    n = state[N]
    last = -1
    last_at = np.int64(0)
    last_length = np.int64(-1)
    blank = delimiter == 32
    while pos < stop:
        line = pos
        reason = 0
        while (
            buffer[pos] != 10
            and buffer[pos] != 13
            and not (buffer[pos] == delimiter or (blank and buffer[pos] == 9))
        ):
            pos += 1
        name_stop = pos
        length = name_stop - line
        values_start = np.int64(0)
        values_end = np.int64(0)
        if length == 0 or buffer[pos] == 10 or buffer[pos] == 13:
            reason = 1
        for column in range(2):
            if reason != 0:
                break
            pos += 1
            while blank and (buffer[pos] == 32 or buffer[pos] == 9):
                pos += 1
            first = pos
            value = np.int64(0)
            c = np.int64(buffer[pos]) - 48
            while 0 <= c < 10:
                value = value * 10 + c
                pos += 1
                c = np.int64(buffer[pos]) - 48
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
            if column == 0:
                values_start = value
            else:
                values_end = value
        if reason == 0 and values_end <= values_start:
            reason = 5
        while buffer[pos] != 10:
            pos += 1
        pos += 1
        if reason != 0:
            first_byte = buffer[line]
            empty = True
            for i in range(line, pos):
                if buffer[i] > 32:
                    empty = False
                    break
            if (
                empty
                or first_byte == 35
                or _starts_with(buffer, line, pos, track)
                or _starts_with(buffer, line, pos, browser)
            ):
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
            continue
        same = length == last_length
        if same:
            for i in range(length):
                if buffer[line + i] != buffer[last_at + i]:
                    same = False
                    break
        if not same:
            last = -1
            for k in range(len(name_at) - 1):
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
        state[AT_START] = 0
        state[LINES] += 1
    state[POS] = pos
    state[N] = n
    return DONE
