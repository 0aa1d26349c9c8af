"""BED files of any width (BED3 to BED12, narrowPeak, broadPeak), plain, gzip or bgzip, to `Intervals`.

Only chromosome, start and end are taken. Header lines (`#`, `track`, `browser`, column names, blank) are
passed over, lines that are no region are skipped, counted and shown. Format:
https://genome.ucsc.edu/FAQ/FAQformat.html#format1
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..errors import InputError
from ..genome.intervals import Intervals
from . import bed_kernel as kernel
from .opening import read_all
from .report import EXAMPLES, ReadReport

EXPECTED = "a BED file (chromosome, start, end; tab-separated, 0-based)"
_TRACK = np.frombuffer(b"track", np.uint8)
_BROWSER = np.frombuffer(b"browser", np.uint8)


def read_bed(path: str | Path, report: ReadReport | None = None) -> Intervals:
    """Read the regions of a BED file in file order.

    Args:
        path: the file.
        report: gets lines read and skipped, with the first bad ones.

    Returns:
        The regions, 0-based half-open.

    Raises:
        InputError: missing, empty, cut-off or foreign file, or no line that is a region.
    """
    return read_bed_hashed(path, report)[0]


def read_bed_hashed(path: str | Path, report: ReadReport | None = None) -> tuple[Intervals, str]:
    """`read_bed`, and the sha256 of the file."""
    report = ReadReport(str(path), "bed") if report is None else report
    data, source = read_all(path, EXPECTED)
    report.notes.extend(source.notes)
    intervals = parse_bed(data, report)
    if not len(intervals):
        seen = f"{report.n_lines:,} lines, none of them a region" if report.n_lines else "no lines"
        example = f"; {report.examples[0]}" if report.examples else ""
        raise InputError(f"{path}: holds {seen}; expected {EXPECTED}{example}")
    return intervals, source.digest


def parse_bed(data: bytes, report: ReadReport) -> Intervals:
    """The regions of BED lines.

    Example:
        >>> report = ReadReport("peaks.bed", "bed")
        >>> regions = parse_bed(b"track name=x\\nchr1\\t5\\t9\\tpeak\\nchr1\\t9\\t7\\n", report)
        >>> regions.start.tolist(), report.n_skipped
        ([5], 1)
    """
    data = data.removeprefix(b"\xef\xbb\xbf")
    if data and not data.endswith(b"\n"):
        data += b"\n"
    n_lines = data.count(b"\n")
    chrom, start, end = np.empty(n_lines, np.int32), np.empty(n_lines, np.int64), np.empty(n_lines, np.int64)
    bad, bad_at, bad_line = np.zeros((3, kernel.N_REASONS), np.int64)
    state = np.zeros(kernel.STATE_SIZE, np.int64)
    state[kernel.AT_START] = 1
    buffer = np.frombuffer(data, np.uint8)
    delimiter = np.uint8(_delimiter(data))
    names: list[bytes] = []
    while True:
        places = np.zeros(len(names) + 1, np.int64)
        np.cumsum([len(n) for n in names], out=places[1:])
        arena = np.frombuffer(b"".join(names) + b"\0", np.uint8)
        code = kernel.scan_bed(
            buffer,
            delimiter,
            arena,
            places,
            chrom,
            start,
            end,
            bad,
            bad_at,
            bad_line,
            state,
            _TRACK,
            _BROWSER,
        )
        if code == kernel.DONE:
            break
        names.append(data[state[kernel.POS] : state[kernel.NAME_STOP]])
    n = int(state[kernel.N])
    report.n_read += n
    examples = []
    for reason in np.flatnonzero(bad).tolist():
        report.skip(kernel.REASONS[reason], int(bad[reason]))
        at, number = int(bad_at[reason]), report.n_lines + int(bad_line[reason]) + 1
        text = data[at : data.index(b"\n", at)].rstrip(b"\r").decode("utf-8", "replace")
        examples.append((number, f"line {number:,}, {kernel.REASONS[reason]}: {text[:80]!r}"))
    report.n_lines += int(state[kernel.LINES])
    room = max(EXAMPLES - len(report.examples), 0)
    report.examples.extend(text for _, text in sorted(examples)[:room])
    chroms = tuple(name.decode("utf-8", "replace") for name in names)
    return Intervals(chroms, chrom[:n].copy(), start[:n].copy(), end[:n].copy())


def _delimiter(data: bytes) -> int:
    """Tab, unless the first data line has none: then comma, or any white space."""
    for line in data[:65536].splitlines()[:500]:
        if line.strip() and not line.startswith((b"#", b"track", b"browser")):
            if line.count(b"\t") >= 2:
                break
            return ord(",") if line.count(b",") >= 2 and len(line.split()) < 3 else ord(" ")
    return ord("\t")
