"""BED files of any width (BED3 to BED12, narrowPeak, broadPeak), plain, gzip or bgzip, to `Intervals`.

Only chromosome, start and end are taken. Header lines (`#`, `track`, `browser`, column names, blank) are
passed over, lines that are no region are skipped, counted and shown. Format:
https://genome.ucsc.edu/FAQ/FAQformat.html#format1
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..genome.intervals import Intervals
from . import bed_kernel as kernel
from .opening import ByteSource
from .report import EXAMPLES, ReadReport

EXPECTED = "a BED file (chromosome, start, end; tab-separated, 0-based)"
_MAX_NAMES = 100_000
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
    source = ByteSource(path, EXPECTED)
    parser = _Parser(report)
    for block in source.blocks():
        parser.feed(block())
    intervals = parser.finish()
    report.notes.extend(source.notes)
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
    parser = _Parser(report)
    parser.feed(data)
    return parser.finish()


class _Parser:
    """Lines in pieces of any size; the piece after a piece's last newline waits for the next."""

    def __init__(self, report: ReadReport) -> None:
        self._report = report
        self._names: list[bytes] = []
        self._parts: list[tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]] = []
        self._examples: list[tuple[int, str]] = []
        self._rest: list[bytes] = []
        self._delimiter: np.uint8 | None = None
        self._at_start = True

    def feed(self, data: bytes) -> None:
        """Take a piece of the file."""
        last = data.rfind(b"\n") + 1
        if last == 0:
            self._rest.append(data)
            return
        whole = b"".join([*self._rest, data[:last]]) if self._rest or last < len(data) else data
        self._rest = [data[last:]] if last < len(data) else []
        self._scan(whole)

    def finish(self) -> Intervals:
        """All regions."""
        if any(self._rest):
            self._scan(b"".join([*self._rest, b"\n"]))
        room = max(EXAMPLES - len(self._report.examples), 0)
        self._report.examples.extend(text for _, text in sorted(self._examples)[:room])
        chroms = tuple(name.decode("utf-8", "replace") for name in self._names)
        if len(self._parts) == 1:
            return Intervals(chroms, *self._parts[0])
        empty = np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0, np.int64)
        columns = [np.concatenate(c) for c in zip(*self._parts, empty, strict=True)]
        return Intervals(chroms, *columns)

    def _scan(self, data: bytes) -> None:
        if self._delimiter is None:
            data = data.removeprefix(b"\xef\xbb\xbf")
            self._delimiter = np.uint8(_delimiter(data))
        n_lines = data.count(b"\n")
        columns = np.empty(n_lines, np.int32), np.empty(n_lines, np.int64), np.empty(n_lines, np.int64)
        bad, bad_at, bad_line = np.zeros((3, kernel.N_REASONS), np.int64)
        state = np.zeros(kernel.STATE_SIZE, np.int64)
        state[kernel.AT_START] = self._at_start
        buffer = np.frombuffer(data, np.uint8)
        code = kernel.NEW_CHROM
        while code != kernel.DONE:
            places = np.zeros(len(self._names) + 1, np.int64)
            np.cumsum([len(n) for n in self._names], out=places[1:])
            arena = np.frombuffer(b"".join(self._names) + b"\0", np.uint8)
            code = kernel.scan_bed(
                buffer, self._delimiter, arena, places, *columns, bad, bad_at, bad_line, state, _TRACK, _BROWSER
            )  # fmt: skip
            if code == kernel.NEW_CHROM:
                if len(self._names) >= _MAX_NAMES:
                    raise InputError(
                        f"{self._report.source}: more than {_MAX_NAMES:,} chromosome names; expected {EXPECTED}"
                    )
                self._names.append(data[state[kernel.POS] : state[kernel.NAME_STOP]])
        self._at_start = bool(state[kernel.AT_START])
        report = self._report
        for reason in np.flatnonzero(bad).tolist():
            report.skip(kernel.REASONS[reason], int(bad[reason]))
            at, number = int(bad_at[reason]), report.n_lines + int(bad_line[reason]) + 1
            text = data[at : data.index(b"\n", at)].rstrip(b"\r").decode("utf-8", "replace")
            self._examples.append((number, f"line {number:,}, {kernel.REASONS[reason]}: {text[:80]!r}"))
        n = int(state[kernel.N])
        report.n_read += n
        report.n_lines += int(state[kernel.LINES])
        if n:
            self._parts.append(tuple(c[:n] if n == n_lines else c[:n].copy() for c in columns))  # type: ignore[arg-type]


def _delimiter(data: bytes) -> int:
    """Tab, unless the first data line has none: then comma, or any white space."""
    for line in data[:65536].splitlines()[:500]:
        if line.strip() and not line.startswith((b"#", b"track", b"browser")):
            if line.count(b"\t") >= 2:
                break
            return ord(",") if line.count(b",") >= 2 and len(line.split()) < 3 else ord(" ")
    return ord("\t")
