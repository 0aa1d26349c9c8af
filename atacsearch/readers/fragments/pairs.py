"""(barcode, token) pairs of a pass over fragments, grouped by barcode: an external sort.

Threads hand in runs of some million pairs, each sorted by a key of the barcode. A run takes four bytes a pair
and eight a barcode in it; past `IN_MEMORY` bytes runs go to an unnamed temporary file (in `TMPDIR`). At the
end the items, which come in the order of the keys, are cut into parts of about `PART_PAIRS` pairs, and each part
is put together from its stretch of every run: memory is bounded by runs and parts, not by the file.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import IO

import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ...kernels.pairs import KERNELS
from ...kernels.token_rows import rows_to_sets

IN_MEMORY = 128 << 20  # bytes of runs that are held
PART_PAIRS = 1 << 21  # pairs that are put together at once

Rows = tuple[npt.NDArray[np.int64], npt.NDArray[np.uint32]]  # offsets [n + 1], tokens
Stretches = tuple[list[int], list[int]]  # where each part begins in a run: places of codes, and of tokens


@dataclass
class Run:
    """Pairs of one thread, grouped by barcode, barcodes ascending by key.

    Attributes:
        worker: the thread; barcode codes are its own.
        order: place of the run in the file, for lists whose order counts.
        codes: [n] uint32 barcodes.
        lengths: [n] uint32 number of tokens of each.
        tokens: uint32.
        offset: byte of the temporary file at which the three arrays begin; None while they are in memory.
    """

    worker: int
    order: int
    codes: npt.NDArray[np.uint32] | None
    lengths: npt.NDArray[np.uint32] | None
    tokens: npt.NDArray[np.uint32] | None
    n_codes: int
    n_tokens: int
    offset: int | None = None

    @property
    def n_bytes(self) -> int:
        """Bytes of the three arrays."""
        return 8 * self.n_codes + 4 * self.n_tokens


def group(
    worker: int,
    order: int,
    codes: npt.NDArray[np.uint32],
    tokens: npt.NDArray[np.uint32],
    keys: npt.NDArray[np.uint64],
) -> Run:
    """Group pairs by barcode, keeping their order within each; barcodes ascend by `keys` ([n_barcodes])."""
    counts = np.zeros(len(keys), np.int64)
    KERNELS("count_codes", codes, len(codes), counts)
    present = np.flatnonzero(counts)
    present = present[np.argsort(keys[present])]
    lengths = counts[present]
    counts[present] = np.cumsum(lengths) - lengths  # from here on the next place of each
    out = np.empty(len(tokens), np.uint32)
    KERNELS("group_tokens", codes, tokens, len(codes), counts, out)
    return Run(
        worker, order, present.astype(np.uint32), lengths.astype(np.uint32), out, len(present), len(tokens)
    )


class PairStore:
    """The runs of all threads, in memory or in a temporary file."""

    def __init__(self) -> None:
        self.runs: list[Run] = []
        self._lock = threading.Lock()
        self._held = 0
        self._file: IO[bytes] | None = None
        self._written = 0

    def add(self, run: Run) -> None:
        """Take a run; it goes to the file where memory holds enough.

        Raises:
            InputError: the temporary file cannot be written.
        """
        with self._lock:
            self.runs.append(run)
            if self._held + run.n_bytes <= IN_MEMORY:
                self._held += run.n_bytes
                return
            self._file = self._file or _temporary_file()
            offset = self._written
            self._written += run.n_bytes
        at = offset
        for array in (run.codes, run.lengths, run.tokens):
            assert array is not None
            at += _write(self._file, array, at)
        run.codes = run.lengths = run.tokens = None
        run.offset = offset

    def close(self) -> None:
        """Give memory and file back."""
        self.runs.clear()
        if self._file is not None:
            self._file.close()
            self._file = None

    def codes(self, run: Run, low: int = 0, high: int | None = None) -> npt.NDArray[np.uint32]:
        """Barcodes `low` to `high` of a run."""
        return self._slice(run, run.codes, 0, low, run.n_codes if high is None else high)

    def lengths(self, run: Run, low: int = 0, high: int | None = None) -> npt.NDArray[np.uint32]:
        """Numbers of tokens of barcodes `low` to `high` of a run."""
        return self._slice(run, run.lengths, run.n_codes, low, run.n_codes if high is None else high)

    def tokens(self, run: Run, low: int, high: int) -> npt.NDArray[np.uint32]:
        """Tokens `low` to `high` of a run."""
        return self._slice(run, run.tokens, 2 * run.n_codes, low, high)

    def _slice(
        self, run: Run, held: npt.NDArray[np.uint32] | None, begins: int, low: int, high: int
    ) -> npt.NDArray[np.uint32]:
        if held is not None:
            return held[low:high]
        assert self._file is not None
        assert run.offset is not None
        return _read(self._file, run.offset + 4 * (begins + low), high - low)

    def rows(
        self,
        item_of: Sequence[npt.NDArray[np.int32]],
        keys: Sequence[npt.NDArray[np.uint64]],
        n_items: int,
        n_regions: int,
        *,
        as_sets: bool = True,
        threads: int = 1,
    ) -> Iterator[tuple[int, int, Rows]]:
        """Tokens of the items, part by part, in order of the items.

        Args:
            item_of: of each worker, [n_barcodes] item of a barcode, -1 for none.
            keys: of each worker, [n_barcodes] uint64 key of a barcode.
            n_items: number of items.
            n_regions: size of the universe.
            as_sets: ascending and without duplicates; else in the order of the file.
            threads: parts are made by so many at a time.

        Yields:
            (first item, last item + 1, (offsets [n + 1] int64, tokens uint32)); parts cover all items.
        """
        runs = sorted(self.runs, key=lambda run: run.order)
        counts = np.zeros(n_items, np.int64)
        for run in runs:
            KERNELS(
                "count_runs", self.codes(run), self.lengths(run), run.n_codes, item_of[run.worker], counts
            )
        cuts, key_cuts = _cuts(counts, _item_keys(item_of, keys, n_items))
        stretches = [self._stretches(run, keys[run.worker], key_cuts) for run in runs]

        def part(number: int) -> tuple[int, int, Rows]:
            low, high = cuts[number], cuts[number + 1]
            offsets = np.zeros(high - low + 1, np.int64)
            np.cumsum(counts[low:high], out=offsets[1:])
            tokens = np.empty(offsets[-1], np.uint32)
            at = offsets[:-1].copy()
            for run, stretch in zip(runs, stretches, strict=True):
                self._scatter(run, stretch, number, item_of[run.worker], low, at, tokens)
            return low, high, rows_to_sets(offsets, tokens, n_regions) if as_sets else (offsets, tokens)

        ahead: deque[Future[tuple[int, int, Rows]]] = deque()
        with ThreadPoolExecutor(threads) as pool:
            for number in range(len(cuts) - 1):
                ahead.append(pool.submit(part, number))
                if len(ahead) > threads:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()

    def _scatter(
        self,
        run: Run,
        stretch: Stretches,
        number: int,
        item_of: npt.NDArray[np.int32],
        first_item: int,
        at: npt.NDArray[np.int64],
        tokens: npt.NDArray[np.uint32],
    ) -> None:
        """Copy a run's tokens of part `number` to their items; `at` is the next place of each item."""
        code_cuts, token_cuts = stretch
        low, high = code_cuts[number], code_cuts[number + 1]
        KERNELS(
            "scatter_runs",
            self.codes(run, low, high),
            self.lengths(run, low, high),
            high - low,
            self.tokens(run, token_cuts[number], token_cuts[number + 1]),
            item_of,
            first_item,
            at,
            tokens,
        )

    def _stretches(
        self, run: Run, keys: npt.NDArray[np.uint64], key_cuts: npt.NDArray[np.uint64]
    ) -> Stretches:
        """Where the parts begin in a run."""
        inner = np.searchsorted(keys[self.codes(run)], key_cuts)
        codes = np.concatenate([[0], inner, [run.n_codes]])
        ends = np.concatenate([[0], np.cumsum(self.lengths(run), dtype=np.int64)])
        return codes.tolist(), ends[codes].tolist()


