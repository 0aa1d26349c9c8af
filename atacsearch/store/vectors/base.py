"""What a vector store does: it holds points of a collection in parts and answers nearest-neighbour queries.

`embedded.py` keeps parts in the index folder, `server.py` on a Qdrant server. `parts.py` says which shards go together
into a part, `merge.py` joins the answers of several parts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ..manifest import Part, ShardEntry
from ..metadata.where import BoundWhere
from ..types import Column, IndexInfo

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


def normalised(vectors: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """[n, d] float32 rows of length 1; zero rows stay zero."""
    values = np.ascontiguousarray(vectors, np.float32)
    norms = np.sqrt(np.einsum("ij,ij->i", values, values))
    if not np.isfinite(norms).all():  # squares beyond float32
        norms = np.linalg.norm(values.astype(np.float64), axis=1)
    scale = np.divide(1.0, norms, out=np.zeros_like(norms), where=norms > 0)
    unit: npt.NDArray[np.float32] = (values * scale[:, None]).astype(np.float32)
    return unit
