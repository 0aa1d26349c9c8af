"""The baseline of the demo's label transfer: TF-IDF, truncated SVD, k nearest neighbours.

In: a reference and a query matrix, cells x peaks, and the reference's labels. Out: one label a query cell.
Latent semantic indexing as in Cusanovich et al. 2018 (doi:10.1016/j.cell.2018.06.052): IDF-weighted binary rows
of unit length, the first component, which mostly tells how many peaks are open, left out. Weighting, number of
components and number of neighbours are the same whatever the data: nothing is tuned to a set.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Labels = npt.NDArray[np.object_]


@dataclass(frozen=True)
class TfIdf:
    """Inverse document frequency of the peaks of a binary cell x peak matrix, and rows weighted by it.

    Attributes:
        idf: [n_peaks] float64, log(1 + n_cells / (1 + cells with the peak open)), of the cells fitted on.
    """

    idf: npt.NDArray[np.float64]

    @classmethod
    def fit(cls, matrix: csr_matrix) -> TfIdf:
        """Count on `matrix` [n_cells, n_peaks], scipy sparse; only which entries are non-zero matters."""
        open_cells = np.asarray((matrix != 0).sum(axis=0)).ravel()
        return cls(np.log1p(matrix.shape[0] / (1.0 + open_cells)))

    def transform(self, matrix: csr_matrix) -> csr_matrix:
        """IDF of the open peaks of `matrix`, CSR [n_cells, n_peaks] float32 in rows of unit length; an empty
        cell stays zero.
        """
        import scipy.sparse as sp
        from sklearn.preprocessing import normalize

        binary = sp.csr_matrix(matrix != 0, dtype=np.float32)
        return normalize(binary @ sp.diags(self.idf.astype(np.float32)))


def transfer(
    reference: csr_matrix,
    labels: Labels,
    query: csr_matrix,
    *,
    fit_on_query: bool = False,
    components: int = 50,
    k: int = 15,
    seed: int = 0,
) -> Labels:
    """Label the query cells by the majority of their nearest reference cells.

    Args:
        reference: [n_reference, n_peaks] scipy sparse, the same peaks as `query`.
        labels: [n_reference] labels of the reference cells.
        query: [n_query, n_peaks] scipy sparse.
        fit_on_query: fit TF-IDF and SVD on reference and query together (transductive: the query's cells, not
            its labels, are seen before they are labelled) and not on the reference alone.
        components: number of SVD components after the first, less where the data have fewer.
        k: number of neighbours, cosine distance, each with one vote.
        seed: of the randomised SVD.

    Returns:
        [n_query] labels.
    """
    import scipy.sparse as sp
    from sklearn.decomposition import TruncatedSVD
    from sklearn.neighbors import KNeighborsClassifier

    fitted_on = sp.vstack([reference, query]).tocsr() if fit_on_query else reference
    tfidf = TfIdf.fit(fitted_on)
    components = min(components + 1, min(fitted_on.shape) - 1)
    svd = TruncatedSVD(components, random_state=seed).fit(tfidf.transform(fitted_on))
    points, queries = (svd.transform(tfidf.transform(m))[:, 1:] for m in (reference, query))
    knn = KNeighborsClassifier(min(k, len(labels)), metric="cosine").fit(points, labels.astype(str))
    return np.asarray(knn.predict(queries), dtype=object)
