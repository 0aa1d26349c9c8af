"""Scores of class heads for items whose whole group the head has not seen: what calibrations are fitted on.

The reference is cut into folds, of whole groups where there are at least two, else stratified at random. For each
fold a head is fitted on the others. Where the encoder is nothing but the warm start of the reference, its embedding
is made anew from the other folds, too, since an embedding that has seen a group fits it better than it will fit a
query (on the forebrain replicates: expected calibration error .06 without, .03 with; see docs/decisions.md). Where
the query joined the training it was seen, so then the embedding stays.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..genome.tokensets import TokenSets
from ..model.calibration import MIN_GROUPS, Calibration, fit_calibration
from ..model.labelheads import unit
from .classfit import SHARE, fit_views, weights
from .holdout import dealt_by_class, names_of
from .neighbours import nearest, svd_vectors
from .warmstart import svd_table

FOLDS = 5
# Items that are cut into folds, and their open regions all together; of more, a part is drawn. A fit takes about ten
# seconds a million regions, and there are five.
MOST_CELLS, MOST_TOKENS = 15_000, 4_000_000
FEWEST_CELLS = 1_000
MISSING = -5.0  # score in either view of a class that a fold's head does not know
SHARES = (1.0, 2.0, 4.0, 8.0, 16.0)  # of the wide view that held-out groups may choose

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class CrossFit:
    """Held-out scores.

    Attributes:
        rows: [m] rows of the items whose class the head of their fold knew.
        wide, deep: [m, K] float32 scores of both views.
        simple: [m] labels that the simple method gave in the same folds.
        how: how the folds were made, in words.
    """

    rows: Rows
    wide: npt.NDArray[np.float32]
    deep: npt.NDArray[np.float32]
    simple: npt.NDArray[Any]
    how: str

    def scores(self, share: float = SHARE) -> npt.NDArray[np.float32]:
        """[m, K] float32 scores of the heads with this share of the wide view."""
        wide, deep = weights(share)
        return np.asarray(wide * self.wide + deep * self.deep, np.float32)


def cross_fit(
    sets: TokenSets,
    general: npt.NDArray[np.floating[Any]],
    names: npt.NDArray[Any],
    groups: npt.NDArray[Any] | None,
    *,
    idf: npt.NDArray[np.float32],
    n_regions: int,
    joined: bool,
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
        n_regions: V.
        joined: whether unlabelled sets joined the training of the encoder.
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
    wide, deep = np.full((2, len(rows), len(classes)), MISSING, np.float32)
    simple = np.array([""] * len(rows), dtype=object)
    known = np.zeros(len(rows), bool)
    for i in range(fold.max() + 1):
        train, held = rows[fold != i], np.flatnonzero(fold == i)
        if len(np.unique(names[train])) < 2:
            continue
        inside, outside = sets.take(train), sets.take(rows[held])
        if fresh and not joined:
            table, _ = svd_table(inside, n_regions, seed=seed)
            vectors = _summed(inside, table), _summed(outside, table)
            rarity = None
        else:
            vectors = general[train], general[rows[held]]
            rarity = idf
        views = fit_views(inside, vectors[0], names[train], idf=rarity, n_regions=n_regions, seed=seed)
        at = np.ix_(held, np.searchsorted(classes, np.array(views.classes)))
        wide[at], deep[at] = views.scores(outside, vectors[1])
        known[held] = np.isin(names[rows[held]], np.array(views.classes))
        old, new = svd_vectors(inside, outside, n_regions, seed=seed)
        simple[held] = nearest(old, names[train], new)
        done(i, int(fold.max()) + 1)
    return CrossFit(rows[known], wide[known], deep[known], simple[known], how)


def calibrated(
    held: CrossFit,
    classes: npt.NDArray[Any],
    names: npt.NDArray[Any],
    depth: npt.NDArray[Any],
    groups: npt.NDArray[Any] | None,
    column: str = "",
) -> tuple[float, Calibration | None]:
    """The share of the wide view that does best on held-out groups, and the calibration of its scores.

    How much single regions say beside what the encoder has made of them differs between data sets. Groups tell what
    carries over to another one; random folds of one group would choose what remembers that group, so with fewer
    than `MIN_GROUPS` the share is `SHARE`.

    Args:
        held: held-out scores of n items.
        classes: K names.
        names: [n] class of each item.
        depth: [n] open regions of each.
        groups: [n] donor, library or replicate of each, or None.
        column: label column of the groups.

    Returns:
        The share, and the calibration; None where there are too few items.
    """
    truth = np.searchsorted(classes, names[held.rows])
    held_groups = ["all"] * len(held.rows)
    if groups is not None and len(names_of(groups)) > 1:
        held_groups = groups[held.rows].tolist()
    found: list[tuple[float, float, Calibration | None]] = []
    for share in SHARES if len(set(held_groups)) >= MIN_GROUPS else (SHARE,):
        fitted = fit_calibration(
            classes.tolist(), held.scores(share), truth, depth[held.rows], held_groups, column
        )
        found.append((np.inf if fitted is None else fitted.held_out.log_loss(), share, fitted))
    _, share, calibration = min(found, key=lambda one: one[0])
    return share, calibration


def drawn_for_folds(sets: TokenSets) -> int:
    """Number of items that folds are made of, so that all of them take some minutes."""
    fit = int(MOST_TOKENS / max(len(sets.tokens) / max(len(sets), 1), 1.0))
    return min(MOST_CELLS, max(FEWEST_CELLS, fit), len(sets))


def _summed(sets: TokenSets, table: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """[n, d] unit sums of the rows of a set's regions: what a warm-started encoder gives."""
    return unit(np.asarray(sets.to_csr(len(table)) @ table))


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
