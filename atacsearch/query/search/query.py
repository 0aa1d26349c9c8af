"""What a search asks: files, indexed ids, regions and genes, resolved to vectors and token sets.

Files are encoded by the index's model; ids ask with their stored vectors; regions and genes as the set of universe
regions that they overlap, except in the collection `regions`, where each of those asks with its stored contextual
vector in each context. Several queries ask one by one, or together by their centroid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ...tokens.token_sets import TokenSets
from ..inputs import is_file, pick, read_for
from ..regions.region_queries import asked_intervals, contextual, region_tokens, span
from ..session import KINDS, Progress, Session, no_progress

if TYPE_CHECKING:
    from ...readers.options import ReadOptions
    from ...store.index.snapshot import Snapshot

Interval = tuple[str, int, int]  # BED: chromosome, start, end


@dataclass(frozen=True)
class Query:
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

    def take(self, rows: Sequence[int]) -> Query:
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
class Asking:
    """How queries are resolved.

    Attributes:
        session: the open index.
        snapshot: the generation that is asked.
        collection: what is searched.
        vector: name of the vectors that are compared.
        items: of a file with several items, those that ask; empty for all.
        contexts: for regions and genes in the collection `regions`, the contexts in which they ask.
        options: how files are read.
        with_sets: whether the token sets of indexed ids are wanted, which have to be read for them.
        progress: called with the number of items encoded.
    """

    session: Session
    snapshot: Snapshot
    collection: str
    vector: str
    items: Sequence[str]
    contexts: Sequence[str]
    options: ReadOptions
    with_sets: bool = False
    progress: Progress = no_progress


def resolve(asking: Asking, texts: Sequence[str], centroid: bool) -> Query:
    """Find out what queries are.

    Args:
        asking: how.
        texts: each a file, else an indexed id, else a region string, else a gene symbol; at least one.
        centroid: ask once with the mean of all, each scaled to length 1, instead of with each.

    Raises:
        InputError: a query is none of these.
    """
    if asking.items and len(texts) > 1:
        raise InputError(f"--item picks from the items of one file; {len(texts)} queries are given")
    found = [_indexed(asking, text) for text in texts]
    parts: list[Query | None] = [None] * len(texts)
    by_kind: dict[str, list[tuple[int, str]]] = {}
    for row, place in enumerate(found):
        if place is not None:
            by_kind.setdefault(place[0], []).append((row, place[1]))
    for kind, rows in by_kind.items():
        for (row, _), part in zip(rows, _from_ids(asking, kind, [i for _, i in rows]), strict=True):
            parts[row] = part
    for row, text in enumerate(texts):
        if parts[row] is None:
            parts[row] = _from_file(asking, text) if is_file(text) else _from_region(asking, text)
    asked = _joined([part for part in parts if part is not None])
    return _centroid(asking.session, asked) if centroid else asked


def _indexed(asking: Asking, text: str) -> tuple[str, str] | None:
    """(collection, id) of the indexed item that a text names; None for files and what is not indexed."""
    if is_file(text):
        return None
    if asking.items:
        raise InputError(f"{text}: no such file; --item picks from the items of a file")
    for kind in dict.fromkeys((asking.collection, *KINDS.values())):
        found = asking.snapshot.find(kind, text)
        if found is not None:
            return kind, found
    return None


def _from_ids(asking: Asking, kind: str, ids: Sequence[str]) -> list[Query]:
    """One query for each id of a collection; their vectors are read together."""
    snapshot = asking.snapshot
    shown = ids[0] if len(ids) == 1 else f"{len(ids):,}"
    asking.session.say(f"Query: {shown} of the indexed {kind}")
    vectors = snapshot.vectors(kind, ids, asking.vector)
    sets = snapshot.tokens(kind, ids) if asking.with_sets and kind != "regions" else None
    own = kind == asking.collection
    return [
        Query(
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


def _from_file(asking: Asking, path: str) -> Query:
    session = asking.session
    if asking.collection != "regions" and asking.snapshot.find(asking.collection, path) is not None:
        session.say(
            f"{path}: is indexed under this name too; the file is read, and the item may be an answer"
        )
    found = read_for(session, [path], asking.options)
    if asking.items and len(found) > 1:
        raise InputError(f"{path}: --item picks from one file; this manifest names {len(found)}")
    sets = TokenSets.concat([x.sets for x in found])
    if asking.items:
        sets = sets.take(pick(found[0], asking.items))
    empty = int((sets.lengths == 0).sum())
    if empty:
        session.say(f"{empty:,} of {len(sets):,} items have no region of the universe and get no answers")
    vectors = session.encode(sets, asking.progress, asking.vector)
    return Query(sets.names, vectors, ((),) * len(sets), sets, (None,) * len(sets))


def _from_region(asking: Asking, text: str) -> Query:
    session = asking.session
    asked = asked_intervals(session, text, asking.options)
    sets = region_tokens(session, text, asked)
    if asking.collection != "regions":
        return Query((text,), session.encode(sets, name=asking.vector), ((),), sets, (span(asked),))
    names, vectors, itself = contextual(session, asking.snapshot, text, sets[0], asking.contexts)
    n = len(names)
    return Query(names, vectors, (itself,) * n, None, (span(asked),) * n)


def _joined(parts: Sequence[Query]) -> Query:
    """Several queries, one after another."""
    if len(parts) == 1:
        return parts[0]
    sets = [part.sets for part in parts if part.sets is not None]
    return Query(
        tuple(name for part in parts for name in part.names),
        np.concatenate([part.vectors for part in parts]),
        tuple(ids for part in parts for ids in part.itself),
        TokenSets.concat(sets) if len(sets) == len(parts) else None,
        tuple(interval for part in parts for interval in part.intervals),
    )


def _centroid(session: Session, asked: Query) -> Query:
    """One query: the mean direction of all that have a vector; what any of them is, is no answer."""
    length = np.linalg.norm(asked.vectors, axis=1, keepdims=True)
    has = length[:, 0] > 0
    if not has.any():
        raise InputError("--centroid: none of the queries has a region of the universe")
    mean = (asked.vectors[has] / length[has]).mean(0, dtype=np.float64)
    n = int(has.sum())
    session.say(f"Query: the centroid of {n:,} vectors; their mean has length {np.linalg.norm(mean):.3f}")
    itself = tuple(dict.fromkeys(i for ids in asked.itself for i in ids))
    return Query((f"centroid of {n}",), mean.astype(np.float32)[None], (itself,), None, (None,))
