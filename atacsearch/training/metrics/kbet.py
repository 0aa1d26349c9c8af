"""The k-nearest-neighbour batch effect test: whether neighbourhoods have the batches that all cells have.

Büttner et al. 2019 (doi:10.1038/s41592-018-0254-1). The share of cells whose neighbourhood is accepted, so that 1 is
best, as scIB gives it (Luecken et al. 2022, doi:10.1038/s41592-021-01336-8).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

LEVEL = 0.05
LEAST, MOST = 10, 100  # neighbours


def accepted(
    vectors: npt.NDArray[np.floating[Any]], batches: npt.NDArray[Any], rows: npt.NDArray[np.int64]
) -> float:
    """Share of the scored cells in whose neighbourhood a chi-squared test (5 %) finds the batches of all cells.

    Args:
        vectors: [n, d] of all cells; distances are Euclidean between unit vectors.
        batches: [n].
        rows: the cells that are scored. Nobody is its own neighbour.

    Returns:
        From 0 to 1; 1 where there is one batch alone. The neighbourhood is a quarter of the mean size of a
        batch, from 10 to 100 cells, as published, but no more than there are.
    """
    from scipy.stats import chi2
    from sklearn.neighbors import NearestNeighbors
    from sklearn.preprocessing import normalize

    names, codes = np.unique(batches, return_inverse=True)
    if len(names) < 2:
        return 1.0
    k = min(int(np.clip(len(vectors) / len(names) / 4, LEAST, MOST)), len(vectors) - 1)
    unit = normalize(vectors)
    places = NearestNeighbors(n_neighbors=k + 1, algorithm="brute").fit(unit).kneighbors(unit[rows])[1]
    own = places == rows[:, None]
    own[~own.any(1), -1] = True  # among equal vectors a cell may miss itself: drop the farthest instead
    near = codes[places[~own].reshape(len(rows), k)]
    found = np.stack([(near == code).sum(1) for code in range(len(names))], 1)
    expected = k * np.bincount(codes) / len(codes)
    statistic = ((found - expected) ** 2 / expected).sum(1)
    return float((chi2.sf(statistic, len(names) - 1) > LEVEL).mean())
