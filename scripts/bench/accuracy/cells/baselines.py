"""The simple methods for cells, each of one kind.

*inductive*: everything is fitted on the reference alone, the query arrives later. *transductive*: the embedding is
fitted on reference and query together, labels come from the reference.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from atacsearch.demo.baseline import TfIdf
from bench.accuracy.cells.spectral import Spectral, leading
from bench.accuracy.shared.classifiers import Grid, Labels, knn, logistic, svm
from bench.accuracy.shared.plan import KINDS

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


RANK = 50
SPECTRAL_RANKS = (30, 50)  # the default of SnapATAC2, and that of the SVD beside it
SPARSE_GRID = (1.0, 10.0)
SVM_GRID = (0.1, 1.0)
DENSE_GRID = (0.01, 0.1, 1.0, 10.0)


@dataclass
class Task:
    """One fold: a reference with labels, a query without.

    Attributes:
        reference, query: scipy CSR [n, n_regions], binary.
        labels: [n_reference].
        batches: donor, library or replicate of the reference cells and of the query cells, or None.
        seed: of methods that draw.
        chosen: settings that methods chose inside of the reference, for the row.
        kept: embeddings that were made, for the methods that share one, with the seconds they took.
        used: keys of those that the present method asked for.
        spent: seconds that went into embeddings so far.
    """

    reference: csr_matrix
    query: csr_matrix
    labels: Labels
    batches: tuple[Labels, Labels] | None = None
    seed: int = 0
    chosen: dict[str, Any] = field(default_factory=dict)
    kept: dict[Any, tuple[Any, float]] = field(default_factory=dict)
    used: set[Any] = field(default_factory=set)
    spent: float = 0.0

    @property
    def groups(self) -> Labels | None:
        """Batches of the reference cells, or None."""
        return None if self.batches is None else self.batches[0]


Call = Callable[[Task], Labels]


class Classify(Protocol):
    """A classifier of `bench.accuracy.shared.classifiers` that chooses its C."""

    def __call__(
        self, reference: Any, labels: Labels, query: Any, grid: Grid, *, balanced: bool, groups: Any
    ) -> tuple[Labels, float]:
        """Labels of the query, and C."""
        ...


@dataclass(frozen=True)
class Method:
    """A way to label the query cells.

    Attributes:
        name: in tables.
        kind: `inductive` or `transductive`.
        call: a task to labels.
        settings: what cached rows depend on.
        drawn: whether seeds matter; others run once.
        needs: a package that is not always there.
    """

    name: str
    kind: str
    call: Call
    settings: str
    drawn: bool = False
    needs: str | None = None

    @property
    def missing(self) -> bool:
        """Whether the package that it needs is absent."""
        return self.needs is not None and find_spec(self.needs) is None


ENDS = ("kNN", "logistic", "balanced logistic")


def methods() -> list[Method]:
    """All simple methods, inductive ones first."""
    out = []
    for name, classify, grid in (("logistic", logistic, SPARSE_GRID), ("linear SVM", svm, SVM_GRID)):
        for balanced in (False, True):
            title = f"TF-IDF + {'balanced ' if balanced else ''}{name}"
            out.append(Method(title, KINDS[0], _sparse(classify, grid, balanced), f"{title} {grid} v2"))
    for kind in KINDS:
        for name, rank in (("SVD", RANK), *(("spectral", rank) for rank in SPECTRAL_RANKS)):
            for end in ENDS:
                title = f"{'TF-IDF + SVD' if name == 'SVD' else name} {rank} + {end}"
                out.append(Method(title, kind, _dense(name, rank, kind, end), f"{title} {DENSE_GRID} v2"))
    for end in ENDS:
        title = f"TF-IDF + SVD {RANK} + Harmony + {end}"
        call = _dense("Harmony", RANK, KINDS[1], end)
        out.append(Method(title, KINDS[1], call, f"{title} {DENSE_GRID} v2", True, "harmonypy"))
    return out


def embed(task: Task, name: str, rank: int, kind: str) -> tuple[Any, Any]:
    """[n_reference, rank] and [n_query, rank] vectors of an embedding that the task keeps."""
    widest = max(SPECTRAL_RANKS) if name == "spectral" else rank
    key = (name, widest, kind, task.seed if name == "Harmony" else 0)
    if key not in task.kept:
        before, began = task.spent, time.perf_counter()
        vectors = _FITS[name](task, widest, kind)
        own = time.perf_counter() - began - (task.spent - before)
        task.kept[key] = vectors, own
        task.spent += own
    task.used.add(key)
    reference, query = task.kept[key][0]
    return reference[:, :rank], query[:, :rank]


def _svd(task: Task, rank: int, kind: str) -> tuple[Any, Any]:
    fitted_on = _both(task) if kind == "transductive" else task.reference
    weights = TfIdf.fit(fitted_on)
    axes = leading(weights.transform(fitted_on), rank + 1)[2][1:]  # the first: how many regions are open
    reference, query = (np.asarray(weights.transform(m) @ axes.T) for m in (task.reference, task.query))
    return reference, query


def _spectral(task: Task, rank: int, kind: str) -> tuple[Any, Any]:
    if kind == "transductive":
        vectors = Spectral.fit(_both(task), rank).vectors
        n = task.reference.shape[0]
        return vectors[:n], vectors[n:]
    fitted = Spectral.fit(task.reference, rank)
    return fitted.vectors, fitted.transform(task.query)


def _harmony(task: Task, rank: int, kind: str) -> tuple[Any, Any]:
    """Korsunsky et al. 2019 (doi:10.1038/s41592-019-0619-0) on the SVD; batches are the donors, libraries or
    replicates where they are known, else reference and query.
    """
    import harmonypy
    import pandas as pd

    reference, query = embed(task, "SVD", rank, kind)
    if task.batches is not None:
        batch = np.concatenate([np.asarray(side, dtype=str) for side in task.batches])
    else:
        batch = np.repeat(["reference", "query"], [len(reference), len(query)])
    if len(set(batch.tolist())) == 1:
        return reference, query
    about = pd.DataFrame({"batch": batch})
    both = np.concatenate([reference, query])
    fixed = harmonypy.run_harmony(both, about, "batch", random_state=task.seed, verbose=False).Z_corr
    vectors = np.asarray(fixed, np.float64)
    vectors = vectors if len(vectors) == len(both) else vectors.T
    return vectors[: len(reference)], vectors[len(reference) :]


_FITS = {"SVD": _svd, "spectral": _spectral, "Harmony": _harmony}


def _both(task: Task) -> csr_matrix:
    import scipy.sparse as sp

    return sp.vstack([task.reference, task.query]).tocsr()


def _sparse(classify: Classify, grid: Grid, balanced: bool) -> Call:
    def call(task: Task) -> Labels:
        weights = TfIdf.fit(task.reference)
        reference, query = (weights.transform(m) for m in (task.reference, task.query))
        labels, task.chosen["C"] = classify(
            reference, task.labels, query, grid, balanced=balanced, groups=task.groups
        )
        return labels

    return call


def _dense(name: str, rank: int, kind: str, end: str) -> Call:
    def call(task: Task) -> Labels:
        reference, query = embed(task, name, rank, kind)
        labels, chosen = label_vectors(reference, task.labels, query, end, task.groups)
        task.chosen.update(chosen)
        return labels

    return call


def label_vectors(
    reference: Any, labels: Labels, query: Any, end: str, groups: Labels | None = None
) -> tuple[Labels, dict[str, Any]]:
    """Labels from vectors, by one of `ENDS`, on rows of unit length; and what was chosen."""
    from sklearn.preprocessing import normalize

    if end == "kNN":
        return knn(reference, labels, query), {}
    # Unit rows carried over to the other replicate better than standardised columns; times the root of the width,
    # so that a C means the same for every width.
    reference, query = (normalize(side) * np.sqrt(side.shape[1]) for side in (reference, query))
    found, c = logistic(
        reference, labels, query, DENSE_GRID, balanced=end.startswith("balanced"), groups=groups
    )
    return found, {"C": c}
