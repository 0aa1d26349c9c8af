"""Stacking: how much each view counts in a class head, from scores of items whose groups no view has seen.

One weight a view, the same for all classes (Wolpert 1992, doi:10.1016/S0893-6080(05)80023-1, in the restrained form
that little data bear): weights and a bias a class minimise the log loss of held-out items, every group counted
alike. A normal prior on the weights' logarithms draws them to default ones, so that few held-out items change little.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]

SPREAD = 1.0  # standard deviation of a weight's logarithm around that of the default weight
BIAS_SPREAD = 0.5  # of a class's bias, as in `model.heads.calibration`


def fit_weights(
    scores: npt.NDArray[np.float32], truth: npt.NDArray[np.int64], importance: Floats, default: Floats
) -> npt.NDArray[np.float64]:
    """Weights of views.

    Args:
        scores: [v, m, K] scores of m held-out items in v views.
        truth: [m] code of each item's class.
        importance: [m] what each item counts, adding up to 1.
        default: [v] weights that the prior draws to, above 0.

    Returns:
        [v] weights, above 0.
    """
    from scipy.optimize import minimize

    v, m, k = scores.shape
    items = np.arange(m)
    middle = np.log(np.asarray(default, np.float64))
    counts = importance[:, None].astype(np.float32)

    def loss(at: Floats) -> tuple[float, Floats]:
        weights, bias = np.exp(at[:v]), at[v:]
        logits = np.tensordot(weights.astype(np.float32), scores, 1) + bias.astype(np.float32)
        logits -= logits.max(1, keepdims=True)
        right = logits[items, truth]
        odds = np.exp(logits, out=logits)
        total = odds.sum(1)
        value = float(importance @ (np.log(total) - right))
        wrong = odds / total[:, None]
        wrong[items, truth] -= 1.0
        wrong *= counts
        off = (at[:v] - middle) / SPREAD, bias / BIAS_SPREAD
        value += float((off[0] ** 2).sum() + (off[1] ** 2).sum()) / (2 * m)
        slope = [weights * np.tensordot(scores, wrong, 2) + off[0] / (SPREAD * m)]
        slope.append(wrong.sum(0) + off[1] / (BIAS_SPREAD * m))
        return value, np.concatenate(slope).astype(np.float64)

    found = minimize(loss, np.concatenate([middle, np.zeros(k)]), jac=True, method="L-BFGS-B").x
    return np.asarray(np.exp(found[:v]))
