"""Label transfer by nearest neighbours, for a model's vectors and for the simple method it must beat.

The same rule for both: cosine distance, k = 15 or fewer, equal votes. The simple method is TF-IDF, truncated
SVD and the same neighbours, fitted on the reference alone.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

from ...tokens.tfidf import inverse_document_frequency, tfidf
from ...tokens.token_sets import TokenSets
from ..linear.svd import truncated_svd

Floats = npt.NDArray[np.float32]
K = 15
RANK = 50


def nearest(reference: Floats, labels: npt.NDArray[Any], query: Floats, k: int = K) -> npt.NDArray[Any]:
    """The label of each query vector by the vote of its `k` nearest reference vectors (cosine distance).

    Args:
        reference: [n, d].
        labels: [n] label of each.
        query: [m, d].
        k: neighbours; at most n.

    Returns:
        [m] labels.
    """
    from sklearn.neighbors import KNeighborsClassifier

    voters = KNeighborsClassifier(min(k, len(reference)), metric="cosine", algorithm="brute")
    with warnings.catch_warnings():
        # Labels are names, however many there are.
        warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)
        calls: npt.NDArray[Any] = voters.fit(reference, labels).predict(query)
    return calls


def svd_vectors(
    reference: TokenSets, query: TokenSets, n_regions: int, *, rank: int = RANK, seed: int = 0
) -> tuple[Floats, Floats]:
    """TF-IDF and truncated SVD fitted on the reference alone: [n, rank] and [m, rank] float32.

    The first component, which says little but how many regions are open, is left out: with it the simple method
    names a tenth fewer of the forebrain cells rightly.
    """
    idf = inverse_document_frequency(reference, n_regions)
    matrix = tfidf(reference, idf)
    _, vectors = truncated_svd(matrix, max(2, min(rank + 1, min(matrix.shape) - 1)), seed=seed)
    vectors = np.pad(
        vectors, ((0, 0), (0, max(0, 2 - vectors.shape[1])))
    )  # zeros where one region is ever open
    old, new = (np.asarray(m @ vectors[:, 1:], np.float32) for m in (matrix, tfidf(query, idf)))
    return old, new


def scores(truth: npt.NDArray[Any], calls: npt.NDArray[Any]) -> dict[str, float]:
    """Accuracy and macro-F1 (over the labels that occur in truth or calls) of calls."""
    from sklearn.metrics import accuracy_score, f1_score

    return {
        "accuracy": round(float(accuracy_score(truth, calls)), 4),
        "macro_f1": round(float(f1_score(truth, calls, average="macro")), 4),
    }
