"""BED lines to columns: what the reader of data files and that of universes share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from atacsearch.errors import InputError

from . import bed_kernel as kernel

MAX_NAMES = 100_000
TAB = ord("\t")


@dataclass
class Lines:
    """What one piece of text holds.

    Attributes:
        chrom: [n] int32 places in the list of names.
        start, end: [n] int64, 0-based half-open, `0 <= start < end < 2**31`.
        n_lines: lines seen, headers included.
        n_unusual: lines that are not exactly what `bed_bytes` would write of them.
        bad: [N_REASONS] int64 lines left out, by `bed_kernel.REASONS`.
        bad_at, bad_line: place in the text and number (from 0) of the first of each reason.
        at_start: whether nothing but header lines has been seen.
    """

    chrom: npt.NDArray[np.int32]
    start: npt.NDArray[np.int64]
    end: npt.NDArray[np.int64]
    n_lines: int
    n_unusual: int
    bad: npt.NDArray[np.int64]
    bad_at: npt.NDArray[np.int64]
    bad_line: npt.NDArray[np.int64]
    at_start: bool


def scan_lines(
    data: bytes, names: list[bytes], delimiter: int = TAB, at_start: bool = True, source: str = "the input"
) -> Lines:
    """Read whole lines.

    Args:
        data: text that ends in a newline.
        names: chromosome names known so far; new ones are added in the order in which they come.
        delimiter: byte between columns; 32 stands for any run of spaces and tabs.
        at_start: whether a line of column names may come.
        source: what the message calls the data.

    Raises:
        InputError: more than `MAX_NAMES` names.
    """
    n_lines = data.count(b"\n")
    chrom = np.empty(n_lines, np.int32)
    start, end = np.empty((2, n_lines), np.int64)
    bad, bad_at, bad_line = np.zeros((3, kernel.N_REASONS), np.int64)
    state = np.zeros(kernel.STATE_SIZE, np.int64)
    state[kernel.AT_START] = at_start
    buffer = np.frombuffer(data, np.uint8)
    code = kernel.NEW_CHROM
    while code != kernel.DONE:
        places = np.zeros(len(names) + 1, np.int64)
        np.cumsum([len(name) for name in names], out=places[1:])
        arena = np.frombuffer(b"".join(names) + b"\0", np.uint8)
        code = kernel.KERNELS(
            "scan_bed", buffer, len(data), delimiter, arena, places, len(names),
            chrom, start, end, bad, bad_at, bad_line, state,
        )  # fmt: skip
        if code == kernel.NEW_CHROM:
            if len(names) >= MAX_NAMES:
                raise InputError(
                    f"{source}: more than {MAX_NAMES:,} chromosome names; expected a BED file "
                    "(chromosome, start, end)"
                )
            names.append(data[state[kernel.POS] : state[kernel.NAME_STOP]])
    n = int(state[kernel.N])
    if n < n_lines:
        chrom, start, end = chrom[:n].copy(), start[:n].copy(), end[:n].copy()
    n_unusual, at_start = int(state[kernel.UNUSUAL]), bool(state[kernel.AT_START])
    return Lines(chrom, start, end, int(state[kernel.LINES]), n_unusual, bad, bad_at, bad_line, at_start)
