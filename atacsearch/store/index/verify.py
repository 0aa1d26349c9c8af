"""Verify: proof that shards, metadata, vectors and postings agree. Repair: all others made anew from the shards.

Shards are compared bytewise with their checksums, metadata row by row with the shards, vectors with those of
the shards after normalising, within 1e-3, posting lists list by list with the shards' tokens.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import AtacsearchError, InputError
from ..atomic import disk_errors, remove, sha256_of, write_text
from ..lock import WriterLock
from ..manifest import (
    Manifest,
    Part,
    ShardEntry,
    empty_columns,
    generation_folder,
    read_current,
    read_manifest,
)
from ..metadata.database import FILE, Metadata, build_metadata
from ..postings.check import check_postings
from ..shards import VECTOR_PREFIX, matrix_of, point_id, read_entry, read_metadata_rows
from ..types import KINDS
from ..vectors.base import normalised
from .writer import now

if TYPE_CHECKING:
    from .index import Index

TOLERANCE = 1e-3


@dataclass
class Report:
    """What a verification or repair found.

    Attributes:
        generation: the generation that was looked at, or made.
        problems: one line each; empty when all agrees.
        shards: shards compared.
        rows: rows of metadata compared.
        points: vectors compared.
        notes: what was done.
    """

    generation: int
    problems: list[str] = field(default_factory=list)
    shards: int = 0
    rows: int = 0
    points: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether there is no problem."""
        return not self.problems


def verify_index(index: Index) -> Report:
    """Compare shards, metadata and vectors of the current generation of an index.

    Raises:
        InputError: the generation's manifest cannot be read at all.
    """
    generation = read_current(index.path)
    try:
        manifest = read_manifest(index.path, generation)
    except FileNotFoundError as error:
        raise InputError(f"{error.filename} is missing; run: atacsearch index repair {index.path}") from error
    report = Report(generation)
    sound = [s for s in manifest.shards if _check_shard(index, s, report)]
    _check_metadata(index, manifest, sound, report)
    for kind in KINDS:
        live = [s for s in sound if s.kind == kind]
        _check_vectors(index, manifest, kind, live, report)
        check_postings(index.path, kind, live, index.info.universe_digest, report.problems, report.notes)
    return report


def _check_shard(index: Index, entry: ShardEntry, report: Report) -> bool:
    path = index.path / entry.file
    report.shards += 1
    try:
        if sha256_of(path) == entry.sha256:
            return True
        report.problems.append(
            f"{entry.file} (of {entry.source.name}) differs from its checksum; add the source again"
        )
    except OSError as error:
        report.problems.append(f"{entry.file} (of {entry.source.name}) cannot be read: {error.strerror}")
    return False


def _check_metadata(index: Index, manifest: Manifest, shards: list[ShardEntry], report: Report) -> None:
    import pyarrow.compute as pc

    path = generation_folder(index.path, manifest.generation) / FILE
    try:
        metadata = Metadata(path)
    except (OSError, InputError) as error:
        report.problems.append(f"metadata: {error}")
        return
    try:
        for kind in KINDS:
            twice = metadata.duplicates(kind)
            if twice:
                report.problems.append(f"metadata: ids of {kind} that occur twice: {', '.join(twice)}")
            expected = sum(s.rows for s in manifest.shards_of(kind))
            if metadata.count(kind) != expected:
                report.problems.append(f"metadata: {metadata.count(kind)} {kind}, the shards hold {expected}")
            table = metadata.table(kind)
            types = {n: c.dtype for n, c in manifest.columns.get(kind, {}).items() if c.kind != "empty"}
            for entry in (s for s in shards if s.kind == kind):
                rows = read_metadata_rows(index.path, entry, types)
                have = table.filter(pc.equal(table["_shard"], entry.number))
                report.rows += have.num_rows
                wrong = [
                    n
                    for n in rows.column_names
                    if n not in have.column_names
                    or not rows[n].combine_chunks().equals(have[n].combine_chunks())
                ]
                if wrong:
                    report.problems.append(f"metadata: columns {', '.join(wrong)} differ from {entry.file}")
    finally:
        metadata.close()


def _check_vectors(
    index: Index, manifest: Manifest, kind: str, shards: list[ShardEntry], report: Report
) -> None:
    parts = manifest.parts_of(kind)
    held = {n for p in parts for n in p.shards}
    for entry in shards:
        if entry.n_points and entry.number not in held:
            report.problems.append(f"vectors: no part holds {entry.file}")
    for part in parts:
        live = [s for s in shards if s.number in part.shards]
        try:
            _check_part(index, part, live, report)
        except AtacsearchError as error:
            report.problems.append(f"vectors: {error}")
        except Exception as error:  # the engine raises bare exceptions for damaged files
            report.problems.append(f"vectors: {part.name} of the {kind} cannot be read ({error})")


