"""What a search asks: a file, an indexed id, a region or a gene, resolved to vectors and token sets.

Files are encoded by the index's model; ids ask with their stored vectors; regions and genes as the set of universe
regions that they overlap, except in the collection `regions`, where each of those asks with its stored contextual
vector in each context.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..genome.intervals import Intervals
from ..genome.tokensets import TokenSets
from .inputs import pick, read_for
from .regions import region_id
from .regionstring import format_region, parse_region
from .session import KINDS, VECTOR, Progress, Session

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
        sets: [q] token sets behind the vectors; None where a query has none (contextual vectors of regions).
        interval: the BED interval of a region or gene, 0-based half-open.
    """

    names: tuple[str, ...]
    vectors: npt.NDArray[np.float32]
    itself: tuple[tuple[str, ...], ...]
    sets: TokenSets | None = None
    interval: tuple[str, int, int] | None = None


def resolve(
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
            itself = _itself(snapshot, kind, found) if kind == collection else ()
            sets = snapshot.tokens(kind, [found]) if kind != "regions" else None
            return Query((found,), vectors, (itself,), sets)
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
    return Query(sets.names, session.encode(sets, progress, vector), ((),) * len(sets), sets)


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
        return Query((text,), session.encode(named, name=vector), ((),), named, interval)
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
    return Query(tuple(present), vectors, (itself,) * len(present), None, interval)
