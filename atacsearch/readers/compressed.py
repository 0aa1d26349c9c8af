"""Bytes of a text file, plain, gzip or bgzip (BGZF), chunk by chunk.

A `ByteSource` reads the file once, hashes it on the way, and gives out chunks as calls that return bytes:
the blocks of bgzip are inflated by whoever makes the call (so in parallel), plain gzip is one stream and is
inflated here. Formats: RFC 1952; BGZF in the SAM specification, section 4.1.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import IO, cast

from ..errors import InputError

Chunk = Callable[[], bytes]  # returns the bytes of one chunk of the text

READ_BYTES = 1 << 20  # compressed bytes a read: some 4 MB of fragment lines
PLAIN_BYTES = 4 << 20
BGZF_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")

_OTHER_FORMATS = {
    b"\x28\xb5\x2f\xfd": "zstd",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"PK\x03\x04": "zip",
    b"\x89HDF": "HDF5",
    b"PAR1": "Parquet",
    b"BAM\x01": "BAM",
    b"\x26\xfc\x8f\x88": "bigWig",
    b"\x88\x8f\xfc\x26": "bigWig",
    b"\xeb\xf2\x89\x87": "bigBed",
    b"\x87\x89\xf2\xeb": "bigBed",
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
}


class ByteSource:
    """One text file, read once from start to end.

    Attributes:
        path: the file.
        compression: "plain", "gzip" or "bgzip".
        size: bytes on disk.
        bytes_read: compressed bytes taken so far.
        notes: what was odd but could be read.
    """

    def __init__(
        self, path: str | Path, expected: str = "a text file", chunk_bytes: int | None = None
    ) -> None:
        self.path = Path(path)
        self._step = chunk_bytes
        self.notes: list[str] = []
        self.bytes_read = 0
        self._sha256 = hashlib.sha256()
        self._expected = expected
        self.size = _check_file(self.path, expected)
        start = _first_bytes(self.path, 18)
        self.compression = _compression(start)
        if self.compression == "plain":
            _refuse_other_formats(self.path, start, expected)

    @property
    def digest(self) -> str:
        """sha256 (hexadecimal) of the file as it lies on disk; complete after the last chunk."""
        return self._sha256.hexdigest()

    def chunks(self) -> Iterator[Chunk]:
        """Chunks in file order; each is a call that returns its bytes.

        Raises:
            InputError: a cut-off or broken file, naming it and how far it could be read (a chunk's call raises
                it, too).
        """
        with open(self.path, "rb") as handle, ThreadPoolExecutor(1) as self._hasher:
            if self.compression == "plain":
                yield from self._plain(handle)
            elif self.compression == "gzip":
                yield from self._gzip(handle)
            else:
                yield from self._bgzip(handle)

    def _read(self, handle: IO[bytes], n: int) -> bytes:
        try:
            data = handle.read(self._step or n)
        except OSError as error:
            raise InputError(f"{self.path}: cannot be read ({error.strerror})") from error
        self._hasher.submit(self._sha256.update, data)  # beside inflation; one thread keeps the order
        self.bytes_read += len(data)
        return data

    def _plain(self, handle: IO[bytes]) -> Iterator[Chunk]:
        while data := self._read(handle, PLAIN_BYTES):
            yield _constant(data)

    def _gzip(self, handle: IO[bytes]) -> Iterator[Chunk]:
        from isal import isal_zlib

        inflated = 0
        inflater = isal_zlib.decompressobj(wbits=31)
        data = self._read(handle, READ_BYTES)
        while data:
            try:
                out = inflater.decompress(data)
            except _inflate_errors() as error:
                raise self._broken(f"the gzip data is broken: {error}", inflated) from None
            inflated += len(out)
            if out:
                yield _constant(out)
            if not inflater.eof:
                data = self._read(handle, READ_BYTES)
                continue
            data = (inflater.unused_data or self._read(handle, READ_BYTES)).lstrip(
                b"\0"
            )  # zero padding is allowed
            while not data and (more := self._read(handle, READ_BYTES)):
                data = more.lstrip(b"\0")
            if data and len(data) < 2:
                data += self._read(handle, READ_BYTES)
            if data and not data.startswith(b"\x1f\x8b"):
                self.notes.append(
                    f"{self.path}: ignored bytes that are not gzip after the end of the compressed data"
                )
                while self._read(handle, READ_BYTES):
                    pass
                return
            inflater = isal_zlib.decompressobj(wbits=31)
            if not data:
                return
        raise self._broken("the gzip file is cut off (its end is missing)", inflated)

    def _bgzip(self, handle: IO[bytes]) -> Iterator[Chunk]:
        rest = b""
        at = 0
        last = b""
        while data := self._read(handle, READ_BYTES):
            data = rest + data
            cuts = self._bgzf_cuts(data, at)
            if len(cuts) > 1:
                yield self._inflate_later(data, cuts, at)
                last = data[cuts[-2] : cuts[-1]]
            rest = data[cuts[-1] :]
            at += cuts[-1]
        if rest:
            raise self._broken("the bgzip file is cut off (its last block is incomplete)", None, at)
        if last != BGZF_END:
            self.notes.append(f"{self.path}: has no bgzip end marker; check that the file is complete")

    def _bgzf_cuts(self, data: bytes, at: int) -> list[int]:
        """Positions in `data` at which complete blocks begin and end."""
        cuts = [0]
        here = 0
        while here + 18 <= len(data):
            if data[here : here + 4] != b"\x1f\x8b\x08\x04" or data[here + 12 : here + 14] != b"BC":
                raise self._broken("a bgzip block has a broken header", None, at + here)
            here += int.from_bytes(data[here + 16 : here + 18], "little") + 1
            if here > len(data):
                break
            cuts.append(here)
        return cuts

    def _inflate_later(self, data: bytes, cuts: list[int], at: int) -> Chunk:
        def inflate() -> bytes:
            from isal import isal_zlib

            parts = []
            for start, stop in pairwise(cuts):
                first = start + 12 + int.from_bytes(data[start + 10 : start + 12], "little")
                size = int.from_bytes(data[stop - 4 : stop], "little")
                try:
                    part = isal_zlib.decompress(data[first : stop - 8], wbits=-15, bufsize=max(size, 1))
                except _inflate_errors() as error:
                    raise self._broken(f"a bgzip block is broken: {error}", None, at + start) from None
                crc = int.from_bytes(data[stop - 8 : stop - 4], "little")
                if len(part) != size or isal_zlib.crc32(part) != crc:
                    raise self._broken("a bgzip block does not match its checksum", None, at + start)
                parts.append(part)
            return b"".join(parts)

        return inflate

    def _broken(self, what: str, inflated: int | None, at: int | None = None) -> InputError:
        where = f"byte {self.bytes_read if at is None else at:,} of {self.size:,}"
        sound = "" if inflated is None else f", {inflated:,} bytes of text were sound"
        return InputError(f"{self.path}: {what} near {where}{sound}; fetch or write the file again")


def read_all(path: str | Path, expected: str = "a text file") -> tuple[bytes, ByteSource]:
    """The whole text of a (small) file, and its source (for digest and notes)."""
    source = ByteSource(path, expected)
    return b"".join(chunk() for chunk in source.chunks()), source


def file_digest(path: str | Path) -> str:
    """sha256 (hexadecimal) of a file, read in pieces."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _inflate_errors() -> type[Exception]:
    from isal import isal_zlib

    return cast(type[Exception], isal_zlib.error)  # isal's stubs declare the class as a value


def _constant(data: bytes) -> Chunk:
    return lambda: data


def _first_bytes(path: Path, n: int) -> bytes:
    with open(path, "rb") as handle:
        return handle.read(n)


def _compression(start: bytes) -> str:
    if start[:2] != b"\x1f\x8b":
        return "plain"
    return "bgzip" if start[3:4] == b"\x04" and start[12:14] == b"BC" else "gzip"


def _check_file(path: Path, expected: str) -> int:
    try:
        size = path.stat().st_size
        with open(path, "rb"):
            pass
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; expected {expected}") from None
    except IsADirectoryError:
        raise InputError(f"{path}: is a folder; expected {expected}") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    if size == 0:
        raise InputError(f"{path}: is empty (0 bytes); expected {expected}")
    return size


def _refuse_other_formats(path: Path, start: bytes, expected: str) -> None:
    for magic, name in _OTHER_FORMATS.items():
        if start.startswith(magic):
            raise InputError(f"{path}: is {name}; expected {expected}, plain or gzip")
