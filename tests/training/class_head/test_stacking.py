"""Weights of views: what they minimise, and what draws them."""

from __future__ import annotations

import numpy as np
import pytest

from atacsearch.model.heads.calibration import softmax
from atacsearch.training.class_head.stacking import fit_weights


def made(n: int = 2000, k: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Scores of which the first view's are right at twice their size, the second's say nothing."""
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(2, n, k)).astype(np.float32)
    odds = softmax(2.0 * scores[0].astype(np.float64))
    truth = (rng.random((n, 1)) > odds.cumsum(1)).sum(1)
    return scores, truth.clip(max=k - 1)


def test_it_finds_the_size_at_which_scores_are_log_odds() -> None:
    scores, truth = made()
    weights = fit_weights(scores, truth, np.full(2000, 1 / 2000), np.ones(2))
    assert weights[0] == pytest.approx(2.0, abs=0.25)
    assert weights[1] < 0.15


def test_few_items_stay_near_the_usual_weights() -> None:
    scores, truth = made(n=4)
    weights = fit_weights(scores, truth, np.full(4, 0.25), np.array([0.5, 3.0]))
    assert np.all(np.abs(np.log(weights / [0.5, 3.0])) < 1.5)


def test_items_count_as_they_are_said_to() -> None:
    scores, truth = made()
    swapped = scores[::-1]
    both = np.concatenate([scores, swapped], axis=1)
    importance = np.concatenate([np.full(2000, 0.9 / 2000), np.full(2000, 0.1 / 2000)])
    weights = fit_weights(both, np.concatenate([truth, truth]), importance, np.ones(2))
    assert weights[0] > 3 * weights[1]
