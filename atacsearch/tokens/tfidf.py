"""TF-IDF weights of regions, which warm starts, heads and baselines share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from .token_sets import TokenSets

if TYPE_CHECKING:
    import scipy.sparse


def inverse_document_frequency(sets: TokenSets, n_regions: int) -> npt.NDArray[np.float32]:
    """[V] float32 `log(1 + n_sets / (1 + sets that hold the region))`."""
    counts = np.bincount(sets.tokens[sets.tokens < n_regions], minlength=n_regions)
    return np.log1p(len(sets) / (1.0 + counts)).astype(np.float32)


def tfidf(sets: TokenSets, idf: npt.NDArray[np.float32]) -> scipy.sparse.csr_matrix:
    """TF-IDF of token sets: a scipy CSR matrix [n_sets, V] float32, IDF where a region is open, unit rows.

    Unit rows, not rows divided by the number of open regions: they compared better across donors (see
    docs/design/decisions.md). Tokens beyond the regions (special ones) are left out; a set without any is a row of
    zeros.
    """
    highest = int(sets.tokens.max(initial=0)) + 1
    known = sets.to_csr(max(len(idf), highest))[:, : len(idf)].tocsr()
    known.data = idf[known.indices]
    lengths = np.sqrt(np.asarray(known.multiply(known).sum(1)).ravel())
    known.data /= np.repeat(np.where(lengths > 0, lengths, 1.0), np.diff(known.indptr)).astype(np.float32)
    return known
