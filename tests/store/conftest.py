"""Small random indexes for the tests of the store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from atacsearch.genome.tokensets import TokenSets
from atacsearch.store import Batch, Index, Source

DIM = 16


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


@pytest.fixture
def batch() -> Callable[..., Batch]:
    return make_batch


@pytest.fixture
def new_index(tmp_path: Path) -> Iterator[Callable[..., Index]]:
    made: list[Index] = []

    def make(name: str = "my.index", **options: Any) -> Index:
        options = {
            "model_dir": None,
            "model_digest": "m" * 64,
            "universe_digest": "u" * 64,
            "vectors": {"general": DIM},
            **options,
        }
        made.append(Index.create(tmp_path / name, **options))
        return made[-1]

    yield make
    for index in made:
        index.close()


def source(name: str = "a", **fields: Any) -> Source:
    return Source(id=name, name=f"{name}.h5ad", **fields)
