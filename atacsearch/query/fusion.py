"""One order out of two: cosine distance of vectors and overlap of regions.

Reciprocal rank fusion (Cormack, Clarke and Buettcher 2009, doi:10.1145/1571941.1572114): the score of an item is the
sum over the orders of 1 / (K + its rank). Ranks need no common scale, so distances and overlaps can be joined.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

K = 60  # of reciprocal rank fusion, as published
FUSED = ("cosine_rank", "overlap_rank", "fused_score")
ORDERS = ("jaccard", "overlap_coefficient", "odds_ratio", "log10_p_value", "combo_score")

Floats = npt.NDArray[np.float64]


def overlap_order(columns: Mapping[str, npt.NDArray[Any]], score: str) -> Floats:
    """[m] by which statistic candidates are ordered, the most alike highest; undefined ones are last."""
    values = np.asarray(columns[score], np.float64)
    if score == "log10_p_value":
        values = -values
    return np.where(np.isnan(values), -np.inf, values)


def ranks(score: Floats) -> npt.NDArray[np.int64]:
    """[m] rank of each, 1 for the highest score; equal scores share the best of their ranks."""
    ordered = np.sort(-score)
    return (np.searchsorted(ordered, -score) + 1).astype(np.int64)


def fuse(distance: Floats, overlap: Floats) -> dict[str, npt.NDArray[Any]]:
    """Reciprocal rank fusion of two orders of the same candidates.

    Args:
        distance: [m] cosine distances, the smallest first.
        overlap: [m] scores of overlap, the largest first.

    Returns:
        `cosine_rank`, `overlap_rank` (int64, 1 is best) and `fused_score`, the sum of 1 / (60 + rank).
    """
    by_cosine, by_overlap = ranks(-distance), ranks(overlap)
    return {
        "cosine_rank": by_cosine,
        "overlap_rank": by_overlap,
        "fused_score": 1.0 / (K + by_cosine) + 1.0 / (K + by_overlap),
    }
