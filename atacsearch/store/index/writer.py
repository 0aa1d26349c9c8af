"""Writer: adds and deletes sources, then publishes a new generation, atomically; there is one at a time.

Shards are written at once, under names that no generation refers to until `publish` has replaced `CURRENT`.
What a killed writer left behind is removed by the next one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType

import numpy as np

from ...errors import DigestError, GenomeError, InputError
from ..atomic import TEMPORARY, disk_errors, put_in_place, remove, temporary, write_text
from ..columns import column_kind, normalise_labels, settle_types
from ..lock import WriterLock
from ..manifest import (
    Manifest,
    ShardEntry,
    empty_columns,
    generation_folder,
    merged_columns,
    now,
    read_current,
    read_manifest,
)
from ..metadata.database import FILE, Incoming, Metadata, build_metadata
from ..postings.build import clean as clean_postings
from ..postings.build import forget as forget_postings
from ..postings.build import publish as publish_postings
from ..shards import read_metadata_rows, read_metadata_schema, shard_table, slice_batch, write_shard
from ..types import KINDS, ONE, Batch, Column, IndexInfo, Source, check_kind
from ..vectors.base import Collection, VectorStore

ROWS_PER_SHARD = 200_000
KEPT_GENERATIONS = 2


class Writer:
    """The one writer of an index. Made by `IndexFolder.writer`; use it in a `with` block.

    Leaving the block publishes what is pending; leaving it by an exception discards it.

    Args:
        index: the index folder.
        info: of the index.
        store: where vectors go.

    Raises:
        LockedError: somebody else is writing.
        InputError: the folder cannot be written.

    Attributes:
        notes: what was changed on the way in, such as renamed label columns.
    """

    def __init__(self, index: Path, info: IndexInfo, store: VectorStore) -> None:
        self._index = index
        self._info = info
        self._store = store
        self._lock = WriterLock(index)
        self.notes: list[str] = []
        try:
            self._manifest = read_manifest(index, read_current(index))
            with disk_errors(index, "removing leftovers"):
                self._clean()
            self._metadata = Metadata(generation_folder(index, self._manifest.generation) / FILE)
        except BaseException:
            self._lock.release()
            raise
        self._forget_pending()
        self._own_sources: set[tuple[str, str]] = set()
        self._number = self._manifest.next_number

    def _forget_pending(self) -> None:
        self._pending: list[ShardEntry] = []
        self._pending_ids: dict[str, dict[str, str]] = {kind: {} for kind in KINDS}
        self._dropped: set[int] = set()
        self._types: dict[str, dict[str, str]] = {kind: {} for kind in KINDS}

    # -- collecting ---------------------------------------------------------------------------------

    def add(self, kind: str, batch: Batch, source: Source) -> None:
        """Write a batch of one source to a shard; it is searchable after `publish`.

        Args:
            kind: "cells", "bedfiles" or "regions".
            batch: items, labels, token sets and raw vectors.
            source: where they came from. A source may be added in several batches by one writer.

        Raises:
            InputError: an id that is in the index already (both sources are named), a source that is, arrays
                of different length, a vector of another dimension or not finite, a full disk.
            DigestError: token sets of another universe.
            GenomeError: a source on another assembly.
        """
        check_kind(kind)
        self._check_batch(kind, batch, source)
        if not len(batch.ids):
            return
        known = {n: c for n, c in self._manifest.columns.get(kind, {}).items() if c.label}
        have = [*known, *self._types[kind]]
        labels = batch.labels
        if labels is None:
            import pyarrow as pa

            labels = pa.table({})
        table, notes = normalise_labels(labels, have)
        self.notes += [f"{source.name}: {note}" for note in notes]
        types = settle_types(table, {**known, **self._pending_columns(kind)})
        clean = replace(batch, labels=table if table.num_columns else None)
        for start in range(0, len(batch.ids), ROWS_PER_SHARD):
            self._write(kind, slice_batch(clean, start, start + ROWS_PER_SHARD), source)
        self._types[kind].update(types)
        self._pending_ids[kind].update(dict.fromkeys(batch.ids, source.name))
        self._own_sources.add((kind, source.id))

    def _pending_columns(self, kind: str) -> dict[str, Column]:
        return {n: Column(n, column_kind(d), d, 1, True) for n, d in self._types[kind].items()}

    def _write(self, kind: str, batch: Batch, source: Source) -> None:
        import pyarrow as pa

        labels = batch.labels if batch.labels is not None else pa.table({})
        table, points = shard_table(batch, labels, source, self._info)
        with disk_errors(self._index, f"writing {len(batch.ids)} {kind} of {source.name}"):
            entry = write_shard(
                self._index,
                table,
                points,
                number=self._number,
                kind=kind,
                source=source,
                info=self._info,
                added=now(),
            )
        self._number += 1
        self._pending.append(entry)

    def _check_batch(self, kind: str, batch: Batch, source: Source) -> None:
        n = len(batch.ids)
        lengths = {"items": len(batch.items), **{f"vectors {v}": len(x) for v, x in batch.vectors.items()}}
        if batch.labels is not None:
            lengths["labels"] = batch.labels.num_rows
        if batch.sets is not None:
            lengths["token sets"] = len(batch.sets)
        for what, length in lengths.items():
            if length != n:
                raise InputError(f"{source.name}: {length} {what} for {n} ids")
        for name, values in batch.vectors.items():
            if name not in self._info.vectors:
                raise InputError(
                    f"{source.name}: the index has no vectors {name!r}, only {list(self._info.vectors)}"
                )
            if np.ndim(values) != 2 or values.shape[1] != self._info.vectors[name]:
                raise InputError(
                    f"{source.name}: vectors {name!r} have shape {list(np.shape(values))}, "
                    f"the index takes [n, {self._info.vectors[name]}]"
                )
        digest = batch.sets.universe_digest if batch.sets is not None else None
        if digest is not None and digest != self._info.universe_digest:
            raise DigestError(
                f"{source.name} was tokenised with the universe {digest[:12]}, the index {self._index} "
                f"holds tokens of {self._info.universe_digest[:12]}; "
                "tokenise it with the universe of the index's model"
            )
        if source.genome and self._info.genome and source.genome != self._info.genome:
            raise GenomeError(
                f"{source.name} is on {source.genome}, the index {self._index} on {self._info.genome}; "
                "lift it over or make another index"
            )
        if source.counting and self._info.counting and source.counting != self._info.counting:
            raise InputError(
                f"{source.name} counts by {source.counting}, the index {self._index} by "
                f"{self._info.counting}; read it with --counting {self._info.counting}"
            )
        if (kind, source.id) not in self._own_sources:
            for entry in self._live(kind):
                if entry.source.id == source.id:
                    raise InputError(
                        f"the source {source.id!r} ({source.name}) is in the index already, "
                        f"added {entry.added} from {entry.source.name}; replace it "
                        "(delete it first) or leave it out"
                    )
        self._check_ids(kind, batch.ids, source)

    def _check_ids(self, kind: str, ids: Sequence[str], source: Source) -> None:
        pending = self._pending_ids[kind]
        seen: set[str] = set()
        for item_id in ids:
            if item_id in seen:
                raise _duplicate(kind, item_id, source.name, source.name)
            if item_id in pending:
                raise _duplicate(kind, item_id, pending[item_id], source.name)
            seen.add(item_id)
        for item_id, name in self._metadata.taken(kind, ids, sorted(self._dropped)):
            raise _duplicate(kind, item_id, name, source.name)

    def _live(self, kind: str) -> list[ShardEntry]:
        published = [s for s in self._manifest.shards_of(kind) if s.number not in self._dropped]
        return published + [s for s in self._pending if s.kind == kind]

    def sources(self, kind: str) -> dict[str, str | None]:
        """Ids of the sources of a collection, pending changes included, and their content digests."""
        return {s.source.id: s.source.digest for s in self._live(check_kind(kind))}

    def delete_source(self, kind: str, source_id: str) -> int:
        """Delete all items of a source; it takes effect with `publish`.

        Returns:
            The number of items deleted; 0 where the index has no such source.
        """
        going = [s for s in self._live(check_kind(kind)) if s.source.id == source_id]
        mine = {s.number for s in self._pending} & {s.number for s in going}
        if mine:
            # the ids of discarded shards become free again
            gone = {i for s in going if s.number in mine for i in self._ids_of(s)}
            self._pending_ids[kind] = {i: n for i, n in self._pending_ids[kind].items() if i not in gone}
            for entry in [s for s in self._pending if s.number in mine]:
                remove(self._index / entry.file)
            self._pending = [s for s in self._pending if s.number not in mine]
        self._dropped |= {s.number for s in going} - mine
        self._own_sources.discard((kind, source_id))
        return sum(s.rows for s in going)

    def _ids_of(self, entry: ShardEntry) -> list[str]:
        import pyarrow.parquet as pq

        return list(pq.read_table(self._index / entry.file, columns=["id"])["id"].to_pylist())

    # -- publishing ---------------------------------------------------------------------------------

    def publish(self) -> int:
        """Make what was added and deleted visible, in one step, durably.

        Returns:
            The generation that is current now.

        Raises:
            InputError: a full disk; the generation before stays current and nothing is lost.
        """
        if not self._pending and not self._dropped:
            return self._manifest.generation
        live = [s for s in self._manifest.shards if s.number not in self._dropped]
        manifest = self._build_generation(live, self._pending)
        self._go_on_from(manifest)
        return manifest.generation

    def rebuild(self, shards: Sequence[ShardEntry]) -> int:
        """Publish a generation made anew of the given shards alone: metadata, postings and every vector part."""
        self._manifest = replace(self._manifest, shards=(), parts=(), columns=empty_columns())
        forget_postings(self._index)
        self._types = {kind: {} for kind in KINDS}
        for kind in KINDS:
            for entry in shards:
                if entry.kind == kind:
                    table = read_metadata_rows(self._index, entry, {})
                    labels = table.drop_columns(["id", "item", "source_id", "n_tokens", "_shard", "_row"])
                    self._types[kind].update(settle_types(labels, self._pending_columns(kind)))
        self._number = max([self._number, *(s.number + 1 for s in shards)])
        manifest = self._build_generation([], sorted(shards, key=lambda s: s.number))
        self._go_on_from(manifest)
        return manifest.generation

    def _build_generation(self, kept: Sequence[ShardEntry], new: Sequence[ShardEntry]) -> Manifest:
        """Build generation n+1 in a temporary folder and put it in place; `CURRENT` is not touched."""
        old = self._manifest
        generation = old.generation + 1
        folder = generation_folder(self._index, generation)
        made = temporary(folder)
        shards = [*kept, *new]
        try:
            with disk_errors(self._index, f"publishing generation {generation}"):
                made.mkdir(parents=True)
                columns = self._build_metadata(made / FILE, kept, new)
                parts = []
                for kind in KINDS:
                    live = [s for s in shards if s.kind == kind]
                    collection = Collection(self._index, self._info, kind, columns[kind], generation)
                    parts += self._store.publish(collection, old.parts_of(kind), live)
                    publish_postings(self._index, kind, live, self._info.universe_digest)
                manifest = Manifest(generation, now(), tuple(shards), tuple(parts), columns, self._number)
                (made / "manifest.json").write_text(manifest.to_json(), encoding="utf-8")
                put_in_place(made, folder)
                write_text(self._index / "CURRENT", f"{generation}\n")
        except BaseException:
            remove(made)
            if read_current(self._index) != generation:
                remove(folder)
            raise
        return manifest

    def _build_metadata(
        self, path: Path, kept: Sequence[ShardEntry], new: Sequence[ShardEntry]
    ) -> dict[str, dict[str, Column]]:
        old = self._manifest.columns
        types = {kind: merged_columns(old.get(kind, {}), self._types[kind]) for kind in KINDS}
        previous: Path | None = generation_folder(self._index, self._manifest.generation) / FILE
        rows_of = list(new)
        if not kept or any(_changed(old.get(kind, {}), types[kind]) for kind in KINDS):
            previous, rows_of = None, [*kept, *new]
        incoming = {}
        for kind in KINDS:
            entries = [s for s in rows_of if s.kind == kind]
            if entries:
                incoming[kind] = Incoming(
                    read_metadata_schema(self._index, entries, types[kind]),
                    (read_metadata_rows(self._index, s, types[kind]) for s in entries),
                )
        return build_metadata(path, [*kept, *new], incoming, previous)

    def _go_on_from(self, manifest: Manifest) -> None:
        """Go on from the generation that is current now."""
        self._metadata.close()
        self._manifest = manifest
        self._metadata = Metadata(generation_folder(self._index, manifest.generation) / FILE)
        self._forget_pending()
        for kind in KINDS:
            self._store.activate(kind, manifest.parts_of(kind))
        self._clean()

    def _clean(self) -> None:
        """Remove what no kept generation refers to: leftovers of killed writers and old generations."""
        current = self._manifest.generation
        kept: list[Manifest] = [self._manifest]
        folder = self._index / "generations"
        for path in folder.iterdir():
            number = int(path.name) if path.name.isdigit() else -1
            if current - KEPT_GENERATIONS < number < current:
                try:
                    kept.append(read_manifest(self._index, number))
                except (OSError, InputError):
                    remove(path)
            elif number != current:
                remove(path)
        files = {s.file for m in kept for s in m.shards}
        for path in (self._index / "shards").glob("*/*"):
            if str(path.relative_to(self._index)) not in files:
                remove(path)
        for kind in KINDS:
            generations = [m.shards_of(kind) for m in kept]
            clean_postings(self._index, kind, generations, self._info.universe_digest)
        for path in self._index.glob(f"{TEMPORARY}*"):
            remove(path)
        parts = [p for m in kept for p in m.parts]
        self._store.clean(parts, self._manifest.parts, current)

    # -- leaving ------------------------------------------------------------------------------------

    def discard(self) -> None:
        """Forget everything that was added or deleted since the last publish."""
        for entry in self._pending:
            remove(self._index / entry.file)
        self._forget_pending()

    def close(self) -> None:
        """Discard what was not published and let the next writer in."""
        self.discard()
        self._metadata.close()
        self._lock.release()

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.publish()
        finally:
            self.close()


def _changed(old: dict[str, Column], types: dict[str, str]) -> bool:
    """Whether a column's values must be stored in another way than the generation before did."""
    for name, dtype in types.items():
        column = old.get(name)
        if column is None:
            continue
        if column.kind == "empty":
            if dtype != column.dtype:
                return True
        elif column.kind != column_kind(dtype):
            return True
    return False


def _duplicate(kind: str, item_id: str, first: str, second: str) -> InputError:
    where = f"twice in {second}" if first == second else f"in {first} and again in {second}"
    remedy = (
        "give them different samples (--sample, or a column sample in the manifest)"
        if kind == "cells"
        else "leave one of them out, or replace the source that holds it"
    )
    return InputError(f"the {ONE[kind]} {item_id!r} occurs {where}; ids must be unique in an index: {remedy}")


def first_manifest(info: IndexInfo, made: Path) -> Manifest:
    """Generation 0, of nothing, in the index folder `made` that is being created."""
    folder = generation_folder(made, 0)
    folder.mkdir(parents=True)
    columns = build_metadata(folder / FILE, [], {}, None)
    manifest = Manifest(0, info.created, columns=columns)
    (folder / "manifest.json").write_text(manifest.to_json(), encoding="utf-8")
    (made / "CURRENT").write_text("0\n", encoding="utf-8")
    return manifest
