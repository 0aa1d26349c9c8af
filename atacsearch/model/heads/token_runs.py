"""Whether the open regions of a file lie in runs: a coarse trait that tells kinds of experiments apart.

A broad mark covers stretches of neighbouring regions, a factor single ones. So for every file: of its open regions
that have a close next one in the universe, which share has that one open too, as log odds. The regions themselves
play no part in it, so it means the same in cell types and collections that were never seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ...tokens.token_sets import TokenSets
from ...tokens.universe import Universe

NEAR = 1000  # base pairs between two regions of one run at the most
SMOOTH = 0.01  # keeps the odds of nothing and of everything finite
MOST = 3.0  # standard deviations from the mean at the most


def followed(universe: Universe) -> npt.NDArray[np.bool_]:
    """[V] whether the next region of the universe lies on the same chromosome within `NEAR` bp (0-based, half-open)."""
    x = universe.intervals
    out = np.zeros(len(x), bool)
    gap = x.start[1:].astype(np.int64) - x.end[:-1].astype(np.int64)
    out[:-1] = (x.chrom[1:] == x.chrom[:-1]) & (gap < NEAR)
    return out


@dataclass(frozen=True)
class Runs:
    """The trait, on the scale of the files that a head was fitted on.

    Attributes:
        followed: [V] see `followed`.
        mean: of the log odds of the fitted files.
        spread: their standard deviation.
    """

    followed: npt.NDArray[np.bool_]
    mean: float
    spread: float

    @classmethod
    def fit(cls, followed: npt.NDArray[np.bool_], sets: TokenSets) -> Runs:
        """Take the scale from some files."""
        odds = np.array([log_odds(tokens, followed) for tokens in sets])
        odds = odds[np.isfinite(odds)]
        if not len(odds):
            return cls(followed, 0.0, 1.0)
        return cls(followed, float(odds.mean()), float(odds.std()) or 1.0)

    def of(self, sets: TokenSets) -> npt.NDArray[np.float64]:
        """[n] standard deviations from the mean, at most `MOST`; 0 for a file that has none to follow."""
        odds = np.array([log_odds(tokens, self.followed) for tokens in sets], np.float64)
        scaled = np.where(np.isfinite(odds), (odds - self.mean) / self.spread, 0.0)
        return np.clip(scaled, -MOST, MOST)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """What is to be stored."""
        scale = np.array([self.mean, self.spread], np.float64)
        return {"runs.followed": self.followed.astype(np.uint8), "runs.scale": scale}

    @classmethod
    def from_arrays(cls, arrays: dict[str, npt.NDArray[Any]]) -> Runs | None:
        """What `arrays` gave; None where there is nothing of it."""
        if "runs.followed" not in arrays:
            return None
        mean, spread = arrays["runs.scale"].tolist()
        return cls(arrays["runs.followed"].astype(bool), mean, spread)


def log_odds(tokens: npt.NDArray[np.uint32], followed: npt.NDArray[np.bool_]) -> float:
    """Log odds that the region after an open one is open as well; NaN where no open region has a close next one."""
    x = np.zeros(len(followed) + 1, bool)
    known = tokens[tokens < len(followed)].astype(np.int64)
    x[known] = True
    first = np.flatnonzero(x[:-1] & followed)
    if not len(first):
        return float("nan")
    share = float(x[first + 1].mean())
    return float(np.log((share + SMOOTH) / (1.0 + SMOOTH - share)))
