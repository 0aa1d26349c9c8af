"""Calls by a class head of the model: its calibrated probabilities name the items."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ...model.heads.calibration import START, softmax
from .calls import LabelCalls
from .voters import voters_of

if TYPE_CHECKING:
    from ...model.heads.class_head import ClassHead
    from ...store.index.snapshot import Snapshot
    from ..reference.exclusions import QueryItems
    from ..reference.reference import Reference


def called_by_head(
    snapshot: Snapshot,
    reference: Reference,
    items: QueryItems,
    head: ClassHead,
    general: npt.NDArray[np.float32],
    false_unknown: float,
    least_sure: float,
) -> LabelCalls:
    """Name items by a class head.

    Args:
        snapshot: the generation, for the distance to the nearest voter.
        reference: the voters on the label; its classes are those that may be answers.
        items: what is named.
        head: of the label; it knows all classes of the reference.
        general: [n, d] general vectors; zeros for items without regions.
        false_unknown, least_sure: see `LabelCalls`.
    """
    filled = np.flatnonzero(general.any(1))
    n = len(items.names)
    scores = head.scores(items.token_sets.take(filled), general[filled])
    allowed = np.isin(np.array(head.classes), np.array(reference.classes))
    probabilities, novelty = np.zeros((n, head.dim)), np.full(n, np.nan)
    if head.calibration is None:
        probabilities[filled] = softmax(START * scores.astype(np.float64), allowed)
    else:
        probabilities[filled] = head.calibration.probabilities(scores, allowed)
        novelty[filled] = head.calibration.novelty(
            scores, items.token_sets.lengths[filled], allowed, head.encoder_scores(general[filled])
        )
    nearest = np.full(n, np.nan)
    found = voters_of(
        snapshot, reference, general[filled], 1, lambda q, i, d: items.barred(int(filled[q]), i, d)
    )
    for row, (_, distance) in zip(filled, found, strict=True):
        nearest[row] = distance[0] if len(distance) else np.nan
    return LabelCalls(
        label=reference.label,
        by="head",
        classes=head.classes,
        probabilities=probabilities,
        nearest_distance=nearest,
        novelty=novelty,
        calibration=head.calibration,
        false_unknown=false_unknown,
        least_sure=least_sure,
    )
