"""The tables of one parsing thread, and its calls into the compiled pass of `kernels.fragments`.

Bytes of whole lines go in, a `Piece` (line counts, first bad lines) comes out; pairs of barcode and token go to
the `PairStore` whenever the worker's buffer is full; barcodes and their counters stay in the worker until
`merge` adds the tables of one worker to those of another.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ...kernels import fragment_tables as tables
from ...kernels import fragments as kernel
from ...kernels import pairs as pair_kernel
from .bins import BinIndex
from .pairs import PairStore, group

SAMPLE_SIZE = 1 << 16  # fragments kept for the assembly check
_PAIRS = 1 << 20  # pairs that a worker collects before it groups them
_MAX_NAMES = 100_000
_T = TypeVar("_T", bound=np.generic)


@dataclass
class Piece:
    """What was counted in one stretch of whole lines: a chunk without its cut lines, or a line joined from chunks."""

    n_lines: int
    n_headers: int
    bad: npt.NDArray[np.int64]
    examples: dict[int, tuple[int, str]]  # reason -> (line within the piece, text)
    n_fragments: int


class ChromNames:
    """Codes of chromosome names, looked up once and shared by the threads."""

    def __init__(self, chrom_code: Callable[[str], int], path: str | Path) -> None:
        self._look_up = chrom_code
        self._codes: dict[bytes, int] = {}
        self._lock = threading.Lock()
        self._path = path

    def code(self, name: bytes) -> int:
        """Code of the universe's chromosome, -1 where it has none."""
        with self._lock:
            if name not in self._codes:
                if len(self._codes) >= _MAX_NAMES:
                    raise InputError(
                        f"{self._path}: more than {_MAX_NAMES:,} chromosome names; expected a fragment file"
                    )
                self._codes[name] = self._look_up(name.decode("utf-8", "replace"))
            return self._codes[name]


@dataclass
class Settings:
    """What all workers of a pass share; see `scan_fragments`.

    Attributes:
        prefix: what barcodes begin with that tells nothing.
        listed: items come in the order of `only`, not of their names.
        in_order: the order of pairs within a barcode counts (lists, not sets).
    """

    delimiter: int
    prefix: bytes
    insertions: bool
    unk: int | None
    only: list[bytes] | None
    universe: BinIndex
    tss: BinIndex
    blacklist: BinIndex
    names: ChromNames
    listed: bool
    in_order: bool


