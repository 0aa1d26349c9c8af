"""Re-ranking: candidates of the vector search compared with the query once more, by the exact overlap of their regions.

The vector search gives more items than were asked for (all of a small collection); the regions that each shares with
the query are counted exactly and turned into the columns of `statistics.py`. Items can then be ordered by the cosine
distance, by the overlap, or by both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ..regions.shared_regions import count_shared
from ..regions.statistics import Overlaps, statistics_of
from .candidates import nearest
from .fusion import ORDERS, enrichment, fuse, overlap_order
from .query import Query
from .results import Hits

if TYPE_CHECKING:
    from ...store.index.snapshot import Snapshot
    from ..session import Session

RANKS = ("cosine", "overlap", "fused")
BACKGROUNDS = ("universe", "indexed")
CANDIDATES = 500
BLOCK = 32  # queries whose candidates are held at a time

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Ranking:
    """How candidates are ordered, and against what their overlap is tested.

    Attributes:
        by: one of `RANKS`.
        candidates: items that the vector search fetches for each query, at least the number of answers; a
            collection of at most so many items is compared whole.
        background: `universe`, all regions of it; or `indexed`, those open in any item of the collection searched.
        statistics: show the columns of statistics also with `cosine`.
        score: the statistic that orders by overlap, one of `fusion.ORDERS`.
    """

    by: str = "cosine"
    candidates: int = CANDIDATES
    background: str = "universe"
    statistics: bool = False
    score: str = "adjusted_jaccard"

    def __post_init__(self) -> None:
        for name, value, known in (
            ("rank", self.by, RANKS),
            ("background", self.background, BACKGROUNDS),
            ("overlap score", self.score, ORDERS),
        ):
            if value not in known:
                raise InputError(f"{name} {value!r} is not known: {', '.join(known)}")
        if self.candidates < 1:
            raise InputError(f"candidates must be at least 1, not {self.candidates}")

    @property
    def counts(self) -> bool:
        """Whether regions have to be counted."""
        return self.statistics or self.by != "cosine"


def ranked(
    session: Session,
    snapshot: Snapshot,
    collection: str,
    asked: Query,
    n: int,
    where: Sequence[str],
    vector: str,
    ranking: Ranking,
) -> Hits:
    """The n best items of each query, in the order of `ranking`.

    Args:
        session: the open index, told what was tested.
        snapshot: what is searched.
        collection: of the answers.
        asked: the queries.
        n: answers wanted of each.
        where: conditions on the answers, and-ed.
        vector: name of the vectors that are compared.
        ranking: the order, and whether to count.

    Returns:
        Per query at most n hits; where regions were counted with the columns of `statistics_of` in `more`, and with
        `fused` also those of `fusion.FUSED`.

    Raises:
        InputError: regions are to be counted and a query has none, or the items are regions themselves.
    """
    if not ranking.counts:
        return nearest(snapshot, collection, asked, n, where, vector)
    if collection == "regions":
        raise InputError("regions are ranked by their vectors alone: leave out the rank and the statistics")
    if asked.sets is None:
        raise InputError("the query has no regions to count: leave out the rank and the statistics")
    many = max(n, ranking.candidates)
    background = _background(session, snapshot, collection, ranking)
    tested = 0
    hits: Hits = []
    for first in range(0, len(asked), BLOCK):
        some = asked.take(range(first, min(first + BLOCK, len(asked))))
        found = nearest(snapshot, collection, some, many, where, vector)
        tested = max(tested, *map(len, found))
        hits += _rank(session, snapshot, collection, some, found, n, ranking, background)
    whole = "all that may answer" if tested < many else "the nearest"
    name = "the universe" if ranking.background == "universe" else f"those open in any of the {collection}"
    session.say(
        f"Overlap of {tested:,} items a query ({whole}) against a background of {int(background.sum()):,} regions "
        f"({name}); q values are over these items"
    )
    return hits


def _rank(
    session: Session,
    snapshot: Snapshot,
    collection: str,
    asked: Query,
    found: Hits,
    n: int,
    ranking: Ranking,
    background: Bools,
) -> Hits:
    """Candidates of some queries with their statistics, in order, the first n of each."""
    assert asked.sets is not None
    queries = [np.unique(tokens[tokens < len(background)]) for tokens in asked.sets]
    counts = count_shared(
        snapshot,
        collection,
        queries,
        [[hit.id for hit in some] for some in found],
        len(background),
        openness=ranking.by == "fused",
        say=session.say,
    )
    out: Hits = []
    for query, some, own in zip(queries, found, counts, strict=True):
        if not some:
            out.append([])
            continue
        columns: dict[str, npt.NDArray[Any]] = statistics_of(
            Overlaps(len(query), own.sizes, own.shared, int(background[query].sum()), int(background.sum()))
        )
        order = np.arange(len(some))
        if ranking.by != "cosine":
            distance = np.array([hit.distance for hit in some])
            overlap = overlap_order(columns, ranking.score)
            if ranking.by == "fused":
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


def _background(session: Session, snapshot: Snapshot, collection: str, ranking: Ranking) -> Bools:
    """[V] which regions of the universe are the background; found once for a generation."""
    from ...model.config import AtacformerConfig
    from ...store.shards import open_regions

    n_regions = AtacformerConfig.from_json(session.index.model_path / "config.json").n_regions
    if ranking.background == "universe":
        return np.ones(n_regions, bool)
    held = _OPEN.setdefault(snapshot, {})
    if collection not in held:
        held[collection] = open_regions(snapshot.index, snapshot.manifest.shards_of(collection), n_regions)
    return held[collection]
