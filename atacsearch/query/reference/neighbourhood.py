"""Scores of classes from neighbours, and how wide the neighbourhood is: chosen by what names held-out items best.

A neighbour at cosine distance d weighs `exp(-d / width)`. On unit vectors the cosine distance is half the squared
Euclidean one, so this is a Gaussian kernel. The score of a class is the logarithm of its neighbours' weights, so a
class of few reference items is not outvoted by many that lie further away, and all scores are low where everything
is far. The width is the one with the best likelihood of the reference's own items, each of which is shown only
items of other groups (donors, libraries, collections).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ...model.heads.calibration import Calibration, fit_calibration, softmax, with_sureness

Floats = npt.NDArray[np.floating[Any]]

K = 30  # neighbours that vote, where the user does not say; the help of `-k` names this number, too
WIDTHS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)  # times the median distance to the nearest item of another group
ONE_WIDTH = (1.0,)  # of a single class, which any width names alike
FLOOR = 0.1  # weight, next to the nearest neighbour's 1, that every class gets
NOBODY = -1  # code of a neighbour that does not vote


@dataclass(frozen=True)
class Neighbourhood:
    """How neighbours become probabilities.

    Attributes:
        k: neighbours that vote, at the most.
        width: of the kernel, in cosine distance.
        calibration: of the scores; None where too few items were there to fit one.
        vector: name of the vectors in which it was fitted.
    """

    k: int
    width: float
    calibration: Calibration | None
    vector: str = "general"


def neighbour_scores(
    codes: npt.NDArray[np.int64], distance: Floats, n_classes: int, width: float
) -> npt.NDArray[np.float64]:
    """Scores of classes.

    Args:
        codes: [n, k] class of each neighbour, `NOBODY` where it has none.
        distance: [n, k] cosine distances, NaN where there is no neighbour.
        n_classes: K.
        width: of the kernel.

    Returns:
        [n, K] float64 `log(FLOOR + sum of exp(-(d - d_1) / width)) - d_1 / width`, d_1 being the distance to the
        nearest voter.
    """
    votes = (codes >= 0) & np.isfinite(distance)
    d = np.where(votes, np.maximum(distance, 0), np.inf).astype(np.float64)
    nearest = d.min(1, initial=np.inf)
    nearest = np.where(np.isfinite(nearest), nearest, 2.0)
    weights = np.where(votes, np.exp(-(d - nearest[:, None]) / width), 0.0)
    totals = np.full((len(codes), n_classes), FLOOR)
    rows = np.broadcast_to(np.arange(len(codes))[:, None], codes.shape)
    np.add.at(totals, (rows[votes], codes[votes]), weights[votes])
    return np.asarray(np.log(totals) - (nearest / width)[:, None], np.float64)


def fit_neighbourhood(
    vectors: Floats,
    labels: Sequence[str],
    depth: npt.NDArray[Any],
    groups: Sequence[str] | None,
    column: str = "",
    *,
    asked: npt.NDArray[np.int64],
    classes: Sequence[str] | None = None,
    k: int = K,
) -> Neighbourhood:
    """Choose the width and fit the calibration on reference items.

    Args:
        vectors: [n, d] of labelled items, none of them zero.
        labels: [n] label of each.
        depth: [n] open regions of each.
        groups: [n] group of each; None where there is one only, so that an item is held out alone.
        column: label column of the groups.
        asked: rows that stand for queries.
        classes: names of all classes, sorted, where some may be missing from `labels`.
        k: neighbours that vote.

    Returns:
        The neighbourhood; without a calibration where too few items have a neighbour of another group. With one
        class every confidence is 1, and the calibration says what is unlike it.
    """
    known = np.unique(np.asarray(labels if classes is None else classes, dtype=str))
    codes = np.searchsorted(known, np.asarray(labels, dtype=str))
    own = np.arange(len(codes)) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    near, distance = held_out_neighbours(vectors, own, asked, k)
    answerable = np.array(
        [np.any((codes == codes[row]) & (own != own[row])) for row in asked]
        if groups is not None
        else np.bincount(codes)[codes[asked]] > 1
    )
    near, distance, rows = near[answerable], distance[answerable], asked[answerable]
    typical = float(np.nanmedian(distance[:, 0])) if len(rows) else 0.0
    scale = max(typical, 1e-4)
    if len(rows) < 2:
        return Neighbourhood(k, scale * WIDTHS[2], None)
    voters = np.where(near >= 0, codes[np.maximum(near, 0)], NOBODY)
    best: tuple[float, float, Calibration | None] | None = None
    for times in WIDTHS if len(known) > 1 else ONE_WIDTH:
        scores = neighbour_scores(voters, distance, len(known), times * scale)
        found = fit_calibration(
            known.tolist(),
            scores,
            codes[rows],
            np.asarray(depth)[rows],
            ["all"] * len(rows) if groups is None else [str(groups[i]) for i in rows],
            column,
        )
        found = None if found is None else with_sureness(found, scores)
        p = softmax(scores) if found is None else found.probabilities(scores)
        loss = -float(np.log(np.maximum(p[np.arange(len(rows)), codes[rows]], 1e-12)).mean())
        if best is None or loss < best[0] - 1e-9:
            best = (loss, times * scale, found)
    assert best is not None
    return Neighbourhood(k, best[1], best[2])


def held_out_neighbours(
    vectors: Floats, own: npt.NDArray[Any], asked: npt.NDArray[np.int64], k: int, block: int = 256
) -> tuple[npt.NDArray[np.int64], Floats]:
    """The k nearest items of other groups, by brute force.

    Args:
        vectors: [n, d].
        own: [n] group of each item, codes.
        asked: [q] rows that ask.
        k: neighbours.
        block: queries at once.

    Returns:
        [q, k] rows (`NOBODY` where there are fewer) and [q, k] cosine distances (NaN there), nearest first.
    """
    unit = np.asarray(vectors, np.float32)
    unit = unit / np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), 1e-12)
    k = min(k, len(unit))
    near = np.empty((len(asked), k), np.int64)
    distance = np.empty((len(asked), k), np.float64)
    for first in range(0, len(asked), block):
        rows = asked[first : first + block]
        d = 1.0 - (unit[rows] @ unit.T).astype(np.float64)
        d[own[rows][:, None] == own[None, :]] = np.inf
        part = (
            np.argpartition(d, k - 1, axis=1)[:, :k]
            if k < len(unit)
            else np.tile(np.arange(k), (len(rows), 1))
        )
        order = np.argsort(np.take_along_axis(d, part, 1), axis=1, kind="stable")
        part = np.take_along_axis(part, order, 1)
        found = np.take_along_axis(d, part, 1)
        near[first : first + block] = np.where(np.isfinite(found), part, NOBODY)
        distance[first : first + block] = np.where(np.isfinite(found), found, np.nan)
    return near, distance
