"""Scores and intervals of the quality benchmark, against scikit-learn, scipy and a slow bootstrap."""

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score

from bench.accuracy.shared.scores import (
    agreement,
    binomial_interval,
    encode,
    interval,
    paired_bootstrap,
    score,
)


def calls(seed, n=300, share=0.7):
    rng = np.random.default_rng(seed)
    truth = rng.choice(["B", "NK", "T", "mono"], n, p=[0.1, 0.2, 0.3, 0.4])
    wrong = rng.choice(["B", "NK", "T", "mono", "new"], n)
    return truth.tolist(), np.where(rng.random(n) < share, truth, wrong).tolist()


def test_scores_are_those_of_scikit_learn():
    truth, called = calls(0)
    found = score(truth, called)
    assert found["accuracy"] == pytest.approx(accuracy_score(truth, called))
    f1 = f1_score(truth, called, average="macro", labels=np.unique(truth))
    assert found["macro_f1"] == pytest.approx(f1)
    known = [t if c == "new" and t != "B" else c for t, c in zip(truth, called, strict=True)]
    known = ["NK" if c == "new" else c for c in known]
    assert score(truth, known)["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(truth, known))


def test_no_call_is_wrong():
    assert score(["B", "NK"], ["B", None])["accuracy"] == 0.5
    assert encode(["B", "NK"], ["NK", None])[2][0].tolist() == [1, 2]


def test_bootstrap_of_a_difference_agrees_with_resampling_by_hand():
    truth, ours = calls(1, share=0.8)
    _, theirs = calls(1, share=0.6)
    drawn = paired_bootstrap(truth, [ours], [theirs], resamples=1_000)
    rng = np.random.default_rng(5)
    t, a, b = (np.array(x) for x in (truth, ours, theirs))
    slow = []
    for _ in range(1_000):
        rows = rng.integers(0, len(t), len(t))
        slow.append(score(t[rows], a[rows])["macro_f1"] - score(t[rows], b[rows])["macro_f1"])
    assert drawn["macro_f1"].mean() == pytest.approx(np.mean(slow), abs=0.01)
    assert interval(drawn["macro_f1"]) == pytest.approx(interval(np.array(slow)), abs=0.02)
    low, high = interval(drawn["accuracy"])
    assert low < score(truth, ours)["accuracy"] - score(truth, theirs)["accuracy"] < high


def test_a_method_does_not_differ_from_itself():
    truth, ours = calls(2)
    drawn = paired_bootstrap(truth, [ours, ours], [ours], resamples=20)
    assert np.abs(drawn["accuracy"]).max() < 1e-12


@pytest.mark.parametrize(("hits", "n"), [(0, 9), (37, 48), (9, 9)])
def test_binomial_interval_is_that_of_scipy(hits, n):
    exact = binomtest(hits, n).proportion_ci(method="exact")
    assert binomial_interval(hits, n) == pytest.approx((exact.low, exact.high))


def test_agreement_is_one_for_the_same_parts():
    assert agreement(["a", "a", "b"], np.array([4, 4, 1])) == pytest.approx({"ari": 1.0, "ami": 1.0})