class Worker:
    """The tables of one thread, and the calls into the compiled pass."""

    def __init__(self, number: int, settings: Settings, store: PairStore) -> None:
        self.number = number
        self.settings = settings
        self.store = store
        self._keys = np.empty(0, np.uint64)
        self.names: list[bytes] = []
        self.state = np.zeros(kernel.STATE_SIZE, np.int64)
        self.tables = _empty_tables(1 << 12)
        self.sample = np.zeros((SAMPLE_SIZE, 3), np.int32)
        self.pair_barcode = np.empty(_PAIRS, np.uint32)
        self.pair_token = np.empty(_PAIRS, np.uint32)
        self.keep_below = 2**62
        if settings.only is not None:
            self._enter_barcodes(settings.only)
            self.keep_below = len(settings.only)

    def parse(self, data: bytes, start: int, stop: int, order: int, at_start: bool) -> Piece:
        """Read the whole lines `data[start:stop]`; `order` is that of the pieces in the file."""
        piece = Piece(0, 0, np.zeros(kernel.N_REASONS, np.int64), {}, 0)
        self.state[kernel.AT_START] = at_start
        # the compiled pass looks past the end of a line: the last lines go through a padded copy
        cut = data.rfind(b"\n", start, min(stop, len(data) - tables.PADDING)) + 1
        if cut > start:
            self._scan(data, start, cut, piece, order)
        else:
            cut = start
        if stop > cut:
            self._scan(data[cut:stop] + bytes(tables.PADDING), 0, stop - cut, piece, order)
        piece.n_fragments = piece.n_lines - piece.n_headers - int(piece.bad.sum())
        if self.settings.in_order:
            self.flush(order)
        return piece

    def flush(self, order: int = 0) -> None:
        """Group the pairs collected so far, and hand them to the store."""
        n = int(self.state[kernel.N_PAIRS])
        if n:
            run = group(self.number, order, self.pair_barcode[:n], self.pair_token[:n], self.keys())
            self.store.add(run)
            self.state[kernel.N_PAIRS] = 0

    def keys(self) -> npt.NDArray[np.uint64]:
        """[n_barcodes] uint64, ascending as the items will be: by name, or by place in the list of barcodes."""
        known, n = len(self._keys), self.n_barcodes
        if known < n:
            keys = np.empty(n, np.uint64)
            keys[:known] = self._keys
            if self.settings.listed:
                keys[known:] = np.arange(known, n)
            else:
                prefix = np.frombuffer(self.settings.prefix, np.uint8)
                t = self.tables
                pair_kernel.KERNELS("name_keys", t.arena, t.barcode_at, known, n, prefix, len(prefix), keys)
            self._keys = keys
        return self._keys

    def _scan(self, data: bytes, start: int, stop: int, piece: Piece, order: int) -> None:
        s, state = self.settings, self.state
        buffer = np.frombuffer(data, np.uint8)
        state[kernel.POS], state[kernel.LINES], state[kernel.HEADERS] = start, 0, 0
        bad, bad_at, bad_line = np.zeros((3, kernel.N_REASONS), np.int64)
        unk = s.unk if s.unk is not None else 0
        code = -1
        while code != kernel.DONE:
            t = self.tables
            code = kernel.KERNELS(
                "scan_lines",
                *(buffer, stop, s.delimiter, s.insertions, s.unk is not None, unk, self.keep_below),
                *s.universe,
                *(*s.tss, len(s.tss.start)),
                *(*_without_value(s.blacklist), len(s.blacklist.start)),
                *(t.slots, len(t.slots), t.arena, len(t.arena) - tables.PADDING),
                *(t.barcode_at, min(len(t.barcode_at) - 1, len(t.slots) // 2), t.counters),
                *(t.name_key, t.names, t.name_at, t.name_code, t.name_lines, t.name_end, len(t.name_key)),
                *(self.pair_barcode, self.pair_token, len(self.pair_token)),
                *(bad, bad_at, bad_line, self.sample, len(self.sample), state),
            )
            if code == kernel.NEW_CHROM:
                self._add_name(data[state[kernel.POS] : state[kernel.NAME_STOP]])
            elif code == kernel.MORE_BARCODES:
                line = data.index(b"\n", state[kernel.POS]) - int(state[kernel.POS])
                self._grow(self.n_barcodes + 1, int(state[kernel.ARENA_USED]) + line)
            elif code == kernel.MORE_PAIRS and state[kernel.N_PAIRS]:
                self.flush(order)
            elif code == kernel.MORE_PAIRS:  # one fragment in more regions than there is room for
                self._make_pair_room(2 * len(self.pair_token))
        for reason in np.flatnonzero(bad).tolist():
            at = int(bad_at[reason])
            text = _text(data[at : data.index(b"\n", at)])
            piece.examples.setdefault(reason, (piece.n_lines + int(bad_line[reason]), text))
        piece.bad += bad
        piece.n_lines += int(state[kernel.LINES])
        piece.n_headers += int(state[kernel.HEADERS])

    @property
    def n_barcodes(self) -> int:
        """Barcodes seen (or entered) so far."""
        return int(self.state[kernel.N_BARCODES])

    def barcodes(self) -> npt.NDArray[np.object_]:
        """[n] str, the barcodes in the order of their ids."""
        at = self.tables.barcode_at[: self.n_barcodes + 1].tolist()
        text = self.tables.arena[: at[-1]].tobytes()
        names = [text[a:b].decode("utf-8", "replace") for a, b in pairwise(at)]
        return np.array(names, dtype=object)

    def _make_pair_room(self, n: int) -> None:
        self.pair_barcode = np.empty(n, np.uint32)
        self.pair_token = np.empty(n, np.uint32)

    def _add_name(self, name: bytes) -> None:
        """Enter a chromosome name that the compiled pass does not know yet."""
        t = self.tables
        self.names.append(name)
        arena, places = packed(self.names)
        key = int.from_bytes(name, "little") if len(name) < 8 else 0
        self.tables = t._replace(
            name_key=np.append(t.name_key, np.uint64(key)),
            names=arena,
            name_at=places,
            name_code=np.append(t.name_code, np.int64(self.settings.names.code(name))),
            name_lines=np.append(t.name_lines, np.int64(0)),
            name_end=np.append(t.name_end, np.int64(0)),
        )

    def _grow(self, n_barcodes: int, n_bytes: int) -> None:
        """Make room for at least so many barcodes and bytes of them."""
        t = self.tables
        room = len(t.barcode_at) - 1
        if n_bytes + tables.PADDING > len(t.arena):
            t = t._replace(arena=_longer(t.arena, max(n_bytes + tables.PADDING, 2 * len(t.arena))))
        if n_barcodes > room:
            while room < n_barcodes:
                room *= 2
            t = t._replace(barcode_at=_longer(t.barcode_at, room + 1), counters=_longer(t.counters, room))
            t = t._replace(slots=np.zeros((2 * room, 4), np.uint64))
            self._fill_slots(t, self.n_barcodes)
        self.tables = t

    @staticmethod
    def _fill_slots(t: tables.Tables, n: int) -> None:
        tables.KERNELS("rebuild_slots", t.slots, len(t.slots), t.arena, t.barcode_at, n)

    def _enter_barcodes(self, barcodes: list[bytes]) -> None:
        """Give barcodes the ids 0, 1, 2, … before anything is read."""
        arena, places = packed(barcodes)
        n, used = len(barcodes), int(places[-1])
        self._grow(n, used)
        self.tables.arena[:used] = arena[:used]
        self.tables.barcode_at[: n + 1] = places
        self._fill_slots(self.tables, n)
        self.state[kernel.N_BARCODES], self.state[kernel.ARENA_USED] = n, used

    def merge(self, other: Worker) -> npt.NDArray[np.int32]:
        """Add another worker's barcodes, counters and names; returns the ids here of its barcodes."""
        state, n = self.state, int(other.state[kernel.N_BARCODES])
        self._grow(
            int(state[kernel.N_BARCODES]) + n, int(state[kernel.ARENA_USED] + other.state[kernel.ARENA_USED])
        )
        mapping = np.zeros(n, np.int32)
        t, o = self.tables, other.tables
        state[kernel.N_BARCODES] = tables.KERNELS(
            "merge_barcodes",
            *(o.arena, o.barcode_at, o.counters, n, t.slots, len(t.slots), t.arena, t.barcode_at, t.counters),
            *(self.n_barcodes, int(state[kernel.ARENA_USED]), mapping),
        )
        state[kernel.ARENA_USED] = t.barcode_at[self.n_barcodes]
        return mapping


def _empty_tables(n: int) -> tables.Tables:
    """Tables with room for n barcodes, without chromosome names."""
    return tables.Tables(
        slots=np.zeros((2 * n, 4), np.uint64),
        arena=np.zeros(32 * n + tables.PADDING, np.uint8),
        barcode_at=np.zeros(n + 1, np.int64),
        counters=np.zeros((n, tables.N_COUNTERS), np.uint32),
        name_key=np.empty(0, np.uint64),
        names=np.zeros(tables.PADDING, np.uint8),
        name_at=np.zeros(1, np.int64),
        name_code=np.empty(0, np.int64),
        name_lines=np.empty(0, np.int64),
        name_end=np.empty(0, np.int64),
    )


def packed(texts: list[bytes]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """The texts one after another (then `PADDING` zeros), and where each begins."""
    places = np.zeros(len(texts) + 1, np.int64)
    np.cumsum([len(t) for t in texts], out=places[1:])
    return np.frombuffer(b"".join(texts) + bytes(tables.PADDING), np.uint8).copy(), places


def _without_value(
    index: BinIndex,
) -> tuple[
    npt.NDArray[np.int64],
    npt.NDArray[np.int32],
    npt.NDArray[np.int64],
    npt.NDArray[np.int32],
    npt.NDArray[np.int32],
    int,
]:
    """The fields of an index but for what a hit yields."""
    return index.bin_at, index.first, index.stop, index.start, index.end, index.shift


def _longer(array: npt.NDArray[_T], n: int) -> npt.NDArray[_T]:
    """The array with zeros behind it, up to n rows."""
    out = np.zeros((n, *array.shape[1:]), array.dtype)
    out[: len(array)] = array
    return out


def _text(line: bytes) -> str:
    text = line.rstrip(b"\r").decode("utf-8", "replace")
    return repr(text[:80] + ("…" if len(text) > 80 else ""))
