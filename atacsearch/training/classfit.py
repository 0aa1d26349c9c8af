"""Fitting of class heads: two balanced, strongly regularised multinomial regressions, one a view.

Convex, so there is one answer and nothing random. Strong regularisation and equal weight of classes are what
carries over to another donor; views whose scores are added err less than either (figures in docs/decisions.md).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..genome.tokensets import TokenSets
from ..genome.weighting import inverse_document_frequency, tfidf
from ..model.classhead import ClassHead
from ..model.labelheads import unit

WIDE = (0.3, 1.0, 10.0)  # inverse strengths of regularisation (scikit-learn's C) whose fits are averaged
DEEP = (1.0,)
# The wide view counts twice, but once where unlabelled sets joined the SVD: an encoder that has seen the query's
# kind of cells is the better witness.
WIDE_SHARE, WIDE_SHARE_JOINED = 2.0, 1.0
SHARPNESS = 2.0  # times all scores: neighbours in sharper probabilities vote more nearly as the scores would
MOST_CELLS = 50_000  # cells of a fit; of more, a part is drawn with equal chances
ITERATIONS = 200
# A fit stops where no entry of the gradient of the mean loss is larger than this, or than this share of the largest
# at the start: features of many regions a cell are small, and so is their gradient.
TOLERANCE, TOLERANCE_SHARE = 1e-3, 0.3

Floats = npt.NDArray[np.floating[Any]]


def fit_class_head(
    sets: TokenSets,
    general: Floats,
    labels: npt.NDArray[Any],
    *,
    idf: npt.NDArray[np.float32] | None = None,
    n_regions: int,
    joined: bool = False,
    seed: int = 0,
) -> ClassHead:
    """Fit the head of one label.

    Args:
        sets: [n] token sets, none of them empty.
        general: [n, d] the encoder's vectors of them.
        labels: [n] class of each; at least two classes.
        idf: [V] weights of regions, also from unlabelled sets; from `sets` where None.
        n_regions: size V of the universe.
        joined: whether unlabelled sets joined the training of the encoder.
        seed: of the draw where there are more than `MOST_CELLS`.

    Returns:
        The head.
    """
    idf = inverse_document_frequency(sets, n_regions) if idf is None else idf
    if len(sets) > MOST_CELLS:
        chosen = drawn(labels, MOST_CELLS, seed)
        sets, general, labels = sets.take(chosen), general[chosen], labels[chosen]
    classes = np.unique(labels)
    wide, wide_offset = _view(tfidf(sets, idf), labels, WIDE)
    deep, deep_offset = _view(unit(general), labels, DEEP)
    share = WIDE_SHARE_JOINED if joined else WIDE_SHARE
    return ClassHead(
        tuple(str(c) for c in classes),
        idf,
        (SHARPNESS * share * wide).astype(np.float16),
        (SHARPNESS * deep).astype(np.float32),
        (SHARPNESS * (share * wide_offset + deep_offset)).astype(np.float32),
    )


def drawn(labels: npt.NDArray[Any], most: int, seed: int) -> npt.NDArray[np.int64]:
    """At most about `most` rows, rare classes whole, large ones cut to one size."""
    _, codes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    low, high = 1, int(counts.max())
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if np.minimum(counts, middle).sum() <= most else (low, middle - 1)
    rng = np.random.default_rng(seed)
    parts = [rng.permutation(np.flatnonzero(codes == c))[:low] for c in range(len(counts))]
    return np.sort(np.concatenate(parts))


def _view(x: Any, labels: npt.NDArray[Any], strengths: Sequence[float]) -> tuple[Floats, Floats]:
    """[f, K] scores of features and [K] offsets, averaged over strengths, the classes' mean taken off."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    tables, offsets = [], []
    tolerance = min(TOLERANCE, TOLERANCE_SHARE * _first_gradient(x, labels))
    for strength in strengths:
        model = LogisticRegression(C=strength, class_weight="balanced", max_iter=ITERATIONS, tol=tolerance)
        with warnings.catch_warnings():
            # An early stop is a little more regularisation.
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(x, labels)
        table, offset = model.coef_.T, model.intercept_
        if table.shape[1] == 1:  # two classes: one score, that of the second
            table, offset = np.hstack([-table / 2, table / 2]), np.array([-offset[0] / 2, offset[0] / 2])
        tables.append(table - table.mean(1, keepdims=True))
        offsets.append(offset - offset.mean())
    return np.mean(tables, 0), np.mean(offsets, 0)


def _first_gradient(x: Any, labels: npt.NDArray[Any]) -> float:
    """Largest entry of the gradient of the balanced mean loss where all scores are 0."""
    _, codes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    k = len(counts)
    error = (1 / k - np.eye(k, dtype=np.float32)[codes]) / (k * counts)[codes, None]
    return float(np.abs(x.T @ error).max())
