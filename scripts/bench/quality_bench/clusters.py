"""Unsupervised vectors: how well clusters of them agree with the labels that nothing was shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt

from atacsearch.demo.baseline import TfIdf

from .cache import Cache, key_of, source_digest
from .cellruns import note
from .datasets import Cells
from .product import vectors_without_labels
from .scores import agreement
from .spectral import Spectral, leading

RANK = 50
NEIGHBOURS = 15
RESOLUTION = 1.0  # one rule for all data and vectors
SEEDS = (0, 1, 2, 3, 4)


def _svd(cells: Cells) -> Any:
    rows = TfIdf.fit(cells.matrix).transform(cells.matrix)
    u, s, _ = leading(rows, RANK + 1)
    return (u * s)[:, 1:]


def _unit(cells: Cells) -> Any:
    from sklearn.preprocessing import normalize

    return normalize(_svd(cells))


def _ours(way: str) -> Callable[[Cells], Any]:
    def vectors(cells: Cells) -> Any:
        from sklearn.preprocessing import normalize

        # Cosine is the distance of the index, so unit vectors are what it holds.
        return normalize(vectors_without_labels(cells, way, 0))

    return vectors


VECTORS: dict[str, Callable[[Cells], Any]] = {
    "SVD": _svd,
    "unit-length SVD": _unit,
    "spectral": lambda cells: Spectral.fit(cells.matrix, RANK).vectors,
    "atacsearch, warm start": _ours("warm start"),
    "atacsearch, pretrained": _ours("pretrained"),
}


def is_ours(name: str) -> bool:
    """Whether vectors are those of a model of ours."""
    return name.startswith("atacsearch")


def kmeans(vectors: Any, k: int, seed: int) -> npt.NDArray[Any]:
    """[n] clusters, as many as there are types, best of ten starts."""
    from sklearn.cluster import KMeans

    clusters: npt.NDArray[Any] = KMeans(k, n_init=10, random_state=seed).fit_predict(vectors)
    return clusters


def leiden(vectors: Any, k: int, seed: int) -> npt.NDArray[Any]:
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
    out = []
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
                    scores = agreement(cells.labels, clusters)
                    row = cache.put(key, {**about, **scores, "found": len(np.unique(clusters))})
                if row is not None:
                    found.append(row)
            if found:
                out.append(_row(name, title, way, found))
    return out


def _row(name: str, title: str, way: str, found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    row: dict[str, Any] = {"dataset": name, "vectors": title, "clusters": way, "ours": is_ours(title)}
    row |= {"seeds": len(found), "n_clusters": round(float(np.mean([r["found"] for r in found])), 1)}
    for measure in ("ari", "ami"):
        values = [r[measure] for r in found]
        row[measure] = round(float(np.mean(values)), 4)
        row[f"{measure}_sd"] = round(float(np.std(values, ddof=1)), 4) if len(values) > 1 else None
    return row
