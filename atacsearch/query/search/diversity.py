"""Answers that differ from one another: maximal marginal relevance (Carbonell and Goldstein 1998,
doi:10.1145/290941.291025).

The next answer is the one with the largest lambda * relevance(item) - (1 - lambda) * max redundancy(item, answer so
far). Relevance is exp(-d / 2m) and redundancy exp(-2e / m), where d is the cosine distance from the query, e that
between two items and m the median of d among the candidates. With cosine similarity for both, as published, all items
would be worth the same after a first answer that is nearly the query (at lambda 0.5; above it copies come first, below
it the most distant): a query and its answers are of one kind here, so redundancy has to fall faster than relevance.
Answers are chosen among the nearest `POOL` items, whatever page is asked for, so that pages continue one another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...errors import InputError
from .candidates import DECIMALS
from .results import Hits

if TYPE_CHECKING:
    from ...store.index.snapshot import Snapshot

POOL = 100  # nearest items (or groups) that are chosen from
LAMBDA = 0.5  # weight of likeness to the query; 1 is the order by distance


def check_diverse(weight: float, n: int) -> None:
    """Refuse a lambda that is no weight, and pages beyond the pool.

    Raises:
        InputError: as said.
    """
    if not 0 <= weight <= 1:
        raise InputError(f"--mmr-lambda {weight:g}: expected a weight from 0 to 1")
    if n > POOL:
        raise InputError(
            f"--diverse chooses among the nearest {POOL}; offset and k together are {n}: ask for at most {POOL}"
        )


def diversified(
    snapshot: Snapshot, collection: str, vector: str, hits: Hits, n: int, weight: float = LAMBDA
) -> Hits:
    """Choose n hits of each query by maximal marginal relevance.

    Args:
        snapshot: where the vectors are.
        collection: of the hits.
        vector: name of the vectors that are compared.
        hits: of each query, at most `POOL`, with their distances.
        n: hits to choose.
        weight: lambda.

    Returns:
        The chosen hits, in the order of choice; the first is the nearest, and ties go to the nearer.
    """
    ids = list(dict.fromkeys(hit.id for some in hits for hit in some))
    if not ids:
        return hits
    place = {item_id: row for row, item_id in enumerate(ids)}
    vectors = snapshot.vectors(collection, ids, vector)
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    units = vectors / np.where(length > 0, length, 1)
    out: Hits = []
    for some in hits:
        own = units[[place[hit.id] for hit in some]]
        distance = np.array([hit.distance for hit in some])
        scale = float(np.median(distance)) if len(some) else 0.0
        scale = scale if scale > 0 else 1.0  # copies of the query all
        relevance = np.exp(-distance / (2 * scale))
        redundancy = np.zeros(len(some))  # with the answer that is most alike
        chosen: list[int] = []
        while len(chosen) < min(n, len(some)):
            value = weight * relevance - (1 - weight) * redundancy if chosen else relevance.copy()
            value[chosen] = -np.inf
            best = int(np.argmax(value.round(DECIMALS)))
            chosen.append(best)
            apart = np.clip(1 - own @ own[best], 0, 2)
            redundancy = np.maximum(redundancy, np.exp(-2 * apart / scale))
        out.append([some[i] for i in chosen])
    return out
