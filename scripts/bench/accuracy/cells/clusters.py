"""Unsupervised vectors: how well clusters of them agree with the labels that nothing was shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt

from atacsearch.demo.baseline import TfIdf
from bench.accuracy.cells.spectral import Spectral, leading
from bench.accuracy.cells.unlabelled import vectors_without_labels
from bench.accuracy.shared.scores import agreement
from bench.common.cache import Cache, key_of, source_digest
from bench.common.datasets import Cells
from bench.common.messages import note

Floats = npt.NDArray[np.floating[Any]]
RANK = 50
NEIGHBOURS = 15
RESOLUTION = 1.0  # one rule for all data and vectors
SEEDS = (0, 1, 2, 3, 4)


def _svd(cells: Cells) -> Floats:
    rows = TfIdf.fit(cells.matrix).transform(cells.matrix)
    u, s, _ = leading(rows, RANK + 1)
    return np.asarray((u * s)[:, 1:])


def _unit(cells: Cells) -> Floats:
    from sklearn.preprocessing import normalize

    return np.asarray(normalize(_svd(cells)))


def _ours(way: str) -> Callable[[Cells], Floats]:
    def vectors(cells: Cells) -> Floats:
        from sklearn.preprocessing import normalize

        # Cosine is the distance of the index, so unit vectors are what it holds.
        return np.asarray(normalize(vectors_without_labels(cells, way, 0)))

    return vectors


VECTORS: dict[str, Callable[[Cells], Floats]] = {
    "SVD": _svd,
    "unit-length SVD": _unit,
    "spectral": lambda cells: Spectral.fit(cells.matrix, RANK).vectors,
    "atacsearch, warm start": _ours("warm start"),
    "atacsearch, pretrained": _ours("pretrained"),
}


def is_ours(name: str) -> bool:
    """Whether vectors are those of a model of ours."""
    return name.startswith("atacsearch")


def kmeans(vectors: Floats, k: int, seed: int) -> npt.NDArray[Any]:
    """[n] clusters, as many as there are types, best of ten starts."""
    from sklearn.cluster import KMeans

    clusters: npt.NDArray[Any] = KMeans(k, n_init=10, random_state=seed).fit_predict(vectors)
    return clusters


def leiden(vectors: Floats, k: int, seed: int) -> npt.NDArray[Any]:
    """[n] clusters of the 15-nearest-neighbour graph (cosine) by modularity at resolution 1, whatever `k` is.

    Traag et al. 2019 (doi:10.1038/s41598-019-41695-z), as igraph has it.
    """
    import random

    import igraph
    from sklearn.neighbors import kneighbors_graph

    near = kneighbors_graph(vectors, NEIGHBOURS, metric="cosine").tocoo()
    edges = {(min(i, j), max(i, j)) for i, j in zip(near.row.tolist(), near.col.tolist(), strict=True)}
    graph = igraph.Graph(n=vectors.shape[0], edges=sorted(edges))
    random.seed(seed)  # igraph draws from Python's generator
    found = graph.community_leiden(objective_function="modularity", resolution=RESOLUTION, n_iterations=-1)
    return np.asarray(found.membership)


def run_clusters(
    name: str,
    cells: Cells,
    cache: Cache,
    wanted: Sequence[str] = (),
    seeds: Sequence[int] = SEEDS,
    only_cached: bool = False,
) -> list[dict[str, Any]]:
    """Rows of one data set: ARI and AMI of each kind of vectors and clustering, mean and spread over seeds."""
    ways: dict[str, Any] = {"k-means": kmeans, "Leiden": leiden}
    absent = {"Leiden"} if find_spec("igraph") is None else set()
    if absent:
        note("no igraph: no rows of Leiden are made")
    k = len(np.unique(cells.labels))
    out: list[dict[str, Any]] = []
    kept: dict[tuple[str, str], list[list[str | None]]] = {}
    for title, make in VECTORS.items():
        if wanted and not any(part.lower() in title.lower() for part in wanted):
            continue
        settings = [RANK, NEIGHBOURS, RESOLUTION, "v1", source_digest() if is_ours(title) else ""]
        vectors = None
        for way, cluster in ways.items():
            found = []
            for seed in seeds:
                key = key_of("clusters", cells.digest, title, way, settings, seed)
                row = cache.get(key)
                if row is None and not only_cached and way not in absent:
                    if vectors is None:
                        note(f"{name}: vectors of {title}")
                        vectors = make(cells)
                    note(f"{name}: {way} on {title}, seed {seed}")
                    about = {"dataset": name, "vectors": title, "clusters": way, "seed": seed}
                    clusters = cluster(vectors, k, seed)
                    scores = agreement(cells.labels.tolist(), clusters)
                    named = [str(c) for c in clusters]
                    row = cache.put(key, {**about, **scores, "found": len(np.unique(clusters))}, named)
                if row is not None:
                    found.append(row)
            if found:
                kept[title, way] = [cache.predictions(row["key"]) for row in found if row["n"]]
                out.append(_row(name, title, way, found))
    _add_intervals(cells.labels, kept, out)
    return out


def _add_intervals(
    truth: npt.NDArray[Any], kept: dict[tuple[str, str], list[list[str | None]]], rows: list[dict[str, Any]]
) -> None:
    """Give each row whose clusters were kept the interval of its ARI; ours also that of the best baseline's gain.

    The best baseline is the row with the highest ARI, which the true labels choose, among those kept.
    """
    draws = {name: resampled_ari(truth, clusters) for name, clusters in kept.items() if clusters}
    rivals = [r for r in rows if not r["ours"] and (r["vectors"], r["clusters"]) in draws]
    best = max(rivals, key=lambda r: r["ari"], default=None)
    for row in rows:
        mine = draws.get((row["vectors"], row["clusters"]))
        if mine is None:
            continue
        row["ari_interval"] = _between(mine)
        if row["ours"] and best is not None:
            row["gain"] = round(row["ari"] - best["ari"], 4)
            row["gain_interval"] = _between(mine - draws[best["vectors"], best["clusters"]])
            row["gain_over"] = f"{best['clusters']} on {best['vectors']}"


def _between(draws: npt.NDArray[np.float64]) -> list[float]:
    return [round(float(x), 4) for x in np.quantile(draws, (0.025, 0.975))]


def resampled_ari(
    truth: npt.NDArray[Any], clusters: Sequence[Sequence[str | None]], *, resamples: int = 500, seed: int = 0
) -> npt.NDArray[np.float64]:
    """[resamples] ARI, mean over clusterings, on cells drawn with replacement.

    Equal seeds and lengths draw the same cells, so that two answers may be subtracted. The clusterings stay as they
    are: what another draw of cells would do to them is not in the interval.
    """
    names = np.unique(truth, return_inverse=True)[1]
    tables = []
    for found in clusters:
        codes = np.unique(np.asarray(found, dtype=str), return_inverse=True)[1]
        tables.append((codes, int(names.max()) + 1, int(codes.max()) + 1))
    rng = np.random.default_rng(seed)
    out = np.empty(resamples)
    for i in range(resamples):
        rows = rng.integers(len(names), size=len(names))
        out[i] = np.mean([_ari(names[rows] * k + codes[rows], n, k) for codes, n, k in tables])
    return out


def _ari(pairs: npt.NDArray[np.int64], n: int, k: int) -> float:
    """Adjusted Rand index of a flat contingency (Hubert & Arabie 1985)."""
    table = np.bincount(pairs, minlength=n * k).reshape(n, k).astype(np.float64)

    def two(x: Any) -> float:
        return float((x * (x - 1) / 2).sum())

    both, rows, columns, total = two(table), two(table.sum(1)), two(table.sum(0)), two(table.sum())
    chance = rows * columns / total
    return (both - chance) / ((rows + columns) / 2 - chance)


def _row(name: str, title: str, way: str, found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    row: dict[str, Any] = {"dataset": name, "vectors": title, "clusters": way, "ours": is_ours(title)}
    row |= {"seeds": len(found), "n_clusters": round(float(np.mean([r["found"] for r in found])), 1)}
    for measure in ("ari", "ami"):
        values = [r[measure] for r in found]
        row[measure] = round(float(np.mean(values)), 4)
        row[f"{measure}_sd"] = round(float(np.std(values, ddof=1)), 4) if len(values) > 1 else None
    return row
