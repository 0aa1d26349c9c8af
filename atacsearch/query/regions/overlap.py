"""Overlap: which indexed BED files, cell types and contexts have a region, exactly, by the inverted index.

Answers go through the universe. An indexed item is known by the universe regions that its own regions overlap; a
query is answered by the items that have a universe region that the query overlaps. So item and query need not
share a base themselves, only a universe region, and what lies outside of the universe is not seen. Intervals are
0-based half-open inside; bookended ones do not overlap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ...answers import Overlaps
from ...arrow import number_array, numbers_of, text_array
from ...errors import InputError
from ...genome.intervals import sorted_unique
from ...spelling import did_you_mean
from ..session import KINDS, Session
from .interval_queries import Asked, ask
from .item_groups import Groups, groups_by, has_columns, kept_by, numbers_in, one_group
from .options import OverlapOptions, OverlapQuery

if TYPE_CHECKING:
    import pyarrow as pa

    from ...store.index.snapshot import Snapshot

BY_ID = "id"
CELLS_BY = "cell_type"  # where cells have such a column
ALL = "all"  # the one group of cells without it
MAX_ROWS = 10_000_000  # of an answer
CHUNK = 4_000_000  # postings looked at together
GROUP_CHUNK = 2_000_000  # queries times groups counted together
WORDS = {kind: word for word, kind in KINDS.items()}

Columns = dict[str, npt.NDArray[Any]]


def overlap(session: Session, query: OverlapQuery, options: OverlapOptions) -> Overlaps:
    """Which indexed items have the universe regions that a query overlaps.

    Args:
        session: the open index.
        query: what is asked: a region string (1-based inclusive), a gene symbol (each promoter asks), or a BED file
            (each region asks); and which collections answer.
        options: how items are counted and shown. `regions` are always counted by context.

    Returns:
        One row for each query and item or group: `query` (region string or gene), `query_chrom, query_start,
        query_end` (BED), `query_regions` (universe regions that the query overlaps), `collection`, `by`, `value` (id,
        label value or context), `n_open` of `n_all` items that have at least one of those universe regions,
        `fraction`, `n_regions` (how many of them the item, or any item of the group, has), and `columns`. Best first
        within a query and collection. For a context, `n_open` counts the items in which its region is open (the
        largest count where the query overlaps several regions), `n_all` the items that have the context's label now.

    Raises:
        InputError: an unknown query or column, no overlap with the universe, an empty index, a damaged posting
            file, or too many rows.
    """
    snapshot = session.snapshot()
    kinds = _kinds(snapshot, query.collections, options.where, options.by)
    _check_columns(snapshot, kinds, options.columns)
    asked = ask(session, query.query, options.read)
    if options.together:
        asked = asked.together(str(query.query))
    tables = []
    room = MAX_ROWS
    for kind in kinds:
        counted = _counted(session, snapshot, kind, asked, options, room)
        room -= len(counted.rows["query"])
        if room < 0:
            raise _too_many(asked)
        table = _table(asked, WORDS[kind], counted)
        if counted.by == [BY_ID]:
            table = _with_labels(snapshot, kind, table, options.columns)
        tables.append(table)
    return Overlaps(_in_query_order(tables))


def _check_columns(snapshot: Snapshot, kinds: Sequence[str], columns: Sequence[str]) -> None:
    known = {c for kind in kinds for c in snapshot.columns(kind)}
    for name in columns:
        if name not in known:
            raise InputError(
                f"--columns {name}: no such column; there are: {', '.join(sorted(known))}"
                f"{did_you_mean(name, sorted(known))}"
            )


@dataclass(frozen=True)
class Counted:
    """Rows of one collection.

    Attributes:
        rows: `query, value, n_open, n_all, n_regions`, best first within a query; `value` is a row of `names`.
        names: of the items, groups or contexts.
        by: the label column that made the groups, one for all rows or one for each name.
    """

    rows: Columns
    names: Sequence[str]
    by: list[str]


def _counted(
    session: Session, snapshot: Snapshot, kind: str, asked: Asked, options: OverlapOptions, room: int
) -> Counted:
    """Count the items of one collection: by context, one by one, or by a label."""
    keep = kept_by(snapshot, kind, options.where)
    if kind == "regions":
        rows, names, labels = _contexts(session, snapshot, asked, keep)
        return Counted(_best(rows, options.k), names, labels)
    by = BY_ID if kind == "bedfiles" and options.by is None else options.by
    if by == BY_ID:
        rows, ids = _items(session, snapshot, kind, asked, keep, options.k, room)
        return Counted(_best(rows, options.k), ids, [BY_ID])
    groups = _groups(snapshot, kind, by)
    rows = _counts(session, snapshot, kind, asked, groups.within(keep), options.every)
    shown_by = by or (CELLS_BY if CELLS_BY in snapshot.columns(kind) else ALL)
    return Counted(_best(rows, options.k), list(groups.names), [shown_by])


def _with_labels(snapshot: Snapshot, kind: str, table: pa.Table, columns: Sequence[str]) -> pa.Table:
    """Label columns beside single items; what only another collection has is null here."""
    own = [name for name in columns if name in snapshot.columns(kind)]
    if not own:
        return table
    labels = snapshot.rows(kind, table["value"].to_pylist(), own)
    for name in own:
        table = table.append_column(name, labels[name])
    return table


def _in_query_order(tables: Sequence[pa.Table]) -> pa.Table:
    """The rows of all collections, query by query."""
    import pyarrow as pa

    found = pa.concat_tables(tables, promote_options="permissive")
    order = np.argsort(np.concatenate([numbers_of(t["_query"]) for t in tables]), kind="stable")
    found = found.drop_columns(["_query"])
    return found if len(tables) == 1 else found.take(number_array(order))


def _kinds(snapshot: Snapshot, collections: Sequence[str], where: Sequence[str], by: str | None) -> list[str]:
    """The collections that answer."""
    for word in collections:
        if word not in KINDS:
            raise InputError(f"--in {word}: expected cells, beds or regions{did_you_mean(word, KINDS)}")
        if not snapshot.count(KINDS[word]):
            raise InputError(f"the index holds no {word}: add some with `atacsearch index add-{word}`")
    if collections:
        return [KINDS[word] for word in dict.fromkeys(collections)]
    held = [kind for kind in ("bedfiles", "cells", "regions") if snapshot.count(kind)]
    if not held:
        raise InputError(
            "the index is empty: add cells or BED files with `atacsearch index add-cells` or `add-beds`"
        )
    if by not in (None, BY_ID):
        held = [kind for kind in held if kind == "regions" or _has_column(snapshot, kind, str(by))]
        if not any(kind != "regions" for kind in held):
            known = sorted({c for kind in ("cells", "bedfiles") for c in snapshot.columns(kind)})
            raise InputError(
                f"--by {by}: no such column in this index; there are: {', '.join(known)}, id"
                f"{did_you_mean(str(by), [*known, BY_ID])}"
            )
    serving = [kind for kind in held if has_columns(snapshot, kind, where)] if where else held
    return serving or held[:1]  # which says what is wrong with the condition


def _has_column(snapshot: Snapshot, kind: str, column: str) -> bool:
    return column.casefold() in {name.casefold() for name in snapshot.columns(kind)}


def _groups(snapshot: Snapshot, kind: str, by: str | None) -> Groups:
    if by is not None:
        return groups_by(snapshot, kind, by)
    if CELLS_BY in snapshot.columns(kind):
        return groups_by(snapshot, kind, CELLS_BY)
    return one_group(snapshot, kind, ALL)


def _counts(
    session: Session, snapshot: Snapshot, kind: str, asked: Asked, groups: Groups, every: bool
) -> Columns:
    """Rows of groups."""
    postings = snapshot.postings(kind, session.notify)
    sizes = groups.sizes
    parts: list[Columns] = []
    step = max(GROUP_CHUNK // max(len(sizes), 1), 1)
    for first in range(0, len(asked), step):
        bounds = asked.bounds[first : first + step + 1]
        tokens = asked.tokens[bounds[0] : bounds[-1]]
        n_open, n_regions = postings.count_groups(bounds - bounds[0], tokens, groups.codes, len(sizes))
        wanted = np.ones_like(n_open, bool) if every else n_open > 0
        wanted[:, sizes == 0] = False
        query, group = np.nonzero(wanted)
        parts.append(
            {
                "query": query + first,
                "value": group,
                "n_open": n_open[query, group],
                "n_all": sizes[group],
                "n_regions": n_regions[query, group],
            }
        )
        if sum(len(p["query"]) for p in parts) > MAX_ROWS:
            raise _too_many(asked)
    return _concatenated(parts)


def _items(
    session: Session,
    snapshot: Snapshot,
    kind: str,
    asked: Asked,
    keep: npt.NDArray[np.bool_] | None,
    k: int | None,
    room: int,
) -> tuple[Columns, Sequence[str]]:
    """Rows of single items."""
    postings = snapshot.postings(kind, session.notify)
    parts: list[Columns] = []
    held = 0
    for first, last in _chunks(asked, postings.n_postings(asked.tokens)):
        bounds = asked.bounds[first : last + 1]
        query, row, n_regions = postings.items(bounds - bounds[0], asked.tokens[bounds[0] : bounds[-1]], keep)
        ones = np.ones(len(query), np.int64)
        part = {"query": query + first, "value": row, "n_open": ones, "n_all": ones, "n_regions": n_regions}
        parts.append(part if k is None else _best(part, k))
        held += len(parts[-1]["query"])
        if held > room:
            raise _too_many(asked)
    return _concatenated(parts), snapshot.all_ids(kind)


def _chunks(asked: Asked, n_postings: npt.NDArray[np.int64]) -> list[tuple[int, int]]:
    """Runs of queries that have about `CHUNK` postings together, or of one query."""
    ends = np.concatenate([[0], np.cumsum(n_postings)])[asked.bounds]
    cuts, first = [], 0
    while first < len(asked):
        last = max(int(np.searchsorted(ends, ends[first] + CHUNK, side="right")) - 1, first + 1)
        last = min(last, len(asked))
        cuts.append((first, last))
        first = last
    return cuts


def _contexts(
    session: Session, snapshot: Snapshot, asked: Asked, keep: npt.NDArray[np.bool_] | None
) -> tuple[Columns, list[str], list[str]]:
    """Rows of contexts, their names, and the label of each."""
    groups = groups_by(snapshot, "regions", "context")
    labels_of = groups_by(snapshot, "regions", "context_label")
    query, row, _ = snapshot.postings("regions", session.notify).items(asked.bounds, asked.tokens, keep)
    context = groups.codes[row]
    order = np.lexsort((context, query))
    query, row, context = query[order], row[order], context[order]
    new = np.flatnonzero(np.concatenate([[True], (query[1:] != query[:-1]) | (context[1:] != context[:-1])]))
    if not len(query):
        new = new[:0]
    first_row = np.full(len(groups.names), -1)
    first_row[groups.codes[::-1]] = np.arange(len(groups.codes))[::-1]
    labels = [labels_of.names[labels_of.codes[i]] for i in first_row]
    sizes = np.array(
        [_labelled(snapshot, label, name) for name, label in zip(groups.names, labels, strict=True)]
    )
    n_items = numbers_in(snapshot, "regions", "n_items")
    largest = np.maximum.reduceat(n_items[row], new) if len(new) else np.empty(0, np.int64)
    counts = np.diff(np.append(new, len(query)))
    found = {
        "query": query[new], "value": context[new].astype(np.int64), "n_open": largest,
        "n_all": sizes[context[new]] if len(sizes) else np.empty(0, np.int64), "n_regions": counts,
    }  # fmt: skip
    return found, list(groups.names), labels


def _labelled(snapshot: Snapshot, label: str, value: str) -> int:
    """Cells and BED files whose label has this value."""
    total = 0
    for kind in ("cells", "bedfiles"):
        if label in snapshot.columns(kind):
            groups = groups_by(snapshot, kind, label)
            if value in groups.names:
                total += int(groups.sizes[groups.names.index(value)])
    return total


def _best(rows: Columns, k: int | None) -> Columns:
    """Rows by query; within one, larger fractions first, then more regions, then more items, then by value."""
    fraction = rows["n_open"] / np.maximum(rows["n_all"], 1)
    order = np.lexsort((rows["value"], -rows["n_open"], -rows["n_regions"], -fraction, rows["query"]))
    if k is not None:
        query = rows["query"][order]
        rank = np.arange(len(order)) - np.searchsorted(query, query)
        order = order[rank < k]
    return {name: values[order] for name, values in rows.items()}


def _concatenated(parts: list[Columns]) -> Columns:
    names = ("query", "value", "n_open", "n_all", "n_regions")
    return {n: np.concatenate([np.empty(0, np.int64), *(p[n] for p in parts)]) for n in names}


def _table(asked: Asked, word: str, counted: Counted) -> pa.Table:
    """The rows of one collection as a table."""
    import pyarrow as pa

    rows, by, names = counted.rows, counted.by, counted.names
    query, value = rows["query"], rows["value"]
    n_all = rows["n_all"]
    sound = (n_all >= rows["n_open"]) & (n_all > 0)
    rows_of, shown = number_array(query), _Texts(value)
    found: dict[str, pa.Array] = {"query": text_array(asked.names).take(rows_of)}
    if asked.intervals is not None:
        x = asked.intervals
        found["query_chrom"] = text_array(x.chroms).take(number_array(x.chrom[query]))
        found["query_start"], found["query_end"] = number_array(x.start[query]), number_array(x.end[query])
    found["query_regions"] = number_array(np.diff(asked.bounds)[query])
    same = number_array(np.zeros(len(query), np.int64))
    found["collection"] = text_array([word]).take(same)
    found["by"] = text_array(by).take(same) if len(by) == 1 else shown.of(by)
    found["value"] = shown.of(names)
    found["n_open"], found["n_all"] = number_array(rows["n_open"]), number_array(n_all)
    found["fraction"] = number_array(rows["n_open"] / np.maximum(n_all, 1), sound)
    found["n_regions"] = number_array(rows["n_regions"])
    found["_query"] = number_array(query)
    return pa.table(found)


class _Texts:
    """Columns of names by number, of which only those that occur are encoded."""

    def __init__(self, numbers: npt.NDArray[np.int64]) -> None:
        self._used = sorted_unique(numbers)
        self._at = number_array(np.searchsorted(self._used, numbers))

    def of(self, names: Sequence[str]) -> pa.Array:
        """An Arrow column of the names."""
        return text_array([names[i] for i in self._used.tolist()]).take(self._at)


def _too_many(asked: Asked) -> InputError:
    return InputError(
        f"{len(asked):,} queries have more than {MAX_ROWS:,} answers; take the best of each (-k 10), count by a label "
        "(--by cell_type), ask with all regions --together, or choose items with --where"
    )
