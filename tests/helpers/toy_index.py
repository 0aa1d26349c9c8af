"""An index of random cells and BED files of several sources, some deleted, and the sets behind them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from atacsearch.genome.intervals import Intervals
from atacsearch.query.session import Session
from atacsearch.store.index.folder import IndexFolder
from atacsearch.store.types import Batch, Source
from atacsearch.tokens.token_sets import TokenSets
from atacsearch.tokens.universe import Universe

V, DIM = 80, 4
TYPES = ("B", "NK", "T", None)


class Toy:
    """An index of random cells, BED files and regions in context, and the sets behind them."""

    def __init__(self, folder: Path, seed: int) -> None:
        rng = np.random.default_rng(seed)
        start = 100 * np.arange(V // 2)
        # touching regions (0-100, 100-200) on chr1, gaps on chr2
        regions = Intervals.from_columns(
            ["chr1"] * (V // 2) + ["chr2"] * (V // 2),
            np.concatenate([start, 3 * start]),
            np.concatenate([start + 100, 3 * start + 100]),
        )
        self.universe = Universe(regions)
        self.sets: dict[str, dict[str, set[int]]] = {"cells": {}, "bedfiles": {}}
        self.types: dict[str, str | None] = {}
        self.index = IndexFolder.create(
            folder / "my.index",
            model_dir=None,
            model_digest="m" * 64,
            universe_digest=self.universe.digest,
            vectors={"general": DIM},
        )
        for number in range(4):
            for kind in self.sets:
                with self.index.writer() as writer:
                    self.add(writer, kind, f"{kind}{number}", rng)
        with self.index.writer() as writer:
            for kind in self.sets:
                self.drop(writer, kind, f"{kind}1")
        self.session = Session(self.index)
        self.session.__dict__["universe"] = self.universe

    def add(self, writer: Any, kind: str, name: str, rng: np.random.Generator) -> None:
        n = int(rng.integers(1, 12))
        sets = [sorted(rng.choice(V, int(rng.choice([0, 3, 40])), replace=False).tolist()) for _ in range(n)]
        ids = [f"{name}.{i}" for i in range(n)]
        types = [TYPES[int(rng.integers(4))] for _ in range(n)]
        labels = pa.table(
            {"cell_type": pa.array(types, pa.string()), "depth": pa.array(list(map(len, sets)))}
        )
        tokens = TokenSets.from_lists(sets, universe_digest=self.universe.digest)
        batch = Batch(ids, ids, labels, tokens, {"general": np.ones((n, DIM), np.float32)})
        writer.add(kind, batch, Source(id=name, name=name))
        self.sets[kind].update(zip(ids, map(set, sets), strict=True))
        self.types.update(zip(ids, types, strict=True))

    def drop(self, writer: Any, kind: str, name: str) -> None:
        writer.delete_source(kind, name)
        for item in [i for i in self.sets[kind] if i.startswith(f"{name}.")]:
            del self.sets[kind][item]

    def tokens(self, chrom: str, start: int, end: int) -> set[int]:
        """The slow reference: universe regions that share a base with a BED interval."""
        x = self.universe.intervals
        return {
            i for i in range(V) if x.chroms[x.chrom[i]] == chrom and x.start[i] < end and start < x.end[i]
        }
