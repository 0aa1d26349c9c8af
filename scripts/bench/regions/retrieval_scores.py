"""Scores of retrieval over labelled files, and the Jaccard index of base pairs that they are compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
FIRST = 10  # answers that a reader looks at
RESAMPLED = 2_000


def relevance(columns: Mapping[str, npt.NDArray[np.str_]]) -> dict[str, Bools]:
    """[n, n] per task whether the file of the column is a right answer to that of the row.

    Same cell line among cell lines; same target, where there is one; same assay. Never the file itself.
    """
    line = columns["cell_type_kind"] == "cell line"

    def same(name: str) -> Bools:
        values = columns[name]
        return np.asarray((values[:, None] == values[None, :]) & (values != "")[:, None], bool)

    tasks = {
        "cell line": same("cell_type") & line[:, None] & line[None, :],
        "target": same("target"),
        "assay": same("assay"),
    }
    return {name: right & ~np.eye(len(right), dtype=bool) for name, right in tasks.items()}


def retrieved(score: Floats, right: Bools) -> Floats:
    """[n, 2] recall@10 and average precision of each query; NaN where no answer is right.

    Recall@10 is the share of the first ten answers that are right, of as many as could be: min(10, right ones).
    A file is no answer to itself. Equal scores stay in the order of the files.

    Args:
        score: [n, n], the query in the row; the largest is the first answer.
        right: [n, n].
    """
    out = np.full((len(score), 2), np.nan)
    for i, (own, good) in enumerate(zip(score, right, strict=True)):
        if good.any():
            order = np.argsort(-own, kind="stable")
            found = good[order[order != i]]
            precision = np.cumsum(found) / np.arange(1, len(found) + 1)
            out[i] = found[:FIRST].sum() / min(FIRST, good.sum()), precision[found].mean()
    return out


def interval(difference: Floats, seed: int = 0) -> tuple[float, float, float]:
    """Mean of a paired difference over queries and its 95 % bootstrap interval."""
    known = difference[~np.isnan(difference)]
    rng = np.random.default_rng(seed)
    means = known[rng.integers(0, len(known), (RESAMPLED, len(known)))].mean(1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(known.mean()), float(low), float(high)


def agreement(score: Floats, other: Floats) -> tuple[float, float]:
    """Mean over queries of Spearman's correlation of two scores, and of the share of common files in the first ten."""
    from scipy.stats import spearmanr

    correlation, common = [], []
    for i in range(len(score)):
        there = np.arange(len(score)) != i
        correlation.append(float(spearmanr(score[i, there], other[i, there]).statistic))
        tops = [set(np.argsort(-s[i, there], kind="stable")[:FIRST].tolist()) for s in (score, other)]
        common.append(len(tops[0] & tops[1]) / FIRST)
    return float(np.mean(correlation)), float(np.mean(common))


def reciprocal_ranks(one: Floats, other: Floats, k: int = 60) -> Floats:
    """[n, n] reciprocal rank fusion of two scores; the file itself takes no rank."""
    from scipy.stats import rankdata

    out = np.zeros_like(one)
    for score in (one, other):
        for i in range(len(score)):
            there = np.arange(len(score)) != i
            out[i, there] += 1 / (k + rankdata(-score[i, there], method="min"))
    return out


def merged_regions(paths: Sequence[Path]) -> list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Per file the start and end of its merged intervals, sorted, chromosomes laid one after another."""
    from atacsearch.readers.bed import read_bed

    offsets: dict[str, int] = {}
    out = []
    for path in paths:
        found = read_bed(path)
        place = np.array([offsets.setdefault(name, len(offsets) << 30) for name in found.chroms], np.int64)
        start, end = found.start + place[found.chrom], found.end + place[found.chrom]
        order = np.argsort(start, kind="stable")
        start, furthest = start[order], np.maximum.accumulate(end[order])
        first = np.concatenate([[True], start[1:] > furthest[:-1]])
        out.append(
            (start[first], furthest[np.concatenate([np.flatnonzero(first)[1:] - 1, [len(start) - 1]])])
        )
    return out


@numba.njit(cache=False)
def _common(start_a: Any, end_a: Any, start_b: Any, end_b: Any) -> int:
    """Base pairs in both of two merged lists."""
    i = j = total = 0
    while i < len(start_a) and j < len(start_b):
        low, high = max(start_a[i], start_b[j]), min(end_a[i], end_b[j])
        if high > low:
            total += high - low
        if end_a[i] < end_b[j]:
            i += 1
        else:
            j += 1
    return total


def base_pair_jaccard(regions: Sequence[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]) -> Floats:
    """[n, n] base pairs in both over base pairs in either, what `bedtools jaccard` computes."""
    sizes = [int((end - start).sum()) for start, end in regions]
    out = np.eye(len(regions))
    for i in range(len(regions)):
        for j in range(i):
            both = _common(*regions[i], *regions[j])
            out[i, j] = out[j, i] = both / (sizes[i] + sizes[j] - both)
    return out
