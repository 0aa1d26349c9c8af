"""The compiled pass from the open peaks of cells to their tokens. Functions over pointers, see `kernels.compiler`."""

from __future__ import annotations

from .compiler import Kernels
from .types import Numbers


def count_tokens(columns: Numbers, n: int, all_open: int, is_open: Numbers, at: Numbers) -> int:
    """How many tokens `fill_tokens` writes at most."""
    total = 0
    for i in range(n):
        if all_open or is_open[i]:
            total += at[columns[i] + 1] - at[columns[i]]
    return total


def fill_tokens(
    indptr: Numbers,
    n_rows: int,
    columns: Numbers,
    all_open: int,
    is_open: Numbers,
    at: Numbers,
    tokens: Numbers,
    offsets: Numbers,
    out: Numbers,
) -> int:
    """Write the tokens of every row, leaving out those that repeat the one before.

    Args:
        indptr: [n_rows + 1] int64 places of rows in `columns`.
        n_rows: number of rows.
        columns: int32 peaks.
        all_open: whether `is_open` is not to be looked at.
        is_open: uint8, 0 where a stored value is zero.
        at: [n_peaks + 1] int64; peak p has `tokens[at[p]:at[p + 1]]`.
        tokens: uint32.
        offsets: [n_rows + 1] int64, filled.
        out: uint32, filled.

    Returns:
        The number of rows whose tokens do not rise, and so have to be sorted and made unique.
    """
    n = 0
    unsorted = 0
    offsets[0] = 0
    for row in range(n_rows):
        before = -1
        rises = 1
        for i in range(indptr[row], indptr[row + 1]):
            if all_open or is_open[i]:
                for k in range(at[columns[i]], at[columns[i] + 1]):
                    token = tokens[k]
                    if token > before:
                        out[n] = token
                        n += 1
                    elif token < before:
                        out[n] = token
                        n += 1
                        rises = 0
                    before = token
        offsets[row + 1] = n
        unsorted += 1 - rises
    return unsorted


KERNELS = Kernels(
    __file__,
    {
        "count_tokens": (count_tokens, "i4 n n u1 i8"),
        "fill_tokens": (fill_tokens, "i8 n i4 n u1 i8 u4 i8 u4"),
    },
)
