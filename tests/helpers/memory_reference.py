"""A reference in memory: brute-force neighbours behind the few methods that label transfer calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa

from atacsearch.store.metadata.where import bind_where, parse_where, to_mask
from atacsearch.store.types import Column, Neighbours
from atacsearch.tokens.token_sets import TokenSets


@dataclass
class MemorySnapshot:
    """One collection `cells` of vectors, labels and token sets."""

    ids: list[str]
    points: np.ndarray
    labels: pa.Table
    sets: TokenSets
    generation: int = 1
    asked: list[int] = field(default_factory=list)

    def count(self, kind: str) -> int:
        return len(self.ids) if kind == "cells" else 0

    def columns(self, kind: str) -> dict[str, Column]:
        kinds = {"string": "text", "bool": "bool"}
        return {
            f.name: Column(f.name, kinds.get(str(f.type), "number"), str(f.type), 3, True)  # type: ignore[arg-type]
            for f in self.labels.schema
        }

    @property
    def manifest(self) -> Any:
        return SimpleNamespace(columns={"cells": self.columns("cells")})

    def table(self, kind: str, columns: Sequence[str]) -> pa.Table:
        return self.labels.select(list(columns))

    def all_ids(self, kind: str) -> list[str]:
        return list(self.ids)

    def _at(self, ids: Sequence[str]) -> list[int]:
        return [self.ids.index(i) for i in ids]

    def rows(self, kind: str, ids: Sequence[str], columns: Sequence[str]) -> pa.Table:
        whole = self.labels.append_column("n_tokens", pa.array(self.sets.lengths))
        return whole.select(list(columns)).take(pa.array(self._at(ids), pa.int64()))

    def vectors(self, kind: str, ids: Sequence[str], name: str) -> np.ndarray:
        return self.points[self._at(ids)]

    def tokens(self, kind: str, ids: Sequence[str]) -> TokenSets:
        return self.sets.take(self._at(ids))

    def knn(
        self, kind: str, vectors: np.ndarray, k: int, where: Any = None, name: str = "general"
    ) -> Neighbours:
        self.asked.append(k)
        bound = bind_where(parse_where(where), self.columns(kind), kind) if where else None
        mask = to_mask(bound, self.labels)
        rows = np.flatnonzero(np.any(self.points != 0, axis=1) & (True if mask is None else mask))
        unit = self.points[rows] / np.linalg.norm(self.points[rows], axis=1, keepdims=True)
        queries = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        distance = 1 - queries @ unit.T
        order = np.argsort(distance, axis=1, kind="stable")[:, :k]
        ids = [[self.ids[rows[j]] for j in one] for one in order]
        found = np.full((len(vectors), k), np.nan, np.float32)
        found[:, : order.shape[1]] = np.take_along_axis(distance, order, 1)
        return Neighbours(ids, found)


def make_session(snapshot: MemorySnapshot, vectors_of: Callable[[TokenSets], np.ndarray]) -> Any:
    said: list[str] = []
    return SimpleNamespace(
        snapshot=lambda: snapshot,
        encode=lambda sets, progress=None, name="general": vectors_of(sets),
        encode_as=lambda names, sets, progress=None: {name: vectors_of(sets) for name in names},
        is_class_head=lambda name: False,
        vector_of=lambda kind, label: "general",
        notify=said.append,
        said=said,
        fitted={},
        index=SimpleNamespace(path=Path("/nonexistent")),
    )


def make_items(names: Sequence[str], lists: Sequence[Sequence[int]], sample: str = "new") -> Any:
    return SimpleNamespace(
        kind="cells", ids=tuple(f"{sample}#{n}" for n in names), sets=TokenSets.from_lists(lists, names)
    )


def two_types() -> MemorySnapshot:
    """Two types of 30 cells each around two directions, every third cell without a label."""
    rng = np.random.default_rng(1)
    centres = np.repeat(np.eye(8)[:2], 30, axis=0)
    points = (centres + rng.normal(0, 0.05, (60, 8))).astype(np.float32)
    cell_type = [None if i % 3 == 2 else "B" if i < 30 else "NK" for i in range(60)]
    labels = pa.table(
        {
            "cell_type": pa.array(cell_type, pa.string()),
            "donor": pa.array([f"d{i % 2}" for i in range(60)]),
            "nothing": pa.nulls(60, pa.string()),
        }
    )
    names = [f"c{i}" for i in range(60)]
    sets = TokenSets.from_lists([[i, i + 1] for i in range(60)], names)
    return MemorySnapshot([f"ref#{n}" for n in names], points, labels, sets)
