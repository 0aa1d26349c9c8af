"""Labels for vectors or sparse rows: nearest neighbours, logistic regression, a linear support vector machine.

How strongly the two trained ones are regularised is chosen by cross-validation inside of the reference.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.str_]
Grid = tuple[float, ...]
K = 15
INNER_FOLDS = 3


def knn(reference: Any, labels: Labels, query: Any, k: int = K) -> Labels:
    """Majority of the `k` nearest reference rows by cosine distance, a vote each."""
    from sklearn.neighbors import KNeighborsClassifier

    model = KNeighborsClassifier(min(k, len(labels)), metric="cosine").fit(reference, labels)
    return np.asarray(model.predict(query), dtype=str)


def logistic(
    reference: Any, labels: Labels, query: Any, grid: Grid, *, balanced: bool = False, groups: Any = None
) -> tuple[Labels, float]:
    """Multinomial logistic regression with an L2 penalty.

    Args:
        reference, query: [n, p] dense or scipy sparse rows.
        labels: [n_reference].
        grid: values of C to choose from, ascending.
        balanced: weigh cells so that every class counts the same, and choose by balanced accuracy.
        groups: donor, library or collection of the reference rows, for the folds inside of it.

    Returns:
        [n_query] labels, and the C that was chosen.
    """
    from sklearn.linear_model import LogisticRegression

    weight = "balanced" if balanced else None

    def fresh() -> LogisticRegression:  # along the grid each fit goes on from the one before
        return LogisticRegression(C=grid[0], max_iter=300, tol=1e-4, warm_start=True, class_weight=weight)

    return _chosen(fresh, reference, labels, query, grid, balanced, groups)


def svm(
    reference: Any, labels: Labels, query: Any, grid: Grid, *, balanced: bool = False, groups: Any = None
) -> tuple[Labels, float]:
    """Linear support vector machine, each class against the rest; arguments and answer as for `logistic`."""
    from sklearn.svm import LinearSVC

    weight = "balanced" if balanced else None

    def fresh() -> LinearSVC:
        return LinearSVC(C=grid[0], dual=True, random_state=0, max_iter=2_000, class_weight=weight)

    return _chosen(fresh, reference, labels, query, grid, balanced, groups)


def _chosen(
    fresh: Any, reference: Any, labels: Labels, query: Any, grid: Grid, balanced: bool, groups: Any
) -> tuple[Labels, float]:
    from sklearn.metrics import accuracy_score, recall_score

    if len(set(labels.tolist())) == 1:
        return np.full(query.shape[0], labels[0]), grid[0]
    with _quiet():
        best = grid[0]
        if len(grid) > 1:
            right = np.zeros(len(grid))
            for train, test in inner_folds(labels, groups):
                if len(set(labels[train].tolist())) < 2:
                    continue
                model = fresh()
                for i, c in enumerate(grid):
                    called = (
                        model.set_params(C=c).fit(reference[train], labels[train]).predict(reference[test])
                    )
                    if balanced:
                        right[i] += recall_score(
                            labels[test], called, average="macro", labels=np.unique(labels[test])
                        )
                    else:
                        right[i] += accuracy_score(labels[test], called)
            best = grid[int(right.argmax())]
        model = fresh()
        for c in grid:
            if c <= best:
                model.set_params(C=c).fit(reference, labels)
        return np.asarray(model.predict(query), dtype=str), best


def inner_folds(labels: Labels, groups: Any = None) -> Iterator[tuple[Any, Any]]:
    """Folds of the reference: by group where there are at least as many groups as folds, else stratified; none
    where no class has two members.
    """
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    if groups is not None and len(set(np.asarray(groups).tolist())) >= INNER_FOLDS:
        folds = StratifiedGroupKFold(INNER_FOLDS, shuffle=True, random_state=0)
        yield from folds.split(labels, labels, groups)
        return
    most = int(np.unique(labels, return_counts=True)[1].max())
    if most > 1:
        folds = StratifiedKFold(min(INNER_FOLDS, most), shuffle=True, random_state=0)
        yield from folds.split(labels, labels)


@contextmanager
def _quiet() -> Iterator[None]:
    """Rare classes have fewer members than folds, and a path need not converge at each C: neither is news here."""
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.filterwarnings("ignore", message="The least populated class")
        yield
