"""Posting files made from shards, merged, and kept: few files, each of many shards, shared by generations.

`<index>/postings/<collection>/<first>-<last>-<checksum>.post`. A file says itself which shards it is of, so that no
manifest names it: a reader picks files that cover the shards of its generation, and makes what is missing (an
index written by an older version). Publishing adds a file for the new shards; eight files of like size are
merged into one, so that each posting is written again once for every eightfold growth.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ...genome.intervals import sorted_unique
from ...kernels.postings import KERNELS
from ..atomic import TEMPORARY, remove
from ..manifest import ShardEntry
from .file import DamagedPostingsError, Int64s, PostingsFile, PostingsWriter, Shards, UInt32s, shards_of

FOLDER = "postings"
SUFFIX = ".post"
FAN = 8  # files of like size that are merged
SMALL = 1 << 20  # postings: files below are all of one size
RUN = 1 << 25  # tokens inverted at once: 400 MB
MERGE_BYTES = 1 << 22  # encoded bytes merged at once
MAX_TOKEN = 1 << 30


def folder_of(index: Path, kind: str) -> Path:
    """Where the posting files of a collection lie."""
    return index / FOLDER / kind


def open_files(folder: Path) -> tuple[list[PostingsFile], list[DamagedPostingsError]]:
    """All posting files of a folder that can be opened, and what is wrong with the others."""
    found, damaged = [], []
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        if not path.name.startswith("."):
            try:
                found.append(PostingsFile(path))
            except FileNotFoundError:  # merged away in between
                continue
            except DamagedPostingsError as error:
                damaged.append(error)
    return found, damaged


def cover(
    files: Sequence[PostingsFile], entries: Sequence[ShardEntry], universe_digest: str
) -> tuple[list[PostingsFile], list[ShardEntry]]:
    """Files that together hold the given shards, none of them twice, and the shards that no file holds."""
    marks = {e.number: int(e.sha256[:16], 16) for e in entries}
    fitting: list[tuple[int, int, str, list[int], PostingsFile]] = []
    for file in files:
        numbers, own = file.shards.numbers.tolist(), file.shards.marks.tolist()
        live = [n for n in numbers if n in marks]
        same = all(marks.get(n, m) == m for n, m in zip(numbers, own, strict=True))
        if live and same and file.record.get("universe_digest") == universe_digest:
            dead = len(numbers) - len(live)
            fitting.append((-len(live), dead, file.path.name, live, file))
    left = dict.fromkeys(marks)
    chosen = []
    for _, _, _, live, file in sorted(fitting, key=lambda f: f[:3]):
        if all(n in left for n in live):
            chosen.append(file)
            for n in live:
                del left[n]
    chosen.sort(key=lambda f: int(f.shards.numbers.min()))
    return chosen, [e for e in entries if e.number in left]


def build(
    index: Path, folder: Path, kind: str, entries: Sequence[ShardEntry], universe_digest: str
) -> PostingsFile:
    """Make the posting file of some shards.

    Raises:
        InputError: a shard cannot be read, or names a token beyond any universe.
        OSError: the folder cannot be written, or the disk is full.
    """
    entries = sorted(entries, key=lambda e: e.number)
    shards = shards_of(entries)
    path = folder / _file_name(shards)
    head = {"kind": kind, "universe_digest": universe_digest}
    pieces_of_runs = _runs(index, entries)
    first, second = next(pieces_of_runs, []), next(pieces_of_runs, None)
    if second is None:
        with PostingsWriter(path, shards, head) as writer:
            _invert(first, writer)
            writer.finish()
        return PostingsFile(path)
    runs: list[PostingsFile] = []
    try:
        for number, pieces in enumerate(chain([first, second], pieces_of_runs)):
            n_rows = sum(len(offsets) - 1 for offsets, _ in pieces)
            one = Shards(np.zeros(1, np.int64), np.array([n_rows]), np.zeros(1, np.uint64))
            part = folder / f"{TEMPORARY}{os.getpid()}-run-{number}-{path.name}"
            with PostingsWriter(part, one, head) as writer:
                _invert(pieces, writer)
                writer.finish()
            runs.append(PostingsFile(part))
        starts = np.cumsum([0, *(f.n_items for f in runs)])
        places = [np.arange(a, b, dtype=np.int32) for a, b in pairwise(starts.tolist())]
        with PostingsWriter(path, shards, head) as writer:
            _merge(runs, places, writer)
            writer.finish()
    finally:
        for file in runs:
            remove(file.path)
    return PostingsFile(path)


def _file_name(shards: Shards) -> str:
    checksum = hashlib.sha256(shards.numbers.tobytes() + shards.marks.tobytes()).hexdigest()[:16]
    return f"{shards.numbers.min()}-{shards.numbers.max()}-{checksum}{SUFFIX}"


def _runs(index: Path, entries: Sequence[ShardEntry]) -> Iterator[list[tuple[Int64s, UInt32s]]]:
    """Token sets of consecutive rows (offsets, tokens), in runs that fit in memory."""
    pieces: list[tuple[Int64s, UInt32s]] = []
    held = 0
    for offsets, tokens in token_pieces(index, entries):
        pieces.append((offsets, tokens))
        held += len(tokens)
        if held >= RUN:
            yield pieces
            pieces, held = [], 0
    if pieces:
        yield pieces


def token_pieces(index: Path, entries: Iterable[ShardEntry]) -> Iterator[tuple[Int64s, UInt32s]]:
    """Token sets of the rows of shards, some thousand rows at a time: ([n + 1] int64 offsets, uint32 tokens)."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from ...arrow import numbers_of

    for entry in entries:
        try:
            file = pq.ParquetFile(index / entry.file)
            for group in range(file.num_row_groups):
                for column in file.read_row_group(group, columns=["tokens"])["tokens"].chunks:
                    lists = column.cast(pa.large_list(pa.uint32()))
                    offsets = numbers_of(lists.offsets).astype(np.int64)
                    tokens = numbers_of(lists.values)[offsets[0] : offsets[-1]]
                    if len(tokens) and int(tokens.max()) >= MAX_TOKEN:
                        raise InputError(
                            f"{entry.file} names the token {int(tokens.max())}, beyond any universe"
                        )
                    yield offsets - offsets[0], tokens
        except (OSError, pa.ArrowException) as error:
            raise InputError(
                f"{index / entry.file} (of {entry.source.name}) cannot be read ({error}); "
                f"run: atacsearch index verify {index}"
            ) from error


