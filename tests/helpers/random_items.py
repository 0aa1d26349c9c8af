"""Random batches and sources."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from atacsearch.store.types import Batch, Source
from atacsearch.tokens.token_sets import TokenSets

DIM = 16
CREATE: dict[str, Any] = {
    "model_dir": None,
    "model_digest": "m" * 64,
    "universe_digest": "u" * 64,
    "vectors": {"general": DIM},
}


def make_batch(n: int, seed: int = 0, prefix: str = "s", dim: int = DIM, **labels: Any) -> Batch:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(n, dim)).astype(np.float32) * 3
    sets = TokenSets.from_lists(
        [rng.integers(0, 1000, rng.integers(0, 9)) for _ in range(n)], universe_digest="u" * 64
    )
    columns: dict[str, Any] = {
        "cell_type": [["B cell", "T cell", "NK", None][i % 4] for i in range(n)],
        "depth": rng.integers(100, 200, n),
        "tss.score": rng.normal(size=n),
        "doublet": [bool(i % 3) for i in range(n)],
    }
    columns.update(labels)
    items = [f"c{i}" for i in range(n)]
    return Batch([f"{prefix}#{i}" for i in items], items, pa.table(columns), sets, {"general": vectors})


def source(name: str = "a", **fields: Any) -> Source:
    return Source(id=name, name=f"{name}.h5ad", **fields)
