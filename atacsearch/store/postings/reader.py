"""Postings of a generation: which items of a collection have which tokens, exactly and in microseconds.

Made by `Snapshot.postings`. Items are known by their rows: places in `Snapshot.all_ids`. The lists come from the
posting files that cover the generation's shards (`build.py`); rows of shards that were deleted since a file
was made are passed over.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ...genome.intervals import sorted_unique
from ...kernels.postings import KERNELS
from ..manifest import ShardEntry
from .build import build, cover, folder_of, open_files, row_places, summary
from .file import Int64s, Lists, PostingsFile

Groups = npt.NDArray[np.int32]
MAX_CELLS = 1 << 25  # of an answer: queries by groups


class Postings:
    """The posting lists of one collection of one generation.

    Args:
        files: that cover the shards.
        entries: live shards, in order of their numbers.

    Attributes:
        n_rows: items of the collection.
    """

    def __init__(self, files: Sequence[PostingsFile], entries: Sequence[ShardEntry]) -> None:
        self.files = tuple(files)
        rows = [e.rows for e in entries]
        starts = dict(zip((e.number for e in entries), np.cumsum([0, *rows]).tolist(), strict=False))
        self.n_rows = sum(rows)
        self._places = [row_places(f, starts) for f in self.files]

    def summary(self) -> dict[str, Any]:
        """Numbers of files, bytes and postings."""
        return summary(self.files)

    def count_groups(
        self, bounds: Int64s, tokens: npt.NDArray[Any], group: Groups, n_groups: int
    ) -> tuple[Int64s, Int64s]:
        """Per query and group of items, how many items have any of the query's tokens.

        Args:
            bounds: [q + 1] int64; query i asks for `tokens[bounds[i]:bounds[i + 1]]`, each once.
            tokens: of all queries.
            group: [n_rows] int32 group of each item, -1 for items that do not count.
            n_groups: groups.

        Returns:
            [q, n_groups] int64 items; [q, n_groups] int64 tokens of the query that any item of the group has.

        Raises:
            InputError: a posting file is damaged.
        """
        n = len(bounds) - 1
        found, present = np.zeros((n, n_groups), np.int64), np.zeros((n, n_groups), np.int64)
        step = max(MAX_CELLS // max(n_groups, 1) // 4, 1)
        for first in range(0, n, step):
            last = min(first + step, n)
            part = slice(first, last)
            own = tokens[bounds[first] : bounds[last]]
            cuts = bounds[first : last + 1] - bounds[first]
            found[part], present[part] = self._count(cuts, own, group, n_groups)
        return found, present

    def _count(
        self, bounds: Int64s, tokens: npt.NDArray[Any], group: Groups, n_groups: int
    ) -> tuple[Int64s, Int64s]:
        n = len(bounds) - 1
        asked = sorted_unique(tokens.astype(np.int64))
        at = np.searchsorted(asked, tokens)
        found, anywhere = np.zeros((n, n_groups), np.int64), np.zeros((len(asked), n_groups), np.uint8)
        for file, place in zip(self.files, self._places, strict=True):
            lists = _lists_of(file, asked)
            own = _groups_of_rows(place, group)
            present = np.zeros((len(lists.tokens), n_groups), np.uint8)
            KERNELS(
                "count_groups", _list_numbers(lists, asked)[at], bounds, n, 0, lists.offsets, lists.items, own,
                n_groups, np.full(file.n_items, -1, np.int32), found, present,
            )  # fmt: skip
            anywhere[np.searchsorted(asked, lists.tokens)] |= present
        together = np.zeros((n, n_groups), np.int64)
        asking = np.flatnonzero(bounds[1:] > bounds[:-1])
        if len(asking):
            together[asking] = np.add.reduceat(anywhere[at], bounds[asking], axis=0, dtype=np.int64)
        return found, together

    def items(
        self, bounds: Int64s, tokens: npt.NDArray[Any], keep: npt.NDArray[np.bool_] | None = None
    ) -> tuple[Int64s, Int64s, Int64s]:
        """All pairs of a query and an item that has any of its tokens.

        Args:
            bounds, tokens: as for `count_groups`.
            keep: [n_rows] items that count; None for all.

        Returns:
            [p] int64 query, rising; [p] int64 row, rising within a query; [p] int64 how many of the tokens the
            item has.
        """
        asked = sorted_unique(tokens.astype(np.int64))
        at = np.searchsorted(asked, tokens)
        parts = [(np.empty(0, np.int64),) * 3]
        for file, place in zip(self.files, self._places, strict=True):
            lists = _lists_of(file, asked)
            own = (
                place if keep is None else _groups_of_rows(place, np.where(keep, np.arange(self.n_rows), -1))
            )
            numbers = _list_numbers(lists, asked)[at]
            room = int(lists.counts[numbers[numbers >= 0]].sum())
            queries, rows, hits = np.empty(room, np.int64), np.empty(room, np.int32), np.empty(room, np.int64)
            n = KERNELS(
                "list_items", numbers, bounds, len(bounds) - 1, lists.offsets, lists.items, own,
                np.full(file.n_items, -1, np.int64), queries, rows, hits,
            )  # fmt: skip
            parts.append((queries[:n], rows[:n].astype(np.int64), hits[:n]))
        query, row, n_tokens = (np.concatenate(c) for c in zip(*parts, strict=True))
        order = np.lexsort((row, query))
        return query[order], row[order], n_tokens[order]

    def n_postings(self, tokens: npt.NDArray[Any]) -> Int64s:
        """[n] int64 items of each token, those of deleted shards included: what an answer may take at most."""
        asked = sorted_unique(tokens.astype(np.int64))
        counts = np.zeros(len(asked), np.int64)
        for file in self.files:
            for lists in file.of_tokens(asked):
                counts[np.searchsorted(asked, lists.tokens)] += lists.counts
        return np.asarray(counts[np.searchsorted(asked, tokens)], np.int64)

    def totals(self, group: Groups, n_groups: int, n_tokens: int) -> Int64s:
        """[n_tokens, n_groups] int64 items of each group that have each token: one pass over everything."""
        found = np.zeros((n_tokens, n_groups), np.int64)
        for file, place in zip(self.files, self._places, strict=True):
            own = _groups_of_rows(place, group)
            for lists in file.in_range(0, n_tokens):
                n = len(lists.tokens)
                KERNELS("count_lists", lists.tokens, lists.counts, n, lists.items, own, n_groups, found)
        return found


def _groups_of_rows(place: Groups, group: npt.NDArray[Any]) -> Groups:
    """[n_items] int32 group of each row of a file."""
    if not len(group):
        return np.full(len(place), -1, np.int32)
    return np.where(place < 0, -1, group[np.maximum(place, 0)]).astype(np.int32)


def _lists_of(file: PostingsFile, tokens: Int64s) -> Lists:
    parts = list(file.of_tokens(tokens))
    if len(parts) == 1:
        return parts[0]
    return Lists(
        np.concatenate([np.empty(0, np.uint32), *(p.tokens for p in parts)]),
        np.concatenate([np.empty(0, np.int64), *(p.counts for p in parts)]),
        np.concatenate([np.empty(0, np.uint32), *(p.items for p in parts)]),
    )


def _list_numbers(lists: Lists, asked: Int64s) -> Int64s:
    """[n] int64 which list each asked token has, -1 for none."""
    numbers = np.full(len(asked), -1, np.int64)
    numbers[np.searchsorted(asked, lists.tokens)] = np.arange(len(lists.tokens))
    return numbers


def open_postings(
    index: Path,
    kind: str,
    entries: Sequence[ShardEntry],
    universe_digest: str,
    notify: Callable[[str], None] = lambda text: None,
) -> Postings:
    """The postings of the given shards; lists that are missing are made, with one note.

    Args:
        index: the index folder.
        kind: collection.
        entries: live shards.
        universe_digest: of the index.
        notify: receives the note.

    Raises:
        InputError: a posting file or a shard is damaged.
    """
    entries = sorted(entries, key=lambda e: e.number)
    folder = folder_of(index, kind)
    for _ in range(2):  # a writer may have merged files while they were opened
        files, damaged = open_files(folder)
        chosen, missing = cover(files, entries, universe_digest)
        if not missing:
            return Postings(chosen, entries)
    if damaged:
        raise damaged[0]
    chosen.append(_make_missing(index, folder, kind, missing, universe_digest, notify))
    return Postings(chosen, entries)


def _make_missing(
    index: Path,
    folder: Path,
    kind: str,
    missing: Sequence[ShardEntry],
    universe_digest: str,
    notify: Callable[[str], None],
) -> PostingsFile:
    n = sum(e.rows for e in missing)
    notify(f"Making the inverted index of {n:,} {kind} that an older version added; later questions find it")
    try:
        return build(index, folder, kind, missing, universe_digest)
    except OSError as error:
        notify(f"It cannot be kept ({error}): made for this process alone")
    try:
        with tempfile.TemporaryDirectory(prefix="atacsearch-") as elsewhere:
            # mapped, it stays readable after its name is gone
            return build(index, Path(elsewhere), kind, missing, universe_digest)
    except OSError as error:
        raise InputError(
            f"{index}: no room for its inverted index ({error}); set TMPDIR to a folder with room"
        ) from error
