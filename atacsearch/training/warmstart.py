"""Warm start: a token table and pooling weights from a truncated SVD of the TF-IDF matrix of the training sets.

With these weights and residual branches at zero, the untrained network is (up to layer normalisation) latent
semantic indexing, the method of Cusanovich et al. 2018 (doi:10.1016/j.cell.2018.06.052), so training starts
from a strong linear embedding instead of from noise.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ..genome.tokensets import TokenSets
from ..model.atacformer import EncoderLayer
from ..model.checkpoint import Model


def inverse_document_frequency(sets: TokenSets, n_regions: int) -> npt.NDArray[np.float32]:
    """[V] float32 `log(1 + n_sets / (1 + sets that hold the region))`."""
    counts = np.bincount(sets.tokens[sets.tokens < n_regions], minlength=n_regions)
    return np.log1p(len(sets) / (1.0 + counts)).astype(np.float32)


def tfidf(sets: TokenSets, idf: npt.NDArray[np.float32]) -> Any:
    """TF-IDF of token sets: a scipy CSR matrix [n_sets, V] float32, IDF where a region is open, unit rows.

    Unit rows, not rows divided by the number of open regions: they compared better across donors (see
    docs/decisions.md).
    """
    from sklearn.preprocessing import normalize

    highest = int(sets.tokens.max(initial=0)) + 1
    known = sets.to_csr(max(len(idf), highest))[:, : len(idf)].tocsr()
    known.data = idf[known.indices]
    return normalize(known)


def warm_start(model: Model, sets: TokenSets, *, rank: int = 50, seed: int = 0) -> dict[str, Any]:
    """Set the model's token table, pooling weights and residual branches from the SVD of `sets`, in place.

    Args:
        model: a fresh model over the universe of `sets`.
        sets: training token sets; at least two of them.
        rank: singular vectors kept, at most the model's width. The first one is not among them: it mostly
            tells how many regions are open in a cell.
        seed: of the randomised SVD.

    Returns:
        What was done, for the log: rank, share of variance, regions never seen.

    A region that no training set holds keeps a small random row and the smallest pooling weight, so that it
    neither points anywhere nor makes a set of such regions vanish.
    """
    from sklearn.decomposition import TruncatedSVD

    n_regions, d = model.config.n_regions, model.config.hidden_size
    idf = inverse_document_frequency(sets, n_regions)
    matrix = tfidf(sets, idf)
    rank = max(1, min(rank, d, min(matrix.shape) - 2))
    svd = TruncatedSVD(rank + 1, random_state=seed).fit(matrix)
    rows = svd.components_[1:].T * idf[:, None]  # [V, rank]
    norms = np.linalg.norm(rows, axis=1)
    seen = norms > 0
    scale = float(np.sqrt(np.mean(rows[seen] ** 2))) or 1.0
    weights = norms / norms[seen].mean()
    weights = np.maximum(weights, 1e-3)

    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        table = model.module.atacformer.embeddings.token_embeddings.weight
        table[:n_regions] = torch.randn(n_regions, d, generator=generator) * 0.02
        table[torch.from_numpy(np.flatnonzero(seen))] = 0.0
        table[:n_regions, :rank] += torch.from_numpy((rows / scale).astype(np.float32))
        for layer in model.module.atacformer.encoder.layers:
            assert isinstance(layer, EncoderLayer)
            # Zero the last matrix of each residual branch: the layer begins as the identity, then learns.
            torch.nn.init.zeros_(layer.self_attn.out_proj.weight)
            torch.nn.init.zeros_(layer.linear2.weight)
            torch.nn.init.xavier_uniform_(layer.self_attn.in_proj_weight, generator=generator)
            torch.nn.init.xavier_uniform_(layer.linear1.weight, generator=generator)
    pool_weights = torch.ones(model.config.vocab_size)
    pool_weights[:n_regions] = torch.from_numpy(weights.astype(np.float32))
    model.pool_weights = pool_weights
    model.own["pooling"] = "weighted mean; weights = norm of idf x SVD row of each region"
    return {
        "rank": rank,
        "explained_variance": round(float(svd.explained_variance_ratio_[1:].sum()), 4),
        "regions_never_seen": int((~seen).sum()),
    }
