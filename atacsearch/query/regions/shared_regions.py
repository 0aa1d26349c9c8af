"""Regions that queries share with the items they are compared with, counted exactly.

Two ways to the same counts. Reading the tokens of the candidates costs the decoding of every group of items that
holds one of them, so it suits candidates that are most of a collection. Of a large collection the posting lists of
the query's tokens say which candidates have them, without reading any candidate.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ...arrow import numbers_of
from .token_cache import token_cache

if TYPE_CHECKING:
    from ...store.index.snapshot import Snapshot

Ints = npt.NDArray[np.int64]
Tokens = npt.NDArray[np.uint32]
SCATTERED = 8  # a collection this many times the candidates is asked by posting lists
POSTINGS = 1 << 22  # about so many are decoded at a time


@dataclass(frozen=True)
class Shared:
    """Exact counts of a query against its m candidates.

    Attributes:
        sizes: [m] int64 regions of each candidate.
        shared: [m] int64 regions that it shares with the query.
        open_query: sum over the query's regions of the number of candidates in which each is open; 0 where openness
            was not asked for.
        open_items: [m] int64 the same sum over each candidate's regions.
        open_total: over all regions.
    """

    sizes: Ints
    shared: Ints
    open_query: int
    open_items: Ints
    open_total: int


def count_shared(
    snapshot: Snapshot,
    collection: str,
    queries: Sequence[Tokens],
    candidates: Sequence[Sequence[str]],
    n_regions: int,
    *,
    openness: bool = False,
    notify: Callable[[str], None] = lambda text: None,
) -> list[Shared]:
    """Count regions of queries and of the items that each is compared with.

    Args:
        snapshot: where the items are.
        collection: theirs.
        queries: [q] tokens of each query, without repeats, below `n_regions`.
        candidates: [q] ids of the items that each is compared with, without repeats.
        n_regions: size V of the universe.
        openness: also count in how many candidates regions are open, which only their tokens tell.
        notify: receives a note where posting lists have to be made.
    """
    most = max(map(len, candidates), default=0)
    if not openness and snapshot.count(collection) > SCATTERED * most > 0:
        return by_postings(snapshot, collection, queries, candidates, n_regions, notify)
    return by_tokens(snapshot, collection, queries, candidates, n_regions, openness=openness)


def by_tokens(
    snapshot: Snapshot,
    collection: str,
    queries: Sequence[Tokens],
    candidates: Sequence[Sequence[str]],
    n_regions: int,
    *,
    openness: bool = False,
) -> list[Shared]:
    """As `count_shared`, from the tokens of the candidates."""
    sizes, shared, sums = ([np.zeros(len(ids), np.int64) for ids in candidates] for _ in range(3))
    asking: dict[str, list[tuple[int, int]]] = {}
    for q, ids in enumerate(candidates):
        for place, item_id in enumerate(ids):
            asking.setdefault(item_id, []).append((q, place))
    open_in = np.zeros((len(queries), n_regions), bool)
    times = np.zeros((len(queries) if openness else 0, n_regions), np.int32)
    for q, tokens in enumerate(queries):
        open_in[q, tokens] = True
    cache = token_cache(snapshot, collection)
    for item_id, tokens in cache.each(snapshot, list(asking)):
        for q, place in asking[item_id]:
            sizes[q][place] = len(tokens)
            shared[q][place] = np.count_nonzero(open_in[q][tokens])
            if openness:
                times[q][tokens] += 1
    if openness:
        for item_id, tokens in cache.each(snapshot, list(asking)):
            for q, place in asking[item_id]:
                sums[q][place] = times[q][tokens].sum()
    return [
        Shared(own, both, int(times[q][tokens].sum()) if openness else 0, total, int(own.sum()))
        for q, (own, both, total, tokens) in enumerate(zip(sizes, shared, sums, queries, strict=True))
    ]


def by_postings(
    snapshot: Snapshot,
    collection: str,
    queries: Sequence[Tokens],
    candidates: Sequence[Sequence[str]],
    n_regions: int,
    notify: Callable[[str], None] = lambda text: None,
) -> list[Shared]:
    """As `count_shared` without openness, from the posting lists of the queries' tokens."""
    postings = snapshot.postings(collection, notify)
    place = np.full(postings.n_rows, -1, np.int64)
    mean = max(1.0, postings.summary()["postings"] / max(n_regions, 1))
    step = max(1, int(POSTINGS / mean))
    out = []
    for tokens, ids in zip(queries, candidates, strict=True):
        shared = np.zeros(len(ids), np.int64)
        sizes = numbers_of(snapshot.rows(collection, ids, ["n_tokens"])["n_tokens"]).astype(np.int64)
        rows = snapshot.row_numbers(collection, ids)
        place[rows] = np.arange(len(ids))
        keep = place >= 0
        for first in range(0, len(tokens), step):
            some = tokens[first : first + step]
            _, row, hits = postings.items(np.array([0, len(some)], np.int64), some, keep)
            shared[place[row]] += hits  # a row comes once
        place[rows] = -1
        out.append(Shared(sizes, shared, 0, np.zeros(len(ids), np.int64), int(sizes.sum())))
    return out
