"""TF-IDF weightings and voting kernels compared, without a model: figures of docs/design/decisions.md.

    python scripts/bench/training/weightings.py granja_bmmc.h5ad --label cell_type --batch batch
    python scripts/bench/training/weightings.py cellmix_schep.h5ad --label cell_type --folds 5

With --batch every batch is once the reference and all others the query, else stratified folds. Accuracy and
macro-F1 of 15 nearest neighbours on 50 singular vectors fitted on the reference alone.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from typing import Any

import anndata
import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from sklearn.decomposition import TruncatedSVD
from sklearn.metrics import accuracy_score, f1_score
from sklearn.model_selection import StratifiedKFold
from sklearn.preprocessing import normalize

K, RANK = 15, 50
Floats = npt.NDArray[np.float64]
KERNELS: dict[str, Callable[[Floats], Floats]] = {
    "equal votes": lambda d: np.ones_like(d),
    "1 / distance": lambda d: 1.0 / d,
    "Gaussian of d / d_k": lambda d: np.exp(-((2 * d / d[:, -1:]) ** 2)),
}


def weighted(kind: str, matrix: Any, idf: np.ndarray) -> Any:
    """One of the TF-IDF weightings of a binary matrix."""
    if kind == "log(1 + 10^4 TF IDF)":
        sizes = np.maximum(np.asarray(matrix.sum(1)).ravel(), 1)
        out = sp.csr_matrix(sp.diags(1 / sizes) @ matrix @ sp.diags(idf))
        out.data = np.log1p(1e4 * out.data)
        return out
    return normalize(matrix @ sp.diags(idf))


def splits(
    labels: np.ndarray, batches: np.ndarray | None, folds: int
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Name, reference rows and query rows of every split."""
    if batches is not None:
        for name in np.unique(batches):
            yield str(name), np.flatnonzero(batches == name), np.flatnonzero(batches != name)
        return
    for i, (train, test) in enumerate(
        StratifiedKFold(folds, shuffle=True, random_state=0).split(labels, labels)
    ):
        yield f"fold {i}", train, test


def transfer(reference: np.ndarray, codes: np.ndarray, query: np.ndarray) -> dict[str, np.ndarray]:
    """Predicted codes of the query by every kernel."""
    cosines = normalize(query) @ normalize(reference).T
    near = np.argpartition(-cosines, K, 1)[:, :K]
    distance = np.maximum(1 - np.take_along_axis(cosines, near, 1), 1e-6)
    order = np.argsort(distance, 1)
    near, distance = np.take_along_axis(near, order, 1), np.take_along_axis(distance, order, 1)
    out = {}
    for name, kernel in KERNELS.items():
        votes = np.zeros((len(query), codes.max() + 1))
        weights = kernel(distance)
        for j in range(K):
            np.add.at(votes, (np.arange(len(query)), codes[near[:, j]]), weights[:, j])
        out[name] = votes.argmax(1)
    return out


def main() -> None:
    """Print one line for each split, weighting and kernel."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("h5ad")
    parser.add_argument("--label", required=True)
    parser.add_argument("--batch")
    parser.add_argument("--folds", type=int, default=5)
    arguments = parser.parse_args()
    cells = anndata.read_h5ad(arguments.h5ad)
    matrix = sp.csr_matrix(cells.X > 0, dtype=np.float32)
    classes, codes = np.unique(cells.obs[arguments.label].astype(str), return_inverse=True)
    batches = cells.obs[arguments.batch].astype(str).to_numpy() if arguments.batch else None
    for split, train, test in splits(codes, batches, arguments.folds):
        idf = np.log1p(len(train) / (1 + np.asarray(matrix[train].sum(0)).ravel()))
        for weighting in ("log(1 + 10^4 TF IDF)", "unit rows of IDF"):
            a, q = (weighted(weighting, matrix[rows], idf) for rows in (train, test))
            svd = TruncatedSVD(RANK + 1, random_state=0).fit(a)
            for first, kept in ((0, "all components"), (1, "without the first")):
                ra, rq = (svd.transform(m)[:, first : first + RANK] for m in (a, q))
                for kernel, call in transfer(ra, codes[train], rq).items():
                    f1 = f1_score(
                        codes[test], call, average="macro", labels=np.unique(codes[test]), zero_division=0
                    )
                    accuracy = accuracy_score(codes[test], call)
                    print(
                        f"{split:8} {weighting:22} {kept:18} {kernel:20} {accuracy:.3f} {f1:.3f}  "
                        f"({len(test):,} cells, {len(classes)} types)",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
