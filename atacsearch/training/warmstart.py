"""Warm start: a token table and pooling weights from a truncated SVD of the TF-IDF matrix of the training sets.

With these weights and residual branches at zero, the untrained network *is* latent semantic indexing, the method
of Cusanovich et al. 2018 (doi:10.1016/j.cell.2018.06.052), at unit length and extended to sets that were not there
when it was fitted, so training starts from a strong embedding instead of from noise.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ..genome.tokensets import TokenSets
from ..genome.weighting import inverse_document_frequency, tfidf
from ..model.atacformer import LAYER_NORM_EPS, EncoderLayer
from ..model.checkpoint import Model

RANK = 50  # components of the embedding
ROUNDS = 10  # power iterations of the randomised SVD; five leave errors of some hundredths in the cosines


def svd_table(
    sets: TokenSets, n_regions: int, *, rank: int = RANK, seed: int = 0
) -> tuple[npt.NDArray[np.float32], float]:
    """Row of each region such that the sum of its regions' rows is a set's embedding, up to length.

    Components are divided by the square roots of their singular values: between whitened ones, which find cell
    types across donors, and plain ones, which hold more within them (see docs/decisions.md, also for the
    spectral embedding, which weights sets by their degrees and did less well).

    Args:
        sets: at least three token sets.
        n_regions: size V of the universe.
        rank: components kept. The first, which says little but how many regions are open, is not among them.
        seed: of the randomised SVD.

    Returns:
        [V, rank] float32 and the share of variance that the components explain. Regions that no set holds have
        rows of zeros; the rank is smaller where sets or regions are few.
    """
    from sklearn.decomposition import TruncatedSVD

    idf = inverse_document_frequency(sets, n_regions)
    matrix = tfidf(sets, idf)
    rank = max(1, min(rank, min(matrix.shape) - 2))
    svd = TruncatedSVD(rank + 1, n_iter=ROUNDS, random_state=seed).fit(matrix)
    scale = np.sqrt(np.maximum(svd.singular_values_[1:], 1e-6 * svd.singular_values_[0]))
    rows = svd.components_[1:].T / scale * idf[:, None]
    return rows.astype(np.float32), float(svd.explained_variance_ratio_[1:].sum())


def warm_start(model: Model, sets: TokenSets, *, rank: int = RANK, seed: int = 0) -> dict[str, Any]:
    """Set the model's token table, pooling weights and residual branches from the SVD of `sets`, in place.

    Args:
        model: a fresh model over the universe of `sets`.
        sets: training token sets, labelled or not; at least three of them.
        rank: components kept, at most the model's width less one.
        seed: of the randomised SVD and of what regions that no set holds start from.

    Returns:
        What was done, for the log: rank, share of variance, regions never seen.

    Layer normalisation takes the mean off every token's vector and divides by its length. The components are
    therefore laid along directions whose mean is zero, and the pooling weights give each token its length back:
    pooled vectors are exact. A region that no training set holds keeps a small random row and the smallest
    pooling weight, so that it neither points anywhere nor makes a set of such regions vanish.
    """
    from scipy.linalg import helmert

    n_regions, d = model.config.n_regions, model.config.hidden_size
    rows, explained = svd_table(sets, n_regions, rank=min(rank, d - 1), seed=seed)
    rank = rows.shape[1]
    seen = rows.any(1)
    scale = float(np.sqrt(np.mean(rows[seen] ** 2))) or 1.0

    generator = torch.Generator().manual_seed(seed)
    layers = model.module.atacformer.encoder.layers
    with torch.no_grad():
        table = model.module.atacformer.embeddings.token_embeddings.weight
        table[:n_regions] = torch.randn(n_regions, d, generator=generator) * 0.02
        known = torch.from_numpy(np.flatnonzero(seen))
        directions = torch.from_numpy(helmert(d)[:rank].astype(np.float32))  # orthonormal, of mean zero
        placed = torch.from_numpy(rows[seen] / scale) @ directions
        table[known] = placed
        for layer in layers:
            assert isinstance(layer, EncoderLayer)
            # Zero the last matrix of each residual branch: the layer begins as the identity, then learns.
            torch.nn.init.zeros_(layer.self_attn.out_proj.weight)
            torch.nn.init.zeros_(layer.linear2.weight)
            torch.nn.init.xavier_uniform_(layer.self_attn.in_proj_weight, generator=generator)
            torch.nn.init.xavier_uniform_(layer.linear1.weight, generator=generator)
        shown = placed
        for _ in range(2 * len(layers)):
            shown = torch.nn.functional.layer_norm(shown, (d,), eps=LAYER_NORM_EPS)
        lengths = placed.norm(dim=1) / shown.norm(dim=1).clamp_min(1e-12)
        pool_weights = torch.ones(model.config.vocab_size)
        pool_weights[:n_regions] = 1e-3
        pool_weights[known] = (lengths / lengths.mean()).clamp_min(1e-3)
    model.pool_weights = pool_weights
    model.own["pooling"] = "weighted mean; weights = length of each region's row of the SVD"
    return {
        "rank": rank,
        "explained_variance": round(explained, 4),
        "regions_never_seen": int((~seen).sum()),
    }
