"""Exact nearest neighbours of large batches: matrix products over the shards, which pass through memory once.

A walk through a graph costs each query the same, however many there are; this scan reads every vector once for all of
them. From `LARGE` queries on it is faster (see `worth_streaming`), and it is exact.

Most of the work is saved by an upper bound. In the directions along which the queries vary most, a few columns
hold nearly all of every vector; what the others can add is at most the product of the lengths that are left over
(Cauchy and Schwarz). Both together are one matrix product over few columns, and only pairs whose bound reaches the
k-th best score so far are compared in full. Where no few directions hold the queries, all columns are multiplied.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..manifest import ShardEntry
from .base import Hits
from .chunks import vector_chunks
from .exact import SMALL

if TYPE_CHECKING:
    import torch

Floats = npt.NDArray[np.float32]
Places = npt.NDArray[np.int64]

LARGE = 1_000  # queries from which the scan beats the walk
MOST = 1_000  # neighbours asked of it at the most: candidates for so many are kept for every query
ROWS = 16_384  # vectors that are worked on at once; the next ones are read meanwhile
WIDE, LONG = 512, 2_048  # queries and vectors of one product, which stays in a processor's cache
GROUP = 64  # scores of which only the largest is looked at first
TAIL = 0.02  # share of the queries' squared length that the first columns may leave over
MULTIPLE = 16  # of which the number of columns is one
DENSE = 0.05  # share of a product above which limits are raised before pairs are compared
PAIRS = 1 << 15  # pairs compared at once
WAITING = 3  # times k candidates a query, at which they are sorted and cut to k


def worth_streaming(points: int, dim: int, queries: int, k: int) -> bool:
    """Whether a batch is expected to be faster by this scan than by walks through the graph.

    The cost of both grows with the number of vectors, so the number of queries decides (docs/design/decisions.md), but
    for collections so small that the scan in memory, which keeps them there, has no more to do.
    """
    return queries >= LARGE and k <= MOST and 4 * points * dim > SMALL


def nearest(
    index: Path,
    shards: Sequence[ShardEntry],
    name: str,
    queries: Floats,
    k: int,
    ids: Sequence[str],
    mask: npt.NDArray[np.bool_] | None = None,
) -> Hits:
    """The k most similar vectors of each query, by comparison with every one.

    Memory beside the answer: `ROWS` vectors three times, one product (4 MB), and 60 bytes a query and neighbour.

    Args:
        index: the index folder.
        shards: live shards, in order.
        name: vector name.
        queries: [q, d] float32 of length 1.
        k: neighbours, at least 1.
        ids: id of each row of `shards`, in order.
        mask: [n_rows] bool over the same rows; only True ones may be answers.

    Returns:
        Per query (id, cosine similarity), best first, ties in order of ids; items without a vector are no answers.

    Raises:
        InputError: a shard cannot be read.
        FileNotFoundError: a shard is gone.
    """
    import torch

    bound = Bound(queries)
    k = min(k, max(len(ids), 1))
    tiles = [_Tile(queries[at : at + WIDE], bound, k, ids) for at in range(0, len(queries), WIDE)]
    buffer = torch.empty(WIDE * LONG)  # memory that is new each time would cost a third more
    for rows, vectors in vector_chunks(index, shards, name, ROWS, mask):
        columns = bound.columns_of(vectors)
        for tile in tiles:
            tile.compare(rows, vectors, columns, buffer)
    return [hits for tile in tiles for hits in tile.hits()]


class Bound:
    """Columns of which a product bounds the similarity of queries and vectors from above.

    Args:
        queries: [q, d] float32 of length 1, after whose directions the columns are chosen.

    Attributes:
        width: number of columns.
        slack: by which rounding may make a product too low.
    """

    def __init__(self, queries: Floats) -> None:
        import torch

        dim = queries.shape[1]
        self.slack = np.float32(4 * dim * np.finfo(np.float32).eps)
        given = torch.from_numpy(queries)
        values, directions = torch.linalg.eigh((given.T @ given).double())
        held = values.flip(0).clamp(min=0).cumsum(0)
        width = int((held < (1 - TAIL) * held[-1]).sum()) + 1
        width = -(-(width + 1) // MULTIPLE) * MULTIPLE  # with one column for the length that is left over
        # with more columns the bound saves less than the comparison of what it lets pass costs
        self._turn = directions.flip(1).float().contiguous() if 4 * width <= 3 * dim else None
        self.width = width if self._turn is not None else dim

    def columns_of(self, vectors: Floats) -> torch.Tensor:
        """[n, width] float32 columns of [n, d] rows of length 1, queries or vectors."""
        import torch

        given = torch.from_numpy(vectors)
        if self._turn is None:
            return given
        turned = given @ self._turn
        rest = torch.linalg.vector_norm(turned[:, self.width - 1 :], dim=1)
        turned[:, self.width - 1] = rest
        columns: torch.Tensor = turned[:, : self.width].contiguous()
        return columns


class _Tile:
    """Some of the queries and the best that they have seen.

    Args:
        queries: [q, d] float32 of length 1.
        bound: how pairs are told that cannot be among the best.
        k: neighbours wanted.
        ids: id of each row.
    """

    def __init__(self, queries: Floats, bound: Bound, k: int, ids: Sequence[str]) -> None:
        self._queries = queries
        self._columns = bound.columns_of(queries)
        self._slack = bound.slack
        self._k = k
        self._ids = ids
        self._candidates: list[tuple[Places, Places, Floats]] = []  # query, row and score of each
        self._waiting = 0
        self._limit = np.full(len(queries), -np.inf, np.float32)  # score that an answer must reach

    def compare(self, rows: Places, vectors: Floats, columns: torch.Tensor, buffer: torch.Tensor) -> None:
        """Compare the queries with vectors.

        Args:
            rows: [n] place of each vector among all rows.
            vectors: [n, d] float32 of length 1.
            columns: [n, width] of them, for the bound.
            buffer: float32, for one product.
        """
        import torch

        q = len(self._queries)
        for start in range(0, len(rows), LONG):
            part = slice(start, min(start + LONG, len(rows)))
            scores = buffer[: q * (part.stop - start)].view(q, -1)
            torch.mm(self._columns, columns[part].T, out=scores)
            query, at = self._reaching(scores)
            if len(query) > max(DENSE * scores.numel(), len(scores)):
                self._raise_limits(vectors[part])
                query, at = self._reaching(scores)
            if len(query):
                self._keep(query, rows[part][at], _products(self._queries, vectors[part], query, at))

    def _reaching(self, scores: torch.Tensor) -> tuple[Places, Places]:
        """Places (query, vector) of the [q, n] scores that reach the limits."""
        import torch

        limit = torch.from_numpy(self._limit - self._slack)[:, None]
        n = scores.shape[1] // GROUP * GROUP
        grouped = scores[:, :n].reshape(len(scores), -1, GROUP)
        query, group = torch.nonzero(grouped.amax(2) >= limit, as_tuple=True)
        which, inside = torch.nonzero(grouped[query, group] >= limit[query], as_tuple=True)
        query, at = query[which], group[which] * GROUP + inside
        if n < scores.shape[1]:
            more, place = torch.nonzero(scores[:, n:] >= limit, as_tuple=True)
            query, at = torch.cat([query, more]), torch.cat([at, place + n])
        return query.numpy(), at.numpy()

    def _raise_limits(self, vectors: Floats) -> None:
        """Let the k-th best of some vectors be a limit, where very many pairs would be compared without."""
        import torch

        if len(vectors) < self._k:
            return
        scores = torch.from_numpy(self._queries) @ torch.from_numpy(vectors).T
        best = scores.topk(self._k).values[:, -1].numpy()
        self._limit = np.maximum(self._limit, best - self._slack)

    def _keep(self, query: Places, rows: Places, scores: Floats) -> None:
        self._candidates.append((query, rows, scores))
        self._waiting += len(query)
        if self._waiting > WAITING * self._k * len(self._queries):
            self._settle()

    def _settle(self) -> None:
        """Keep the k best candidates of each query, and let the last of them be its limit."""
        none = np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32)
        query, rows, scores = (np.concatenate(some) for some in zip(none, *self._candidates, strict=True))
        order = np.lexsort((-scores, query))
        query, rows, scores = query[order], rows[order], scores[order]
        first = np.searchsorted(query, np.arange(len(self._queries) + 1))
        held = np.diff(first)
        last = first[:-1] + self._k - 1
        full, over = np.flatnonzero(held >= self._k), np.flatnonzero(held > self._k)
        self._limit[full] = scores[last[full]]
        for one in over[scores[last[over]] == scores[last[over] + 1]].tolist():
            tied = first[one] + np.flatnonzero(scores[first[one] : first[one + 1]] == scores[last[one]])
            rows[tied] = sorted(rows[tied].tolist(), key=self._ids.__getitem__)
        keep = np.arange(len(query)) - first[query] < self._k
        self._candidates = [(query[keep], rows[keep], scores[keep])]
        self._waiting = int(keep.sum())

    def hits(self) -> Hits:
        """Per query its (id, similarity), best first, ties in order of ids."""
        self._settle()
        query, rows, scores = self._candidates[0]
        first = np.searchsorted(query, np.arange(len(self._queries) + 1)).tolist()
        named = [(self._ids[row], score) for row, score in zip(rows.tolist(), scores.tolist(), strict=True)]
        return [
            sorted(named[start:stop], key=lambda hit: (-hit[1], hit[0])) for start, stop in pairwise(first)
        ]


def _products(queries: Floats, vectors: Floats, query: Places, at: Places) -> Floats:
    """[m] float32 scores of pairs: of equal vectors equal ones, which those of a matrix product need not be."""
    scores = np.empty(len(query), np.float32)
    for start in range(0, len(query), PAIRS):
        some = slice(start, start + PAIRS)
        np.einsum("ij,ij->i", queries[query[some]], vectors[at[some]], out=scores[some])
    return scores