def _invert(pieces: Sequence[tuple[Int64s, UInt32s]], writer: PostingsWriter) -> None:
    """Turn token sets into lists by counting, then placing."""
    n_tokens = 1 + max((int(t.max()) for _, t in pieces if len(t)), default=-1)
    counts, last = np.zeros(n_tokens, np.int64), np.full(n_tokens, -1, np.int32)
    bases = np.cumsum([0, *(len(o) - 1 for o, _ in pieces)]).tolist()
    for (offsets, tokens), base in zip(pieces, bases, strict=False):
        KERNELS("count_tokens", tokens, offsets, len(offsets) - 1, base, last, counts)
    ends = np.zeros(n_tokens + 1, np.int64)
    np.cumsum(counts, out=ends[1:])
    items, at = np.empty(int(ends[-1]), np.uint32), ends[:-1].copy()
    last[:] = -1
    for (offsets, tokens), base in zip(pieces, bases, strict=False):
        KERNELS("place_items", tokens, offsets, len(offsets) - 1, base, last, at, items)
    writer.add(0, ends, items)


def merge(folder: Path, files: Sequence[PostingsFile], live: set[int]) -> PostingsFile:
    """One file of the live shards of several.

    Args:
        folder: where to put it.
        files: their shards must not overlap.
        live: numbers of the shards to keep.
    """
    numbers = np.concatenate([f.shards.numbers for f in files])
    rows = np.concatenate([f.shards.rows for f in files])
    marks = np.concatenate([f.shards.marks for f in files])
    kept = np.isin(numbers, np.fromiter(live, np.int64, len(live)))
    shards = Shards(numbers[kept], rows[kept], marks[kept])
    starts = dict(zip(shards.numbers.tolist(), shards.starts.tolist(), strict=True))
    with PostingsWriter(folder / _file_name(shards), shards, files[0].record_head()) as writer:
        _merge(files, [row_places(f, starts) for f in files], writer)
        path = writer.finish()
    return PostingsFile(path)


def row_places(file: PostingsFile, starts: dict[int, int]) -> npt.NDArray[np.int32]:
    """[n_items] int32 place of each row of a file, given the first place of each shard; -1 for other shards."""
    first = np.array([starts.get(n, -1) for n in file.shards.numbers.tolist()], np.int64)
    rows = file.shards.rows
    within = np.arange(file.n_items, dtype=np.int64) - np.repeat(file.shards.starts, rows)
    return np.where(np.repeat(first, rows) < 0, -1, np.repeat(first, rows) + within).astype(np.int32)


