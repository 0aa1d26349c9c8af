"""Random batches and sources, an index of several publishes, and filters to ask it with."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from atacsearch.store.index.folder import IndexFolder
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


FILTERS = [
    "cell_type='B cell'",
    "cell_type!='B cell'",
    "cell_type in (NK, 'T cell')",
    "depth>150",
    "depth<=150 and depth!=140",
    "depth=150",
    "depth in (150, 151, 1)",
    "tss.score<0.5",
    "doublet=true",
    "doublet!=true",
    "n_tokens>=4",
    "source_id=b",
    "late=x",
    "late!=x",
    "cell_type=nothing",
    ["cell_type!=NK", "depth>=120", "tss.score>-1"],
]


def fill(index: IndexFolder) -> None:
    """Four publishes: a, then b and c with one more column, then c deleted, then b replaced."""
    with index.writer() as writer:
        first = make_batch(400, 0, "a")
        first.vectors["general"][7] = 0
        writer.add("cells", first, source("a"))
        writer.publish()
        writer.add("cells", make_batch(150, 1, "b", late=["x", "y", None] * 50), source("b"))
        writer.add("cells", make_batch(100, 2, "c"), source("c"))
        writer.publish()
        writer.delete_source("cells", "c")
        writer.publish()
        writer.delete_source("cells", "b")
        writer.add("cells", make_batch(150, 3, "b", late=["x", "y", None] * 50), source("b"))
