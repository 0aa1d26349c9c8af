"""Snapshot: everything that can be asked of one generation of an index; later publishing does not change it.

Rows come from DuckDB, tokens and raw vectors from the shards, nearest neighbours by `nearest.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ...arrow import numbers_of
from ...errors import InputError
from ...genome.intervals import sorted_unique
from ...spelling import did_you_mean
from ...tokens.token_sets import TokenSets
from ..manifest import Manifest, ShardEntry, generation_folder
from ..metadata.database import FILE, HIDDEN, Metadata
from ..metadata.where import Where, bind_where, parse_where
from ..shards import join_tokens, read_tokens, read_vectors
from ..types import Column, IndexInfo, check_kind
from ..vectors.base import VectorStore
from .nearest import NearestItems

if TYPE_CHECKING:
    import pyarrow as pa

    from ..postings.reader import Postings


class Snapshot(NearestItems):
    """One generation of an index, open for reading. Made by `IndexFolder.snapshot`.

    Args:
        index: the index folder.
        info: of the index.
        manifest: of the generation.
        store: where its vectors are.
    """

    def __init__(self, index: Path, info: IndexInfo, manifest: Manifest, store: VectorStore) -> None:
        metadata = Metadata(generation_folder(index, manifest.generation) / FILE)
        super().__init__(index, info, manifest, store, metadata)
        self._shards = {s.number: s for s in manifest.shards}
        self._postings: dict[str, Postings] = {}
        self.closed = False

    def close(self) -> None:
        """Let go of the metadata file and of vectors in memory."""
        if not self.closed:
            self.closed = True
            self._metadata.close()
            self._scans.clear()
            self._postings.clear()

    def __enter__(self) -> Snapshot:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- what is there ------------------------------------------------------------------------------

    def count(self, kind: str) -> int:
        """Number of items of a collection, items without tokens included."""
        check_kind(kind)
        return sum(s.rows for s in self.manifest.shards_of(kind))

    def columns(self, kind: str) -> dict[str, Column]:
        """Label columns of a collection, by name."""
        return {name: c for name, c in self._columns(kind).items() if c.label}

    def filterable(self, kind: str) -> list[str]:
        """Columns that `where` may use."""
        return [name for name, c in self._columns(kind).items() if c.indexed]

    def sources(self) -> pa.Table:
        """Arrow table of sources.

        Returns:
            Columns kind, source_id, name, digest, genome, counting, n_items, n_points, added.
        """
        return self._metadata.sources()

    # -- rows ---------------------------------------------------------------------------------------

    def rows(self, kind: str, ids: Sequence[str], columns: Sequence[str] | None = None) -> pa.Table:
        """Metadata of items.

        Args:
            kind: collection.
            ids: ids, repeats allowed.
            columns: the columns wanted; None for id, item, source_id, n_tokens and all labels.

        Returns:
            Arrow table, one row an id, in that order.

        Raises:
            InputError: an unknown id or column.
        """
        check_kind(kind)
        names = self._names(kind, columns, ["id", "item", *self._columns(kind)])
        return self._metadata.rows(kind, ids, names).select(names)

    def table(self, kind: str, columns: Sequence[str] | None = None) -> pa.Table:
        """Metadata of all items as an Arrow table, in the order of `all_ids`; columns as in `rows`."""
        check_kind(kind)
        have = ["id", "item", *self._columns(kind)]
        return self._metadata.table(kind, self._names(kind, columns, have))

    def _names(self, kind: str, columns: Sequence[str] | None, have: Sequence[str]) -> list[str]:
        visible = [n for n in have if n not in HIDDEN]
        if columns is None:
            return visible
        by_fold = {n.casefold(): n for n in visible}
        for name in columns:
            if name.casefold() not in by_fold:
                raise InputError(
                    f"the {kind} of this index have no column {name!r}; columns: {', '.join(visible)}"
                    f"{did_you_mean(name, visible)}"
                )
        return [by_fold[n.casefold()] for n in columns]

    def matching(self, kind: str, where: Where | str | Sequence[str]) -> pa.ChunkedArray:
        """Ids of the items that meet a filter, as an Arrow column of text in no order.

        Raises:
            InputError: a filter that cannot be served, as in `knn`.
        """
        check_kind(kind)
        parsed = where if isinstance(where, Where) else parse_where(where)
        return self._metadata.matching(kind, bind_where(parsed, self._columns(kind), kind))

    def find(self, kind: str, text_id: str) -> str | None:
        """The id that a user means by `text_id`: an id, or the name of exactly one item; None for no match.

        Raises:
            InputError: several items have that name; the message lists their ids.
        """
        check_kind(kind)
        found = self._metadata.find(kind, text_id)
        if any(item_id == text_id for item_id, _ in found):
            return text_id
        if len(found) > 1:
            ids = ", ".join(item_id for item_id, _ in found[:5])
            raise InputError(f"{text_id!r} names several {kind} of this index: {ids}; give one of these ids")
        return found[0][0] if found else None

    def vectors(self, kind: str, ids: Sequence[str], name: str = "general") -> npt.NDArray[np.float32]:
        """[n, d] float32 raw vectors of items, in the order of `ids`; zero rows for items without one."""
        dim = self._dim(name)
        values = np.zeros((len(ids), dim), np.float32)
        for entry, at, rows in self._places(check_kind(kind), ids):
            with self._still_there():
                found = read_vectors(self.index, entry, name, rows)
            if found is not None:
                values[at] = found
        return values

    def tokens(self, kind: str, ids: Sequence[str]) -> TokenSets:
        """Token sets of items, in the order of `ids`, which are their names."""
        pieces: list[npt.NDArray[np.uint32]] = [np.empty(0, np.uint32)] * len(ids)
        for entry, at, rows in self._places(check_kind(kind), ids):
            with self._still_there():
                found = read_tokens(self.index, entry, rows)
            for i, tokens in zip(at, found, strict=True):
                pieces[i] = tokens
        return join_tokens(pieces, ids, self.info.universe_digest)

    def row_numbers(self, kind: str, ids: Sequence[str]) -> npt.NDArray[np.int64]:
        """[n] int64 place of each id in `all_ids`, by which `postings` knows it."""
        shards = sorted(self.manifest.shards_of(check_kind(kind)), key=lambda s: s.number)
        first = dict(zip((s.number for s in shards), np.cumsum([0, *(s.rows for s in shards)]), strict=False))
        numbers = np.empty(len(ids), np.int64)
        for entry, at, rows in self._places(kind, ids):
            numbers[at] = first[entry.number] + rows
        return numbers

    def _places(
        self, kind: str, ids: Sequence[str]
    ) -> list[tuple[ShardEntry, npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
        """Per shard: the shard, places in `ids` [m], rows in the shard [m]."""
        table = self._metadata.places(kind, ids)
        shard, row = numbers_of(table["_shard"]), numbers_of(table["_row"])
        return [
            (self._shards[int(number)], at, row[at])
            for number in sorted_unique(shard)
            for at in [np.flatnonzero(shard == number)]
        ]

    def postings(self, kind: str, notify: Callable[[str], None] = lambda text: None) -> Postings:
        """Which items of a collection have which tokens; rows are places in `all_ids`.

        Args:
            kind: collection.
            notify: receives a note where an older version made the index and the lists must be made first.

        Raises:
            InputError: a posting file is damaged, or a shard is gone.
        """
        from ..postings.reader import open_postings

        with self._lock:
            if kind not in self._postings:
                shards = self.manifest.shards_of(check_kind(kind))
                self._postings[kind] = open_postings(
                    self.index, kind, shards, self.info.universe_digest, notify
                )
            return self._postings[kind]
