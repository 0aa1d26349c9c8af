"""BED files of any width (BED3 to BED12, narrowPeak, broadPeak), plain, gzip or bgzip, to `Intervals`.

Only chromosome, start and end are taken. Header lines (`#`, `track`, `browser`, column names, blank) are
passed over, lines that are no region are skipped, counted and shown. Format:
https://genome.ucsc.edu/FAQ/FAQformat.html#format1
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..genome.bed_lines import TAB, scan_lines
from ..genome.intervals import Intervals
from ..kernels.bed import REASONS
from .compressed import ByteSource
from .report import EXAMPLES, ReadReport

EXPECTED = "a BED file (chromosome, start, end; tab-separated, 0-based)"


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
    for chunk in source.chunks():
        parser.feed(chunk())
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
    """Takes the text in chunks of any size; what follows the last newline of a chunk waits for the next one."""

    def __init__(self, report: ReadReport) -> None:
        self._report = report
        self._names: list[bytes] = []
        self._parts: list[tuple[npt.NDArray[np.int32], npt.NDArray[np.int64], npt.NDArray[np.int64]]] = []
        self._examples: list[tuple[int, str]] = []
        self._rest: list[bytes] = []
        self._delimiter: int | None = None
        self._at_start = True

    def feed(self, data: bytes) -> None:
        """Take a chunk of the file."""
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
        chrom = np.concatenate([np.empty(0, np.int32), *(part[0] for part in self._parts)])
        start, end = (
            np.concatenate([np.empty(0, np.int64), *(part[column] for part in self._parts)])
            for column in (1, 2)
        )
        return Intervals(chroms, chrom, start, end)

    def _scan(self, data: bytes) -> None:
        if self._delimiter is None:
            data = data.removeprefix(b"\xef\xbb\xbf")
            self._delimiter = _delimiter(data)
        report = self._report
        found = scan_lines(data, self._names, self._delimiter, self._at_start, report.source)
        self._at_start = found.at_start
        for reason in np.flatnonzero(found.bad).tolist():
            report.skip(REASONS[reason], int(found.bad[reason]))
            at, number = int(found.bad_at[reason]), report.n_lines + int(found.bad_line[reason]) + 1
            text = data[at : data.index(b"\n", at)].rstrip(b"\r").decode("utf-8", "replace")
            self._examples.append((number, f"line {number:,}, {REASONS[reason]}: {text[:80]!r}"))
        report.n_read += len(found.start)
        report.n_lines += found.n_lines
        if len(found.start):
            self._parts.append((found.chrom, found.start, found.end))


def _delimiter(data: bytes) -> int:
    """Tab, unless the first data line has none: then comma, or any white space."""
    for line in data[:65536].splitlines()[:500]:
        if line.strip() and not line.startswith((b"#", b"track", b"browser")):
            if line.count(b"\t") >= 2:
                break
            return ord(",") if line.count(b",") >= 2 and len(line.split()) < 3 else ord(" ")
    return TAB
