"""Search: the nearest cells, BED files or regions of an index to a query, by cosine distance.

A query is a file (each of its items asks on its own), the id of an indexed item, a region string, or a gene
symbol. Files are encoded by the index's model; ids are asked with their stored vectors; regions and genes as
the set of universe regions that they overlap, except in the collection `regions`, where each of those asks
with its stored contextual vector in each context. A query is left out of its own answers, a region in all contexts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..genome.arrow import number_array, text_array
from ..genome.intervals import Intervals
from ..genome.tokensets import TokenSets
from .inputs import pick, read_for
from .regions import region_id
from .regionstring import format_region, parse_region
from .session import KINDS, VECTOR, Progress, Session, no_progress

if TYPE_CHECKING:
    from ..readers.inputs import ReadOptions
    from ..store.snapshot import Snapshot

MAX_REGIONS = 50  # universe regions that one region string may ask for in the collection `regions`


@dataclass(frozen=True)
class Query:
    """What is asked, as vectors.

    Attributes:
        names: [q] name of each query.
        vectors: [q, d] float32; a zero vector asks for nothing.
        itself: [q] ids in the collection searched that are the query, left out of its own answers.
        interval: the BED interval of a region or gene, 0-based half-open.
    """

    names: tuple[str, ...]
    vectors: npt.NDArray[np.float32]
    itself: tuple[tuple[str, ...], ...]
    interval: tuple[str, int, int] | None = None


def search(
    session: Session,
    kind: str,
    query: str | Path,
    *,
    k: int = 10,
    where: Sequence[str] = (),
    items: Sequence[str] = (),
    contexts: Sequence[str] = (),
    columns: Sequence[str] | None = None,
    vector: str = VECTOR,
    options: ReadOptions | None = None,
    progress: Progress = no_progress,
) -> Any:
    """The k nearest items of a collection.

    Args:
        session: the open index.
        kind: `cells`, `beds` or `regions`.
        query: a file, an indexed id, a region string (1-based inclusive) or a gene symbol.
        k: number of answers for each query.
        where: conditions on the answers, and-ed.
        items: of a file with several items, those that ask; empty for all.
        contexts: for a region or gene in the collection `regions`, the contexts in which it asks; empty for
            all.
        columns: label columns to show; None for all.
        vector: name of the vectors that are compared: `general`, or a label that the model was trained for.
        options: how a file is read.
        progress: called with the number of items encoded.

    Returns:
        A `pyarrow.Table`, nearest first: `query, rank, id, distance` and the label columns; for a region or
        gene also the BED interval that it was resolved to (`query_chrom, query_start, query_end`).

    Raises:
        InputError: the query is none of these, the collection is empty or lacks the vector, or a filter has no
            index.
    """
    if kind not in KINDS:
        raise InputError(f"search {kind!r}: expected cells, beds or regions")
    collection = KINDS[kind]
    snapshot = session.snapshot()
    if not snapshot.count(collection):
        raise InputError(f"the index holds no {kind}: add some with `atacsearch index add-{kind}`")
    if columns is not None:
        _check_columns(snapshot, collection, columns)
    if vector != VECTOR and not snapshot.points(collection, vector):
        raise InputError(
            f"the {kind} of this index have no vector {vector!r}; it is there for cells and BED files that were "
            "added to an index made with a model that `atacsearch train celltype` or `train bulk` trained for this "
            "label"
        )
    asked = _resolve(session, snapshot, collection, str(query), vector, items, contexts, options, progress)
    return _answers(session, snapshot, collection, asked, k, where, columns, vector)


def _check_columns(snapshot: Snapshot, collection: str, columns: Sequence[str]) -> None:
    known = snapshot.columns(collection)
    missing = [c for c in columns if c not in known]
    if missing:
        raise InputError(
            f"no column {missing[0]!r} among the {collection} of this index; there are: {', '.join(known)}"
        )


def _resolve(
    session: Session,
    snapshot: Snapshot,
    collection: str,
    text: str,
    vector: str,
    items: Sequence[str],
    contexts: Sequence[str],
    options: ReadOptions | None,
    progress: Progress,
) -> Query:
    """Find out what the query is: a file first, then an id, a region string, a gene."""
    if Path(text).exists():
        return _from_file(session, text, vector, items, options, progress)
    if items:
        raise InputError(f"{text}: no such file; --item picks from the items of a file")
    for kind in dict.fromkeys((collection, *KINDS.values())):
        found = snapshot.find(kind, text)
        if found is not None:
            session.say(f"Query: {found} of the indexed {kind}")
            vectors = snapshot.vectors(kind, [found], vector)
            return Query((found,), vectors, (_itself(snapshot, kind, found) if kind == collection else (),))
    region = parse_region(text)
    if region is None:
        region = _gene(session, text)
    return _from_region(session, snapshot, collection, text, region, contexts, vector)


def _itself(snapshot: Snapshot, kind: str, found: str) -> tuple[str, ...]:
    """Ids that are no answers to an indexed item: its own, and of a region those in other contexts."""
    if kind != "regions":
        return (found,)
    known = set(snapshot.table("regions", ["context"])["context"].to_pylist())
    region = found.partition("@")[0]
    return tuple(f"{region}@{context}" for context in known)


def _from_file(
    session: Session,
    path: str,
    vector: str,
    items: Sequence[str],
    options: ReadOptions | None,
    progress: Progress,
) -> Query:
    from ..readers.inputs import ReadOptions

    found = read_for(session, [path], options or ReadOptions())
    if items and len(found) > 1:
        raise InputError(f"{path}: --item picks from one file; this manifest names {len(found)}")
    sets = TokenSets.concat([x.sets for x in found])
    if items:
        sets = sets.take(pick(found[0], items))
    empty = int((sets.lengths == 0).sum())
    if empty:
        session.say(f"{empty:,} of {len(sets):,} items have no region of the universe and get no answers")
    return Query(sets.names, session.encode(sets, progress, vector), ((),) * len(sets))


def _gene(session: Session, symbol: str) -> tuple[str, int, int]:
    if session.genes is None:
        raise InputError(
            f"{symbol!r} is no file, no indexed id and no region string (chr1:1001-1500); if it is a gene, "
            "the index has no gene table: give one with `atacsearch index add-regions INDEX --genes TSS.bed`"
        )
    promoters = session.genes.promoters(symbol)
    if not len(promoters):
        raise InputError(
            f"{symbol!r} is no file, no indexed id, no region string and no gene of the gene table"
        )
    chrom = promoters.names()[0]
    own = promoters.names() == chrom
    if not own.all():
        session.say(f"{symbol}: promoters on several chromosomes, those on {chrom} are used")
    return str(chrom), int(promoters.start[own].min()), int(promoters.end[own].max())


def _from_region(
    session: Session,
    snapshot: Snapshot,
    collection: str,
    text: str,
    interval: tuple[str, int, int],
    contexts: Sequence[str],
    vector: str,
) -> Query:
    chrom, start, end = interval
    asked = Intervals.from_columns([chrom], [start], [end])
    sets = session.universe.tokenize([asked])
    tokens = sets[0]
    session.say(
        f"Query: {text} = BED {chrom} {start} {end}, overlaps {len(tokens):,} regions of the universe"
    )
    if not len(tokens):
        raise InputError(
            f"{text} (BED {chrom} {start} {end}) overlaps no region of the universe{_near(session, asked)}"
        )
    if collection != "regions":
        named = TokenSets(sets.offsets, sets.tokens, (text,), sets.universe_digest)
        return Query((text,), session.encode(named, name=vector), ((),), interval)
    if len(tokens) > MAX_REGIONS:
        raise InputError(
            f"{text}: overlaps {len(tokens):,} regions of the universe; at most {MAX_REGIONS}, narrow it"
        )
    return _contextual(session, snapshot, text, tokens, interval, contexts)


def _near(session: Session, asked: Intervals) -> str:
    regions = session.universe.intervals
    if asked.chroms[0] not in regions.chroms:
        return f", which has no chromosome {asked.chroms[0]!r} (it has {', '.join(regions.chroms[:3])} ...)"
    rows = np.flatnonzero(regions.names() == asked.chroms[0])
    gap = np.maximum(regions.start[rows] - asked.end[0], asked.start[0] - regions.end[rows])
    row = int(rows[np.argmin(gap)])
    chrom, start, end = session.universe.region(row)
    return f"; the nearest is {format_region(chrom, start, end)}, {int(gap.min()) + 1:,} bp away"


def _contextual(
    session: Session,
    snapshot: Snapshot,
    text: str,
    tokens: npt.NDArray[np.uint32],
    interval: tuple[str, int, int],
    contexts: Sequence[str],
) -> Query:
    """Stored contextual vectors of these regions, one query for each region and context that is indexed."""
    known = sorted(set(snapshot.table("regions", ["context"])["context"].to_pylist()))
    unknown = [c for c in contexts if c not in known]
    if unknown:
        raise InputError(f"--context {unknown[0]}: no such context; there are: {', '.join(known)}")
    wanted = [
        region_id(*session.universe.region(int(t)), context) for t in tokens for context in contexts or known
    ]
    indexed = set(snapshot.all_ids("regions"))
    present = [i for i in wanted if i in indexed]
    if not present:
        raise InputError(
            f"{text}: none of its {len(tokens):,} universe regions is open in an indexed context"
        )
    vectors = snapshot.vectors("regions", present, VECTOR)
    itself = tuple(region_id(*session.universe.region(int(t)), c) for t in tokens for c in known)
    return Query(tuple(present), vectors, (itself,) * len(present), interval)


def _answers(
    session: Session,
    snapshot: Snapshot,
    collection: str,
    asked: Query,
    k: int,
    where: Sequence[str],
    columns: Sequence[str] | None,
    vector: str,
) -> Any:
    import pyarrow as pa

    answer = snapshot.knn(
        collection, asked.vectors, k, where=list(where) or None, name=vector, exclude=list(asked.itself)
    )
    if where and not any(answer.ids):
        session.say(f"No answers: none of the {collection} meets --where {' and '.join(where)}")
    rows: list[tuple[str, int, str, float]] = []
    for name, hits, distance in zip(asked.names, answer.ids, answer.distance, strict=True):
        rows += [(name, rank, i, float(distance[rank - 1])) for rank, i in enumerate(hits, 1)]
    ids = [r[2] for r in rows]
    shown = list(columns or [])
    if columns is None:
        shown = list(snapshot.columns(collection))
    found: dict[str, Any] = {"query": text_array([r[0] for r in rows])}
    if asked.interval is not None:
        chrom, start, end = asked.interval
        found["query_chrom"] = text_array([chrom] * len(rows))
        found["query_start"] = number_array(np.full(len(rows), start, np.int64))
        found["query_end"] = number_array(np.full(len(rows), end, np.int64))
    found["rank"] = number_array(np.array([r[1] for r in rows], np.int64))
    found["id"] = text_array(ids)
    found["distance"] = number_array(np.array([r[3] for r in rows], np.float64))
    labels = snapshot.rows(collection, ids, shown)
    found |= {name: labels[name] for name in shown if name not in found}
    table = pa.table(found)
    return _with_genes(session, table) if collection == "regions" else table


def _with_genes(session: Session, table: Any) -> Any:
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
