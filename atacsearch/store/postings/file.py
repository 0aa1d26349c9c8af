"""Posting files: for the shards of a collection, which rows have each token; immutable and memory-mapped.

Layout, little-endian: blocks of encoded lists (`kernels/postings.py`; a block is the least that is decoded at once),
eight zero bytes, the sections `shards` [n, 3] uint64 (number, rows, first 64 bits of the shard's sha256; rows of the
file are the shards' rows one after another), `block_first` uint32 and `block_at` uint64 (first token and first byte
of each block), `pages` uint32 (CRC-32 of each 16 KB before it), a JSON record, and a trailer: length and CRC-32 of
the record, magic.

What is read is compared with its page's checksum the first time, so damage is an error and no wrong answer.
"""

from __future__ import annotations

import json
import mmap
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ...kernels.postings import KERNELS
from ..atomic import put_in_place, remove, temporary
from ..manifest import ShardEntry

MAGIC = b"atacsearch postings 1\n\0\0"
PAGE = 1 << 14
PER_BLOCK = (
    512  # postings of a block: its entry in the directory is 12 bytes, finding a list decodes half of it
)
BATCH_BYTES = 1 << 22  # encoded bytes decoded at a time
_TRAILER = 16 + len(MAGIC)
_SPARE = 8  # bytes that the decoder may read beyond the last block

Int64s = npt.NDArray[np.int64]
UInt32s = npt.NDArray[np.uint32]


