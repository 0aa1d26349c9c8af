"""A collection in memory behind the few methods that search calls: brute-force neighbours, labels, filters."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa

from atacsearch.query.search.query import QueryVectors, Searched
from atacsearch.store.metadata.where import bind_where, parse_where, to_mask
from atacsearch.store.types import Column, Neighbours


class LabelledItems:
    """Items with vectors and labels; `asked` collects the k of every call of `knn`.

    Args:
        ids: of the items.
        points: [n, d] vectors.
        labels: label column -> values.
    """

    def __init__(self, ids: Sequence[str], points: np.ndarray | None = None, **labels: Sequence[Any]) -> None:
        self.ids = list(ids)
        self.points = np.eye(len(self.ids)) if points is None else np.asarray(points, np.float64)
        self.labels = pa.table({name: pa.array(values) for name, values in labels.items()})
        self.asked: list[int] = []

    def count(self, kind: str) -> int:
        return len(self.ids)

    def columns(self, kind: str) -> dict[str, Column]:
        kinds = {"string": "text", "bool": "bool"}
        return {
            f.name: Column(f.name, kinds.get(str(f.type), "number"), str(f.type), 3, True)  # type: ignore[arg-type]
            for f in self.labels.schema
        }

    def all_ids(self, kind: str) -> list[str]:
        return self.ids

    def table(self, kind: str, columns: Sequence[str]) -> pa.Table:
        return self.labels.append_column("id", pa.array(self.ids)).select(list(columns))

    def _at(self, ids: Sequence[str]) -> list[int]:
        return [self.ids.index(i) for i in ids]

    def rows(self, kind: str, ids: Sequence[str], columns: Sequence[str]) -> pa.Table:
        return self.table(kind, columns).take(pa.array(self._at(ids), pa.int64()))

    def vectors(self, kind: str, ids: Sequence[str], name: str) -> np.ndarray:
        return self.points[self._at(ids)].astype(np.float32)

    def _mask(self, where: Sequence[str] | None) -> np.ndarray:
        if not where:
            return np.ones(len(self.ids), bool)
        return to_mask(bind_where(parse_where(where), self.columns("cells"), "cells"), self.labels)

    def matching(self, kind: str, where: Sequence[str]) -> pa.ChunkedArray:
        return pa.chunked_array([np.array(self.ids, object)[self._mask(where)].tolist()], pa.string())

    def knn(
        self, kind: str, vectors: np.ndarray, k: int, where: Any, name: str, exclude: Sequence[Sequence[str]]
    ) -> Neighbours:
        """Ties in the order of items, not of ids, as a store may have them."""
        self.asked.append(k)
        unit = self.points / np.maximum(np.linalg.norm(self.points, axis=1, keepdims=True), 1e-12)
        ids, distance = [], np.full((len(vectors), k), np.nan, np.float32)
        for row, vector in enumerate(vectors):
            may = self._mask(where) & (np.linalg.norm(self.points, axis=1) > 0)
            may &= ~np.isin(self.ids, list(exclude[row]))
            if not np.linalg.norm(vector):
                may[:] = False
            values = 1 - unit @ (vector / max(np.linalg.norm(vector), 1e-12))
            order = [i for i in np.argsort(values, kind="stable") if may[i]][:k]
            ids.append([self.ids[i] for i in order])
            distance[row, : len(order)] = values[order]
        return Neighbours(ids, distance)


def query_of(
    *vectors: Sequence[float], only: frozenset[str] | None = None, itself: Sequence[str] = ()
) -> QueryVectors:
    """Queries named q0, q1, ... by their vectors."""
    n = len(vectors)
    names = tuple(f"q{i}" for i in range(n))
    return QueryVectors(names, np.array(vectors, np.float32), (tuple(itself),) * n, None, (None,) * n, only)


def searched(items: LabelledItems, where: Sequence[str] = (), notify: Any = None) -> Searched:
    """The items as the collection `cells` of an open index, searched by their general vectors."""
    session: Any = SimpleNamespace(notify=notify or (lambda text: None))
    snapshot: Any = items
    return Searched(session, snapshot, "cells", "general", tuple(where))
