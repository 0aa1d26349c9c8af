"""The spectral embedding of SnapATAC2, in a few lines of scipy, with its extension to new cells.

Zhang et al. 2024 Nat Methods 21:217 (doi:10.1038/s41592-023-02139-9): rows of open regions are weighted by IDF
and brought to unit length, the affinity of two cells is their cosine, and the embedding is made of the leading
eigenvectors of the normalised affinity D^-1/2 X X^T D^-1/2. Those are the left singular vectors of D^-1/2 X, so no
cell x cell matrix is ever made. Each is weighted by the square root of its eigenvalue; the first, which is
the square root of the degrees, is left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


Floats = npt.NDArray[np.float64]


def inverse_frequency(matrix: csr_matrix) -> Floats:
    """[n_regions] log(n / (1 + cells with the region open)), never below 0: the weights of SnapATAC2."""
    counts = np.asarray((matrix != 0).sum(0)).ravel()
    return np.asarray(np.maximum(np.log(matrix.shape[0] / (1.0 + counts)), 0.0))


def leading(matrix: csr_matrix, rank: int) -> tuple[Floats, Floats, Floats]:
    """Singular triplets of a sparse matrix, the largest first: [n, rank], [rank], [rank, p]; the same each time."""
    from scipy.sparse.linalg import svds

    rank = max(1, min(rank, min(matrix.shape) - 1))
    start = np.random.default_rng(0).normal(size=min(matrix.shape))
    u, s, vt = svds(matrix.astype(np.float64), k=rank, v0=start)
    order = np.argsort(-s)
    return u[:, order], s[order], vt[order]


@dataclass(frozen=True)
class Spectral:
    """A spectral embedding of some cells.

    Attributes:
        idf: [n_regions] weights, of the cells fitted on.
        sums: [n_regions] column sums of their weighted unit rows.
        values: [rank] singular values of D^-1/2 X, without the first.
        axes: [rank, n_regions] right singular vectors, without the first.
        vectors: [n, rank] embedding of the cells fitted on.
    """

    idf: Floats
    sums: Floats
    values: Floats
    axes: Floats
    vectors: Floats

    @classmethod
    def fit(cls, matrix: csr_matrix, rank: int) -> Spectral:
        """Embed the cells of `matrix` [n_cells, n_regions], scipy sparse; only which entries are non-zero matters."""
        idf = inverse_frequency(matrix)
        rows = _unit_rows(matrix, idf)
        sums = np.asarray(rows.sum(0)).ravel()
        u, s, vt = leading(_by_degree(rows, sums), rank + 1)
        return cls(idf, sums, s[1:], vt[1:], u[:, 1:] * s[1:])

    def transform(self, matrix: csr_matrix) -> Floats:
        """[n, rank] embedding of other cells, by the Nystroem formula with degrees towards the cells fitted on."""
        rows = _unit_rows(matrix, self.idf)
        return np.asarray(_by_degree(rows, self.sums) @ self.axes.T)


def _unit_rows(matrix: csr_matrix, idf: Floats) -> csr_matrix:
    import scipy.sparse as sp
    from sklearn.preprocessing import normalize

    return normalize(sp.csr_matrix(matrix != 0, dtype=np.float64) @ sp.diags(idf))


def _by_degree(rows: csr_matrix, sums: Floats) -> csr_matrix:
    """Rows over the square root of their degree; an empty cell stays zero."""
    import scipy.sparse as sp

    degree = np.asarray(rows @ sums).ravel()
    scale = np.divide(1.0, np.sqrt(degree), out=np.zeros_like(degree), where=degree > 0)
    return sp.csr_matrix(sp.diags(scale) @ rows)
