"""Scores of class heads for items whose whole group the head has not seen: what calibrations are fitted on.

The reference is cut into folds, of whole groups where there are at least two, else stratified at random. For each
fold a head is fitted on the others. Where the encoder is nothing but the warm start of the reference, its embedding
is made anew from the other folds, too, since an embedding that has seen a group fits it better than it will fit a
query (on the forebrain replicates: expected calibration error .06 without, .03 with; docs/design/decisions.md). Where
the query joined the training it was seen, so then the embedding stays.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ...model.heads.calibration import FEWEST, Calibration, fit_calibration
from ...model.heads.label_head import unit
from ...tokens.tfidf import inverse_document_frequency, tfidf
from ...tokens.token_sets import TokenSets
from ..metrics.neighbours import nearest, svd_vectors
from ..trainer.holdout import dealt_by_class, names_of
from ..trainer.warm_start import default_rank
from .fit import DEFAULT_WEIGHTS, ENCODER, SHARPNESS, VIEWS, components_of, fitted_views
from .stacking import fit_weights

FOLDS = 5
# Items that are cut into folds, and their open regions all together; of more, a part is drawn. A fit takes about two
# seconds a million regions and core, and there are five.
MOST_CELLS, MOST_TOKENS = 15_000, 8_000_000
FEWEST_CELLS = 1_000
MISSING = -5.0  # score in every view of a class that a fold's head does not know

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class CrossFit:
    """Held-out scores.

    Attributes:
        rows: [m] rows of the items whose class the head of their fold knew.
        views: [v, m, K] float32 scores in each view, in the order of `fit.VIEWS`.
        simple: [m] labels that the simple method gave in the same folds.
        how: how the folds were made, in words.
    """

    rows: Rows
    views: npt.NDArray[np.float32]
    simple: npt.NDArray[Any]
    how: str

    def scores(self, weights: Floats = DEFAULT_WEIGHTS) -> npt.NDArray[np.float32]:
        """[m, K] float32 scores of heads whose views have these weights."""
        return np.tensordot((SHARPNESS * weights).astype(np.float32), self.views, 1)

    def encoder_scores(self, weights: Floats = DEFAULT_WEIGHTS) -> npt.NDArray[np.float32]:
        """[m, K] float32 scores that the encoder's vector alone gives in such heads."""
        own = np.array([view.source == ENCODER for view in VIEWS])
        return self.scores(np.where(own, weights, 0.0))


def cross_fit(
    sets: TokenSets,
    general: Floats,
    names: npt.NDArray[Any],
    groups: npt.NDArray[Any] | None,
    *,
    idf: npt.NDArray[np.float32],
    unlabelled: TokenSets | None = None,
    fresh: bool,
    seed: int = 0,
    done: Callable[[int, int], None] = lambda step, steps: None,
) -> CrossFit:
    """Scores of every item by a head that was fitted without its fold.

    Args:
        sets: [n] token sets.
        general: [n, d] the encoder's vectors of them.
        names: [n] class of each.
        groups: [n] donor, library or replicate, `holdout.NO_GROUP` where there is none, or None.
        idf: [V] weights of regions.
        unlabelled: sets that joined the training of the encoder.
        fresh: whether the encoder is the warm start of these sets and nothing else.
        seed: of draws and of the embeddings.
        done: called with the number of the fold and of all folds.
    """
    rng = np.random.default_rng(seed)
    rows = np.arange(len(names))
    most = drawn_for_folds(sets)
    if len(rows) > most:
        rows = np.sort(rng.choice(rows, most, replace=False))
    fold, how = folds_of(names[rows], None if groups is None else groups[rows], rng)
    classes = np.unique(names)
    views = np.full((len(VIEWS), len(rows), len(classes)), MISSING, np.float32)
    simple = np.array([""] * len(rows), dtype=object)
    known = np.zeros(len(rows), bool)
    shared = None if unlabelled is None else components_of(TokenSets.concat([sets, unlabelled]), idf, seed)
    for i in range(fold.max() + 1):
        train, held = rows[fold != i], np.flatnonzero(fold == i)
        inner, codes = np.unique(names[train], return_inverse=True)
        if len(inner) < 2:
            continue
        inside, outside = sets.take(train), sets.take(rows[held])
        own_idf = idf if shared is not None else inverse_document_frequency(inside, len(idf))
        components = components_of(inside, own_idf, seed) if shared is None else shared
        matrix, asked = tfidf(inside, own_idf), tfidf(outside, own_idf)
        first = components[:, : default_rank(sets)]
        projected = unit(np.asarray(matrix @ first)), unit(np.asarray(asked @ first))
        # A warm start gives each set the unit sum of its regions' rows: the projection of its TF-IDF row.
        vectors = projected if fresh and shared is None else (general[train], unit(general[rows[held]]))
        at = np.ix_(held, np.searchsorted(classes, inner))
        fitted = fitted_views(matrix, vectors[0], codes, len(inner), components)
        for number, view in enumerate(fitted):
            views[number][at] = view.scores(asked, vectors[1])
        known[held] = np.isin(names[rows[held]], inner)
        old, new = svd_vectors(inside, outside, len(idf), seed=seed)
        simple[held] = nearest(old, names[train], new)
        done(i, int(fold.max()) + 1)
    return CrossFit(rows[known], views[:, known], simple[known], how)


