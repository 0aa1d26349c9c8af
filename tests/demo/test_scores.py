"""Scores against scikit-learn's own."""

from __future__ import annotations

import math

import numpy as np
import pytest

from atacsearch.demo.scores import NO_CALL, score


def test_scores_agree_with_sklearn() -> None:
    from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, recall_score

    rng = np.random.default_rng(1)
    true = rng.choice(["B", "NK", "CD4 T"], 200, p=[0.6, 0.3, 0.1])
    predicted = np.where(rng.random(200) < 0.7, true, rng.choice(["B", "NK", "pDC"], 200))
    s = score(true.tolist(), predicted.tolist())

    assert s.labels[0] == "B"
    assert s.n == 200
    assert s.accuracy == pytest.approx(accuracy_score(true, predicted))
    assert s.macro_f1 == pytest.approx(f1_score(true, predicted, average="macro", zero_division=0))
    np.testing.assert_array_equal(s.confusion, confusion_matrix(true, predicted, labels=list(s.labels)))
    seen = [x for x in s.labels if x != "pDC"]
    by_type = dict(zip(s.labels, s.recall, strict=True))
    np.testing.assert_allclose(
        [by_type[x] for x in seen], recall_score(true, predicted, labels=seen, average=None)
    )
    assert math.isnan(by_type["pDC"])


def test_unknown_cells_are_scored_by_their_best_call() -> None:
    s = score(["B", "B", "NK", "NK"], ["B", "NK", "NK", None], ["assigned", "unknown", "assigned", "unknown"])
    assert s.accuracy == 0.5
    assert s.unknown == 0.5
    assert s.accuracy_assigned == 1.0
    assert NO_CALL in s.labels
    assert s.macro_f1 == pytest.approx((2 / 3 + 1 / 2) / 2)  # B and NK; no call is no label


def test_all_unknown_has_no_accuracy_of_the_assigned() -> None:
    assert score(["B"], ["B"], ["unknown"]).accuracy_assigned is None


def test_lengths_must_agree() -> None:
    with pytest.raises(ValueError, match="2 true and 1 predicted"):
        score(["B", "B"], ["B"])
