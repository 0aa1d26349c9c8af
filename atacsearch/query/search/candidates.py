"""Candidates of a search: the nearest items by cosine distance, in an order that does not change from call to call.

Distances are rounded to 6 decimals, below which float32 products depend on the block in which they are computed;
items at one distance come in the order of their ids, also where the last of them do not all fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import TYPE_CHECKING

import numpy as np

from .query import Query
from .results import Hit, Hits

if TYPE_CHECKING:
    from ...store.index.snapshot import Snapshot

DECIMALS = 6
SPARE = 8  # items fetched beyond those wanted, so that ties at the end are seen whole
PICKED = 5_000  # listed items are picked from answers expected to be of at most this length, else compared one by one
LONGEST = 4 * PICKED  # and from answers that had to be longer only up to this
BLOCK = 50_000  # listed items whose vectors are held at a time
SCORES = 1 << 24  # floats of one block of distances


def nearest(
    snapshot: Snapshot, collection: str, asked: Query, n: int, where: Sequence[str], vector: str
) -> Hits:
    """The n nearest items of each query, by distance, then id.

    Args:
        snapshot: what is searched.
        collection: of the answers.
        asked: the queries, and where only listed items may be answers, those.
        n: answers wanted of each.
        where: conditions on the answers, and-ed.
        vector: name of the vectors that are compared.

    Returns:
        Per query at most n hits; fewer only where the collection has no more (or the graph finds no more).
    """
    if asked.only is None:
        return _fetched(snapshot, collection, asked, n, where, vector, n + SPARE) or []
    ids = set(asked.only)
    if where:
        ids &= set(snapshot.matching(collection, list(where)).to_pylist())
    if not ids:
        return [[] for _ in asked.names]
    limit = ceil(2 * n * snapshot.count(collection) / len(ids)) + SPARE
    found = _fetched(snapshot, collection, asked, n, where, vector, limit) if limit <= PICKED else None
    return found or _compared(snapshot, collection, asked, n, sorted(ids), vector)


def _fetched(
    snapshot: Snapshot,
    collection: str,
    asked: Query,
    n: int,
    where: Sequence[str],
    vector: str,
    limit: int,
) -> Hits | None:
    """From the store, ever more until n hits are sure; None where listed items lie too far for that."""
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
        unsure = False
        for ids, distances in zip(answer.ids, answer.distance.tolist(), strict=True):
            some = [Hit(i, round(d, DECIMALS)) for i, d in zip(ids, distances, strict=False)]
            last = some[-1].distance if len(some) == limit else np.inf  # what is not seen is not nearer
            if asked.only is not None:
                some = [hit for hit in some if hit.id in asked.only]
            unsure |= last < np.inf and (len(some) < n or some[n - 1].distance == last)
            hits.append(sorted(some, key=lambda hit: (hit.distance, hit.id))[:n])
        if not unsure or limit >= snapshot.count(collection):
            return hits
        limit *= 4
        if asked.only is not None and limit > LONGEST:
            return None


def _compared(
    snapshot: Snapshot, collection: str, asked: Query, n: int, ids: Sequence[str], vector: str
) -> Hits:
    """By comparing the queries with every one of these ids, which are sorted."""
    best: Hits = [[] for _ in asked.names]
    for first in range(0, len(ids), BLOCK):
        more = _compared_block(snapshot, collection, asked, n, ids[first : first + BLOCK], vector)
        best = [
            sorted([*old, *new], key=lambda hit: (hit.distance, hit.id))[:n]
            for old, new in zip(best, more, strict=True)
        ]
    return best


def _compared_block(
    snapshot: Snapshot, collection: str, asked: Query, n: int, ids: Sequence[str], vector: str
) -> Hits:
    vectors = snapshot.vectors(collection, ids, vector)
    length = np.linalg.norm(vectors, axis=1)
    has = np.flatnonzero(length > 0)
    items = vectors[has] / length[has, None]
    kept = [ids[row] for row in has.tolist()]
    place = {item_id: i for i, item_id in enumerate(kept)}
    hits: Hits = []
    step = max(1, SCORES // max(len(has), 1))
    for first in range(0, len(asked), step):
        block = asked.vectors[first : first + step]
        own = np.linalg.norm(block, axis=1)
        similarity = (block / np.where(own > 0, own, 1)[:, None]) @ items.T
        distance = np.clip(1 - similarity.astype(np.float64), 0, 2).round(DECIMALS)
        for row, (values, is_asked) in enumerate(zip(distance, own > 0, strict=True), first):
            values[[place[i] for i in asked.itself[row] if i in place]] = np.inf
            order = np.argsort(values, kind="stable")[: n if is_asked else 0].tolist()
            hits.append([Hit(kept[i], float(values[i])) for i in order if values[i] < np.inf])
    return hits