def joined_rows(parts: Iterator[tuple[int, int, Rows]], n_items: int, n_pairs: int) -> Rows:
    """All parts as one; `n_pairs` is the most that there can be (untouched memory is not taken)."""
    offsets = np.zeros(n_items + 1, np.int64)
    tokens = np.empty(n_pairs, np.uint32)
    n = 0
    for low, high, (places, values) in parts:
        offsets[low + 1 : high + 1] = places[1:] + n
        tokens[n : n + len(values)] = values
        n += len(values)
    tokens.resize(n, refcheck=False)  # in place: a copy would double the memory
    return offsets, tokens


def _item_keys(
    item_of: Sequence[npt.NDArray[np.int32]], keys: Sequence[npt.NDArray[np.uint64]], n_items: int
) -> npt.NDArray[np.uint64]:
    """[n_items] uint64 key of each item; one that no worker has seen takes that of the item before."""
    found = np.zeros(n_items, np.uint64)
    seen = np.zeros(n_items, bool)
    for items, own in zip(item_of, keys, strict=True):
        mine = items >= 0
        found[items[mine]] = own[mine]
        seen[items[mine]] = True
    last = np.maximum.accumulate(np.where(seen, np.arange(n_items), 0)) if n_items else seen
    return found[last]


def _cuts(
    counts: npt.NDArray[np.int64], item_keys: npt.NDArray[np.uint64]
) -> tuple[list[int], npt.NDArray[np.uint64]]:
    """First items of the parts (and the number of items), and the keys at the cuts between them.

    A cut lies where the key changes. Items whose keys do not ascend (names that are no UTF-8) make one part.
    """
    n_items = len(counts)
    if n_items == 0:
        return [0], np.empty(0, np.uint64)
    before, after = item_keys[:-1], item_keys[1:]
    if np.any(after < before):
        return [0, n_items], np.empty(0, np.uint64)
    ends = np.cumsum(counts)
    wanted = np.searchsorted(ends, np.arange(PART_PAIRS, int(ends[-1]), PART_PAIRS), "right")
    may_cut = np.flatnonzero(after > before) + 1
    if len(may_cut):
        place = np.searchsorted(may_cut, wanted)
        inner = np.unique(may_cut[place[place < len(may_cut)]])
    else:
        inner = np.empty(0, np.int64)
    return [0, *inner.tolist(), n_items], item_keys[inner]