def _check_part(index: Index, part: Part, live: list[ShardEntry], report: Report) -> None:
    expected: dict[str, tuple[ShardEntry, str, int]] = {}
    vectors: dict[int, dict[str, np.ndarray[Any, Any]]] = {}
    for entry in live:
        import pyarrow.parquet as pq

        columns = [VECTOR_PREFIX + n for n in entry.points]
        table = pq.read_table(index.path / entry.file, columns=["id", *columns])
        own = {n: normalised(matrix_of(table[VECTOR_PREFIX + n])) for n in entry.points}
        vectors[entry.number] = own
        present = np.logical_or.reduce([v.any(1) for v in own.values()]) if own else np.empty(0, bool)
        ids = table["id"].to_pylist()
        for row in np.flatnonzero(present).tolist():
            uid = point_id(entry.kind, entry.source.id, ids[row], index.info.model_digest)
            expected[str(uid)] = (entry, ids[row], row)
    numbers = {s.number for s in live}
    worst, wrong = 0.0, 0
    held: dict[str, list[Any]] = {n: [] for n in index.info.vectors}
    truth: dict[str, list[Any]] = {n: [] for n in index.info.vectors}
    for point in index.store.scroll(part):
        if point.payload.get("_shard") not in numbers or point.payload.get("_gen", 0) > part.generation:
            continue
        found = expected.pop(point.id, None)
        if found is None:
            wrong += 1
            continue
        entry, item_id, row = found
        report.points += 1
        own = {n: v[row] for n, v in vectors[entry.number].items() if v[row].any()}
        if point.payload.get("id") != item_id or set(own) != set(point.vectors):
            wrong += 1
            continue
        for name, vector in own.items():
            held[name].append(point.vectors[name])
            truth[name].append(vector)
    for name in held:
        if held[name]:
            difference = np.abs(normalised(np.array(held[name])) - np.array(truth[name]))
            worst = max(worst, float(difference.max()))
    if wrong:
        report.problems.append(f"vectors: {wrong} points of {part.name} belong to no item of its shards")
    if expected:
        report.problems.append(
            f"vectors: {len(expected)} items of the {part.kind} are missing in {part.name}"
        )
    if worst > TOLERANCE:
        report.problems.append(f"vectors: {part.name} differs from its shards by up to {worst:.2g}")


def repair_index(index: Index, drop_damaged: bool = False) -> Report:
    """Make a new generation of the shards alone: metadata and every vector part.

    The shards are those of the current manifest; where that cannot be read, all that lie in the folder.

    Args:
        index: the index.
        drop_damaged: leave out shards that cannot be read or differ from their checksum.

    Raises:
        InputError: shards are damaged and `drop_damaged` is not set; their sources are named.
        LockedError: somebody is writing.
    """
    index.close()
    with WriterLock(index.path):
        shards, notes = _shards_to_keep(index, drop_damaged)
        with disk_errors(index.path, "repairing"):
            _ground(index)
    with index.writer() as writer:
        generation = writer.rebuild(shards)
    report = verify_index(index)
    report.generation = generation
    report.notes = [*notes, f"generation {generation} was built anew from {len(shards)} shards"]
    return report


def _shards_to_keep(index: Index, drop_damaged: bool) -> tuple[list[ShardEntry], list[str]]:
    notes: list[str] = []
    damaged: list[str] = []
    try:
        listed = list(read_manifest(index.path, read_current(index.path)).shards)
    except (OSError, InputError):
        listed = []
        for path in sorted((index.path / "shards").glob("*/*.parquet")):
            if path.name.startswith("."):
                continue
            try:
                listed.append(read_entry(index.path, path))
            except InputError as error:
                damaged.append(str(error))
        notes.append("the manifest could not be read: all shards in the folder were taken")
    sound: list[ShardEntry] = []
    for entry in listed:
        check = Report(0)
        if _check_shard(index, entry, check):
            sound.append(entry)
        damaged += check.problems
    if damaged and not drop_damaged:
        raise InputError(
            f"{len(damaged)} shards of {index.path} are damaged and cannot be rebuilt: {damaged[0]}; "
            "repair with --drop-damaged to go on without them"
        )
    return sound, notes + [f"left out: {line}" for line in damaged]


def _ground(index: Index) -> None:
    """See to it that the current generation opens, if only as an empty one, so that a writer can start."""
    try:
        generation = read_current(index.path)
        Metadata(generation_folder(index.path, generation) / FILE).close()
        read_manifest(index.path, generation)
        return
    except (OSError, InputError):
        folders = [int(p.name) for p in (index.path / "generations").glob("*") if p.name.isdigit()]
    generation = max(folders, default=0) + 1
    try:
        manifest = read_manifest(index.path, read_current(index.path))
    except (OSError, InputError):
        # every shard stays referenced until the rebuilt generation takes over
        shards = []
        for path in sorted((index.path / "shards").glob("*/*.parquet")):
            try:
                shards.append(read_entry(index.path, path))
            except InputError:
                continue
        number = max((s.number for s in shards), default=0) + 1
        manifest = Manifest(generation, now(), tuple(shards), (), empty_columns(), number)
    folder = generation_folder(index.path, generation)
    remove(folder)
    folder.mkdir(parents=True)
    build_metadata(folder / FILE, [], {}, None)
    text = Manifest(
        generation, now(), manifest.shards, manifest.parts, manifest.columns, manifest.next_number
    ).to_json()
    write_text(folder / "manifest.json", text)
    write_text(index.path / "CURRENT", f"{generation}\n")