class DamagedPostingsError(InputError):
    """A posting file that is not what was written."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path} is damaged ({reason}); run: atacsearch index repair {path.parents[2]}")


@dataclass(frozen=True)
class Lists:
    """Posting lists of some tokens.

    Attributes:
        tokens: [n] uint32, ascending; tokens without items are left out.
        counts: [n] int64 items of each.
        items: uint32 rows of the file, list after list, ascending within each.
    """

    tokens: UInt32s
    counts: Int64s
    items: UInt32s

    @property
    def offsets(self) -> Int64s:
        """[n + 1] int64 places in `items`."""
        offsets = np.zeros(len(self.counts) + 1, np.int64)
        np.cumsum(self.counts, out=offsets[1:])
        return offsets


@dataclass(frozen=True)
class Shards:
    """The shards behind a posting file, in the order of their rows.

    Attributes:
        numbers: [n] int64 numbers in the index.
        rows: [n] int64 items of each.
        marks: [n] uint64 first bits of their sha256.
    """

    numbers: Int64s
    rows: Int64s
    marks: npt.NDArray[np.uint64]

    @property
    def starts(self) -> Int64s:
        """[n] int64 first row of each."""
        return np.asarray(np.cumsum(self.rows) - self.rows, np.int64)


class PostingsWriter:
    """Writes one posting file, list after list, and puts it in place when it is finished.

    Args:
        path: the file to make.
        shards: behind it.
        head: what the record says besides (`kind`, `universe_digest`).
    """

    def __init__(self, path: Path, shards: Shards, head: dict[str, Any]) -> None:
        self._path, self._shards, self._head = path, shards, head
        self._made = temporary(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._handle = open(self._made, "wb")  # noqa: SIM115 (closed by finish and __exit__)
        self._page = bytearray()
        self._sums: list[int] = []
        self._at = 0
        self._first: list[UInt32s] = []
        self._starts: list[Int64s] = []
        self._n_items = int(shards.rows.sum())
        self._n_postings = self._n_lists = self._n_tokens = 0

    def add(self, first_token: int, offsets: Int64s, items: UInt32s) -> None:
        """Write the lists of consecutive tokens, beyond those written before; `offsets` [n_tokens + 1]."""
        n = len(offsets) - 1
        filled = np.flatnonzero(offsets[1:] > offsets[:-1])
        n_lists = len(filled)
        if not n_lists:
            return
        self._n_tokens = first_token + int(filled[-1]) + 1
        out = np.zeros(len(items) + 4 * n_lists + 16, np.uint64)
        first, at, n_blocks = np.empty(n_lists, np.uint32), np.empty(n_lists, np.int64), np.zeros(1, np.int64)
        size = KERNELS(
            "encode_lists", items, offsets, n, first_token, self._n_items, PER_BLOCK, out, first, at, n_blocks
        )
        self._first.append(first[: n_blocks[0]].copy())
        self._starts.append(at[: n_blocks[0]] + self._at)
        self._write(out.view(np.uint8)[:size].data)
        self._n_postings += len(items)
        self._n_lists += n_lists

    def finish(self) -> Path:
        """Write directory, checksums and record; sync and rename. Returns the path."""
        stop = self._at
        self._write(bytes(_SPARE + -(stop + _SPARE) % 8))
        shards = np.stack([self._shards.numbers, self._shards.rows, self._shards.marks.view(np.int64)], 1)
        starts = np.concatenate([*self._starts, [stop]]).astype(np.uint64)
        sections = {
            "shards": shards.astype(np.int64),
            "block_first": np.concatenate([np.empty(0, np.uint32), *self._first]),
            "block_at": starts,
        }
        places: dict[str, list[int]] = {}
        for name, values in sections.items():
            places[name] = [self._at, values.nbytes]
            self._write(values.tobytes())
            self._write(bytes(-self._at % 8))
        if self._page:
            self._sums.append(zlib.crc32(self._page))
        sums = np.array(self._sums, np.uint32).tobytes()
        places["pages"] = [self._at, len(sums)]
        record = json.dumps(
            {
                **self._head,
                "items": self._n_items,
                "lists": self._n_lists,
                "postings": self._n_postings,
                "tokens": self._n_tokens,
                "pages_crc32": zlib.crc32(sums),
                "sections": places,
            }
        ).encode()
        trailer = len(record).to_bytes(8, "little") + zlib.crc32(record).to_bytes(8, "little") + MAGIC
        self._handle.write(sums + record + trailer)
        self._handle.close()
        put_in_place(self._made, self._path)
        return self._path

    def _write(self, data: bytes | memoryview) -> None:
        self._handle.write(data)
        self._at += len(data)
        view = memoryview(data)
        while len(view):
            taken = min(PAGE - len(self._page), len(view))
            self._page += view[:taken]
            view = view[taken:]
            if len(self._page) == PAGE:
                self._sums.append(zlib.crc32(self._page))
                self._page.clear()

    def __enter__(self) -> PostingsWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._handle.close()
        if kind is not None:
            remove(self._made)


class PostingsFile:
    """One posting file, open for reading. Safe to use from several threads.

    Args:
        path: the file.

    Raises:
        FileNotFoundError: it is gone.
        DamagedPostingsError: cut off, or not what was written.

    Attributes:
        shards: behind it.
        n_items: rows.
        n_postings: pairs of a token and a row.
        n_tokens: one more than the last token.
        record: what else it says of itself.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with open(path, "rb") as handle:
            self.size = handle.seek(0, 2)
            if self.size < _TRAILER:
                raise DamagedPostingsError(path, "cut off")
            mapped = mmap.mmap(handle.fileno(), 0, prot=mmap.PROT_READ)
        self._data = np.frombuffer(mapped, np.uint8)
        tail = self._data[-_TRAILER:].tobytes()
        length, crc = (int.from_bytes(tail[i : i + 8], "little") for i in (0, 8))
        at = self.size - _TRAILER - length
        if tail[16:] != MAGIC or at < 0:
            raise DamagedPostingsError(path, "cut off, or another file")
        record = self._data[at : self.size - _TRAILER].tobytes()
        if zlib.crc32(record) != crc:
            raise DamagedPostingsError(path, "its record differs from its checksum")
        self.record: dict[str, Any] = json.loads(record)
        self.n_items, self.n_postings, self.n_tokens = (
            int(self.record[name]) for name in ("items", "postings", "tokens")
        )
        self._sums = self._section("pages", np.uint32)
        if zlib.crc32(self._sums.data) != self.record["pages_crc32"]:
            raise DamagedPostingsError(path, "its checksums differ from their own")
        self._sound = np.zeros(len(self._sums), bool)
        self._stop = int(self.record["sections"]["pages"][0])
        table = self._section("shards", np.int64).reshape(-1, 3)
        self._check(int(self.record["sections"]["shards"][0]), self._stop)
        columns = [np.ascontiguousarray(table[:, i]) for i in range(3)]
        self.shards = Shards(columns[0], columns[1], columns[2].view(np.uint64))
        self._first = self._section("block_first", np.uint32)
        self._at = self._section("block_at", np.uint64)

    def _section(self, name: str, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        at, size = self.record["sections"][name]
        return self._data[at : at + size].view(dtype)

    def _check(self, start: int, stop: int) -> None:
        """Compare the pages of a stretch of bytes with their checksums."""
        for page in range(start // PAGE, -(-stop // PAGE)):
            if not self._sound[page]:
                if (
                    zlib.crc32(self._data[page * PAGE : min((page + 1) * PAGE, self._stop)].data)
                    != self._sums[page]
                ):
                    raise DamagedPostingsError(self.path, f"page {page} differs from its checksum")
                self._sound[page] = True

    def record_head(self) -> dict[str, Any]:
        """What the record says besides sizes: `kind` and `universe_digest`."""
        return {name: self.record[name] for name in ("kind", "universe_digest") if name in self.record}

    def check(self) -> None:
        """Compare everything with its checksums.

        Raises:
            DamagedPostingsError: a page differs.
        """
        self._sound[:] = False
        self._check(0, self._stop)

    def of_tokens(self, tokens: npt.NDArray[Any]) -> Iterator[Lists]:
        """The lists of these tokens (ascending, each once), in batches; tokens without items are left out."""
        wanted = np.ascontiguousarray(tokens, np.int64)
        block = np.searchsorted(self._first, wanted.astype(np.uint32), side="right") - 1
        wanted, block = wanted[block >= 0], block[block >= 0]
        if not len(wanted):
            return
        new = np.concatenate([[True], block[1:] != block[:-1]])
        blocks, begins = block[new], np.append(np.flatnonzero(new), len(wanted))
        for first, last in self._batches(blocks):
            chosen = wanted[begins[first] : begins[last]]
            yield self._decode(blocks[first:last], chosen, 0, 2**32)

    def in_range(self, low: int, high: int) -> Iterator[Lists]:
        """The lists of all tokens in `low <= token < high`, in batches."""
        first = max(int(np.searchsorted(self._first, low, side="right")) - 1, 0)
        last = int(np.searchsorted(self._first, high, side="left"))
        blocks = np.arange(first, last)
        for begin, end in self._batches(blocks):
            yield self._decode(blocks[begin:end], None, low, high)

    def cuts(self) -> tuple[Int64s, Int64s]:
        """First token of every block, and its encoded bytes."""
        return self._first.astype(np.int64), np.diff(self._at).astype(np.int64)

    def _batches(self, blocks: Int64s) -> Iterator[tuple[int, int]]:
        """Runs of blocks of some 4 MB, or of one block."""
        size = (self._at[blocks + 1] - self._at[blocks]).astype(np.int64)
        ends = np.cumsum(size)
        first = 0
        while first < len(blocks):
            before = int(ends[first - 1]) if first else 0
            last = max(int(np.searchsorted(ends, before + BATCH_BYTES, side="right")), first + 1)
            yield first, last
            first = last

    def _decode(self, blocks: Int64s, wanted: Int64s | None, low: int, high: int) -> Lists:
        starts, stops = self._at[blocks].astype(np.int64), self._at[blocks + 1].astype(np.int64)
        for start, stop in _joined(starts, stops):
            self._check(start, stop)
        bits = int((stops - starts).sum()) * 8
        # room for the worst case; memory is touched as far as it is filled
        room = bits // 3 + 1 if wanted is None else min(bits // 3 + 1, len(wanted))
        tokens, counts = np.empty(room, np.uint32), np.empty(room, np.int64)
        items, totals = np.empty(bits + 1, np.uint32), np.zeros(2, np.int64)
        asked = np.zeros(0, np.int64) if wanted is None else np.ascontiguousarray(wanted)
        status = KERNELS(
            "decode_blocks", self._data, starts, stops, self._first[blocks].astype(np.int64), len(blocks),
            asked, -1 if wanted is None else len(asked), low, high, self.n_items, tokens, counts, items, totals,
        )  # fmt: skip
        if status:
            raise DamagedPostingsError(self.path, "a list cannot be decoded")
        n, taken = int(totals[0]), int(totals[1])
        return Lists(tokens[:n], counts[:n], items[:taken])


def _joined(starts: Int64s, stops: Int64s) -> Iterator[tuple[int, int]]:
    """Stretches of bytes that touch, as one."""
    if not len(starts):
        return
    new = np.flatnonzero(starts[1:] != stops[:-1]) + 1
    firsts, lasts = np.concatenate([[0], new]), np.concatenate([new, [len(starts)]]) - 1
    yield from zip(starts[firsts].tolist(), stops[lasts].tolist(), strict=True)


def shards_of(entries: Sequence[ShardEntry]) -> Shards:
    """The `Shards` of shard entries of a manifest, which must be in order of their numbers."""
    return Shards(
        np.array([e.number for e in entries], np.int64),
        np.array([e.rows for e in entries], np.int64),
        np.array([int(e.sha256[:16], 16) for e in entries], np.uint64),
    )
