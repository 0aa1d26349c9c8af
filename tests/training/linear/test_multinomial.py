"""Multinomial regression against scikit-learn's, and how it treats odd input."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.linear_model import LogisticRegression

from atacsearch.training.linear import multinomial
from atacsearch.training.linear.multinomial import Rows, balanced_weights, fit_multinomial


def made(n: int = 300, f: int = 60, k: int = 4, sparse: bool = True) -> tuple[object, np.ndarray]:
    rng = np.random.default_rng(0)
    codes = rng.choice(k, n, p=np.arange(1, k + 1) / np.arange(1, k + 1).sum())
    x = (rng.random((n, f)) < 0.1 + 0.3 * (np.arange(f) % k == codes[:, None])).astype(np.float32)
    x[:, -5:] = 0  # features that no item has
    return (sp.csr_matrix(x) if sparse else x), codes


@pytest.mark.parametrize("strength", [0.1, 1.0, 10.0])
@pytest.mark.parametrize("sparse", [True, False])
def test_it_finds_what_scikit_learn_finds(
    strength: float, sparse: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(multinomial, "TOLERANCE", 1e-5)
    x, codes = made(sparse=sparse)
    table, offset = fit_multinomial(Rows(x), codes, 4, strength)
    peer = LogisticRegression(C=strength, class_weight="balanced", tol=1e-7, max_iter=5000).fit(x, codes)
    assert np.allclose(table, peer.coef_.T - peer.coef_.T.mean(1, keepdims=True), atol=1e-2)
    assert np.allclose(offset, peer.intercept_ - peer.intercept_.mean(), atol=1e-2)


def test_two_classes_are_fitted_as_more_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multinomial, "TOLERANCE", 1e-5)
    x, codes = made(k=2)
    table, _ = fit_multinomial(Rows(x), codes, 2, 1.0)
    assert np.allclose(table[:, 0], -table[:, 1])
    # The difference is shared by two tables, whose squares add up to half of its own.
    peer = LogisticRegression(C=2.0, class_weight="balanced", tol=1e-7, max_iter=5000).fit(x, codes)
    assert np.allclose(table[:, 1] - table[:, 0], peer.coef_[0], atol=1e-2)


def test_a_loose_stop_names_the_same_items() -> None:
    x, codes = made()
    table, offset = fit_multinomial(Rows(x), codes, 4, 1.0)
    peer = LogisticRegression(C=1.0, class_weight="balanced", tol=1e-7, max_iter=5000).fit(x, codes)
    assert np.mean((x @ table + offset).argmax(1) == peer.predict(x)) > 0.97


def test_features_that_no_item_has_score_nothing() -> None:
    x, codes = made()
    table, _ = fit_multinomial(Rows(x), codes, 4, 1.0)
    assert table.shape == (60, 4)
    assert not table[-5:].any()
    assert table[:-5].any(1).all()


def test_every_class_counts_alike() -> None:
    weights = balanced_weights(np.array([0, 0, 0, 2]), 3)
    assert weights.tolist() == pytest.approx([2 / 3, 2 / 3, 2 / 3, 2.0])
    assert weights.mean() == pytest.approx(1.0)
