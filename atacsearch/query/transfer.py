"""Label transfer: what an item is, by the labels of its nearest neighbours in the index.

Cosine distance, k labelled neighbours, distance-weighted votes (`votes.py`). An item is `unknown` where it
has no open region of the universe, where its best label has less than half of the votes, or where it lies
farther from the reference than 99 % of the reference's own items lie from each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from .session import KINDS, VECTOR, Progress, Session, no_progress
from .votes import NO_CALL, Call, vote

if TYPE_CHECKING:
    from ..readers.inputs import Items
    from ..store.snapshot import Snapshot

MIN_CONFIDENCE = 0.5
CUTOFF_PERCENTILE = 99.0
CUTOFF_SAMPLE = 2000
_SAME = 1e-4  # cosine distance under which two items may be one and the same


@dataclass(frozen=True)
class Reference:
    """The items of one generation that may vote on one label.

    Attributes:
        kind: collection, `cells` or `bedfiles`.
        label: column whose values are transferred.
        values: label of every item of the collection that has one, by id.
        where: conditions on the voters.
        vector: name of the vectors that are compared.
    """

    kind: str
    label: str
    values: dict[str, str]
    where: tuple[str, ...] = ()
    vector: str = VECTOR


def annotate(
    session: Session,
    items: Sequence[Items],
    labels: Sequence[str],
    *,
    k: int = 15,
    where: Sequence[str] = (),
    reference: str | None = None,
    progress: Progress = no_progress,
) -> Any:
    """Transfer labels from the index to items.

    A reference item does not vote for itself: it is left out where its id is the item's id, or where it has
    exactly the same regions as the item and, for cells, the same barcode. Items without a value in a label
    column never vote on it: the k voters are the k nearest that have one.

    Args:
        session: the open index.
        items: what to name, all of one kind.
        labels: label columns.
        k: number of voters.
        where: conditions that voters must meet.
        reference: collection that votes, `cells` or `beds`; by default that of the items' own kind, and
            the other one where that is empty.
        progress: called with the number of items encoded.

    A label is transferred by its own vector where the model has a head for it and the collection was indexed with
    it (`train celltype`, `train bulk`), else by the general one.

    Returns:
        A `pyarrow.Table` with `item, label, confidence, margin, nearest_distance, status`, one row per item
        in input order; with several labels a column `label_name` follows `item`, one row per item and
        label.

    Raises:
        InputError: a label column does not exist or holds no value among the items that may vote.
        DigestError: the session's model is not the index's.
    """
    snapshot = session.snapshot()
    kind = KINDS[reference] if reference else _reference_kind(snapshot, items[0].kind, session)
    references = [
        replace(_reference(snapshot, kind, label, where), vector=session.vector_of(kind, label))
        for label in labels
    ]
    names = list(dict.fromkeys(r.vector for r in references))
    if any(session.is_class_head(name) for name in names):
        names = list(dict.fromkeys([VECTOR, *names]))
    parts = [session.encode_as(names, x.sets, progress) for x in items]
    vectors = {name: np.concatenate([part[name] for part in parts]) for name in names}
    calls = [_call_all(session, snapshot, r, items, vectors, k) for r in references]
    return _table(items, labels, calls)


def _reference_kind(snapshot: Snapshot, kind: str, session: Session) -> str:
    if snapshot.count(kind):
        return kind
    other = "bedfiles" if kind == "cells" else "cells"
    if not snapshot.count(other):
        raise InputError(
            "the index holds neither cells nor BED files: add a reference with "
            "`atacsearch index add-cells` or `add-beds`"
        )
    session.say(f"The index holds no {kind}: {other} are the reference")
    return other


def _reference(snapshot: Snapshot, kind: str, label: str, where: Sequence[str]) -> Reference:
    from ..store.filters import bind_where, parse_where, to_mask

    columns = snapshot.columns(kind)
    if label not in columns:
        known = ", ".join(columns) or "none"
        raise InputError(
            f"--label {label}: no such column among the {kind} of this index; there are: {known}"
        )
    ids = snapshot.all_ids(kind)
    conditions = (
        bind_where(parse_where(list(where)), snapshot.manifest.columns[kind], kind) if where else None
    )
    filters = [c.column for c in conditions.conditions] if conditions else []
    table = snapshot.table(kind, list(dict.fromkeys([label, *filters])))
    meets = to_mask(conditions, table)
    meets = np.ones(len(ids), bool) if meets is None else meets
    column = table[label].to_pylist()
    values = {i: str(v) for i, v, m in zip(ids, column, meets, strict=True) if m and v is not None}
    if not values:
        among = f"the {int(meets.sum()):,} {kind} that meet --where" if where else f"the {len(ids):,} {kind}"
        raise InputError(f"--label {label}: every value is missing among {among} of this index")
    return Reference(kind, label, values, tuple(where))


def _call_all(
    session: Session,
    snapshot: Snapshot,
    reference: Reference,
    items: Sequence[Items],
    vectors: dict[str, npt.NDArray[np.float32]],
    k: int,
) -> list[tuple[Call, str]]:
    """One call and status for each item.

    In the vector of a class head items are near each other where their classes are alike, however unlike they
    are else, so there neighbours vote equally, and the distance by which an item is unknown is that of the
    general vector.
    """
    filled = np.flatnonzero(np.concatenate([x.sets.lengths for x in items]) > 0)
    own = _OwnItems(snapshot, reference.kind, items)
    voters = voters_of(
        snapshot,
        reference,
        vectors[reference.vector][filled],
        k,
        lambda q, ids, d: own.among(int(filled[q]), ids, d),
    )
    by_class = session.is_class_head(reference.vector)
    calls = [NO_CALL] * len(own.names)
    for row, (ids, distance) in zip(filled, voters, strict=True):
        calls[row] = vote([reference.values[i] for i in ids], distance, equal=by_class)
    if by_class:
        in_general = replace(reference, vector=VECTOR)
        nearest = voters_of(
            snapshot,
            in_general,
            vectors[VECTOR][filled],
            1,
            lambda q, ids, d: own.among(int(filled[q]), ids, d),
        )
        for row, (_, distance) in zip(filled, nearest, strict=True):
            if len(distance):
                calls[row] = replace(calls[row], nearest_distance=float(distance[0]))
        cutoff = reference_cutoff(session, snapshot, in_general)
    else:
        cutoff = reference_cutoff(session, snapshot, reference)
    shown = "none (fewer than two reference items)" if np.isinf(cutoff) else f"{cutoff:.4g}"
    session.say(
        f"{reference.label}: {len(reference.values):,} labelled {reference.kind} vote by the vector "
        f"{reference.vector}; unknown where "
        f"confidence < {MIN_CONFIDENCE} or nearest distance > {shown} (99th percentile within the reference)"
    )
    return [(call, _status(call, cutoff)) for call in calls]


def _status(call: Call, cutoff: float) -> str:
    sure = call.label is not None and call.confidence >= MIN_CONFIDENCE and call.nearest_distance <= cutoff
    return "assigned" if sure else "unknown"


class _OwnItems:
    """Finds the reference items that are the query item itself."""

    def __init__(self, snapshot: Snapshot, kind: str, items: Sequence[Items]) -> None:
        self.snapshot = snapshot
        self.kind = kind
        self.same_kind = items[0].kind == kind
        self.ids = [i for x in items for i in x.ids]
        self.names = [n for x in items for n in x.sets.names]
        self.sets = [tokens for x in items for tokens in x.sets]

    def among(self, row: int, ids: Sequence[str], distance: npt.NDArray[np.float32]) -> set[str]:
        """Which of the neighbours `ids` of item `row` are that item."""
        if not self.same_kind:
            return set()
        same = {i for i in ids if i == self.ids[row]}
        near = [i for i, d in zip(ids, distance, strict=True) if d < _SAME and i not in same]
        if near and self.kind == "cells":
            near = [i for i in near if i.rpartition("#")[2] == self.names[row]]
        if near:
            tokens = self.snapshot.tokens(self.kind, near)
            mine = np.unique(self.sets[row])
            same |= {i for i, t in zip(near, tokens, strict=True) if np.array_equal(np.unique(t), mine)}
        return same


def voters_of(
    snapshot: Snapshot,
    reference: Reference,
    vectors: npt.NDArray[np.float32],
    k: int,
    own: Any,
) -> list[tuple[list[str], npt.NDArray[np.float32]]]:
    """The k nearest labelled reference items of each vector, the item itself left out.

    More neighbours than k are asked for where some carry no label; the number doubles for those items that
    still lack voters, until they have k or the collection ends.

    Args:
        snapshot: the generation to ask.
        reference: who may vote.
        vectors: [q, d] float32, none of them zero.
        k: number of voters.
        own: `own(q, ids, distance)` names those of query q's neighbours that are the query itself.

    Returns:
        For each vector its voters' ids and distances, nearest first.
    """
    n = snapshot.count(reference.kind)
    found: list[tuple[list[str], npt.NDArray[np.float32]]] = [([], np.empty(0, np.float32))] * len(vectors)
    open_rows = np.arange(len(vectors))
    ask = min(n, int(np.ceil((k + 1) * n / len(reference.values))) + 1)
    while len(open_rows):
        answer = snapshot.knn(
            reference.kind,
            vectors[open_rows],
            ask,
            where=list(reference.where) or None,
            name=reference.vector,
        )
        unfinished = []
        for row, ids, distance in zip(open_rows, answer.ids, answer.distance, strict=True):
            distance = distance[: len(ids)]
            itself = own(row, ids, distance)
            keep = [j for j, i in enumerate(ids) if i in reference.values and i not in itself][:k]
            found[row] = ([ids[j] for j in keep], distance[keep])
            if len(keep) < k and len(ids) == ask < n:
                unfinished.append(row)
        open_rows = np.asarray(unfinished, np.int64)
        ask = min(n, ask * 4)
    return found


def reference_cutoff(session: Session, snapshot: Snapshot, reference: Reference) -> float:
    """The 99th percentile of the distance from a reference item to the nearest other one.

    Computed from a seeded sample of at most 2,000 labelled items and kept in memory for the generation.

    Returns:
        A cosine distance; infinity where fewer than two items may vote.
    """
    key = (snapshot.generation, reference.kind, reference.label, reference.where, reference.vector)
    if key not in session.cutoffs:
        session.cutoffs[key] = _cutoff(snapshot, reference)
    return float(session.cutoffs[key])


def _cutoff(snapshot: Snapshot, reference: Reference) -> float:
    ids = sorted(reference.values)
    if len(ids) > CUTOFF_SAMPLE:
        chosen = np.random.default_rng(0).choice(len(ids), CUTOFF_SAMPLE, replace=False)
        ids = [ids[i] for i in np.sort(chosen)]
    vectors = snapshot.vectors(reference.kind, ids, reference.vector)
    filled = np.flatnonzero(np.any(vectors != 0, axis=1))
    voters = voters_of(snapshot, reference, vectors[filled], 1, lambda q, _ids, _d: {ids[filled[q]]})
    nearest = [distance[0] for _, distance in voters if len(distance)]
    return float(np.percentile(nearest, CUTOFF_PERCENTILE)) if nearest else float("inf")


def _table(items: Sequence[Items], labels: Sequence[str], calls: Sequence[list[tuple[Call, str]]]) -> Any:
    import pyarrow as pa

    names = [name for x in items for name in x.sets.names]
    several = len(labels) > 1
    rows = [
        (name, label, *called[i])
        for i, name in enumerate(names)
        for label, called in zip(labels, calls, strict=True)
    ]
    columns: dict[str, Any] = {"item": pa.array([r[0] for r in rows], pa.string())}
    if several:
        columns["label_name"] = pa.array([r[1] for r in rows], pa.string())
    nearest = [None if np.isnan(r[2].nearest_distance) else r[2].nearest_distance for r in rows]
    columns |= {
        "label": pa.array([r[2].label for r in rows], pa.string()),
        "confidence": pa.array([r[2].confidence for r in rows], pa.float64()),
        "margin": pa.array([r[2].margin for r in rows], pa.float64()),
        "nearest_distance": pa.array(nearest, pa.float64()),
        "status": pa.array([r[3] for r in rows], pa.string()),
    }
    return pa.table(columns)
