"""What a search asks: files, tables, indexed ids, regions and genes, resolved to vectors and token sets.

Files are encoded by the index's model; ids ask with their stored vectors; regions and genes as the set of universe
regions that they overlap, except in the collection `regions`, where each of those asks with its stored contextual
vector in each context. Several queries ask one by one, or together by their centroid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ...tokens.token_sets import TokenSets
from ..inputs import is_file, pick, read_for
from ..regions.region_queries import contextual, intervals_of_text, region_tokens, span
from ..session import KINDS, Progress, Session, no_progress

if TYPE_CHECKING:
    from ...readers.inputs.memory import Input
    from ...readers.options import ReadOptions
    from ...store.index.snapshot import Snapshot
    from .options import SearchQuery

Interval = tuple[str, int, int]  # BED: chromosome, start, end


@dataclass(frozen=True)
class QueryVectors:
    """What is asked, as vectors.

    Attributes:
        names: [q] name of each query.
        vectors: [q, d] float32; a zero vector asks for nothing.
        itself: [q] ids in the collection searched that are the query, left out of its own answers.
        sets: [q] token sets behind the vectors; None where a query has none (contextual vectors, centroids) or
            where they were not wanted.
        intervals: [q] the BED interval of each query that is a region or gene (a gene's, from its first to its last
            promoter), 0-based half-open; None for others.
        only: ids that may be answers; None for all.
    """

    names: tuple[str, ...]
    vectors: npt.NDArray[np.float32]
    itself: tuple[tuple[str, ...], ...]
    sets: TokenSets | None
    intervals: tuple[Interval | None, ...]
    only: frozenset[str] | None = None

    def __len__(self) -> int:
        return len(self.names)

    def take(self, rows: Sequence[int]) -> QueryVectors:
        """Some of the queries."""
        at = np.asarray(rows, np.int64)
        return replace(
            self,
            names=tuple(self.names[i] for i in at),
            vectors=self.vectors[at],
            itself=tuple(self.itself[i] for i in at),
            sets=None if self.sets is None else self.sets.take(at),
            intervals=tuple(self.intervals[i] for i in at),
        )


@dataclass(frozen=True)
class Searched:
    """Where answers are looked for: one collection of one generation.

    Attributes:
        session: the open index.
        snapshot: the generation.
        collection: its name, `cells`, `bedfiles` or `regions`.
        vector: name of the vectors that are compared.
        where: conditions on the answers, and-ed.
    """

    session: Session
    snapshot: Snapshot
    collection: str
    vector: str
    where: tuple[str, ...] = ()


def resolve(
    searched: Searched,
    query: SearchQuery,
    read: ReadOptions,
    with_sets: bool = False,
    progress: Progress = no_progress,
) -> QueryVectors:
    """Find out what queries are: each a file or table, else an indexed id, else a region string, else a gene symbol.

    Args:
        searched: where answers are looked for.
        query: what is asked, with one query at least.
        read: how files are read.
        with_sets: whether the token sets of indexed ids are wanted, which have to be read for them.
        progress: called with the number of items encoded.

    Raises:
        InputError: a query is none of these.
    """
    asked = query.queries
    if query.items and len(asked) > 1:
        raise InputError(f"--item picks from the items of one file; {len(asked)} queries are given")
    places = [_indexed(searched, one, bool(query.items)) for one in asked]
    parts: list[QueryVectors | None] = [None] * len(asked)
    by_kind: dict[str, list[tuple[int, str]]] = {}
    for row, place in enumerate(places):
        if place is not None:
            by_kind.setdefault(place[0], []).append((row, place[1]))
    for kind, rows in by_kind.items():
        found = _from_ids(searched, kind, [i for _, i in rows], with_sets)
        for (row, _), part in zip(rows, found, strict=True):
            parts[row] = part
    for row, one in enumerate(asked):
        if parts[row] is None:
            parts[row] = (
                _from_items(searched, one, query.items, read, progress)
                if is_file(one)
                else _from_region(searched, str(one), query.contexts, read)
            )
    joined = _joined([part for part in parts if part is not None])
    return _centroid(searched.session, joined) if query.centroid else joined


def _indexed(searched: Searched, one: Input, picks: bool) -> tuple[str, str] | None:
    """(collection, id) of the indexed item that a text names; None for files, tables and what is not indexed."""
    if is_file(one):
        return None
    if picks:
        raise InputError(f"{one}: no such file; --item picks from the items of a file")
    for kind in dict.fromkeys((searched.collection, *KINDS.values())):
        found = searched.snapshot.find(kind, str(one))
        if found is not None:
            return kind, found
    return None


def _from_ids(searched: Searched, kind: str, ids: Sequence[str], with_sets: bool) -> list[QueryVectors]:
    """One query for each id of a collection; their vectors are read together."""
    snapshot = searched.snapshot
    shown = ids[0] if len(ids) == 1 else f"{len(ids):,}"
    searched.session.notify(f"Query: {shown} of the indexed {kind}")
    vectors = snapshot.vectors(kind, ids, searched.vector)
    sets = snapshot.tokens(kind, ids) if with_sets and kind != "regions" else None
    own = kind == searched.collection
    return [
        QueryVectors(
            (item_id,),
            vectors[row : row + 1],
            (_itself(snapshot, kind, item_id) if own else (),),
            None if sets is None else sets.take(np.array([row])),
            (None,),
        )
        for row, item_id in enumerate(ids)
    ]


def _itself(snapshot: Snapshot, kind: str, found: str) -> tuple[str, ...]:
    """Ids that are no answers to an indexed item: its own, and of a region those in other contexts."""
    if kind != "regions":
        return (found,)
    known = set(snapshot.table("regions", ["context"])["context"].to_pylist())
    region = found.partition("@")[0]
    return tuple(f"{region}@{context}" for context in known)


def _from_items(
    searched: Searched, one: Input, items: Sequence[str], read: ReadOptions, progress: Progress
) -> QueryVectors:
    """Every item of a file or table, or those of the given names."""
    session = searched.session
    if searched.collection != "regions" and isinstance(one, str | Path) and _also_indexed(searched, str(one)):
        session.notify(
            f"{one}: is indexed under this name too; the file is read, and the item may be an answer"
        )
    found = read_for(session, [one], read)
    if items and len(found) > 1:
        raise InputError(f"{one}: --item picks from one file; this manifest names {len(found)}")
    sets = TokenSets.concat([x.sets for x in found])
    if items:
        sets = sets.take(pick(found[0], items))
    empty = int((sets.lengths == 0).sum())
    if empty:
        session.notify(f"{empty:,} of {len(sets):,} items have no region of the universe and get no answers")
    vectors = session.encode(sets, progress, searched.vector)
    return QueryVectors(sets.names, vectors, ((),) * len(sets), sets, (None,) * len(sets))


def _also_indexed(searched: Searched, path: str) -> bool:
    return searched.snapshot.find(searched.collection, path) is not None


def _from_region(searched: Searched, text: str, contexts: Sequence[str], read: ReadOptions) -> QueryVectors:
    session = searched.session
    intervals = intervals_of_text(session, text, read)
    sets = region_tokens(session, text, intervals)
    if searched.collection != "regions":
        vectors = session.encode(sets, name=searched.vector)
        return QueryVectors((text,), vectors, ((),), sets, (span(intervals),))
    names, vectors, itself = contextual(session, searched.snapshot, text, sets[0], contexts)
    n = len(names)
    return QueryVectors(names, vectors, (itself,) * n, None, (span(intervals),) * n)


def _joined(parts: Sequence[QueryVectors]) -> QueryVectors:
    """Several queries, one after another."""
    if len(parts) == 1:
        return parts[0]
    sets = [part.sets for part in parts if part.sets is not None]
    return QueryVectors(
        tuple(name for part in parts for name in part.names),
        np.concatenate([part.vectors for part in parts]),
        tuple(ids for part in parts for ids in part.itself),
        TokenSets.concat(sets) if len(sets) == len(parts) else None,
        tuple(interval for part in parts for interval in part.intervals),
    )


def _centroid(session: Session, asked: QueryVectors) -> QueryVectors:
    """One query: the mean direction of all that have a vector; what any of them is, is no answer."""
    length = np.linalg.norm(asked.vectors, axis=1, keepdims=True)
    has = length[:, 0] > 0
    if not has.any():
        raise InputError("--centroid: none of the queries has a region of the universe")
    mean = (asked.vectors[has] / length[has]).mean(0, dtype=np.float64)
    n = int(has.sum())
    session.notify(f"Query: the centroid of {n:,} vectors; their mean has length {np.linalg.norm(mean):.3f}")
    itself = tuple(dict.fromkeys(i for ids in asked.itself for i in ids))
    return QueryVectors((f"centroid of {n}",), mean.astype(np.float32)[None], (itself,), None, (None,))
