"""Drawn cells of three types over a small universe, and an untrained tiny model of it."""

from __future__ import annotations

import numpy as np

from atacsearch.genome.intervals import Intervals
from atacsearch.model.checkpoints.checkpoint import Model, new_model
from atacsearch.model.config import sized_config
from atacsearch.tokens.token_sets import TokenSets
from atacsearch.tokens.universe import Universe

V = 200


def universe() -> Universe:
    starts = np.arange(V) * 1000
    return Universe(Intervals.from_columns(["chr1"] * V, starts, starts + 500), genome="hg38")


def cells(n: int = 60, seed: int = 0, own: int = 12) -> tuple[TokenSets, list[str | None]]:
    """Cells of three types: each opens up to 30 regions, `own` of them of its type's own 50, the rest anywhere."""
    rng = np.random.default_rng(seed)
    labels = [f"type {i % 3}" for i in range(n)]
    lists = []
    for i in range(n):
        mine = rng.choice(np.arange(50) + 50 * (i % 3), own, replace=False)
        other = rng.choice(V, 30 - own, replace=False)
        lists.append(np.union1d(mine, other))
    return TokenSets.from_lists(lists), list(labels)


def fresh(**heads: bool) -> Model:
    return new_model(sized_config("tiny", V, hidden_size=16, intermediate_size=32), universe(), **heads)
