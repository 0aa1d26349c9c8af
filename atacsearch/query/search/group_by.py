"""One answer a group, so that a study with many items does not fill the answer.

The best answer of each value of a label column is kept. Items are fetched until enough groups are found, so that a
group of a thousand near items hides nothing behind it. An item without a value is a group of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ...errors import InputError
from ...spelling import did_you_mean
from .query import Searched
from .results import Hit, HitLists

if TYPE_CHECKING:
    from ...store.index.snapshot import Snapshot

Fetch = Callable[
    [Sequence[int], int], HitLists
]  # (queries by number, answers wanted of each) -> their hits, best first
FIRST = 4  # times as many items as groups are fetched at first, and each time again
MOST = 50_000  # items a query beyond which no more are fetched
SIZE = "n_in_group"


def grouped(
    searched: Searched, column: str, n_queries: int, n: int, fetch: Fetch, only: frozenset[str] | None
) -> HitLists:
    """The best hit of each group, the best n groups of each query.

    Args:
        searched: where answers are looked for; its conditions are those that `fetch` applies.
        column: label column that groups them.
        n_queries: number of queries.
        n: groups wanted of each.
        fetch: gives the best hits of queries.
        only: ids that may be answers; None for all.

    Returns:
        Hits with `n_in_group`: items of the collection in the group that may be answers.

    Raises:
        InputError: no such label column.
    """
    snapshot, collection = searched.snapshot, searched.collection
    known = snapshot.columns(collection)
    if column not in known:
        raise InputError(
            f"--group-by {column}: no such label column; there are: {', '.join(known)}"
            f"{did_you_mean(column, known)}"
        )
    sizes = _sizes(snapshot, collection, column, searched.where, only)
    n = min(n, sum(1 if group is not None else size for group, size in sizes.items()))
    out: HitLists = [[] for _ in range(n_queries)]
    if not n:
        return out
    waiting = list(range(n_queries))
    wanted = FIRST * n
    groups: dict[str, Any] = {}
    while waiting:
        found = fetch(waiting, wanted)
        _look_up(snapshot, collection, column, found, groups)
        short = []
        for query, hits in zip(waiting, found, strict=True):
            out[query] = _first_of_each(hits, groups)[:n]
            if len(out[query]) < n and len(hits) >= wanted:
                short.append(query)
        waiting = short
        if waiting and wanted >= MOST:
            searched.session.notify(
                f"{len(waiting):,} of {n_queries:,} queries have fewer than {n} groups of {column} among their nearest "
                f"{wanted:,} items; narrow the search with --where"
            )
            break
        wanted = min(FIRST * wanted, MOST)
    return [[_with_size(hit, groups[hit.id], sizes) for hit in hits] for hits in out]


def _look_up(
    snapshot: Snapshot, collection: str, column: str, found: HitLists, groups: dict[str, Any]
) -> None:
    """Add the group of every hit that is not known yet; None where it has none."""
    new = list(dict.fromkeys(hit.id for hits in found for hit in hits if hit.id not in groups))
    if new:
        groups.update(zip(new, snapshot.rows(collection, new, [column])[column].to_pylist(), strict=True))


def _first_of_each(hits: Sequence[Hit], groups: dict[str, Any]) -> list[Hit]:
    seen: set[Any] = set()
    kept = []
    for hit in hits:
        group = groups[hit.id]
        if group is None or group not in seen:
            seen.add(group)
            kept.append(hit)
    return kept


def _sizes(
    snapshot: Snapshot, collection: str, column: str, where: Sequence[str], only: frozenset[str] | None
) -> dict[Any, int]:
    """Items of each group that may be answers."""
    import pyarrow as pa
    import pyarrow.compute as pc

    table = snapshot.table(collection, ["id", column])
    allowed = None
    if where:
        allowed = pa.array(snapshot.matching(collection, list(where)))
    for ids in (allowed, None if only is None else pa.array(sorted(only), pa.string())):
        if ids is not None:
            table = table.filter(pc.is_in(table["id"], value_set=ids))
    counts = pc.value_counts(table[column].combine_chunks())
    return {entry["values"]: entry["counts"] for entry in counts.to_pylist()}


def _with_size(hit: Hit, group: Any, sizes: dict[Any, int]) -> Hit:
    return replace(hit, more={**hit.more, SIZE: 1 if group is None else sizes[group]})
