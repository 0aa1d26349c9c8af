"""Calls by neighbours: the nearest labelled items vote, and their votes become calibrated probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ...model.heads.calibration import softmax
from ..reference.neighbourhood import NOBODY, Neighbourhood, neighbour_scores
from .calls import LabelCalls
from .voters import voters_of

if TYPE_CHECKING:
    from ...store.index.snapshot import Snapshot
    from ..reference.exclusions import QueryItems
    from ..reference.reference import Reference


def called_by_neighbours(
    snapshot: Snapshot,
    reference: Reference,
    items: QueryItems,
    near: Neighbourhood,
    vectors: npt.NDArray[np.float32],
    false_unknown: float,
    least_sure: float,
) -> LabelCalls:
    """Name items by their nearest labelled neighbours.

    Args:
        snapshot: the generation that is asked.
        reference: the voters on the label.
        items: what is named.
        near: how many vote, how their weight falls with distance, and the calibration of the votes.
        vectors: [n, d] of the items, in which the reference's vectors are compared; zeros for items without regions.
        false_unknown, least_sure: see `LabelCalls`.
    """
    filled = np.flatnonzero(vectors.any(1))
    found = voters_of(
        snapshot, reference, vectors[filled], near.k, lambda q, i, d: items.barred(int(filled[q]), i, d)
    )
    codes = np.full((len(filled), near.k), NOBODY, np.int64)
    distance = np.full((len(filled), near.k), np.nan)
    for row, (ids, d) in enumerate(found):
        codes[row, : len(ids)] = [reference.codes[i] for i in ids]
        distance[row, : len(ids)] = d
    n, n_classes = len(items.names), len(reference.classes)
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
        novelty[rows] = calibration.novelty(scores[anyone], items.token_sets.lengths[rows])
    nearest[rows] = np.nanmin(distance[anyone], axis=1, initial=2.0) if len(rows) else []
    return LabelCalls(
        label=reference.label,
        by="neighbours",
        classes=reference.classes,
        probabilities=probabilities,
        nearest_distance=nearest,
        novelty=novelty,
        calibration=calibration,
        false_unknown=false_unknown,
        least_sure=least_sure,
    )
