"""Scores of labels and of clusterings, and intervals of scores and of paired differences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Codes = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
RESAMPLES = 2_000


def encode(truth: Sequence[str], *predictions: Sequence[str | None]) -> tuple[int, Codes, list[Codes]]:
    """Labels as codes: the number of true classes, the codes of the truth, and those of each prediction.

    A predicted label that no item truly has gets the code `n_classes`: it is wrong, and has no F1 of its own.
    """
    names, codes = np.unique(np.asarray(truth, dtype=str), return_inverse=True)
    place = {name: i for i, name in enumerate(names.tolist())}
    called = [
        np.array([place.get(str(label), len(names)) for label in labels], np.int64) for labels in predictions
    ]
    return len(names), codes.astype(np.int64), called


def confusion(n: int, truth: Codes, called: Codes, weights: Any = None) -> Floats:
    """[n, n + 1] counts, rows true, columns called; the last column holds calls outside of the true classes."""
    flat = np.bincount(truth * (n + 1) + called, weights, n * (n + 1))
    return flat.reshape(n, n + 1).astype(np.float64)


def summarise(table: Floats) -> dict[str, float]:
    """Accuracy, macro-F1 and balanced accuracy of a confusion table.

    Classes that no item truly has (they occur in resamples) are left out of both means.
    """
    hits = np.diagonal(table)
    true, called = table.sum(1), table[:, :-1].sum(0)
    there = true > 0
    f1 = 2 * hits[there] / (true + called)[there]
    return {
        "accuracy": float(hits.sum() / table.sum()),
        "macro_f1": float(f1.mean()),
        "balanced_accuracy": float((hits[there] / true[there]).mean()),
    }


def score(truth: Sequence[str], called: Sequence[str | None]) -> dict[str, float]:
    """Accuracy, macro-F1 over the true classes, and balanced accuracy.

    Example:
        >>> {k: round(v, 3) for k, v in score(["B", "B", "NK"], ["B", "NK", "NK"]).items()}
        {'accuracy': 0.667, 'macro_f1': 0.667, 'balanced_accuracy': 0.75}
    """
    n, codes, (calls,) = encode(truth, called)
    return summarise(confusion(n, codes, calls))


def paired_bootstrap(
    truth: Sequence[str],
    ours: Sequence[Sequence[str | None]],
    theirs: Sequence[Sequence[str | None]],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Floats]:
    """Resampled differences of scores, ours minus theirs, items drawn with replacement and both scored on them.

    Args:
        truth: [n] true labels.
        ours: predictions of each of our seeds, [n] each; their scores are averaged.
        theirs: the same of the other method; any number of seeds.
        resamples: how many.
        seed: of the draw; equal seeds and lengths draw the same items.

    Returns:
        [resamples] differences of accuracy and of macro-F1, by name.
    """
    n, codes, calls = encode(truth, *ours, *theirs)
    mine, other = calls[: len(ours)], calls[len(ours) :]
    rng = np.random.default_rng(seed)
    even = np.full(len(codes), 1 / len(codes))
    out = {name: np.empty(resamples) for name in ("accuracy", "macro_f1")}
    for i in range(resamples):
        weights = rng.multinomial(len(codes), even).astype(np.float64)
        sides = [[summarise(confusion(n, codes, call, weights)) for call in side] for side in (mine, other)]
        for name, values in out.items():
            a, b = (np.mean([found[name] for found in side]) for side in sides)
            values[i] = a - b
    return out


def interval(values: Floats, level: float = 0.95) -> tuple[float, float]:
    """Percentile interval of resampled values."""
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def binomial_interval(hits: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Exact interval of a share (Clopper and Pearson 1934, doi:10.1093/biomet/26.4.404).

    Example:
        >>> [round(x, 3) for x in binomial_interval(37, 48)]
        [0.627, 0.88]
    """
    from scipy.stats import beta

    tail = (1 - level) / 2
    low = 0.0 if hits == 0 else float(beta.ppf(tail, hits, n - hits + 1))
    high = 1.0 if hits == n else float(beta.ppf(1 - tail, hits + 1, n - hits))
    return low, high


def agreement(truth: Sequence[str], clusters: npt.NDArray[Any]) -> dict[str, float]:
    """Adjusted Rand index and adjusted mutual information of a clustering with the true labels."""
    from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score

    return {
        "ari": float(adjusted_rand_score(truth, clusters)),
        "ami": float(adjusted_mutual_info_score(truth, clusters)),
    }