def _temporary_file() -> IO[bytes]:
    """An unnamed temporary file; whoever asks for it closes it."""
    try:
        return tempfile.TemporaryFile(prefix="atacsearch-")
    except OSError as error:
        raise _no_room(error) from error


def _write(file: IO[bytes], array: npt.NDArray[np.uint32], at: int) -> int:
    view = array.view(np.uint8).data
    done = 0
    try:
        while done < len(view):
            done += os.pwrite(file.fileno(), view[done:], at + done)
    except OSError as error:
        raise _no_room(error) from error
    return done


def _read(file: IO[bytes], at: int, n: int) -> npt.NDArray[np.uint32]:
    out = np.empty(n, np.uint32)
    view = out.view(np.uint8).data
    done = 0
    while done < len(view):
        got = os.preadv(file.fileno(), [view[done:]], at + done)
        if got == 0:
            raise OSError("a temporary file ended early")
        done += got
    return out


def _no_room(error: OSError) -> InputError:
    return InputError(
        f"{tempfile.gettempdir()}: a temporary file cannot be written ({error.strerror}); a large fragment file "
        "needs about 4 bytes there for each fragment in the universe: make room, or name another folder in TMPDIR"
    )


def common_prefix(barcodes: Sequence[bytes]) -> bytes:
    """What all barcodes begin with that tells nothing, such as `sample1#`; keys are taken after it.

    It ends with something that is neither letter nor digit, at least eight bytes before the end of a barcode.

    Example:
        >>> common_prefix([b"s1#ACGTACGTAC-1", b"s1#AGGTACGTAC-1"])
        b's1#'
        >>> common_prefix([b"ACGTACGT-1", b"ACGTTCGT-1"])
        b''
    """
    if not barcodes:
        return b""
    first, last = min(barcodes), max(barcodes)
    n = 0
    for place, (one, other) in enumerate(zip(first, last, strict=False)):
        if one != other:
            break
        if not chr(one).isalnum() and len(first) - place > 8:
            n = place + 1
    return first[:n]
