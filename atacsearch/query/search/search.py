"""Search from question to hits: read, tokenise and embed the queries, find the nearest items, order them, report.

`query.py` resolves queries to vectors and token sets, `candidates.py` fetches the nearest items in a stable order,
`rerank.py` orders them by overlap where asked, `group_by.py` and `diversity.py` leave some out where asked,
`results.py` makes the table and `terminal_columns.py` chooses what a terminal shows of it.

An indexed item that asks is left out of its own answers, and a region in all its contexts. A text beside a query
keeps only answers that have all its words. A text without a query orders the answers by how well they match it
(`text.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ...answers import Hits
from ...errors import InputError
from ...spelling import did_you_mean
from ..session import KINDS, VECTOR, Progress, Session, no_progress
from .diversity import diversified
from .group_by import grouped
from .options import POOL, SearchOptions, SearchQuery
from .query import QueryVectors, Searched, resolve
from .rerank import ranked
from .results import Hit, HitLists, answer_table
from .terminal_columns import terminal_columns
from .text import TextMatch, match_text

if TYPE_CHECKING:
    import pyarrow as pa

ALL_COLUMNS = "all"


def search(
    session: Session, query: SearchQuery, options: SearchOptions, progress: Progress = no_progress
) -> Hits:
    """The nearest items of a collection.

    Args:
        session: the open index.
        query: what is asked.
        options: how the answers are found, ordered and shown.
        progress: called with the number of items encoded.

    Returns:
        Nearest first: `query, rank, id, distance` and the label columns; for a region or gene also the BED interval
        that it was resolved to (`query_chrom, query_start, query_end`), where regions were counted the columns of
        `statistics.py`, with groups `n_in_group`, and for a text alone `text_score` (distance is null then).

    Raises:
        InputError: a query that cannot be resolved, an empty collection or one without the vector, an unknown column,
            or options that do not go together.
    """
    _check_query(query, options)
    searched = _searched(session, query.kind, options)
    columns = _columns(options.columns, options.group_by)
    by_text = None
    if query.text is not None:
        by_text = _match(searched, query.kind, query.text, alone=not query.queries)
    if query.queries:
        asked = resolve(searched, query, options.read, options.counts, progress)
        if by_text is not None:
            asked = replace(asked, only=frozenset(by_text.ids if by_text.complete else ()))
        hits = _found(searched, asked, options)
    else:
        asked = QueryVectors((str(query.text),), np.zeros((1, 0), np.float32), ((),), None, (None,))
        hits = _found(searched, asked, options, by_text)
    shown = [some[options.offset : options.end] for some in hits]
    if not any(shown):
        _report_nothing(searched, query.kind, options.offset, any(hits), by_text)
    table = answer_table(searched, asked, shown, columns, options.offset + 1)
    shown_columns = None if options.columns else _for_terminal(searched, table, options.group_by)
    return Hits(table, terminal_columns=shown_columns)


def _check_query(query: SearchQuery, options: SearchOptions) -> None:
    """Refuse what does not go together."""
    if query.kind not in KINDS:
        raise InputError(f"search {query.kind!r}: expected cells, beds or regions")
    if query.queries:
        return
    if query.text is None:
        raise InputError(
            "nothing is asked: give a QUERY (file, indexed id, region string or gene symbol), a --text, or both"
        )
    for name, given in (
        ("--centroid", query.centroid),
        ("--item", bool(query.items)),
        ("--rank and --statistics", options.counts),
        ("--diverse", options.diverse),
    ):
        if given:
            raise InputError(f"{name}: needs a QUERY; --text alone has no vector and no regions")


def _searched(session: Session, kind: str, options: SearchOptions) -> Searched:
    """The collection in which answers are looked for."""
    snapshot = session.snapshot()
    collection = KINDS[kind]
    if not snapshot.count(collection):
        raise InputError(f"the index holds no {kind}: add some with `atacsearch index add-{kind}`")
    searched = Searched(session, snapshot, collection, options.vector, options.where)
    for wanted in (*_named(options.columns), *([options.group_by] if options.group_by else ())):
        _check_column(searched, wanted)
    if options.vector != VECTOR and not snapshot.points(collection, options.vector):
        raise InputError(
            f"the {kind} of this index have no vector {options.vector!r}; it is there for cells and BED files that "
            "were added to an index made with a model that `atacsearch train celltype` or `train bulk` trained for "
            "this label"
        )
    return searched


def _named(columns: Sequence[str]) -> tuple[str, ...]:
    """The columns asked for; none where all are."""
    return () if ALL_COLUMNS in columns else tuple(columns)


def _columns(asked: Sequence[str], group_by: str | None) -> list[str] | None:
    """Label columns of the answer, None for all; the one that groups it is always there."""
    columns = list(_named(asked)) or None
    if columns is not None and group_by is not None and group_by not in columns:
        return [group_by, *columns]
    return columns


def _match(searched: Searched, kind: str, text: str, alone: bool) -> TextMatch:
    """The items that a text finds, with what is to be said of it."""
    found = match_text(searched.snapshot, searched.collection, text, searched.where, partly=alone)
    for note in found.notes:
        searched.session.notify(f"Text: {note}")
    n = len(found.ids)
    if found.complete:
        searched.session.notify(f"Text {text!r}: {n:,} of the {kind} have all its words")
    elif n:
        searched.session.notify(f"Text {text!r}: none of the {kind} has all its words, {n:,} have some")
    return found


def _found(
    searched: Searched, asked: QueryVectors, options: SearchOptions, by_text: TextMatch | None = None
) -> HitLists:
    """The hits of each query from the first to the last shown, one a group and diverse where that is asked.

    Args:
        searched: where they are looked for.
        asked: the queries.
        options: how many, in which order, grouped or diverse.
        by_text: what a text alone found, which are the hits then.
    """
    listed: list[Hit] = []
    if by_text is not None:
        scores = zip(by_text.ids, by_text.score.tolist(), strict=True)
        listed = [Hit(i, float("nan"), {"text_score": score}) for i, score in scores]

    def fetch(rows: Sequence[int], n: int) -> HitLists:
        if by_text is not None:
            return [listed[:n]]
        some = asked if len(rows) == len(asked) else asked.take(rows)
        return ranked(searched, some, n, options)

    n = POOL if options.diverse else options.end
    if options.group_by is None:
        hits = fetch(range(len(asked)), n)
    else:
        only = asked.only if by_text is None else frozenset(by_text.ids)
        hits = grouped(searched, options.group_by, len(asked), n, fetch, only)
    return diversified(searched, hits, options.end, options.weight) if options.diverse else hits


def _report_nothing(
    searched: Searched, kind: str, offset: int, any_before: bool, by_text: TextMatch | None
) -> None:
    """Say why there are no answers, where that is known."""
    notify, where = searched.session.notify, " and ".join(searched.where)
    if any_before:
        notify(f"No answers from rank {offset + 1:,} on: there are fewer")
    elif by_text is not None and not by_text.ids:
        also = f" and meets --where {where}" if where else ""
        notify(f"No answers: none of the {kind} has all words of --text{also}")
    elif where:
        notify(f"No answers: none of the {kind} meets --where {where}")


def _for_terminal(searched: Searched, table: pa.Table, group_by: str | None) -> tuple[str, ...]:
    """The columns that a terminal shows where none were asked for."""
    snapshot, collection = searched.snapshot, searched.collection
    keep = () if group_by is None else (group_by,)
    return terminal_columns(
        table.column_names, snapshot.columns(collection), snapshot.count(collection), keep
    )


def _check_column(searched: Searched, column: str) -> None:
    known = searched.snapshot.columns(searched.collection)
    if column not in known:
        raise InputError(
            f"no column {column!r} among the {searched.collection} of this index; there are: {', '.join(known)}"
            f"{did_you_mean(column, known)}"
        )