def calibrated(
    held: CrossFit,
    classes: npt.NDArray[Any],
    names: npt.NDArray[Any],
    depth: npt.NDArray[Any],
    groups: npt.NDArray[Any] | None,
    column: str = "",
) -> tuple[npt.NDArray[np.float64], Calibration | None]:
    """The weights of the views that do best on held-out items, and the calibration of the scores they give.

    Args:
        held: held-out scores of n items.
        classes: K names.
        names: [n] class of each item.
        depth: [n] open regions of each.
        groups: [n] donor, library or replicate of each, or None.
        column: label column of the groups.

    Returns:
        The weights, and the calibration; the default weights and None where there are too few items.
    """
    truth = np.searchsorted(classes, names[held.rows])
    several = groups is not None and len(names_of(groups)) > 1
    group_of = groups[held.rows] if groups is not None and several else np.full(len(truth), "all")
    weights = DEFAULT_WEIGHTS
    if len(truth) >= FEWEST:
        _, codes, counts = np.unique(group_of, return_inverse=True, return_counts=True)
        weights = fit_weights(held.views, truth, 1.0 / (len(counts) * counts[codes]), DEFAULT_WEIGHTS)
    scores = held.scores(weights)
    fitted = fit_calibration(
        classes.tolist(),
        scores,
        truth,
        depth[held.rows],
        group_of.astype(str).tolist(),
        column,
        held.encoder_scores(weights),
    )
    return weights if fitted is not None else DEFAULT_WEIGHTS, fitted


def drawn_for_folds(sets: TokenSets) -> int:
    """Number of items that folds are made of, so that all of them take some minutes."""
    fit = int(MOST_TOKENS / max(len(sets.tokens) / max(len(sets), 1), 1.0))
    return min(MOST_CELLS, max(FEWEST_CELLS, fit), len(sets))


def folds_of(
    names: npt.NDArray[Any], groups: npt.NDArray[Any] | None, rng: np.random.Generator
) -> tuple[npt.NDArray[np.int64], str]:
    """[n] fold of each item, at most `FOLDS` of them, and how they were made.

    Whole groups, the largest first, each into the smallest fold; with one group each class is dealt out at random.
    Items of no group are in no fold (-1): they train every head.
    """
    found = names_of(groups)
    if groups is None or len(found) < 2:
        return dealt_by_class(names, FOLDS, rng), f"{FOLDS} random folds of every class (one group only)"
    n = min(FOLDS, len(found))
    fold, sizes = np.full(len(names), -1, np.int64), np.zeros(n)
    for name in sorted(found, key=lambda g: (-int((groups == g).sum()), g)):
        smallest = int(np.argmin(sizes))
        fold[groups == name] = smallest
        sizes[smallest] += (groups == name).sum()
    loose = int(np.count_nonzero(fold < 0))
    more = f"; {loose:,} items without a group train every head" if loose else ""
    return fold, f"{n} folds of whole groups, of {len(found)} groups{more}"
