"""Regions and genes as queries: the universe regions that they overlap, or their contextual vectors.

A gene asks with all its promoters (1,000 bp around each transcription start). Region strings are of the index's
genome, unless a chain file is given: then they are lifted as files are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ...errors import GenomeError, InputError
from ...genome.assemblies import canonical_genome
from ...genome.intervals import Intervals
from ...genome.region_strings import format_region, parse_region
from ...spelling import did_you_mean
from ...tokens.token_sets import TokenSets
from ..session import VECTOR, Session
from .contexts import region_id

if TYPE_CHECKING:
    from ...readers.options import ReadOptions
    from ...store.index.snapshot import Snapshot

MAX_REGIONS = 50  # universe regions that one region string or gene may ask for in the collection `regions`


def intervals_of_text(session: Session, text: str, options: ReadOptions) -> Intervals:
    """The intervals of the index's genome that a region string or gene symbol means.

    Args:
        session: the open index.
        text: a region string (1-based inclusive), or a symbol of the index's gene table.
        options: `genome` and `liftover` hold for region strings; genes are in the index's genome already.

    Raises:
        InputError: it is neither.
        GenomeError: a region of another genome without a chain file, or one that cannot be lifted.
    """
    region = parse_region(text)
    if region is None:
        return _promoters(session, text)
    chrom, start, end = region
    found = Intervals.from_columns([chrom], [start], [end])
    own = session.universe.genome
    if options.liftover is not None:
        return _lifted(session, text, found, options)
    asked, known = canonical_genome(options.genome), canonical_genome(own)
    if asked is not None and known is not None and asked != known:
        from ...readers.genome_check import chain_file_advice

        raise GenomeError(
            f"{text}: is of {asked}, but the index is of {known}; give a region of {known}, or lift it"
            f"{chain_file_advice(asked, known)}"
        )
    return found


def _lifted(session: Session, text: str, region: Intervals, options: ReadOptions) -> Intervals:
    from ...genome.liftover import lift
    from ...readers.liftover import resolve_lift

    assert options.liftover is not None
    way = resolve_lift(options.liftover, options.genome, None, session.universe.genome, text)
    done = lift(region, way.chains)
    if not len(done.rows):
        raise GenomeError(f"{text}: cannot be lifted from {way.route} ({next(iter(done.lost))} there)")
    x = done.intervals
    session.notify(
        f"{text} lifted from {way.route}: {format_region(x.names()[0], int(x.start[0]), int(x.end[0]))}"
    )
    return x


def _promoters(session: Session, symbol: str) -> Intervals:
    if session.genes is None:
        raise InputError(
            f"{symbol!r} is no file, no indexed id and no region string (chr1:1001-1500); if it is a gene, "
            "the index has no gene table: give one with `atacsearch index add-regions INDEX --genes TSS.bed`"
        )
    promoters = session.genes.promoters(symbol)
    if not len(promoters):
        raise InputError(
            f"{symbol!r} is no file, no indexed id, no region string and no gene of the gene table"
            f"{did_you_mean(symbol, session.genes.genes)}"
        )
    return promoters


def region_tokens(session: Session, text: str, asked: Intervals) -> TokenSets:
    """The universe regions that intervals overlap, as one token set named `text`.

    Raises:
        InputError: there are none; the message names the nearest.
    """
    sets = session.universe.tokenize([asked])
    places = distinct_places(asked)
    shown = f"{places[0]} and {len(places) - 1:,} more" if len(places) > 3 else ", ".join(places)
    session.notify(f"Query: {text} = BED {shown}, overlaps {len(sets[0]):,} regions of the universe")
    if not len(sets[0]):
        raise InputError(f"{text} (BED {shown}) overlaps no region of the universe{_near(session, asked)}")
    return TokenSets(sets.offsets, sets.tokens, (text,), sets.universe_digest)


def distinct_places(asked: Intervals) -> list[str]:
    """`chrom start end` of each interval, once."""
    columns = zip(asked.names().tolist(), asked.start.tolist(), asked.end.tolist(), strict=True)
    return list(dict.fromkeys(f"{chrom} {start} {end}" for chrom, start, end in columns))


def span(asked: Intervals) -> tuple[str, int, int]:
    """From the first to the last of the intervals that are on the chromosome of the first."""
    chrom = asked.names()[0]
    own = asked.names() == chrom
    return str(chrom), int(asked.start[own].min()), int(asked.end[own].max())


def _near(session: Session, asked: Intervals) -> str:
    regions = session.universe.intervals
    if asked.names()[0] not in regions.chroms:
        return f", which has no chromosome {asked.names()[0]!r} (it has {', '.join(regions.chroms[:3])} ...)"
    rows = np.flatnonzero(regions.names() == asked.names()[0])
    gap = np.maximum(regions.start[rows] - asked.end[0], asked.start[0] - regions.end[rows])
    row = int(rows[np.argmin(gap)])
    chrom, start, end = session.universe.region(row)
    return f"; the nearest is {format_region(chrom, start, end)}, {int(gap.min()) + 1:,} bp away"


def contextual(
    session: Session, snapshot: Snapshot, text: str, tokens: npt.NDArray[np.uint32], contexts: Sequence[str]
) -> tuple[tuple[str, ...], npt.NDArray[np.float32], tuple[str, ...]]:
    """Stored contextual vectors of universe regions, one for each region and context that is indexed.

    Args:
        session: the open index.
        snapshot: the generation that is asked.
        text: the query as given, for messages.
        tokens: the regions.
        contexts: those in which they ask; empty for all.

    Returns:
        (ids [q]; vectors [q, d] float32; the ids of these regions in all contexts, which are no answers).

    Raises:
        InputError: too many regions, an unknown context, or none of them is open in one.
    """
    if len(tokens) > MAX_REGIONS:
        raise InputError(
            f"{text}: overlaps {len(tokens):,} regions of the universe; at most {MAX_REGIONS}, narrow it"
        )
    known = sorted(set(snapshot.table("regions", ["context"])["context"].to_pylist()))
    unknown = [c for c in contexts if c not in known]
    if unknown:
        raise InputError(
            f"--context {unknown[0]}: no such context; there are: {', '.join(known)}"
            f"{did_you_mean(unknown[0], known)}"
        )
    wanted = [
        region_id(*session.universe.region(int(t)), context) for t in tokens for context in contexts or known
    ]
    indexed = set(snapshot.all_ids("regions"))
    present = tuple(i for i in wanted if i in indexed)
    if not present:
        raise InputError(
            f"{text}: none of its {len(tokens):,} universe regions is open in an indexed context"
        )
    itself = tuple(region_id(*session.universe.region(int(t)), c) for t in tokens for c in known)
    return present, snapshot.vectors("regions", present, VECTOR), itself
