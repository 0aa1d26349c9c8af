"""Exact nearest neighbours by matrix products over the vectors of the shards, read once and kept normalised.

For small collections and large batches this beats a graph (see `worth_scanning`), it answers where parts
cannot be opened, and it is what the approximate answers are measured against.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..manifest import ShardEntry
from ..shards import read_vectors
from .base import normalised

if TYPE_CHECKING:
    import pyarrow as pa

BUDGET = 1 << 30  # bytes of vectors that are kept in memory
SCORES = 1 << 24  # scores of one chunk of queries
GROUP = 64  # scores of which only the largest is looked at first
SMALL = 10_000_000  # bytes of vectors that are scanned for a single query
MEDIUM = 30_000_000  # and for a batch of at least MANY
MANY = 64


def worth_scanning(points: int, dim: int, queries: int) -> bool:
    """Whether the exact scan is expected to be about as fast as the graph, so that exactness is free.

    Measured on 2 shared cores at 128 dimensions: a scan costs 10 ns a point and query in batches, the graph
    0.7 ms a query at 100,000 points; below `SMALL` qdrant builds no graph and scans too.
    """
    size = 4 * points * dim
    return size <= SMALL or (queries >= MANY and size <= MEDIUM)


class ExactScan:
    """The vectors of one name of one collection, in memory.

    Args:
        index: the index folder.
        shards: live shards, in order.
        name: vector name.

    Attributes:
        vectors: [n, d] float32, rows of length 1.
        rows: [n] int64, place of each vector among all rows of `shards`.
    """

    def __init__(self, index: Path, shards: Sequence[ShardEntry], name: str, dim: int) -> None:
        pieces: list[npt.NDArray[np.float32]] = []
        places: list[npt.NDArray[np.int64]] = []
        first = 0
        for entry in shards:
            values = read_vectors(index, entry, name)
            if values is not None:
                present = np.flatnonzero(values.any(1))
                pieces.append(normalised(values[present]))
                places.append(present + first)
            first += entry.rows
        self.vectors = np.concatenate(pieces) if pieces else np.empty((0, dim), np.float32)
        self.rows = np.concatenate(places) if places else np.empty(0, np.int64)

    def search(
        self,
        queries: npt.NDArray[np.float32],
        k: int,
        mask: npt.NDArray[np.bool_] | None = None,
        banned: Sequence[npt.NDArray[np.int64]] | None = None,
        groups: npt.NDArray[np.int32] | None = None,
        not_group: npt.NDArray[np.int32] | None = None,
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        """The k nearest of each query, best first, ties in order of rows.

        Args:
            queries: [q, d] float32 of length 1.
            k: neighbours.
            mask: [n_rows] bool over the rows of the collection; only True ones may be answers.
            banned: per query, rows of the collection that may not be answers.
            groups: [n_rows] int32, source code of each row of the collection.
            not_group: [q] int32, source code that may not be an answer; -1 for none.

        Returns:
            rows [q, k] int64 (-1 where there are fewer) and similarity [q, k] float32 (NaN there).
        """
        vectors, rows = self.vectors, self.rows
        if mask is not None:
            keep = mask[rows]
            if not keep.all():
                vectors, rows = vectors[keep], rows[keep]
        own = groups[rows] if groups is not None else None
        found = np.full((len(queries), k), -1, np.int64)
        scores = np.full((len(queries), k), np.nan, np.float32)
        n = len(rows)
        if not n:
            return found, scores
        step = max(1, SCORES // n)
        for start in range(0, len(queries), step):
            similarity = queries[start : start + step] @ vectors.T  # [step, n] float32
            for i in range(len(similarity)):
                if banned is not None and len(banned[start + i]):
                    at = np.searchsorted(rows, banned[start + i])
                    at = at[at < n]
                    similarity[i, at[np.isin(rows[at], banned[start + i])]] = -np.inf
                if own is not None and not_group is not None and not_group[start + i] >= 0:
                    similarity[i, own == not_group[start + i]] = -np.inf
            at = top_k(similarity, min(k, n))
            value = np.take_along_axis(similarity, at, 1)
            best = np.lexsort((at, -value), axis=1)
            at, value = np.take_along_axis(at, best, 1), np.take_along_axis(value, best, 1)
            real = np.isfinite(value)
            stop, width = start + len(similarity), at.shape[1]
            found[start:stop, :width] = np.where(real, rows[at], -1)
            scores[start:stop, :width] = np.where(real, value, np.nan)
        return found, scores


def top_k(scores: npt.NDArray[np.float32], k: int) -> npt.NDArray[np.int64]:
    """[m, k] places of the k largest of each row, in no order.

    The k largest lie in the k groups with the largest maxima, so only those are partitioned: seven times
    faster than partitioning whole rows of 100,000.
    """
    m, n = scores.shape
    groups = n // GROUP
    if groups <= 2 * k:
        return np.argpartition(scores, n - k, axis=1)[:, n - k :].astype(np.int64)
    maxima = scores[:, : groups * GROUP].reshape(m, groups, GROUP).max(2)
    best = np.argpartition(maxima, groups - k, axis=1)[:, groups - k :]
    places = (best[:, :, None] * GROUP + np.arange(GROUP)).reshape(m, -1)
    if groups * GROUP < n:
        rest = np.broadcast_to(np.arange(groups * GROUP, n), (m, n - groups * GROUP))
        places = np.concatenate([places, rest], axis=1)
    candidates = np.take_along_axis(scores, places, 1)
    chosen = np.argpartition(candidates, candidates.shape[1] - k, axis=1)[:, -k:]
    return np.take_along_axis(places, chosen, 1).astype(np.int64)


def codes_of(column: pa.ChunkedArray) -> tuple[npt.NDArray[np.int32], dict[str, int]]:
    """[n] int32 codes of a text column and what each value's code is."""
    encoded = column.combine_chunks().dictionary_encode()
    values = encoded.dictionary.to_pylist()
    return np.asarray(encoded.indices, np.int32), {v: i for i, v in enumerate(values)}
