"""What a vector store does, and what both stores share: the plan of parts and the merging of answers.

A store holds points of a collection in parts and answers nearest-neighbour queries over them with filters.
`embedded.py` keeps parts in the index folder, `server.py` on a Qdrant server.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ..manifest import Part, ShardEntry, count_points
from ..metadata.where import BoundWhere
from ..types import Column, IndexInfo

SMALL_PART = 5_000  # always merged: opening a part costs more than searching it
# Points of one part at the most: it bounds the memory of building (docs/design/decisions.md). No shard is divided.
MAX_PART = 500_000
Hits = list[list[tuple[str, float]]]


@dataclass(frozen=True)
class Collection:
    """One collection of an index, at the generation that is being published.

    Attributes:
        index: the index folder.
        info: of the index.
        kind: "cells", "bedfiles" or "regions".
        columns: its columns, built-in ones included.
        generation: number of the generation.
    """

    index: Path
    info: IndexInfo
    kind: str
    columns: Mapping[str, Column]
    generation: int

    @property
    def payload(self) -> dict[str, str]:
        """Columns that go into the payload, each with an index -> filter family."""
        return {name: c.kind for name, c in self.columns.items() if c.indexed}

    @property
    def types(self) -> dict[str, str]:
        """Columns with any value -> Arrow type."""
        return {name: c.dtype for name, c in self.columns.items() if c.kind != "empty"}


@dataclass(frozen=True)
class Query:
    """A batch of nearest-neighbour queries.

    Attributes:
        vectors: [n, d] float32, each of length 1.
        k: neighbours wanted of each.
        name: which named vector.
        where: filter that all answers match.
        exact: compare with every point instead of walking the HNSW graph.
        not_sources: per query, a source whose points are not wanted, or None.
        not_points: uuids of points that are not wanted in any answer.
    """

    vectors: npt.NDArray[np.float32]
    k: int
    name: str = "general"
    where: BoundWhere | None = None
    exact: bool = False
    not_sources: Sequence[str | None] | None = None
    not_points: Sequence[str] = ()


@dataclass(frozen=True)
class StoredPoint:
    """A point as a store holds it, for verification: its vectors are normalised."""

    id: str
    payload: dict[str, Any]
    vectors: dict[str, npt.NDArray[np.float32]]


class VectorStore(Protocol):
    """What the index needs of a place that holds vectors."""

    def publish(
        self, collection: Collection, parts: Sequence[Part], live: Sequence[ShardEntry]
    ) -> list[Part]:
        """Make parts that hold all points of `live`, reusing `parts` (those of the generation before)."""

    def activate(self, kind: str, parts: Sequence[Part]) -> None:
        """The generation with these parts is current now."""

    def clean(self, keep: Iterable[Part], current: Sequence[Part], generation: int) -> None:
        """Remove everything of this index that is in no part of `keep`, and unpublished points."""

    def search(self, kind: str, parts: Sequence[Part], live: set[int], query: Query) -> Hits:
        """Per query, the ids and cosine similarities of the k nearest points in live shards, best first."""

    def keep_open(self, parts: Iterable[Part]) -> None:
        """Only these parts are in use; others that were opened may be closed."""

    def scroll(self, part: Part) -> Iterator[StoredPoint]:
        """All points of a part, dead ones included."""

    def size(self, part: Part) -> int:
        """Bytes that a part occupies; 0 where that is not known."""

    def close(self) -> None:
        """Let go of all resources."""


def is_stale(part: Part, collection: Collection) -> bool:
    """Whether a column that is served now is missing or of another type in the part's payload."""
    return any(collection.payload.get(name, family) != family for name, family in part.columns.items())


def plan_parts(
    collection: Collection, parts: Sequence[Part], live: Sequence[ShardEntry]
) -> tuple[list[Part], list[list[ShardEntry]]]:
    """Which parts stay as they are, and which shards go together into each new part.

    Parts are merged as in Bentley and Saxe's logarithmic method (doi:10.1016/0196-6774(80)90015-2): a part
    joins the new one where it is not larger than it, so that n points lie in at most log2(n) parts below
    `MAX_PART` and each is rebuilt at most log2(MAX_PART) times; more than `MAX_PART` new points are divided
    evenly. Stale parts and those that are half dead are rebuilt.
    """
    by_number = {s.number: s for s in live}
    keep: list[tuple[int, Part]] = []
    covered: set[int] = set()
    for part in parts:
        inside = [by_number[n] for n in part.shards if n in by_number]
        points = count_points(inside)
        if points and 2 * points >= part.points and not is_stale(part, collection):
            keep.append((points, part))
            covered.update(s.number for s in inside)
    fresh = [s for s in live if s.number not in covered and s.n_points]
    if not fresh:
        return [part for _, part in keep], []
    size = count_points(fresh)
    kept: list[Part] = []
    for points, part in sorted(keep, key=lambda pair: pair[0]):
        if points <= max(size, SMALL_PART) and points + size <= MAX_PART:
            fresh += [by_number[n] for n in part.shards if n in by_number]
            size += points
        else:
            kept.append(part)
    order = {part.name: i for i, part in enumerate(parts)}
    kept.sort(key=lambda p: order[p.name])
    return kept, divide(sorted(fresh, key=lambda s: s.number), MAX_PART)


def divide(shards: Sequence[ShardEntry], most: int) -> list[list[ShardEntry]]:
    """Runs of shards of about the same number of points, none above `most` unless one shard is."""
    total = count_points(shards)
    aim = total / -(-total // most)
    groups: list[list[ShardEntry]] = []
    size = 0
    for shard in shards:
        full = size + shard.n_points > most or size + shard.n_points / 2 > aim
        if not groups or full:
            groups.append([])
            size = 0
        groups[-1].append(shard)
        size += shard.n_points
    return groups


def columns_inside(collection: Collection, shards: Sequence[ShardEntry]) -> dict[str, str]:
    """Columns that occur in any of the shards -> filter family, or "unindexed"; for `Part.columns`."""
    import pyarrow.parquet as pq

    present = {n for s in shards for n in pq.read_schema(collection.index / s.file).names}
    return {
        name: c.kind if c.indexed else "unindexed"
        for name, c in collection.columns.items()
        if name in present and c.kind != "empty"
    }


def merge_hits(answers: Sequence[Hits], n: int, k: int) -> Hits:
    """The k best of each query over the answers of several parts; ties by id."""
    merged: Hits = []
    for i in range(n):
        hits = [hit for answer in answers for hit in answer[i]]
        merged.append(sorted(hits, key=lambda hit: (-hit[1], hit[0]))[:k])
    return merged


def normalised(vectors: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """[n, d] float32 rows of length 1; zero rows stay zero."""
    values = np.ascontiguousarray(vectors, np.float32)
    norms = np.sqrt(np.einsum("ij,ij->i", values, values))
    if not np.isfinite(norms).all():  # squares beyond float32
        norms = np.linalg.norm(values.astype(np.float64), axis=1)
    scale = np.divide(1.0, norms, out=np.zeros_like(norms), where=norms > 0)
    return (values * scale[:, None]).astype(np.float32)
