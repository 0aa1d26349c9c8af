"""Votes of neighbours against a slow, obvious count."""

from __future__ import annotations

import math

import numpy as np
import pytest

from atacsearch.query.votes import NO_CALL, vote, weights


def test_shares_of_the_votes() -> None:
    distance = np.array([0.1, 0.2, 0.3, 0.4])
    call = vote(["B", "NK", "B", "T"], distance)
    w = [math.exp(-((2 * d / 0.4) ** 2)) for d in distance]
    assert call.label == "B"
    assert call.confidence == pytest.approx((w[0] + w[2]) / sum(w))
    assert call.margin == pytest.approx((w[0] + w[2] - w[1]) / sum(w))
    assert call.nearest_distance == pytest.approx(0.1)


def test_one_label_is_certain() -> None:
    call = vote(["B"] * 3, np.array([0.0, 0.0, 0.0]))
    assert (call.label, call.confidence, call.margin) == ("B", 1.0, 1.0)


def test_tie_goes_to_the_nearer_then_to_the_name() -> None:
    assert vote(["T", "B"], np.array([0.0, 0.0])).label == "B"
    equal = np.array([0.2, 0.2, 0.2, 0.2])
    assert vote(["T", "B", "B", "T"], equal).label == "B"


def test_nobody_votes() -> None:
    assert vote([], np.empty(0)) == NO_CALL


def test_weights_do_not_depend_on_the_scale_and_fall_with_distance() -> None:
    d = np.array([0.01, 0.02, 0.05])
    assert weights(d) == pytest.approx(weights(d * 17))
    assert np.all(np.diff(weights(d)) < 0)
    assert weights(np.array([-1e-8, 0.0])).tolist() == [1.0, 1.0]
