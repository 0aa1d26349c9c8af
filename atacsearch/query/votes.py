"""Votes of neighbours: from labels and cosine distances of the nearest reference items to one call each.

Plain numpy, no index. The weight of a neighbour falls with its distance by a Gaussian kernel half as wide as the
distance to the item's own k-th neighbour, so no scale has to be chosen; scATAnno
(doi:10.1101/2023.06.01.543296) weights neighbours by a Gaussian kernel, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Call:
    """The outcome for one item.

    Attributes:
        label: the label with the largest share of the votes; None where nobody voted.
        confidence: its share, 0 to 1.
        margin: its share minus that of the next label.
        nearest_distance: cosine distance to the nearest voter; NaN where there is none.
    """

    label: str | None
    confidence: float
    margin: float
    nearest_distance: float


NO_CALL = Call(None, 0.0, 0.0, float("nan"))


def weights(distance: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Weights of neighbours at these cosine distances, nearest first.

    Args:
        distance: [k] cosine distances, rising.

    Returns:
        [k] float64 in (0, 1]: exp(-(2 d / d_k)^2); all ones where d_k is 0.

    Example:
        >>> weights(np.array([0.0, 0.1])).round(2).tolist()
        [1.0, 0.02]
    """
    d = np.maximum(np.asarray(distance, np.float64), 0.0)
    if not len(d) or d[-1] <= 0:
        return np.ones(len(d))
    return np.exp(-((2 * d / d[-1]) ** 2))


def vote(labels: Sequence[str], distance: npt.NDArray[np.floating], *, equal: bool = False) -> Call:
    """Let neighbours vote. A tie goes to the label whose nearest voter is nearer, then by name.

    Args:
        labels: [k] label of each neighbour, nearest first; none of them null.
        distance: [k] cosine distances, rising.
        equal: give all neighbours the same weight.

    Example:
        >>> vote(["B", "NK", "B"], np.array([0.1, 0.1, 0.1])).label
        'B'
    """
    if not len(labels):
        return NO_CALL
    votes: dict[str, float] = {}
    first: dict[str, float] = {}
    cast = np.ones(len(labels)) if equal else weights(distance)
    for label, weight, d in zip(labels, cast, distance, strict=True):
        votes[label] = votes.get(label, 0.0) + float(weight)
        first.setdefault(label, float(d))
    total = sum(votes.values())
    # Rounded, so that sums in another order cannot turn a tie into a decision.
    ranked = sorted(votes, key=lambda x: (-round(votes[x] / total, 9), first[x], x))
    shares = [votes[x] / total for x in ranked]
    second = shares[1] if len(shares) > 1 else 0.0
    return Call(ranked[0], shares[0], max(shares[0] - second, 0.0), float(distance[0]))
