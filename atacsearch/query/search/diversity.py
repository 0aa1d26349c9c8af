"""Answers that differ from one another: maximal marginal relevance (Carbonell and Goldstein 1998,
doi:10.1145/290941.291025).

The next answer is the one with the largest lambda * relevance(item) - (1 - lambda) * max redundancy(item, answer so
far). Relevance is exp(-d / 2m) and redundancy exp(-2e / m), where d is the cosine distance from the query, e that
between two items and m the median of d among the candidates. With cosine similarity for both, as published, all items
would be worth the same after a first answer that is nearly the query (at lambda 0.5; above it copies come first, below
it the most distant): a query and its answers are of one kind here, so redundancy has to fall faster than relevance.
Answers are chosen among the nearest `POOL` items, whatever the offset, so that one answer continues the other.
"""

from __future__ import annotations

import numpy as np

from .candidates import DECIMALS
from .options import LAMBDA
from .query import Searched
from .results import HitLists


def diversified(searched: Searched, hits: HitLists, n: int, weight: float = LAMBDA) -> HitLists:
    """Choose n hits of each query by maximal marginal relevance.

    Args:
        searched: where the vectors are.
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
    vectors = searched.snapshot.vectors(searched.collection, ids, searched.vector)
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    units = vectors / np.where(length > 0, length, 1)
    out: HitLists = []
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
