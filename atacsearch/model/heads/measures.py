"""How good probabilities are: calibration error, Brier score, log loss, risk against coverage."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
Right = npt.NDArray[np.bool_]
BINS = 15


def calibration_error(confidence: Floats, right: Right, bins: int = BINS) -> float:
    """Expected calibration error with bins of equal mass (Nguyen & O'Connor 2015, doi:10.18653/v1/D15-1182).

    Args:
        confidence: [n] probability of each call.
        right: [n] whether it was true.
        bins: number of bins.

    Returns:
        The mean of |confidence - accuracy| over bins, weighted by their items; NaN without items.
    """
    if not len(confidence):
        return float("nan")
    parts = np.array_split(np.argsort(confidence, kind="stable"), min(bins, len(confidence)))
    return float(sum(len(p) * abs(confidence[p].mean() - right[p].mean()) for p in parts) / len(confidence))


def brier_score(probabilities: Floats, truth: npt.NDArray[np.int64]) -> float:
    """Mean squared distance of probabilities from the truth (Brier 1950), 0 to 2.

    Args:
        probabilities: [n, K].
        truth: [n] codes.
    """
    ideal = np.eye(probabilities.shape[1])[truth]
    return float(((probabilities - ideal) ** 2).sum(1).mean())


def log_loss(probabilities: Floats, truth: npt.NDArray[np.int64], least: float = 1e-6) -> float:
    """Mean of -log of the truth's probability, in nats; probabilities below `least` count as that."""
    return float(-np.log(np.maximum(probabilities[np.arange(len(truth)), truth], least)).mean())


def area_under_risk_coverage(confidence: Floats, right: Right) -> float:
    """Mean error among the surest items, over all shares of them (AURC; Geifman et al. 2019, arXiv:1805.08206).

    0 would be no error at all; a confidence that says nothing gives the error rate. Equal confidences share their mean
    error, whatever their order.
    """
    order = np.argsort(-confidence, kind="stable")
    sorted_confidence = confidence[order]
    wrong = (~right[order]).astype(np.float64)
    _, starts, counts = np.unique(-sorted_confidence, return_index=True, return_counts=True)
    shared = np.repeat(np.add.reduceat(wrong, starts) / counts, counts)
    return float((np.cumsum(shared) / np.arange(1, len(wrong) + 1)).mean())
