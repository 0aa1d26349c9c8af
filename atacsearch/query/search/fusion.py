"""One order out of two: cosine distance of vectors and enrichment of shared regions.

Both are standardised over the candidates of a query (mean 0, standard deviation 1) and added with fixed weights:
score fusion in the manner of Fox and Shaw 1994 (CombSUM), on standard scores. Reciprocal rank fusion (Cormack, Clarke
and Buettcher 2009, doi:10.1145/1571941.1572114; K = 60) throws away by how much one candidate is ahead, and lost much
of the better order for cell lines (`docs/results/retrieval.md`). The ranks in both orders are given beside the score.

The enrichment compares the shared regions with what openness lets expect. Some regions are open in nearly every file,
and files that hold many of those share many with anything. With `o` the number of candidates in which a region is
open, O(x) the sum of `o` over the regions of x, and O that over the universe, a query of `a` regions and an item of
`b` regions are expected to share

    e = (a O(item) + b O(query)) / (2 O)

regions, and the enrichment is log2((s + 1) / (e + 1)).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

COSINE_WEIGHT = 0.3  # of the standardised distance; the enrichment has the rest (docs/results/retrieval.md)
FUSED = ("cosine_rank", "overlap_rank", "enrichment", "fused_score")
ORDERS = ("adjusted_jaccard", "jaccard", "overlap_coefficient", "odds_ratio", "log10_p_value", "combo_score")

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def overlap_order(columns: Mapping[str, npt.NDArray[Any]], score: str) -> Floats:
    """[m] by which statistic candidates are ordered, the most alike highest; undefined ones are last."""
    values = np.asarray(columns[score], np.float64)
    if score == "log10_p_value":
        values = -values
    return np.where(np.isnan(values), -np.inf, values)


def enrichment(
    query: int, items: Ints, shared: Ints, open_query: int, open_items: Ints, total: int
) -> Floats:
    """[m] float64 log2 of shared regions over those that the openness of regions lets expect.

    Args:
        query: number of regions of the query, a.
        items: [m] numbers of regions of the items, b.
        shared: [m] regions in both.
        open_query: O(query).
        open_items: [m] O(item).
        total: O.
    """
    expected = (query * open_items.astype(np.float64) + items.astype(np.float64) * open_query) / (
        2 * max(total, 1)
    )
    return np.asarray(np.log2((shared + 1) / (expected + 1)), np.float64)


def ranks(score: Floats) -> Ints:
    """[m] rank of each, 1 for the highest score; equal scores share the best of their ranks."""
    ordered = np.sort(-score)
    return (np.searchsorted(ordered, -score) + 1).astype(np.int64)


def fuse(distance: Floats, enriched: Floats, overlap: Floats) -> dict[str, npt.NDArray[Any]]:
    """The fused order of the candidates of a query.

    Args:
        distance: [m] cosine distances.
        enriched: [m] enrichment of shared regions.
        overlap: [m] scores of the order by overlap, for its ranks alone.

    Returns:
        The columns `FUSED`: ranks in the two orders (int64, 1 is best), the enrichment, and `fused_score`, highest
        for the best: 0.3 of the standardised similarity and 0.7 of the standardised enrichment.
    """
    score = COSINE_WEIGHT * standardised(-distance) + (1 - COSINE_WEIGHT) * standardised(enriched)
    columns = (ranks(-distance), ranks(overlap), enriched, score)
    return dict(zip(FUSED, columns, strict=True))


def standardised(values: Floats) -> Floats:
    """[m] less their mean, over their standard deviation; zeros where all are equal."""
    spread = values.std()
    return np.zeros(len(values)) if spread < 1e-12 else (values - values.mean()) / spread
