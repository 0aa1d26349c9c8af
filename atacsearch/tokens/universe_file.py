"""Reading and writing the BED file of a universe, where the place of a line is the id of its token.

Nothing is skipped here but header lines before the first region: a line that cannot be read would shift all
ids after it, so it is an error that names the line. Data files, where lines may be skipped, are read by
`atacsearch.readers`.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import numpy as np

from atacsearch.errors import InputError

from ..genome.bed_lines import scan_lines
from ..genome.intervals import Intervals

_HEADERS = (b"#", b"track", b"browser")


def read_universe_bed(path: str | Path) -> Intervals:
    """Read chromosome, start and end of every line of a BED file, plain or gzip, in file order.

    Raises:
        InputError: missing, empty or truncated file; a line with fewer than 3 columns, a coordinate that is
            no whole number, a negative start or `end <= start` (the message names file, line and value).
    """
    return read_universe_bed_hashed(path, b"")[0]


def read_universe_bed_hashed(path: str | Path, head: bytes) -> tuple[Intervals, tuple[str, str] | None]:
    """`read_universe_bed`, and where the lines are what `bed_bytes` writes, digests that need no writing.

    Args:
        path: the file.
        head: what the first digest has before the lines.

    Returns:
        (regions, (sha256 of head and lines, sha256 of the lines), or None where the file is written otherwise).
    """
    data = _strip_headers(_read_bytes(Path(path)), path)
    with ThreadPoolExecutor(2) as pool:
        digests = [pool.submit(_sha256, start, data) for start in (head, b"")]
        names: list[bytes] = []
        found = scan_lines(data if data.endswith(b"\n") else data + b"\n", names, source=str(path))
    if len(found.start) < found.n_lines:
        return _parse_slow(data, path), None
    chroms = tuple(name.decode("utf-8", "replace") for name in names)
    intervals = Intervals(chroms, found.chrom, found.start, found.end)
    if found.n_unusual or not data.endswith(b"\n") or any("\ufffd" in name for name in chroms):
        return intervals, None
    with_head, lines_alone = (digest.result() for digest in digests)
    return intervals, (with_head, lines_alone)


def bed_bytes(intervals: Intervals) -> bytes:
    """The intervals as three-column BED lines, each ending in a newline."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not len(intervals):
        return b""
    names = pa.DictionaryArray.from_arrays(
        pa.array(intervals.chrom), pa.array(list(intervals.chroms), pa.string())
    )
    columns = [names.cast(pa.string())]
    columns += [pa.array(x).cast(pa.string()) for x in (intervals.start, intervals.end)]
    lines = pc.binary_join_element_wise(*columns, "\t")
    text = pc.binary_join_element_wise(lines, "", "\n")
    first, last = np.frombuffer(text.buffers()[1], np.int32)[[text.offset, text.offset + len(text)]]
    return memoryview(text.buffers()[2])[first:last].tobytes()


def write_bed(path: str | Path, intervals: Intervals) -> None:
    """Write three-column BED, gzip where the name ends in `.gz`. Same input, same bytes."""
    path = Path(path)
    data = bed_bytes(intervals)
    if path.suffix == ".gz":
        buffer = io.BytesIO()
        with gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=buffer, mtime=0) as out:
            out.write(data)
        data = buffer.getvalue()
    write_atomically(path, data)


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file under a temporary name beside it, then rename: a reader never sees half of it.

    A pipe or device is written as it is, since it must not be replaced by a file; so is what a link points to.
    """
    path = path.resolve()
    if path.exists() and not path.is_file():
        try:
            path.write_bytes(data)
        except OSError as error:
            raise InputError(f"{path}: cannot be written ({error.strerror})") from error
        return
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise InputError(
            f"{path}: cannot be written ({error.strerror}); choose a folder you may write to"
        ) from error


def _read_bytes(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; expected the BED file of a universe") from None
    except IsADirectoryError:
        raise InputError(f"{path}: is a folder; expected the BED file of a universe") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    if data[:2] == b"\x1f\x8b":
        return _decompress(data, path)
    return data


def _decompress(data: bytes, path: Path) -> bytes:
    from isal import igzip, isal_zlib

    broken = cast(type[Exception], isal_zlib.error)  # isal's stubs declare the class as a value
    decompress = cast(Callable[[bytes], bytes], igzip.decompress)  # isal declares no types for it
    try:
        return decompress(data)
    except (EOFError, broken, gzip.BadGzipFile) as error:
        raise InputError(
            f"{path}: the gzip data is broken or cut off ({error}); fetch or write it again"
        ) from None


def _sha256(head: bytes, data: bytes) -> str:
    digest = hashlib.sha256(head)
    digest.update(data)
    return digest.hexdigest()


def _strip_headers(data: bytes, path: str | Path) -> bytes:
    """Drop header and blank lines before the first region, and a byte order mark."""
    at = 3 if data.startswith(b"\xef\xbb\xbf") else 0
    while at < len(data):
        stop = data.find(b"\n", at)
        stop = len(data) if stop < 0 else stop + 1
        line = data[at:stop].strip()
        if line and not line.startswith(_HEADERS):
            return data[at:]
        at = stop
    raise InputError(f"{path}: holds no regions; expected BED lines (chromosome, start, end)")


def _parse_slow(data: bytes, path: str | Path) -> Intervals:
    """Line by line: takes any white space between columns and names the first bad line."""
    names: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    for number, raw in enumerate(data.decode("utf-8", "replace").rstrip().splitlines(), 1):
        fields = raw.split("\t") if "\t" in raw else raw.split()
        where = f"{path}: region {number} ({raw[:80]!r})"
        if len(fields) < 3:
            raise InputError(
                f"{where}: expected chromosome, start and end; the place of a line is its token id"
            )
        try:
            start, end = int(fields[1]), int(fields[2])
        except ValueError:
            raise InputError(f"{where}: start and end must be whole numbers") from None
        if start < 0 or end <= start:
            raise InputError(f"{where}: expected 0 <= start < end")
        names.append(fields[0].strip())
        starts.append(start)
        ends.append(end)
    return Intervals.from_columns(names, starts, ends)
