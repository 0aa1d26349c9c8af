"""Regions in context: the contextual vectors of an index's regions, one mean a region and context.

Items that share a value of a label column form a context. A region belongs to a context where it is open in
any of its items; its vector is the plain mean of its contextual vectors over those items. Items are encoded
in blocks and summed as they come, so memory grows with the regions of one context, not with the items.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ...genome.region_strings import format_region
from ...spelling import did_you_mean
from ...tokens.token_sets import TokenSets
from ..session import VECTOR, Progress, Session, no_progress

if TYPE_CHECKING:
    from ...model.encoding.encoder import Encoder
    from ...store.index.snapshot import Snapshot

ITEM_BLOCK = 256  # items whose tokens are fetched at once
TOKEN_BLOCK = 200_000  # tokens encoded at once; their contextual vectors are held together
BATCH = 20_000  # regions handed to the store at once


@dataclass(frozen=True)
class Context:
    """Items that share a value of the context label.

    Attributes:
        name: the value.
        ids: index ids of the items, by collection.
    """

    name: str
    ids: dict[str, tuple[str, ...]]

    @property
    def n_items(self) -> int:
        """Number of items in all collections."""
        return sum(map(len, self.ids.values()))


@dataclass(frozen=True)
class RegionsAdded:
    """What `add_regions` did.

    Attributes:
        contexts: name of each context that was added -> number of its regions.
        unchanged: contexts that were indexed already from the same items.
    """

    contexts: dict[str, int]
    unchanged: tuple[str, ...]


def region_id(chrom: str, start: int, end: int, context: str) -> str:
    """Index id of a region in a context; the coordinates are 0-based half-open, the id shows a region string.

    Example:
        >>> region_id("chr1", 1000, 1500, "B")
        'chr1:1001-1500@B'
    """
    return f"{format_region(chrom, start, end)}@{context}"


def contexts_of(snapshot: Snapshot, label: str, only: Sequence[str] = ()) -> list[Context]:
    """The contexts that a label column makes of all indexed cells and BED files, by name.

    Raises:
        InputError: no collection has the column, or a context of `only` does not occur.
    """
    members: dict[str, dict[str, list[str]]] = {}
    seen: list[str] = []
    for kind in ("cells", "bedfiles"):
        columns = snapshot.columns(kind)
        seen += [c for c in columns if c not in seen]
        if label not in columns:
            continue
        values = snapshot.table(kind, [label])[label].to_pylist()
        for item, value in zip(snapshot.all_ids(kind), values, strict=True):
            if value is not None:
                members.setdefault(str(value), {}).setdefault(kind, []).append(item)
    if not members:
        raise InputError(
            f"--context-label {label}: no such column with values in this index; "
            f"there are: {', '.join(seen) or 'none'}{did_you_mean(label, seen)}"
        )
    unknown = [name for name in only if name not in members]
    if unknown:
        raise InputError(
            f"--context {unknown[0]}: no such value of {label}; there are: {', '.join(sorted(members))}"
            f"{did_you_mean(unknown[0], sorted(members))}"
        )
    return [
        Context(name, {kind: tuple(sorted(ids)) for kind, ids in members[name].items()})
        for name in sorted(only or members)
    ]


def mean_vectors(
    encoder: Encoder, blocks: Any, dim: int, progress: Progress = no_progress
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """The mean contextual vector of every region that is open in any of the items.

    Args:
        encoder: gives the contextual vectors.
        blocks: a list of functions, each giving the next block of items as `TokenSets`; they are called
            twice.
        dim: width d of the vectors.
        progress: called with the number of items encoded.

    Returns:
        ([n] uint32 tokens, ascending; [n] int64 number of items in which each is open; [n, d] float32 means).
    """
    tokens = np.empty(0, np.uint32)
    for block in blocks:
        tokens = np.union1d(tokens, block().tokens).astype(np.uint32)
    counts = np.zeros(len(tokens), np.int64)
    sums = np.zeros((len(tokens), dim), np.float32)
    for block in blocks:
        sets = block()
        for part in by_tokens(sets):
            for one, vectors in zip(part, encoder.encode_regions(part), strict=True):
                rows = np.searchsorted(tokens, one)
                sums[rows] += vectors  # a set names a token once, so no row is lost
                counts[rows] += 1
            progress(len(part))
    sums /= np.maximum(counts, 1).astype(np.float32)[:, None]
    return tokens, counts, sums


def by_tokens(sets: TokenSets) -> Iterator[TokenSets]:
    """Runs of sets of at most `TOKEN_BLOCK` tokens, or of one set."""
    first = 0
    while first < len(sets):
        last = int(np.searchsorted(sets.offsets, sets.offsets[first] + TOKEN_BLOCK, "right")) - 1
        last = min(max(last, first + 1), len(sets))
        yield sets.take(np.arange(first, last))
        first = last


def add_regions(
    session: Session,
    label: str = "cell_type",
    *,
    contexts: Sequence[str] = (),
    progress: Progress = no_progress,
) -> RegionsAdded:
    """Fill the collection `regions` from everything that is indexed.

    A context whose items and model are what they were is left alone, one that has changed is replaced.

    Args:
        session: the open index.
        label: label column whose values are the contexts; items without a value belong to none.
        contexts: only these values; empty for all.
        progress: called with the number of items encoded.

    Raises:
        InputError: the index is empty or has no such column.
        LockedError: another process writes to this index.
    """
    added: dict[str, int] = {}
    unchanged: list[str] = []
    with session.index.writer() as writer:
        snapshot = session.snapshot()  # once nobody else can write
        wanted = contexts_of(snapshot, label, contexts)
        known = writer.sources("regions")
        _check_names(snapshot, label, wanted)
        for context in wanted:
            source = _source(session, snapshot, label, context)
            if known.get(source.id) == source.digest:
                unchanged.append(context.name)
                progress(context.n_items)
                continue
            if source.id in known:
                writer.delete_source("regions", source.id)
            tokens, counts, vectors = mean_vectors(
                session.encoder, _blocks(snapshot, context), session.model.dim, progress
            )
            for first in range(0, len(tokens), BATCH):
                part = slice(first, first + BATCH)
                writer.add(
                    "regions",
                    _batch(session, context.name, label, tokens[part], counts[part], vectors[part]),
                    source,
                )
            added[context.name] = len(tokens)
    return RegionsAdded(added, tuple(unchanged))


def _check_names(snapshot: Snapshot, label: str, wanted: Sequence[Context]) -> None:
    """Refuse a context whose name is taken by a value of another label column."""
    if not snapshot.count("regions"):
        return
    table = snapshot.table("regions", ["context", "context_label"])
    labels = dict(zip(table["context"].to_pylist(), table["context_label"].to_pylist(), strict=True))
    for context in wanted:
        if labels.get(context.name, label) != label:
            raise InputError(
                f"the context {context.name!r} of {label} is indexed already as a value of {labels[context.name]}; "
                "contexts are told apart by name: give the values of one of the columns another name"
            )


def _blocks(snapshot: Snapshot, context: Context) -> list[Any]:
    return [
        lambda kind=kind, part=ids[first : first + ITEM_BLOCK]: snapshot.tokens(kind, list(part))
        for kind, ids in context.ids.items()
        for first in range(0, len(ids), ITEM_BLOCK)
    ]


def _source(session: Session, snapshot: Snapshot, label: str, context: Context) -> Any:
    """The context as a source; its digest changes with its items, their regions, and the model."""
    from ...store.types import Source

    h = hashlib.sha256(session.model.digest.encode())
    for kind, ids in context.ids.items():
        for block in range(0, len(ids), 1000):
            part = list(ids[block : block + 1000])
            sets = snapshot.tokens(kind, part)
            h.update(kind.encode())
            h.update("\n".join(part).encode())
            h.update(sets.offsets.tobytes())
            h.update(sets.tokens.tobytes())
    short = hashlib.sha256(f"{label}\n{context.name}".encode()).hexdigest()[:16]
    return Source(
        id=f"regions-{short}",
        name=f"{label}={context.name}",
        digest=h.hexdigest(),
        genome=session.index.info.genome,
        counting=None,
    )


def _batch(
    session: Session,
    context: str,
    label: str,
    tokens: npt.NDArray[np.uint32],
    counts: npt.NDArray[np.int64],
    vectors: npt.NDArray[np.float32],
) -> Any:
    import pyarrow as pa

    from ...store.types import Batch

    regions = session.universe.intervals.take(tokens.astype(np.int64))
    chroms = regions.names()
    ids = tuple(
        region_id(str(c), int(s), int(e), context)
        for c, s, e in zip(chroms, regions.start, regions.end, strict=True)
    )
    labels = pa.table(
        {
            "chrom": pa.array(chroms.tolist(), pa.string()),
            "start": pa.array(regions.start),
            "end": pa.array(regions.end),
            "context": pa.array([context] * len(tokens), pa.string()),
            "context_label": pa.array([label] * len(tokens), pa.string()),
            "n_items": pa.array(counts),
        }
    )
    offsets = np.arange(len(tokens) + 1, dtype=np.int64)
    sets = TokenSets(offsets, tokens, ids, session.model.universe_digest)
    return Batch(ids=ids, items=ids, labels=labels, sets=sets, vectors={VECTOR: vectors})
