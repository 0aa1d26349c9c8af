"""Fitting of class heads: several balanced, regularised multinomial regressions, a view each, whose scores are added.

Convex, so there is one answer. Regularisation and equal weight of classes are what carries over to another donor;
views whose scores are added err less than any of them (figures in docs/design/decisions.md). Views of the regions
themselves and of principal components of them are both linear in a cell's TF-IDF row, so all of them become one
table over the universe; the view of the encoder's unit vector stays apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ...model.heads.class_head import ClassHead
from ...model.heads.label_head import unit
from ...model.threads import in_order
from ...tokens.tfidf import tfidf
from ...tokens.token_sets import TokenSets
from ..linear.multinomial import Rows, fit_multinomial
from ..trainer.warm_start import principal_components

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

REGIONS, COMPONENTS, ENCODER = "regions", "components", "encoder"
SHARPNESS = 2.0  # times all scores: neighbours in sharper probabilities vote more nearly as the scores would
LARGE_TABLE = 50_000_000  # bytes of a view's table above which one is fitted at a time
MOST_CELLS = 50_000  # cells of a fit; of more, a part is drawn with equal chances

Floats = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class View:
    """One regression.

    Attributes:
        source: what it sees: `regions` (the TF-IDF row), `components` (the row's first principal components, the very
            first left out), or `encoder` (the encoder's vector at unit length).
        strength: inverse strength of regularisation (scikit-learn's C).
        weight: of its scores, unless held-out items say otherwise (see `stacking`).
        rank: components that it sees.
    """

    source: str
    strength: float
    weight: float
    rank: int = 0


VIEWS = (
    View(REGIONS, 0.1, 3.0),
    View(REGIONS, 1.0, 0.7),
    View(REGIONS, 10.0, 0.6),
    View(COMPONENTS, 1.0, 0.5, rank=50),
    View(COMPONENTS, 1.0, 0.3, rank=150),
    View(ENCODER, 1.0, 0.3),
)
RANK = max(view.rank for view in VIEWS)
DEFAULT_WEIGHTS = np.array([view.weight for view in VIEWS])


@dataclass(frozen=True)
class Fitted:
    """Scores of one view: a linear function of a TF-IDF row or of the encoder's unit vector.

    Attributes:
        view: which one.
        table: [V, K] or [d, K] float32.
        offset: [K] float32.
    """

    view: View
    table: npt.NDArray[np.float32]
    offset: npt.NDArray[np.float32]

    def scores(self, rows: csr_matrix, vectors: Floats) -> npt.NDArray[np.float32]:
        """[n, K] of n items' TF-IDF rows [n, V] and encoder's unit vectors [n, d]."""
        seen = vectors if self.view.source == ENCODER else rows
        return np.asarray(seen @ self.table + self.offset, np.float32)


def fitted_views(
    rows: csr_matrix,
    general: Floats,
    codes: npt.NDArray[np.int64],
    n_classes: int,
    components: npt.NDArray[np.float32],
) -> Iterator[Fitted]:
    """Fit all views of one label, several at a time where tables are small.

    Args:
        rows: [n, V] TF-IDF rows, scipy CSR.
        general: [n, d] the encoder's vectors of the same items.
        codes: [n] class of each.
        n_classes: number K of classes.
        components: [V, r] see `components_of`.

    Yields:
        The views in the order of `VIEWS`.
    """
    regions, encoder = Rows(rows), Rows(unit(general))
    projected = np.asarray(rows @ components, np.float32)

    def fit(view: View) -> Fitted:
        if view.source != COMPONENTS:
            seen = regions if view.source == REGIONS else encoder
            return Fitted(view, *fit_multinomial(seen, codes, n_classes, view.strength))
        first = projected[:, : view.rank]
        length = np.float32(np.sqrt(np.square(first).sum(1).mean()) or 1.0)  # rows of length 1 on average
        inner, offset = fit_multinomial(Rows(first / length), codes, n_classes, view.strength)
        return Fitted(view, components[:, : view.rank] @ (inner / length), offset)

    # Each fit holds some twenty tables: large ones are made one after another.
    several = 4 * len(components) * n_classes <= LARGE_TABLE
    yield from in_order(fit, VIEWS) if several else map(fit, VIEWS)


def components_of(sets: TokenSets, idf: npt.NDArray[np.float32], seed: int) -> npt.NDArray[np.float32]:
    """[V, r] float32 principal components that views see, from at most `MOST_CELLS` of the sets."""
    if len(sets) > MOST_CELLS:
        rng = np.random.default_rng(seed)
        sets = sets.take(np.sort(rng.choice(len(sets), MOST_CELLS, replace=False)))
    return principal_components(sets, idf, RANK, seed=seed)


def fit_head(
    sets: TokenSets,
    general: Floats,
    labels: npt.NDArray[Any],
    *,
    idf: npt.NDArray[np.float32],
    unlabelled: TokenSets | None = None,
    weights: Floats = DEFAULT_WEIGHTS,
    seed: int = 0,
) -> ClassHead:
    """Fit a class head.

    Args:
        sets: [n] token sets, none of them empty.
        general: [n, d] the encoder's vectors of them.
        labels: [n] class of each; at least two classes.
        idf: [V] weights of regions, also from unlabelled sets.
        unlabelled: further sets from which principal components are made.
        weights: of the views' scores, in the order of `VIEWS`.
        seed: of the components, and of draws where there are more than `MOST_CELLS` sets.
    """
    everyone = sets if unlabelled is None else TokenSets.concat([sets, unlabelled])
    components = components_of(everyone, idf, seed)
    classes, codes = np.unique(labels, return_inverse=True)
    if len(sets) > MOST_CELLS:
        chosen = drawn(codes, MOST_CELLS, seed)
        sets, general, codes = sets.take(chosen), general[chosen], codes[chosen]
    wide = np.zeros((len(idf), len(classes)), np.float32)
    deep = np.zeros((general.shape[1], len(classes)), np.float32)
    offset, deep_offset = np.zeros((2, len(classes)), np.float32)
    views = fitted_views(tfidf(sets, idf), general, codes, len(classes), components)
    for fitted, weight in zip(views, SHARPNESS * weights, strict=True):
        table = deep if fitted.view.source == ENCODER else wide
        table += np.float32(weight) * fitted.table
        offset += np.float32(weight) * fitted.offset
        if table is deep:
            deep_offset += np.float32(weight) * fitted.offset
    return ClassHead(tuple(str(c) for c in classes), idf, wide.astype(np.float16), deep, offset, deep_offset)


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
