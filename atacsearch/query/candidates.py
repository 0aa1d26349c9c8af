"""Candidates of a search: the nearest items by cosine distance, in an order that does not change from call to call.

Distances are rounded to 6 decimals, below which float32 products depend on the block in which they are computed;
items at one distance come in the order of their ids, also where the last of them do not all fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .answers import Hit, Hits
from .asking import Query

if TYPE_CHECKING:
    from ..store.snapshot import Snapshot

DECIMALS = 6
SPARE = 8  # items fetched beyond those wanted, so that ties at the end are seen whole


def nearest(
    snapshot: Snapshot, collection: str, asked: Query, n: int, where: Sequence[str], vector: str
) -> Hits:
    """The n nearest items of each query, by distance, then id.

    Args:
        snapshot: what is searched.
        collection: of the answers.
        asked: the queries.
        n: answers wanted of each.
        where: conditions on the answers, and-ed.
        vector: name of the vectors that are compared.

    Returns:
        Per query at most n hits; fewer only where the collection has no more (or the graph finds no more).
    """
    limit = n + SPARE
    while True:
        answer = snapshot.knn(
            collection,
            asked.vectors,
            limit,
            where=list(where) or None,
            name=vector,
            exclude=list(asked.itself),
        )
        hits: Hits = []
        cut = False  # through items at one distance
        for ids, distances in zip(answer.ids, answer.distance.tolist(), strict=True):
            some = [Hit(i, round(d, DECIMALS)) for i, d in zip(ids, distances, strict=False)]
            cut |= len(some) == limit and some[n - 1].distance == some[-1].distance
            hits.append(sorted(some, key=lambda hit: (hit.distance, hit.id))[:n])
        if not cut or limit >= snapshot.count(collection):
            return hits
        limit *= 4
