"""How well batches are mixed and labels kept apart in vectors: LISI, and nearest neighbours of other batches.

The local inverse Simpson's index (Korsunsky et al. 2019, doi:10.1038/s41592-019-0619-0) is the effective number of
batches (iLISI) or labels (cLISI) among a cell's neighbours, weighed by a Gaussian-like kernel of fixed
perplexity. iLISI over all cells punishes batches that differ in composition, which no method should hide, so it
is also taken within each label, and divided by what perfect mixing of these cells would give.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .kbet import accepted
from .neighbours import nearest

Floats = npt.NDArray[np.floating[Any]]
Codes = npt.NDArray[np.int64]
PERPLEXITY = 30.0
POOL = 20_000  # cells among which neighbours are looked for, at the most
FEWEST = 10  # cells of a label below which it is no pool


def kernel(distances: Floats, perplexity: float, *, rounds: int = 60) -> Floats:
    """Weights of neighbours: exp(-beta x distance), with beta for each row such that the entropy is log(perplexity).

    Args:
        distances: [n, k] ascending.
        perplexity: effective number of neighbours, below k.
        rounds: of the bisection.

    Returns:
        [n, k] float64, rows that add up to 1.
    """
    d = distances - distances[:, :1]
    low, high = np.zeros(len(d)), np.full(len(d), np.inf)
    beta = 1.0 / np.maximum(d.mean(1), 1e-12)
    target = np.log(perplexity)
    for _ in range(rounds):
        p: Floats = np.exp(-d * beta[:, None])
        p /= p.sum(1, keepdims=True)
        entropy = -(p * np.log(np.maximum(p, 1e-300))).sum(1)
        wide = entropy > target  # too many neighbours count: a larger beta
        low, high = np.where(wide, beta, low), np.where(wide, high, beta)
        beta = np.where(np.isinf(high), beta * 2, (low + high) / 2)
    return p


def lisi(
    query: Floats, pool: Floats, codes: Codes, own: Codes, perplexity: float = PERPLEXITY
) -> tuple[Floats, Floats]:
    """The effective number of groups among the neighbours of each query vector.

    Args:
        query: [n, d].
        pool: [m, d], in which neighbours are looked for (3 x perplexity of them, as published).
        codes: [m] group of each pool vector.
        own: [n] row of the pool that the query itself is, or -1: nobody is its own neighbour.
        perplexity: made smaller in a small pool.

    Returns:
        [n] float64 from 1 to the number of groups, and [n] what perfect mixing of the pool would give with
        the same kernel: less than the evenness of the pool, since a sample is less even than what it is from.
        Distances are Euclidean between unit vectors.
    """
    from sklearn.neighbors import NearestNeighbors

    k = min(int(3 * perplexity), len(pool) - 1)
    perplexity = min(perplexity, max(k / 3, 1.0))
    near = NearestNeighbors(n_neighbors=min(k + 1, len(pool)), algorithm="brute").fit(_unit(pool))
    distances, places = near.kneighbors(_unit(query))
    # Drop the query itself, or else the farthest, so that every row keeps k.
    drop = places == own[:, None]
    drop[~drop.any(1), -1] = True
    shape = (len(query), distances.shape[1] - 1)
    weights = kernel(distances[~drop].reshape(shape), perplexity)
    groups = codes[places[~drop].reshape(shape)]
    simpson = np.zeros(len(query))
    for code in np.unique(codes):
        simpson += (weights * (groups == code)).sum(1) ** 2
    alike = 1.0 / evenness(codes)
    return 1.0 / simpson, 1.0 / (alike + (weights**2).sum(1) * (1.0 - alike))


def evenness(codes: Codes) -> float:
    """The inverse Simpson's index of all: the effective number of groups."""
    shares = np.bincount(codes) / len(codes)
    return float(1.0 / (shares**2).sum())


def mixing(
    vectors: Floats, batches: npt.NDArray[Any], labels: npt.NDArray[Any] | None, rows: Codes, seed: int = 0
) -> dict[str, float]:
    """Figures of batch mixing and label keeping for some of the cells, among all.

    Args:
        vectors: [n, d] of all cells.
        batches: [n].
        labels: [n], or None.
        rows: the cells that are scored.
        seed: of the draw of the pool, where there are very many cells.

    Returns:
        `ilisi`: median iLISI, from 1 to the number of batches, and `mixed`: its mean distance from 1 over that of
        perfect mixing; `kbet` (see there). With labels: `mixed_within_labels`, the share of perfect mixing within
        each label of two batches or more, and `kbet`, which is then taken within labels too; `clisi` (1 is best);
        `knn_accuracy`; `knn_other_batches`, where a cell's own batch does not vote, over the cells whose label
        another batch has.
    """
    pool = np.arange(len(vectors))
    if len(pool) > POOL:
        drawn = np.random.default_rng(seed).choice(pool, POOL, replace=False)
        pool = np.union1d(drawn, rows)
    codes = np.unique(batches, return_inverse=True)[1].astype(np.int64)
    own = np.searchsorted(pool, rows)
    index, attainable = lisi(vectors[rows], vectors[pool], codes[pool], own)
    out = {"ilisi": float(np.median(index)), "mixed": _share(index, attainable)}
    if labels is None:
        out["kbet"] = accepted(vectors[pool], codes[pool], own)
        return {k: round(v, 4) for k, v in out.items()}
    names = np.unique(labels, return_inverse=True)[1].astype(np.int64)
    shares: list[Floats] = []
    tested: list[Floats] = []
    for name in np.unique(names[rows]):
        here, mine = pool[names[pool] == name], rows[names[rows] == name]
        if len(here) >= FEWEST and len(set(codes[here].tolist())) > 1:
            of = lisi(vectors[mine], vectors[here], codes[here], np.searchsorted(here, mine))
            shares.append(np.full(len(mine), _share(*of)))
            share = accepted(vectors[here], codes[here], np.searchsorted(here, mine))
            tested.append(np.full(len(mine), share))
    if shares:
        out["kbet"] = float(np.concatenate(tested).mean())
        out["mixed_within_labels"] = float(np.concatenate(shares).mean())
    out["clisi"] = float(np.mean(lisi(vectors[rows], vectors[pool], names[pool], own)[0]))
    rest = np.setdiff1d(pool, rows)
    out["knn_accuracy"] = float((nearest(vectors[rest], labels[rest], vectors[rows]) == labels[rows]).mean())
    right: list[npt.NDArray[np.bool_]] = []
    for code in np.unique(codes[rows]):
        others = rest[codes[rest] != code]
        mine = rows[(codes[rows] == code) & np.isin(names[rows], names[others])]
        if len(others) and len(mine):
            right.append(nearest(vectors[others], labels[others], vectors[mine]) == labels[mine])
    if right:
        out["knn_other_batches"] = float(np.concatenate(right).mean())
    return {k: round(v, 4) for k, v in out.items()}


def _share(index: Floats, attainable: Floats) -> float:
    return float((index.mean() - 1.0) / max(attainable.mean() - 1.0, 1e-9))


def _unit(vectors: Floats) -> Floats:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12))
