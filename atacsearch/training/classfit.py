"""Fitting of class heads: two balanced, strongly regularised multinomial regressions, one a view.

Convex, so there is one answer and nothing random. Strong regularisation and equal weight of classes are what
carries over to another donor; views whose scores are added err less than either (figures in docs/decisions.md).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ..genome.tokensets import TokenSets
from ..genome.weighting import inverse_document_frequency, tfidf
from ..model.classhead import ClassHead
from ..model.labelheads import unit

WIDE = (0.3, 1.0, 10.0)  # inverse strengths of regularisation (scikit-learn's C) whose fits are averaged
DEEP = (1.0,)
SHARE = 2.0  # how often the wide view counts beside the deep one, unless held-out groups say otherwise
SHARPNESS = 2.0  # times all scores: neighbours in sharper probabilities vote more nearly as the scores would
MOST_CELLS = 50_000  # cells of a fit; of more, a part is drawn with equal chances
ITERATIONS = 200
# A fit stops where no entry of the gradient of the mean loss is larger than this, or than this share of the largest
# at the start: features of many regions a cell are small, and so is their gradient.
TOLERANCE, TOLERANCE_SHARE = 1e-3, 0.3

Floats = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Views:
    """Both views as fitted, before their scores are added.

    Attributes:
        classes: K names.
        idf: [V] float32 weights of regions.
        wide, wide_offset: [V, K] and [K] scores of regions.
        deep, deep_offset: [d, K] and [K] scores of the encoder's components.
    """

    classes: tuple[str, ...]
    idf: npt.NDArray[np.float32]
    wide: Floats
    wide_offset: Floats
    deep: Floats
    deep_offset: Floats

    def head(self, share: float = SHARE) -> ClassHead:
        """The head whose scores are those of the wide view `share` times and of the deep one once."""
        w, d = weights(share)
        return ClassHead(
            self.classes,
            self.idf,
            (w * self.wide).astype(np.float16),
            (d * self.deep).astype(np.float32),
            (w * self.wide_offset + d * self.deep_offset).astype(np.float32),
        )

    def scores(self, sets: TokenSets, general: Floats) -> tuple[Floats, Floats]:
        """[n, K] scores of the wide and of the deep view, each as a head of it alone would give them."""
        deep = unit(general) @ self.deep + self.deep_offset
        wide = replace(self, deep=np.zeros_like(self.deep), deep_offset=np.zeros_like(self.deep_offset))
        return wide.head().scores(sets, general) / weights(SHARE)[0], deep


def weights(share: float) -> tuple[float, float]:
    """Factors of the scores of the wide and of the deep view; their sum does not depend on the share."""
    sharp = SHARPNESS * (1 + SHARE) / (1 + share)
    return sharp * share, sharp


def fit_views(
    sets: TokenSets,
    general: Floats,
    labels: npt.NDArray[Any],
    *,
    idf: npt.NDArray[np.float32] | None = None,
    n_regions: int,
    seed: int = 0,
) -> Views:
    """Fit both views of one label.

    Args:
        sets: [n] token sets, none of them empty.
        general: [n, d] the encoder's vectors of them.
        labels: [n] class of each; at least two classes.
        idf: [V] weights of regions, also from unlabelled sets; from `sets` where None.
        n_regions: size V of the universe.
        seed: of the draw where there are more than `MOST_CELLS`.
    """
    idf = inverse_document_frequency(sets, n_regions) if idf is None else idf
    if len(sets) > MOST_CELLS:
        chosen = drawn(labels, MOST_CELLS, seed)
        sets, general, labels = sets.take(chosen), general[chosen], labels[chosen]
    wide, wide_offset = _view(tfidf(sets, idf), labels, WIDE)
    deep, deep_offset = _view(unit(general), labels, DEEP)
    classes = tuple(str(c) for c in np.unique(labels))
    return Views(classes, idf, wide, wide_offset, deep, deep_offset)


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
            warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)  # they are names
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