def _merge(
    files: Sequence[PostingsFile], places: Sequence[npt.NDArray[np.int32]], writer: PostingsWriter
) -> None:
    """Write all lists of several files, a range of tokens at a time.

    `places` are the new rows, -1 for those left out; they rise within a file and from file to file.
    """
    for low, high in _ranges(files):
        parts = [
            (lists, place) for f, place in zip(files, places, strict=True) for lists in f.in_range(low, high)
        ]
        sizes = np.zeros(high - low, np.int64)
        for lists, place in parts:
            n = len(lists.tokens)
            KERNELS("count_kept", lists.tokens, lists.counts, n, lists.items, place, low, sizes)
        ends = np.zeros(high - low + 1, np.int64)
        np.cumsum(sizes, out=ends[1:])
        items, at = np.empty(int(ends[-1]), np.uint32), ends[:-1].copy()
        for lists, place in parts:
            n = len(lists.tokens)
            KERNELS("place_kept", lists.tokens, lists.counts, n, lists.items, place, low, at, items)
        writer.add(low, ends, items)


def _ranges(files: Sequence[PostingsFile]) -> Iterator[tuple[int, int]]:
    """Half-open ranges of tokens that have about as many encoded bytes, over all files."""
    firsts, sizes = (np.concatenate(x) for x in zip(*(f.cuts() for f in files), strict=True))
    if not len(firsts):
        return
    order = np.argsort(firsts, kind="stable")
    firsts, ends = firsts[order], np.cumsum(sizes[order])
    steps = np.flatnonzero(np.diff(ends // MERGE_BYTES)) + 1
    cuts = np.concatenate([[0], firsts[steps], [max(f.n_tokens for f in files)]])
    yield from pairwise(sorted_unique(cuts).tolist())


def publish(index: Path, kind: str, entries: Sequence[ShardEntry], universe_digest: str) -> None:
    """See to it that few files cover the given shards; files that are damaged are made anew.

    Raises:
        InputError: a shard cannot be read.
        OSError: the disk is full.
    """
    folder = folder_of(index, kind)
    if not entries:
        return
    for last_attempt in (False, True):
        files, _ = open_files(folder)  # what damaged files held is found missing, and made anew
        chosen, missing = cover(files, entries, universe_digest)
        if missing:
            chosen.append(build(index, folder, kind, missing, universe_digest))
        try:
            _compact(folder, chosen, {e.number for e in entries})
            return
        except DamagedPostingsError:
            if last_attempt:
                raise
            for file in chosen:
                if not _is_sound(file):
                    remove(file.path)


def _is_sound(file: PostingsFile) -> bool:
    try:
        file.check()
    except DamagedPostingsError:
        return False
    return True


def _compact(folder: Path, files: list[PostingsFile], live: set[int]) -> None:
    """Merge while there are eight files of like size; write anew what is dead by more than half."""
    while True:
        tiers: dict[int, list[PostingsFile]] = {}
        for file in files:
            tiers.setdefault(_tier(file), []).append(file)
        full = [tier for _, tier in sorted(tiers.items()) if len(tier) >= FAN]
        if not full:
            full = [[f] for f in files if _dead_share(f, live) > 0.5]
        if not full:
            return
        going = full[0]
        made = merge(folder, going, live)
        files = [f for f in files if f not in going] + [made]


def _tier(file: PostingsFile) -> int:
    size, tier = file.n_postings // SMALL, 0
    while size:
        size //= FAN
        tier += 1
    return tier


def _dead_share(file: PostingsFile, live: set[int]) -> float:
    dead: int = sum(
        r
        for n, r in zip(file.shards.numbers.tolist(), file.shards.rows.tolist(), strict=True)
        if n not in live
    )
    return dead / max(file.n_items, 1)


def clean(index: Path, kind: str, generations: Sequence[Sequence[ShardEntry]], universe_digest: str) -> None:
    """Remove files that no generation needs, and leftovers of processes that have ended."""
    folder = folder_of(index, kind)
    if not folder.is_dir():
        return
    files, _ = open_files(folder)  # damaged ones are left for `index verify` to find, `index repair` to mend
    needed = {f.path.name for entries in generations for f in cover(files, entries, universe_digest)[0]}
    for file in files:
        if file.path.name not in needed:
            remove(file.path)
    for path in folder.glob(f"{TEMPORARY}*"):
        owner = path.name.removeprefix(TEMPORARY).partition("-")[0]
        if not owner.isdigit() or not _alive(int(owner)):
            remove(path)


def forget(index: Path) -> None:
    """Remove all posting files, so that the next publish makes them anew; open ones stay readable."""
    remove(index / FOLDER)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def summary(files: Iterable[PostingsFile]) -> dict[str, Any]:
    """Files, bytes and postings of some posting files."""
    kept = list(files)
    return {
        "files": len(kept),
        "bytes": sum(f.size for f in kept),
        "postings": sum(f.n_postings for f in kept),
    }
