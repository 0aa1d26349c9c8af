"""Candidates of a search: the nearest items by cosine distance, in an order that does not change from call to call.

Distances are rounded to 6 decimals, below which float32 products depend on the block in which they are computed;
items at one distance come in the order of their ids, also where the last of them do not all fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import numpy as np

from .query import QueryVectors, Searched
from .results import Hit, HitLists

DECIMALS = 6
SPARE = 8  # items fetched beyond those wanted, so that ties at the end are seen whole
PICKED = 5_000  # listed items are picked from answers expected to be of at most this length, else compared one by one
LONGEST = 4 * PICKED  # and from answers that had to be longer only up to this
CHUNK = 50_000  # listed items whose vectors are held at a time
SCORES = 1 << 24  # floats of one chunk of distances


def nearest(searched: Searched, asked: QueryVectors, n: int) -> HitLists:
    """The n nearest items of each query, by distance, then id.

    Args:
        searched: where answers are looked for.
        asked: the queries, and where only listed items may be answers, those.
        n: answers wanted of each.

    Returns:
        Per query at most n hits; fewer only where the collection has no more (or the graph finds no more).
    """
    if asked.only is None:
        return _fetched(searched, asked, n, n + SPARE) or []
    snapshot, collection = searched.snapshot, searched.collection
    ids = set(asked.only)
    if searched.where:
        ids &= set(snapshot.matching(collection, list(searched.where)).to_pylist())
    if not ids:
        return [[] for _ in asked.names]
    limit = ceil(2 * n * snapshot.count(collection) / len(ids)) + SPARE
    found = _fetched(searched, asked, n, limit) if limit <= PICKED else None
    return found or _compared(searched, asked, n, sorted(ids))


def _fetched(searched: Searched, asked: QueryVectors, n: int, limit: int) -> HitLists | None:
    """From the store, ever more until n hits are sure; None where listed items lie too far for that."""
    snapshot, collection = searched.snapshot, searched.collection
    while True:
        answer = snapshot.knn(
            collection,
            asked.vectors,
            limit,
            where=list(searched.where) or None,
            name=searched.vector,
            exclude=list(asked.itself),
        )
        hits: HitLists = []
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


def _compared(searched: Searched, asked: QueryVectors, n: int, ids: Sequence[str]) -> HitLists:
    """By comparing the queries with every one of these ids, which are sorted."""
    best: HitLists = [[] for _ in asked.names]
    for first in range(0, len(ids), CHUNK):
        more = _compared_chunk(searched, asked, n, ids[first : first + CHUNK])
        best = [
            sorted([*old, *new], key=lambda hit: (hit.distance, hit.id))[:n]
            for old, new in zip(best, more, strict=True)
        ]
    return best


def _compared_chunk(searched: Searched, asked: QueryVectors, n: int, ids: Sequence[str]) -> HitLists:
    vectors = searched.snapshot.vectors(searched.collection, ids, searched.vector)
    length = np.linalg.norm(vectors, axis=1)
    has = np.flatnonzero(length > 0)
    items = vectors[has] / length[has, None]
    kept = [ids[row] for row in has.tolist()]
    place = {item_id: i for i, item_id in enumerate(kept)}
    hits: HitLists = []
    step = max(1, SCORES // max(len(has), 1))
    for first in range(0, len(asked), step):
        chunk = asked.vectors[first : first + step]
        own = np.linalg.norm(chunk, axis=1)
        similarity = (chunk / np.where(own > 0, own, 1)[:, None]) @ items.T
        distance = np.clip(1 - similarity.astype(np.float64), 0, 2).round(DECIMALS)
        for row, (values, is_asked) in enumerate(zip(distance, own > 0, strict=True), first):
            values[[place[i] for i in asked.itself[row] if i in place]] = np.inf
            order = np.argsort(values, kind="stable")[: n if is_asked else 0].tolist()
            hits.append([Hit(kept[i], float(values[i])) for i in order if values[i] < np.inf])
    return hits
