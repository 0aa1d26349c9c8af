"""Calibration: probabilities, label sets and novelty that hold on items like those that were held out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from atacsearch.model.heads.calibration import (
    Calibration,
    as_sure,
    fit_calibration,
    softmax,
    upper_quantile,
    with_sureness,
)
from atacsearch.model.heads.measures import calibration_error

K = 4


def drawn(n: int, seed: int, sharp: float = 3.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores that are `sharp` times as sure as they should be, their truths, and depths."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (n, K)) + np.array([1.0, 0.0, 0.0, -1.0])
    truth = np.array([rng.choice(K, p=p) for p in softmax(logits)])
    depth = rng.integers(50, 5000, n)
    return sharp * (logits - np.array([1.0, 0.0, 0.0, -1.0])), truth, depth


def fitted(n: int = 3000, groups: int = 5) -> Calibration:
    scores, truth, depth = drawn(n, 0)
    found = fit_calibration(list("abcd"), scores, truth, depth, [f"g{i % groups}" for i in range(n)], "donor")
    assert found is not None
    return found


def test_it_finds_the_power_and_the_biases() -> None:
    found = fitted()
    assert found.power == pytest.approx(1 / 3, rel=0.1)
    assert np.allclose(found.bias - found.bias.mean(), np.array([1, 0, 0, -1]), atol=0.3)


def test_probabilities_hold_on_new_items() -> None:
    scores, truth, _ = drawn(20_000, 1)
    p = fitted().probabilities(scores)
    assert np.allclose(p.sum(1), 1)
    called, sure = p.argmax(1), p.max(1)
    for low, high in ((0.3, 0.5), (0.5, 0.7), (0.7, 0.9), (0.9, 1.0)):
        rows = (sure >= low) & (sure < high)
        assert (called == truth)[rows].mean() == pytest.approx(sure[rows].mean(), abs=0.04)


def test_classes_that_are_not_allowed_get_nothing() -> None:
    scores, _, _ = drawn(50, 2)
    p = fitted().probabilities(scores, np.array([True, False, True, False]))
    assert not p[:, [1, 3]].any()
    assert np.allclose(p.sum(1), 1)


def test_novelty_is_judged_by_the_classes_that_may_be_answers() -> None:
    scores, _, depth = drawn(200, 2)
    found = fitted()
    own = found.probabilities(scores).argmax(1) == 1
    allowed = np.array([True, False, True, True])
    new = found.novelty(scores, depth, allowed)
    assert np.allclose(new[~own], found.novelty(scores, depth)[~own])
    masked = scores.copy()
    masked[:, 1] = -1e9
    assert np.allclose(new, found.novelty(masked, depth))
    assert new[own].mean() > found.novelty(scores, depth)[own].mean() + 1


@pytest.mark.parametrize("coverage", [0.8, 0.9, 0.99])
def test_label_sets_hold_the_truth_at_their_rate(coverage: float) -> None:
    scores, truth, _ = drawn(20_000, 3)
    found = fitted()
    p = found.probabilities(scores)
    held = p[np.arange(len(p)), truth] >= found.set_limit(coverage)
    assert held.mean() == pytest.approx(coverage, abs=0.02)


def test_the_limit_of_novelty_has_its_rate_and_flat_scores_exceed_it() -> None:
    found = fitted()
    scores, _, depth = drawn(20_000, 4)
    assert (found.novelty(scores, depth) > found.novelty_limit(0.05)).mean() == pytest.approx(0.05, abs=0.02)
    assert (found.novelty(scores - 30, depth) > found.novelty_limit(0.05)).all()


def test_what_is_stored_is_what_was_fitted() -> None:
    found = fitted(200)
    again = Calibration.of(found.arrays(), found.facts())
    scores, _, _ = drawn(20, 5)
    assert np.allclose(again.probabilities(scores), found.probabilities(scores))
    assert again.set_limit(0.9) == pytest.approx(found.set_limit(0.9), abs=1e-6)
    assert again.novelty_limit() == pytest.approx(found.novelty_limit(), abs=1e-5)
    assert again.held_out.groups == found.held_out.groups
    assert again.few_groups() == found.few_groups() == []
    assert fitted(200, groups=2).few_groups() == list("abcd")


def test_too_few_items_give_none() -> None:
    scores, truth, depth = drawn(15, 6)
    assert fit_calibration(list("abcd"), scores, truth, depth, ["g"] * 15) is None
    assert (
        fit_calibration(list("abcd"), np.zeros((40, K)), np.zeros(40, int), np.ones(40), ["g"] * 40) is None
    )


def test_a_quantile_counts_weights() -> None:
    values = np.array([1.0, 2.0, 3.0, 4.0])
    assert upper_quantile(values, np.ones(4), 0.25) == 3.0
    assert upper_quantile(values, np.array([1, 1, 1, 97.0]), 0.25) == 4.0
    assert upper_quantile(values, np.ones(4), 0.0) == 4.0


def test_the_best_probability_is_fitted_by_itself_and_stays_the_best() -> None:
    scores, truth, depth = drawn(3000, 7)
    shy = fit_calibration(list("abcd"), scores, truth, depth, ["g"] * 3000)
    assert shy is not None
    shy = replace(shy, power=shy.power / 3, bias=shy.bias / 3)
    found = with_sureness(shy, scores)
    assert found.sureness[0] > 1.5
    new, truths, _ = drawn(20_000, 8)
    before, after = (c.probabilities(new) for c in (shy, found))
    right = after.argmax(1) == truths
    assert np.array_equal(before.argmax(1), after.argmax(1))
    assert np.allclose(after.sum(1), 1)
    assert calibration_error(after.max(1), right) < 0.05 < calibration_error(before.max(1), right)
    again = Calibration.of(found.arrays(), found.facts())
    assert np.allclose(again.probabilities(new), after)


def test_a_best_probability_never_falls_below_the_second() -> None:
    p = np.array([[0.5, 0.45, 0.05], [0.98, 0.01, 0.01]])
    out = as_sure(p, 1.0, -5.0)
    assert np.allclose(out.sum(1), 1)
    assert out[0, 0] == pytest.approx(out[0, 1])
    assert (out.argmax(1) == 0).all()
    assert as_sure(p, 1.0, 0.0) is p


def test_an_item_is_as_new_as_the_encoder_alone_finds_it() -> None:
    rng = np.random.default_rng(0)
    n, k = 600, 3
    truth = rng.integers(k, size=n)
    encoder = rng.normal(size=(n, k)) + 4 * np.eye(k)[truth]
    scores = rng.normal(size=(n, k)) + 4 * np.eye(k)[truth]
    depth = np.full(n, 100)
    found = fit_calibration(["a", "b", "c"], scores, truth, depth, ["all"] * n, encoder=encoder)
    assert found is not None
    assert found.encoder_expected is not None
    without = found.novelty(scores, depth)
    assert np.array_equal(
        found.novelty(scores, depth, encoder=encoder + 50), without
    )  # only the larger counts
    assert (found.novelty(scores, depth, encoder=encoder - 50) > without + 5).all()
    assert (found.held_out.novelty > found.novelty_limit(0.05)).mean() == pytest.approx(0.05, abs=0.01)
    again = Calibration.of(found.arrays(), found.facts())
    assert np.allclose(again.novelty(scores, depth, encoder=encoder), found.held_out.novelty)
    # Where one class may be an answer, the encoder's scores of the others say nothing.
    allowed = np.array([True, False, False])
    high = encoder.copy()
    high[:, 1:] += 50
    assert np.array_equal(
        found.novelty(scores, depth, allowed, encoder), found.novelty(scores, depth, allowed, high)
    )
