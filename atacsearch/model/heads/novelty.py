"""Novelty: by how much an item's best score falls short of what its class and its depth let expect."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
Codes = npt.NDArray[np.int64]

_PSEUDO = 5.0  # items of the whole that each class's expected score is drawn to
_PSEUDO_SPREAD = 20.0


@dataclass(frozen=True)
class ExpectedScore:
    """The best score of an item that is called class c and has `depth` open regions is about
    `expected[c] + slope * (log(depth) - middle)`, give or take `spread[c]`.

    Attributes:
        expected, spread: [K].
        slope, middle: numbers.
    """

    expected: Floats
    spread: Floats
    slope: float
    middle: float

    def shortfall(self, best: Floats, called: Codes, depth: npt.NDArray[Any]) -> Floats:
        """[n] how many spreads each item's best score lies below the expected one.

        Args:
            best: [n] best scores.
            called: [n] class that each item is called.
            depth: [n] open regions, at least 1.
        """
        expected = self.expected[called] + self.slope * (np.log(np.maximum(depth, 1)) - self.middle)
        return np.asarray((expected - best) / self.spread[called])

    def arrays(self, prefix: str = "") -> dict[str, npt.NDArray[Any]]:
        """What is to be stored as arrays; `facts` has the rest."""
        return {
            f"{prefix}expected": self.expected.astype(np.float64),
            f"{prefix}spread": self.spread.astype(np.float64),
        }

    def facts(self, prefix: str = "") -> dict[str, Any]:
        """What is to be stored as JSON."""
        return {f"{prefix}slope": self.slope, f"{prefix}middle": self.middle}

    @classmethod
    def of(
        cls, arrays: dict[str, npt.NDArray[Any]], facts: dict[str, Any], prefix: str = ""
    ) -> ExpectedScore:
        """What `arrays` and `facts` stored. Raises `KeyError` where something is missing."""
        return cls(
            arrays[f"{prefix}expected"],
            arrays[f"{prefix}spread"],
            float(facts[f"{prefix}slope"]),
            float(facts[f"{prefix}middle"]),
        )


def fit_expected_score(best: Floats, called: Codes, depth: npt.NDArray[Any], k: int) -> ExpectedScore:
    """Regression of the best score on class and log depth; classes of few items are drawn to the whole.

    Args:
        best: [m] best scores of items that the scores had not seen.
        called: [m] class that each is called.
        depth: [m] open regions of each.
        k: number of classes.
    """
    x = np.log(np.maximum(depth, 1).astype(np.float64))
    middle = float(x.mean())
    x = x - middle
    counts = np.bincount(called, minlength=k).astype(np.float64)
    # The slope within classes, so that deep classes of high scores do not make one.
    seen = np.maximum(counts, 1)
    x_in = x - (np.bincount(called, x, minlength=k) / seen)[called]
    best_in = best - (np.bincount(called, best, minlength=k) / seen)[called]
    slope = float((x_in * best_in).sum() / max((x_in**2).sum(), 1e-9))
    level = best - slope * x
    expected = (np.bincount(called, level, minlength=k) + _PSEUDO * level.mean()) / (counts + _PSEUDO)
    off = (level - expected[called]) ** 2
    variance = (np.bincount(called, off, minlength=k) + _PSEUDO_SPREAD * off.mean()) / (
        counts + _PSEUDO_SPREAD
    )
    return ExpectedScore(expected, np.sqrt(np.maximum(variance, 1e-12)), slope, middle)
