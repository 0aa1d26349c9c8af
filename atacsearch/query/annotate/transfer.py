"""Label transfer: what an item is, by a class head of the model or by its nearest neighbours in the index.

Where the model has a class head for a label (`train celltype`) that knows all values of the voters, the head's
calibrated probabilities name the items; else the neighbours do (`neighbourhood.py`), in the vector that was made for
the label (`train bulk`) or in the general one. Either way confidence was fitted on held-out groups of the reference,
and an item that is less like its best class than 95 % of the reference's own held-out items are is unknown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ...model.heads.calibration import FALSE_UNKNOWN, START, softmax
from ..reference.calibrate import neighbourhood_of
from ..reference.exclusions import OwnItems
from ..reference.neighbourhood import NOBODY, neighbour_scores
from ..reference.reference import Reference, reference_of
from ..reference.sample_groups import IDENTITY
from ..session import VECTOR, Progress, Session, kind_of, no_progress
from .calls import LabelCalls, Transfer

if TYPE_CHECKING:
    from ...model.heads.class_head import ClassHead
    from ...readers.items import Items
    from ...store.index.snapshot import Snapshot

WAYS = ("auto", "head", "neighbours")


@dataclass(frozen=True)
class TransferOptions:
    """How labels are transferred.

    Attributes:
        k: neighbours that may vote; None as fitted.
        where: conditions that voters must meet.
        only, without: values that may, and may not, be answers.
        reference: collection that votes, `cells` or `beds`; None for that of the items' own kind, and the other one
            where that is empty.
        by: `head`, `neighbours`, or `auto`: the head where there is one for the label.
        same_group: let reference items of the query's own study or donor vote.
        false_unknown: share of items like the reference that may be called unknown.
        min_confidence: items whose confidence is lower are unknown.
    """

    k: int | None = None
    where: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    reference: str | None = None
    by: str = "auto"
    same_group: bool = False
    false_unknown: float = FALSE_UNKNOWN
    min_confidence: float = 0.0

    def __post_init__(self) -> None:
        if self.by not in WAYS:
            raise InputError(f"--by {self.by}: expected one of {', '.join(WAYS)}")
        if not 0 < self.false_unknown < 1:
            raise InputError(f"--false-unknown {self.false_unknown:g}: expected a share between 0 and 1")
        if not 0 <= self.min_confidence <= 1:
            raise InputError(f"--min-confidence {self.min_confidence:g}: expected a number from 0 to 1")
        if self.k is not None and self.k < 1:
            raise InputError(f"-k {self.k}: expected 1 or more")


def transfer(
    session: Session,
    items: Sequence[Items],
    labels: Sequence[str],
    options: TransferOptions | None = None,
    progress: Progress = no_progress,
) -> Transfer:
    """Transfer labels from the index to items.

    A reference item does not vote for itself: it is left out where its id is the item's id, or where it has
    exactly the same regions as the item and, for cells, the same barcode. Nor do items of the same study or donor as
    the item, where both say so in a column of that name. Items without a value in a label column never vote on it,
    and neither do predicted labels.

    Args:
        session: the open index.
        items: what to name, all of one kind.
        labels: label columns.
        options: how.
        progress: called with the number of items encoded.

    Returns:
        Calls on each label, in input order.

    Raises:
        InputError: a label column does not exist or holds no value among the items that may vote.
        DigestError: the session's model is not the index's.
    """
    options = options or TransferOptions()
    snapshot = session.snapshot()
    kind = (
        kind_of(options.reference) if options.reference else _reference_kind(snapshot, items[0].kind, session)
    )
    references = [
        reference_of(
            session, snapshot, kind, label, where=options.where, only=options.only, without=options.without
        )
        for label in labels
    ]
    own = OwnItems(snapshot, kind, items, () if options.same_group else IDENTITY)
    heads = [_head_for(session, r, options, own) for r in references]
    names = [VECTOR, *(r.vector for r, head in zip(references, heads, strict=True) if head is None)]
    parts = [session.encode_as(list(dict.fromkeys(names)), x.sets, progress) for x in items]
    vectors = {name: np.concatenate([part[name] for part in parts]) for name in dict.fromkeys(names)}
    calls = tuple(
        _by_head(session, snapshot, r, own, head, vectors[VECTOR], options)
        if head is not None
        else _by_neighbours(session, snapshot, r, own, vectors[r.vector], options)
        for r, head in zip(references, heads, strict=True)
    )
    own.say_who_did_not_vote(session)
    return Transfer(
        items[0].kind, tuple(own.names), tuple(own.ids), own.token_sets, vectors[VECTOR], calls, kind
    )


def check_coverage(session: Session, found: Transfer, coverage: float) -> None:
    """Say what label sets assume. Raises `InputError` where there is no calibration to take them from."""
    for calls in found.calls:
        if calls.calibration is None:
            raise InputError(
                f"--coverage: {calls.label} has too few labelled reference items to calibrate label sets"
            )
    session.say(
        f"label_set holds the truth for {coverage:.0%} of items that are to the reference what its own held-out "
        "groups are to each other; other tissues, protocols or genomes may do worse"
    )


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


def _head_for(
    session: Session, reference: Reference, options: TransferOptions, own: OwnItems
) -> ClassHead | None:
    """The class head that is to name the items, or None where neighbours do."""
    if options.by == "neighbours" or not session.is_class_head(reference.label):
        if options.by == "head":
            raise InputError(
                f"--by head: the index's model has no class head for {reference.label}; train one with "
                f"`atacsearch train celltype --label {reference.label}`"
            )
        return None
    head = cast("ClassHead", session.model.heads[reference.label])
    strange = sorted(set(reference.classes) - set(head.classes))
    why = ""
    if strange:
        why = f"the class head of {reference.label} does not know {', '.join(strange[:3])}"
    elif options.where:
        why = f"--where chooses who votes, and the class head of {reference.label} was trained on all"
    elif own.shares_identity():
        why = f"the class head of {reference.label} was trained on the query's own {own.shared_column}"
    if why and options.by == "head":
        hint = "; --same-group allows it" if not strange and not options.where else ""
        raise InputError(f"--by head: {why}{hint}")
    if why:
        session.say(f"{why}: neighbours name the items")
        return None
    if options.k is not None:
        session.say(f"-k {options.k}: a class head names the items, so no neighbours vote (--by neighbours)")
    return head


def _by_head(
    session: Session,
    snapshot: Snapshot,
    reference: Reference,
    own: OwnItems,
    head: ClassHead,
    general: npt.NDArray[np.float32],
    options: TransferOptions,
) -> LabelCalls:
    filled = np.flatnonzero(general.any(1))
    n = len(own.names)
    scores = head.scores(own.token_sets.take(filled), general[filled])
    allowed = np.isin(np.array(head.classes), np.array(reference.classes))
    probabilities, novelty = np.zeros((n, head.dim)), np.full(n, np.nan)
    if head.calibration is None:
        probabilities[filled] = softmax(START * scores.astype(np.float64), allowed)
    else:
        probabilities[filled] = head.calibration.probabilities(scores, allowed)
        novelty[filled] = head.calibration.novelty(
            scores, own.token_sets.lengths[filled], allowed, head.encoder_scores(general[filled])
        )
    nearest = np.full(n, np.nan)
    found = voters_of(
        snapshot, reference, general[filled], 1, lambda q, i, d: own.among(int(filled[q]), i, d)
    )
    for row, (_, distance) in zip(filled, found, strict=True):
        nearest[row] = distance[0] if len(distance) else np.nan
    calls = LabelCalls(
        reference.label,
        "head",
        head.classes,
        probabilities,
        nearest,
        novelty,
        head.calibration,
        options.false_unknown,
        options.min_confidence,
    )
    session.say(
        f"{reference.label}: named by the model's class head of {len(head.classes)} labels; {calls.trust()}"
    )
    return calls


def _by_neighbours(
    session: Session,
    snapshot: Snapshot,
    reference: Reference,
    own: OwnItems,
    vectors: npt.NDArray[np.float32],
    options: TransferOptions,
) -> LabelCalls:
    near = neighbourhood_of(session, snapshot, reference, options.k)
    k = near.k
    filled = np.flatnonzero(vectors.any(1))
    found = voters_of(
        snapshot, reference, vectors[filled], k, lambda q, i, d: own.among(int(filled[q]), i, d)
    )
    codes = np.full((len(filled), k), NOBODY, np.int64)
    distance = np.full((len(filled), k), np.nan)
    for row, (ids, d) in enumerate(found):
        codes[row, : len(ids)] = [reference.codes[i] for i in ids]
        distance[row, : len(ids)] = d
    n, n_classes = len(own.names), len(reference.classes)
    scores = neighbour_scores(codes, distance, n_classes, near.width)
    probabilities, novelty, nearest = np.zeros((n, n_classes)), np.full(n, np.nan), np.full(n, np.nan)
    anyone = (codes >= 0).any(1)  # an item whose voters are all itself has no call
    rows = filled[anyone]
    calibration = near.calibration
    if calibration is not None and calibration.classes != reference.classes:
        calibration = None
    if calibration is None:
        probabilities[rows] = softmax(scores[anyone])
    else:
        probabilities[rows] = calibration.probabilities(scores[anyone])
        novelty[rows] = calibration.novelty(scores[anyone], own.token_sets.lengths[rows])
    nearest[rows] = np.nanmin(distance[anyone], axis=1, initial=2.0) if len(rows) else []
    calls = LabelCalls(
        reference.label,
        "neighbours",
        reference.classes,
        probabilities,
        nearest,
        novelty,
        calibration,
        options.false_unknown,
        options.min_confidence,
    )
    trained = reference.vector != VECTOR
    session.say(
        f"{reference.label}: {len(reference.codes):,} labelled {reference.kind} vote by the vector "
        f"{reference.vector}, {k} at the most; {calls.trust()}"
        + ("; that vector was trained on reference items, so confidence is too high" if trained else "")
    )
    return calls


def voters_of(
    snapshot: Snapshot,
    reference: Reference,
    vectors: npt.NDArray[np.float32],
    k: int,
    own: Any,
) -> list[tuple[list[str], npt.NDArray[np.float32]]]:
    """The k nearest labelled reference items of each vector, the item itself left out.

    More neighbours than k are asked for where some carry no label; the number grows fourfold for those items that
    still lack voters, until they have k or the collection ends.

    Args:
        snapshot: the generation to ask.
        reference: who may vote.
        vectors: [q, d] float32, none of them zero.
        k: number of voters.
        own: `own(q, ids, distance)` names those of query q's neighbours that must not vote.

    Returns:
        For each vector its voters' ids and distances, nearest first.
    """
    n = snapshot.count(reference.kind)
    found: list[tuple[list[str], npt.NDArray[np.float32]]] = [([], np.empty(0, np.float32))] * len(vectors)
    open_rows = np.arange(len(vectors))
    ask = min(n, int(np.ceil((k + 1) * n / len(reference.codes))) + 1)
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
            keep = [j for j, i in enumerate(ids) if i in reference.codes and i not in itself][:k]
            found[row] = ([ids[j] for j in keep], distance[keep])
            if len(keep) < k and len(ids) == ask < n:
                unfinished.append(row)
        open_rows = np.asarray(unfinished, np.int64)
        ask = min(n, ask * 4)
    return found
