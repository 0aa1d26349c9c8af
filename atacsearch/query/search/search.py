"""Search: the nearest cells, BED files or regions of an index to a query, by cosine distance.

`asking.py` resolves queries to vectors and token sets, `candidates.py` fetches the nearest items in a stable order,
`rerank.py` orders them by overlap where asked, `grouping.py` and `diversity.py` thin them out, `answers.py` makes the
table. A query is left out of its own answers, a region in all contexts. Free text restricts the answers of a query to
items with all its words, which then come by distance; alone, it ranks them (`querytext.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import InputError
from ...spelling import did_you_mean
from ..session import KINDS, VECTOR, Progress, Session, no_progress
from .diversity import POOL, diversified
from .group_by import grouped
from .paging import Page
from .query import Asking, Query, resolve
from .rerank import Ranking, ranked
from .results import Hit, Hits, answer_table
from .text import TextMatch, match_text

if TYPE_CHECKING:
    from ...readers.inputs.open import ReadOptions
    from ...store.index.snapshot import Snapshot

PLAIN = Ranking()
PAGE = Page()


def search(
    session: Session,
    kind: str,
    query: str | Path | Sequence[str | Path] | None = None,
    *,
    text: str | None = None,
    centroid: bool = False,
    page: Page = PAGE,
    where: Sequence[str] = (),
    items: Sequence[str] = (),
    contexts: Sequence[str] = (),
    columns: Sequence[str] | None = None,
    vector: str = VECTOR,
    ranking: Ranking = PLAIN,
    options: ReadOptions | None = None,
    progress: Progress = no_progress,
) -> Any:
    """The nearest items of a collection.

    Args:
        session: the open index.
        kind: `cells`, `beds` or `regions`.
        query: one or several of: a file, an indexed id, a region string (1-based inclusive), a gene symbol; None
            with a text alone.
        text: words that the labels of the answers must have.
        centroid: ask with the mean vector of all queries instead of with each.
        page: how many answers of each query, from which on, grouped or diverse.
        where: conditions on the answers, and-ed.
        items: of a file with several items, those that ask; empty for all.
        contexts: for a region or gene in the collection `regions`, the contexts in which it asks; empty for
            all.
        columns: label columns to show; None for all.
        vector: name of the vectors that are compared: `general`, or a label that the model was trained for.
        ranking: the order of the answers, and what is counted; see `rerank.py`.
        options: how a file is read.
        progress: called with the number of items encoded.

    Returns:
        A `pyarrow.Table`, nearest first: `query, rank, id, distance` and the label columns; for a region or
        gene also the BED interval that it was resolved to (`query_chrom, query_start, query_end`), where
        regions were counted the columns of `statistics.py`, with groups `n_in_group`, and for a text alone
        `text_score` (distance is null then).

    Raises:
        InputError: the query is none of these, the collection is empty or lacks the vector, or a filter has no
            index.
    """
    if kind not in KINDS:
        raise InputError(f"search {kind!r}: expected cells, beds or regions")
    collection = KINDS[kind]
    queries = [query] if isinstance(query, str | Path) else list(query or ())
    _check_form(queries, text, centroid, items, page, ranking)
    snapshot = session.snapshot()
    if not snapshot.count(collection):
        raise InputError(f"the index holds no {kind}: add some with `atacsearch index add-{kind}`")
    for wanted in (*(columns or ()), *([page.group_by] if page.group_by else ())):
        _check_column(snapshot, collection, wanted)
    if columns is not None and page.group_by is not None and page.group_by not in columns:
        columns = [page.group_by, *columns]
    if vector != VECTOR and not snapshot.points(collection, vector):
        raise InputError(
            f"the {kind} of this index have no vector {vector!r}; it is there for cells and BED files that were "
            "added to an index made with a model that `atacsearch train celltype` or `train bulk` trained for this "
            "label"
        )
    place = _Place(session, snapshot, collection, tuple(where), vector)
    found = None if text is None else _match(place, kind, text, alone=not queries)
    if queries:
        from ...readers.inputs.open import ReadOptions

        reading = options or ReadOptions()
        asking = Asking(
            session, snapshot, collection, vector, items, contexts, reading, ranking.counts, progress
        )
        asked = resolve(asking, [str(q) for q in queries], centroid)
        if found is not None:
            asked = replace(asked, only=frozenset(found.ids if found.complete else ()))
    else:
        asked = _text_query(str(text))
    hits = _thinned(place, asked, page, ranking, None if queries else found)
    shown = [some[page.offset : page.end] for some in hits]
    if not any(shown):
        _say_nothing(place, kind, page, any(hits), found)
    return answer_table(session, snapshot, collection, asked, shown, columns, page.offset + 1)


@dataclass(frozen=True)
class _Place:
    """Where answers are looked for."""

    session: Session
    snapshot: Snapshot
    collection: str
    where: tuple[str, ...]
    vector: str


def _check_form(
    queries: Sequence[Any],
    text: str | None,
    centroid: bool,
    items: Sequence[str],
    page: Page,
    ranking: Ranking,
) -> None:
    """Refuse what does not go together."""
    if not queries and text is None:
        raise InputError(
            "nothing is asked: give a QUERY (file, indexed id, region string or gene symbol), a --text, or both"
        )
    if not queries:
        for name, given in (
            ("--centroid", centroid),
            ("--item", bool(items)),
            ("--rank and --statistics", ranking.counts),
            ("--diverse", page.diverse is not None),
        ):
            if given:
                raise InputError(f"{name}: needs a QUERY; --text alone has no vector and no regions")
    if page.diverse is not None and ranking.by != "cosine":
        raise InputError(f"--diverse weighs cosine distances and does not go with --rank {ranking.by}")


def _match(place: _Place, kind: str, text: str, alone: bool) -> TextMatch:
    """The items that a text finds, with what is to be said of it."""
    found = match_text(place.snapshot, place.collection, text, place.where, partly=alone)
    for note in found.notes:
        place.session.say(f"Text: {note}")
    n = len(found.ids)
    if found.complete:
        place.session.say(f"Text {text!r}: {n:,} of the {kind} have all its words")
    elif n:
        place.session.say(f"Text {text!r}: none of the {kind} has all its words, {n:,} have some")
    return found


def _text_query(text: str) -> Query:
    return Query((text,), np.zeros((1, 0), np.float32), ((),), None, (None,))


def _thinned(place: _Place, asked: Query, page: Page, ranking: Ranking, by_text: TextMatch | None) -> Hits:
    """The hits of each query up to the end of the page, one a group and diverse where that is asked."""
    snapshot, collection = place.snapshot, place.collection
    listed: list[Hit] = []
    if by_text is not None:
        scores = zip(by_text.ids, by_text.score.tolist(), strict=True)
        listed = [Hit(i, float("nan"), {"text_score": score}) for i, score in scores]

    def fetch(rows: Sequence[int], n: int) -> Hits:
        if by_text is not None:
            return [listed[:n]]
        some = asked if len(rows) == len(asked) else asked.take(rows)
        return ranked(place.session, snapshot, collection, some, n, place.where, place.vector, ranking)

    n = page.end if page.diverse is None else POOL
    if page.group_by is None:
        hits = fetch(range(len(asked)), n)
    else:
        only = asked.only if by_text is None else frozenset(by_text.ids)
        hits = grouped(
            snapshot, collection, page.group_by, len(asked), n, fetch, place.where, only, place.session.say
        )
    if page.diverse is None:
        return hits
    return diversified(snapshot, collection, place.vector, hits, page.end, page.diverse)


def _say_nothing(place: _Place, kind: str, page: Page, any_before: bool, found: TextMatch | None) -> None:
    """Say why there are no answers, where that is known."""
    say = place.session.say
    if any_before:
        say(f"No answers from rank {page.offset + 1:,} on: there are fewer")
    elif found is not None and not found.ids:
        also = f" and meets --where {' and '.join(place.where)}" if place.where else ""
        say(f"No answers: none of the {kind} has all words of --text{also}")
    elif place.where:
        say(f"No answers: none of the {kind} meets --where {' and '.join(place.where)}")


def _check_column(snapshot: Snapshot, collection: str, column: str) -> None:
    known = snapshot.columns(collection)
    if column not in known:
        raise InputError(
            f"no column {column!r} among the {collection} of this index; there are: {', '.join(known)}"
            f"{did_you_mean(column, known)}"
        )
