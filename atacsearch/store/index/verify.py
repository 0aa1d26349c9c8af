"""Verify: proof that shards, metadata, vectors and postings of an index agree.

Shards are compared with their checksums byte by byte. Metadata are compared with the shards row by row. Vectors are
compared with those of the shards, both normalised, within 1e-3. Posting lists are compared with the tokens of the
shards list by list.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ...errors import AtacsearchError, InputError
from ..atomic import sha256_of
from ..columns import VECTOR_PREFIX
from ..manifest import Manifest, Part, ShardEntry, generation_folder, read_current, read_manifest
from ..metadata.database import FILE, Metadata
from ..postings.check import check_postings
from ..shards import matrix_of, point_id, read_metadata_rows
from ..types import KINDS
from ..vectors.base import StoredPoint, normalised
from .folder import IndexFolder

TOLERANCE = 1e-3  # largest difference of a coordinate of normalised vectors: float16 and int8 stay below it


@dataclass(frozen=True)
class Verification:
    """What a verification or a repair found.

    Attributes:
        generation: number of the generation that was read, or made.
        problems: one line each; empty where all agrees.
        shards: number of shards compared.
        rows: number of metadata rows compared.
        points: number of vectors compared.
        notes: what is no problem but worth knowing; of a repair, what was done.
    """

    generation: int
    problems: tuple[str, ...] = ()
    shards: int = 0
    rows: int = 0
    points: int = 0
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether there is no problem."""
        return not self.problems


def verify_index(index: IndexFolder) -> Verification:
    """Compare shards, metadata, vectors and postings of the current generation of an index.

    Raises:
        InputError: the manifest of the generation cannot be read at all.
    """
    generation = read_current(index.path)
    try:
        manifest = read_manifest(index.path, generation)
    except FileNotFoundError as error:
        raise InputError(f"{error.filename} is missing; run: atacsearch index repair {index.path}") from error
    problems: list[str] = []
    notes: list[str] = []
    sound: list[ShardEntry] = []
    for entry in manifest.shards:
        problem = shard_problem(index.path, entry)
        if problem is None:
            sound.append(entry)
        else:
            problems.append(problem)
    n_rows, found = _check_metadata(index.path, manifest, sound)
    problems += found
    n_points = 0
    for kind in KINDS:
        live = [s for s in sound if s.kind == kind]
        n, found = _check_vectors(index, manifest, kind, live)
        n_points += n
        problems += found
        found, remarks = check_postings(index.path, kind, live, index.info.universe_digest)
        problems += found
        notes += remarks
    return Verification(generation, tuple(problems), len(manifest.shards), n_rows, n_points, tuple(notes))


def shard_problem(index: Path, entry: ShardEntry) -> str | None:
    """One line where a shard cannot be read or differs from its checksum; None where it is sound."""
    try:
        if sha256_of(index / entry.file) == entry.sha256:
            return None
    except OSError as error:
        return f"{entry.file} (of {entry.source.name}) cannot be read: {error.strerror}"
    return f"{entry.file} (of {entry.source.name}) differs from its checksum; add the source again"


def _check_metadata(index: Path, manifest: Manifest, shards: Sequence[ShardEntry]) -> tuple[int, list[str]]:
    """Number of metadata rows compared with the shards, and a line for each difference."""
    path = generation_folder(index, manifest.generation) / FILE
    try:
        metadata = Metadata(path)
    except (OSError, InputError) as error:
        return 0, [f"metadata: {error}"]
    n_rows = 0
    problems: list[str] = []
    try:
        for kind in KINDS:
            live = [s for s in shards if s.kind == kind]
            n, found = _check_rows(index, manifest, metadata, kind, live)
            n_rows += n
            problems += found
    finally:
        metadata.close()
    return n_rows, problems


def _check_rows(
    index: Path, manifest: Manifest, metadata: Metadata, kind: str, shards: Sequence[ShardEntry]
) -> tuple[int, list[str]]:
    """As `_check_metadata`, of one collection."""
    import pyarrow.compute as pc

    problems: list[str] = []
    twice = metadata.duplicates(kind)
    if twice:
        problems.append(f"metadata: ids of {kind} that occur twice: {', '.join(twice)}")
    expected = sum(s.rows for s in manifest.shards_of(kind))
    if metadata.count(kind) != expected:
        problems.append(f"metadata: {metadata.count(kind)} {kind}, the shards hold {expected}")
    table = metadata.table(kind)
    types = {n: c.dtype for n, c in manifest.columns.get(kind, {}).items() if c.kind != "empty"}
    n_rows = 0
    for entry in shards:
        rows = read_metadata_rows(index, entry, types)
        have = table.filter(pc.equal(table["_shard"], entry.number))
        n_rows += have.num_rows
        wrong = [
            n
            for n in rows.column_names
            if n not in have.column_names or not rows[n].combine_chunks().equals(have[n].combine_chunks())
        ]
        if wrong:
            problems.append(f"metadata: columns {', '.join(wrong)} differ from {entry.file}")
    return n_rows, problems


