"""Re-ranking: candidates of the vector search compared with the query once more, by the exact overlap of their regions.

The vector search gives more items than were asked for (all of a small collection); the regions that each shares with
the query are counted exactly and turned into the columns of `statistics.py`. Items can then be ordered by the cosine
distance, by the overlap, or by both.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ..regions.shared_regions import count_shared
from ..regions.statistics import Overlaps, statistics_of
from .candidates import nearest
from .fusion import enrichment, fuse, overlap_order
from .query import QueryVectors, Searched
from .results import HitLists

if TYPE_CHECKING:
    from ...store.index.snapshot import Snapshot
    from .options import SearchOptions

QUERY_CHUNK = 32  # queries whose candidates are held at a time
ORDER = "adjusted_jaccard"  # the statistic that orders by overlap

Bools = npt.NDArray[np.bool_]


def ranked(searched: Searched, asked: QueryVectors, n: int, options: SearchOptions) -> HitLists:
    """The n best items of each query, in the order of `options.rank`.

    Args:
        searched: where answers are looked for; its session is told what was tested.
        asked: the queries.
        n: answers wanted of each.
        options: the order, the number of candidates, the background, and whether to count.

    Returns:
        Per query at most n hits; where regions were counted with the columns of `statistics_of` in `more`, and with
        `fused` also those of `fusion.FUSED`.

    Raises:
        InputError: regions are to be counted and a query has none, or the items are regions themselves.
    """
    if not options.counts:
        return nearest(searched, asked, n)
    if searched.collection == "regions":
        raise InputError("regions are ranked by their vectors alone: leave out the rank and the statistics")
    if asked.sets is None:
        raise InputError("the query has no regions to count: leave out the rank and the statistics")
    many = max(n, options.candidates)
    background = _background(searched, options.background)
    tested = 0
    hits: HitLists = []
    for first in range(0, len(asked), QUERY_CHUNK):
        some = asked.take(range(first, min(first + QUERY_CHUNK, len(asked))))
        found = nearest(searched, some, many)
        tested = max(tested, *map(len, found))
        hits += _rank(searched, some, found, n, options.rank, background)
    whole = "all that may answer" if tested < many else "the nearest"
    indexed = f"those open in any of the {searched.collection}"
    name = "the universe" if options.background == "universe" else indexed
    searched.session.notify(
        f"Overlap of {tested:,} items a query ({whole}) against a background of {int(background.sum()):,} regions "
        f"({name}); q values are over these items"
    )
    return hits


def _rank(
    searched: Searched, asked: QueryVectors, found: HitLists, n: int, rank: str, background: Bools
) -> HitLists:
    """Candidates of some queries with their statistics, in order, the first n of each."""
    assert asked.sets is not None
    queries = [np.unique(tokens[tokens < len(background)]) for tokens in asked.sets]
    counts = count_shared(
        searched.snapshot,
        searched.collection,
        queries,
        [[hit.id for hit in some] for some in found],
        len(background),
        openness=rank == "fused",
        notify=searched.session.notify,
    )
    out: HitLists = []
    for query, some, own in zip(queries, found, counts, strict=True):
        if not some:
            out.append([])
            continue
        columns: dict[str, npt.NDArray[Any]] = statistics_of(
            Overlaps(len(query), own.sizes, own.shared, int(background[query].sum()), int(background.sum()))
        )
        order = np.arange(len(some))
        if rank != "cosine":
            distance = np.array([hit.distance for hit in some])
            overlap = overlap_order(columns, ORDER)
            if rank == "fused":
                sums = (own.open_query, own.open_items, own.open_total)
                enriched = enrichment(len(query), own.sizes, own.shared, *sums)
                columns = {**fuse(distance, enriched, overlap), **columns}
                overlap = columns["fused_score"]
            order = np.lexsort((order, -overlap))  # candidates come by distance, then id, which decide ties
        rows = order[:n].tolist()
        values = {name: column[order[:n]].tolist() for name, column in columns.items()}
        out.append(
            [
                replace(some[row], more={**some[row].more, **{name: v[i] for name, v in values.items()}})
                for i, row in enumerate(rows)
            ]
        )
    return out


_OPEN: WeakKeyDictionary[Snapshot, dict[str, Bools]] = WeakKeyDictionary()


def _background(searched: Searched, name: str) -> Bools:
    """[V] which regions of the universe are the background; found once for a generation."""
    from ...model.config import AtacformerConfig
    from ...store.shards import open_regions

    snapshot, collection = searched.snapshot, searched.collection
    n_regions = AtacformerConfig.from_json(searched.session.index.model_path / "config.json").n_regions
    if name == "universe":
        return np.ones(n_regions, bool)
    held = _OPEN.setdefault(snapshot, {})
    if collection not in held:
        held[collection] = open_regions(snapshot.index, snapshot.manifest.shards_of(collection), n_regions)
    return held[collection]
