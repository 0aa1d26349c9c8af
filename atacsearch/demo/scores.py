"""Scores of a label transfer: accuracy, macro-F1, confusion matrix, recall of each type, share of unknown."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

NO_CALL = "(none)"


@dataclass(frozen=True)
class Scores:
    """How well predicted labels agree with true ones.

    Attributes:
        labels: the labels that occur, the most frequent true label first.
        confusion: [n_labels, n_labels] int64, rows true, columns predicted, in the order of `labels`.
        accuracy: share of cells with the right label.
        macro_f1: mean F1 over `labels`; one that is predicted but never true counts with 0, and no call is no
            label.
        unknown: share of cells whose call is not trusted; None where the method has no such verdict.
        accuracy_assigned: accuracy among the others; None likewise, or where all are unknown.
    """

    labels: tuple[str, ...]
    confusion: npt.NDArray[np.int64]
    accuracy: float
    macro_f1: float
    unknown: float | None = None
    accuracy_assigned: float | None = None

    @property
    def n(self) -> int:
        """Number of cells scored."""
        return int(self.confusion.sum())

    @property
    def support(self) -> npt.NDArray[np.int64]:
        """[n_labels] int64, cells that truly have each label."""
        return np.asarray(self.confusion.sum(axis=1))

    @property
    def recall(self) -> npt.NDArray[np.float64]:
        """[n_labels] float64, share of each type's cells that are called so; NaN for a type with no cell."""
        return _ratio(np.diag(self.confusion), self.support)

    @property
    def precision(self) -> npt.NDArray[np.float64]:
        """[n_labels] float64, share of the cells called so that are; NaN for a type never called."""
        return _ratio(np.diag(self.confusion), self.confusion.sum(axis=0))


def score(
    true: Sequence[str], predicted: Sequence[str | None], status: Sequence[str] | None = None
) -> Scores:
    """Compare predicted labels to true ones.

    Args:
        true: [n] labels.
        predicted: [n] best calls; None (no call at all) counts as wrong, under the name `NO_CALL`.
        status: [n] `assigned` or `unknown`; unknown cells are scored by their best call all the same.

    Example:
        >>> s = score(["B", "B", "NK"], ["B", "NK", "NK"])
        >>> s.labels, s.confusion.tolist(), round(s.accuracy, 3), round(s.macro_f1, 3)
        (('B', 'NK'), [[1, 1], [0, 1]], 0.667, 0.667)
    """
    from sklearn.metrics import confusion_matrix, f1_score

    truth = np.asarray(true, dtype=object)
    calls = np.asarray([NO_CALL if p is None else p for p in predicted], dtype=object)
    if len(truth) != len(calls) or not len(truth):
        raise ValueError(
            f"{len(truth)} true and {len(calls)} predicted labels: need as many, and at least one"
        )
    counts = {label: int((truth == label).sum()) for label in {*truth, *calls}}
    labels = tuple(sorted(counts, key=lambda x: (-counts[x], x)))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "A single label was found", UserWarning)  # all labels are passed
        confusion = confusion_matrix(truth, calls, labels=list(labels)).astype(np.int64)
    named = [label for label in labels if label != NO_CALL]
    macro_f1 = f1_score(truth, calls, labels=named, average="macro", zero_division=0.0)
    correct = truth == calls
    unknown = accuracy_assigned = None
    if status is not None:
        assigned = np.asarray(status, dtype=object) == "assigned"
        unknown = float(1 - assigned.mean())
        accuracy_assigned = float(correct[assigned].mean()) if assigned.any() else None
    return Scores(labels, confusion, float(correct.mean()), float(macro_f1), unknown, accuracy_assigned)


def _ratio(a: npt.NDArray[np.int64], b: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    return np.asarray(np.divide(a, b, out=np.full(len(a), np.nan), where=b > 0))