def _check_vectors(
    index: IndexFolder, manifest: Manifest, kind: str, shards: Sequence[ShardEntry]
) -> tuple[int, list[str]]:
    """Number of points of a collection compared with the shards, and a line for each difference."""
    parts = manifest.parts_of(kind)
    held = {n for p in parts for n in p.shards}
    problems = [
        f"vectors: no part holds {entry.file}"
        for entry in shards
        if entry.n_points and entry.number not in held
    ]
    n_points = 0
    for part in parts:
        live = [s for s in shards if s.number in part.shards]
        try:
            n, found = _check_part(index, part, live)
        except AtacsearchError as error:
            problems.append(f"vectors: {error}")
        except Exception as error:  # the engine raises bare exceptions for damaged files
            problems.append(f"vectors: {part.name} of the {kind} cannot be read ({error})")
        else:
            n_points += n
            problems += found
    return n_points, problems


class _ShardPoints:
    """The points that a part has to hold, by the shards.

    Args:
        index: the index.
        shards: live shards of the part.
    """

    def __init__(self, index: IndexFolder, shards: Sequence[ShardEntry]) -> None:
        self.missing: dict[str, tuple[int, str, int]] = {}  # point id -> shard number, item id, row
        self._vectors: dict[int, dict[str, npt.NDArray[np.float32]]] = {}
        self._held: defaultdict[str, list[npt.NDArray[np.float32]]] = defaultdict(list)
        self._true: defaultdict[str, list[npt.NDArray[np.float32]]] = defaultdict(list)
        for entry in shards:
            self._read(index, entry)

    def _read(self, index: IndexFolder, entry: ShardEntry) -> None:
        import pyarrow.parquet as pq

        columns = [VECTOR_PREFIX + n for n in entry.points]
        table = pq.read_table(index.path / entry.file, columns=["id", *columns])
        own = {n: normalised(matrix_of(table[VECTOR_PREFIX + n])) for n in entry.points}
        self._vectors[entry.number] = own
        present = np.logical_or.reduce([v.any(1) for v in own.values()]) if own else np.empty(0, bool)
        ids = table["id"].to_pylist()
        for row in np.flatnonzero(present).tolist():
            uid = point_id(entry.kind, entry.source.id, ids[row], index.info.model_digest)
            self.missing[str(uid)] = (entry.number, ids[row], row)

    def agrees(self, point: StoredPoint) -> bool | None:
        """Whether a stored point has the item and the vectors of the shards; None where it is of no item."""
        found = self.missing.pop(point.id, None)
        if found is None:
            return None
        number, item_id, row = found
        own = {n: v[row] for n, v in self._vectors[number].items() if v[row].any()}
        if point.payload.get("id") != item_id or set(own) != set(point.vectors):
            return False
        for name, vector in own.items():
            self._held[name].append(point.vectors[name])
            self._true[name].append(vector)
        return True

    def largest_difference(self) -> float:
        """Of any coordinate of the points that agree, both normalised; 0 where there are none."""
        differences = (
            np.abs(normalised(np.array(held)) - np.array(self._true[name])).max()
            for name, held in self._held.items()
        )
        return max(map(float, differences), default=0.0)


def _check_part(index: IndexFolder, part: Part, live: Sequence[ShardEntry]) -> tuple[int, list[str]]:
    """Number of points of one part compared with the shards, and a line for each difference."""
    expected = _ShardPoints(index, live)
    numbers = {s.number for s in live}
    n_points = n_wrong = 0
    for point in index.store.scroll(part):
        if point.payload.get("_shard") not in numbers or point.payload.get("_gen", 0) > part.generation:
            continue
        agrees = expected.agrees(point)
        n_points += agrees is not None
        n_wrong += not agrees
    problems = []
    if n_wrong:
        problems.append(f"vectors: {n_wrong} points of {part.name} belong to no item of its shards")
    if expected.missing:
        n = len(expected.missing)
        problems.append(f"vectors: {n} items of the {part.kind} are missing in {part.name}")
    worst = expected.largest_difference()
    if worst > TOLERANCE:
        problems.append(f"vectors: {part.name} differs from its shards by up to {worst:.2g}")
    return n_points, problems
