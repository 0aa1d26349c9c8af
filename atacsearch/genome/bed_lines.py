"""BED lines to columns: what the reader of data files and that of universes share."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from atacsearch.errors import InputError

from ..kernels import bed as kernel

MAX_NAMES = 100_000
TWO_FROM = 1 << 20  # bytes; less text is read before a second thread has begun
TAB = ord("\t")


@dataclass
class Lines:
    """What one piece of text holds.

    Attributes:
        chrom: [n] int32 places in the list of names.
        start, end: [n] int64, 0-based half-open, `0 <= start < end < 2**31`.
        n_lines: lines seen, headers included.
        n_unusual: lines that are not exactly what `bed_bytes` would write of them.
        bad: [N_REASONS] int64 lines left out, by `kernels.bed.REASONS`.
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
    if len(data) >= TWO_FROM and len(os.sched_getaffinity(0)) > 1:
        middle = data.index(b"\n", len(data) // 2) + 1
        if middle < len(data):
            return _scan_halves(data, middle, names, delimiter, at_start, source)
    return _scan(np.frombuffer(data, np.uint8), names, delimiter, at_start, source)


def _scan_halves(
    data: bytes, middle: int, names: list[bytes], delimiter: int, at_start: bool, source: str
) -> Lines:
    """Two halves on two cores; what comes out does not depend on where the cut is."""
    buffer = np.frombuffer(data, np.uint8)
    later_names: list[bytes] = []
    with ThreadPoolExecutor(1) as pool:
        job = pool.submit(_scan, buffer[middle:], later_names, delimiter, False, source)
        one = _scan(buffer[:middle], names, delimiter, at_start, source)
        two = job.result()
    if one.at_start:  # nothing but header lines so far: a line of column names may still come
        later_names.clear()
        two = _scan(buffer[middle:], later_names, delimiter, True, source)
    places = {name: code for code, name in enumerate(names)}
    recode = [places.setdefault(name, len(places)) for name in later_names]
    names[:] = places
    if len(names) > MAX_NAMES:
        raise _too_many_names(source)
    later_chrom = np.array(recode, np.int32)[two.chrom] if recode else two.chrom
    here = one.bad > 0
    return Lines(
        np.concatenate([one.chrom, later_chrom]),
        np.concatenate([one.start, two.start]),
        np.concatenate([one.end, two.end]),
        one.n_lines + two.n_lines,
        one.n_unusual + two.n_unusual,
        one.bad + two.bad,
        np.where(here, one.bad_at, two.bad_at + middle),
        np.where(here, one.bad_line, two.bad_line + one.n_lines),
        two.at_start,
    )


def _too_many_names(source: str) -> InputError:
    return InputError(
        f"{source}: more than {MAX_NAMES:,} chromosome names; expected a BED file (chromosome, start, end)"
    )


def _scan(
    buffer: npt.NDArray[np.uint8], names: list[bytes], delimiter: int, at_start: bool, source: str
) -> Lines:
    n_lines = int(np.count_nonzero(buffer == 10))
    chrom = np.empty(n_lines, np.int32)
    start, end = np.empty((2, n_lines), np.int64)
    bad, bad_at, bad_line = np.zeros((3, kernel.N_REASONS), np.int64)
    state = np.zeros(kernel.STATE_SIZE, np.int64)
    state[kernel.AT_START] = at_start
    code = kernel.NEW_CHROM
    while code != kernel.DONE:
        places = np.zeros(len(names) + 1, np.int64)
        np.cumsum([len(name) for name in names], out=places[1:])
        arena = np.frombuffer(b"".join(names) + b"\0", np.uint8)
        code = kernel.KERNELS(
            "scan_bed", buffer, len(buffer), delimiter, arena, places, len(names),
            chrom, start, end, bad, bad_at, bad_line, state,
        )  # fmt: skip
        if code == kernel.NEW_CHROM:
            if len(names) >= MAX_NAMES:
                raise _too_many_names(source)
            names.append(buffer[state[kernel.POS] : state[kernel.NAME_STOP]].tobytes())
    n = int(state[kernel.N])
    if n < n_lines:
        chrom, start, end = chrom[:n].copy(), start[:n].copy(), end[:n].copy()
    n_unusual, at_start = int(state[kernel.UNUSUAL]), bool(state[kernel.AT_START])
    return Lines(chrom, start, end, int(state[kernel.LINES]), n_unusual, bad, bad_at, bad_line, at_start)
