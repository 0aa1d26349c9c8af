"""Answers: what each query found, in order, and the table that shows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ...arrow import number_array, text_array
from ...genome.intervals import Intervals
from ..session import Session
from .query import QueryVectors, Searched

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Hit:
    """One answer to one query.

    Attributes:
        id: of the item.
        distance: cosine distance from the query; NaN where none was computed.
        more: further columns of the answer (text or number), by name, the same names in every hit of a search.
    """

    id: str
    distance: float
    more: Mapping[str, Any] = field(default_factory=dict)


HitLists = list[list[Hit]]  # of each query, best first


def answer_table(
    searched: Searched, asked: QueryVectors, hits: HitLists, columns: Sequence[str] | None, first: int = 1
) -> pa.Table:
    """The table of a search.

    Args:
        searched: where the answers were looked for.
        asked: the queries.
        hits: of each query, in the order to show.
        columns: label columns to show; None for all.
        first: rank of the first hit of each query.

    Returns:
        `query`, the BED interval of a region or gene, `rank, id, distance`, what the hits carry in `more`, and the
        label columns; one row a hit, queries in order.
    """
    import pyarrow as pa

    rows = [
        (name, rank, hit)
        for name, some in zip(asked.names, hits, strict=True)
        for rank, hit in enumerate(some, first)
    ]
    ids = [hit.id for _, _, hit in rows]
    found: dict[str, pa.Array] = {"query": text_array([name for name, _, _ in rows])}
    if any(interval is not None for interval in asked.intervals):
        each = [
            interval or (None, None, None)
            for interval, some in zip(asked.intervals, hits, strict=True)
            for _ in some
        ]
        found["query_chrom"] = pa.array([chrom for chrom, _, _ in each], pa.string())
        found["query_start"] = pa.array([start for _, start, _ in each], pa.int64())
        found["query_end"] = pa.array([end for _, _, end in each], pa.int64())
    found["rank"] = number_array(np.array([rank for _, rank, _ in rows], np.int64))
    found["id"] = text_array(ids)
    found["distance"] = pa.array([hit.distance for _, _, hit in rows], pa.float64(), from_pandas=True)
    for name in rows[0][2].more if rows else ():
        found[name] = pa.array([hit.more[name] for _, _, hit in rows])
    collection = searched.collection
    shown = list(searched.snapshot.columns(collection)) if columns is None else list(columns)
    labels = searched.snapshot.rows(collection, ids, shown)
    # A label that is called as a column of the answer must not hide it, nor be hidden by it.
    found |= {f"label_{name}" if name in found else name: labels[name] for name in shown}
    table = pa.table(found)
    return _with_genes(searched.session, table) if collection == "regions" else table


def _with_genes(session: Session, table: pa.Table) -> pa.Table:
    """Add the nearest gene of each region, where the index has a gene table."""
    if session.genes is None or not table.num_rows or "chrom" not in table.column_names:
        return table
    regions = Intervals.from_columns(
        table["chrom"].to_pylist(), table["start"].to_numpy(), table["end"].to_numpy()
    )
    nearest = session.genes.nearest_tss(regions)
    for name in ("gene", "distance", "promoter"):
        table = table.append_column("tss_distance" if name == "distance" else name, nearest[name])
    return table
