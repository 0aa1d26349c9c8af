"""Warm start: a token table and pooling weights from a truncated SVD of the TF-IDF matrix of the training sets.

With these weights and residual branches at zero, the untrained network *is* latent semantic indexing, the method
of Cusanovich et al. 2018 (doi:10.1016/j.cell.2018.06.052), at unit length and extended to sets that were not there
when it was fitted, so training starts from a strong embedding instead of from noise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch

from ...model.atacformer import LAYER_NORM_EPS, EncoderLayer
from ...model.checkpoints.checkpoint import Model
from ...tokens.tfidf import inverse_document_frequency, tfidf
from ...tokens.token_sets import TokenSets
from ..linear.svd import truncated_svd

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

# Components of the embedding of sets of few regions (cells) and of many (BED files): beyond the first 30, exact
# components are noise to neighbours of cells.
RANK, DEEP_RANK = 30, 50
DEEP = 5_000  # regions of a set, on average, from which sets are deep


def default_rank(sets: TokenSets) -> int:
    """Components that are kept of sets of this depth; see docs/design/decisions.md."""
    return DEEP_RANK if len(sets.tokens) > DEEP * len(sets) else RANK


def svd_table(
    sets: TokenSets, n_regions: int, *, rank: int | None = None, seed: int = 0
) -> tuple[npt.NDArray[np.float32], float]:
    """Row of each region such that the sum of its regions' rows is a set's embedding, up to length.

    Components are divided by the square roots of their singular values: between whitened ones, which find cell
    types across donors, and plain ones, which hold more within them (see docs/design/decisions.md, also for the
    spectral embedding, which weights sets by their degrees and did less well).

    Args:
        sets: at least three token sets.
        n_regions: size V of the universe.
        rank: components kept, `default_rank` by default. The first, which says little but how many regions are open,
            is not among them.
        seed: of the directions that the SVD starts from.

    Returns:
        [V, rank] float32 and the share of variance that the components explain. Regions that no set holds have
        rows of zeros; the rank is smaller where sets or regions are few.
    """
    idf = inverse_document_frequency(sets, n_regions)
    matrix = tfidf(sets, idf)
    directions, values = _half_whitened(matrix, rank or default_rank(sets), seed)
    # Of the variance around the mean, which the component that is left out holds nearly alone.
    whole = float(matrix.multiply(matrix).sum() - len(sets) * np.square(matrix.mean(0)).sum())
    return directions * idf[:, None], float(np.square(values).sum()) / max(whole, 1e-12)


def principal_components(
    sets: TokenSets,
    idf: npt.NDArray[np.float32],
    rank: int,
    *,
    seed: int = 0,
) -> npt.NDArray[np.float32]:
    """[V, rank] float32 half-whitened principal directions of TF-IDF rows, as in `svd_table`; the first is left out.

    Args:
        sets: at least three token sets.
        idf: [V] weights of regions.
        rank: of the embedding; smaller where sets or regions are few.
        seed: of the directions that the SVD starts from.
    """
    return _half_whitened(tfidf(sets, idf), rank, seed)[0]


def _half_whitened(
    matrix: csr_matrix, rank: int, seed: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """[V, rank] singular vectors over the roots of their singular values, and [rank] singular values."""
    rank = max(1, min(rank, min(matrix.shape) - 2))
    values, vectors = truncated_svd(matrix, rank + 1, seed=seed)
    return vectors[:, 1:] / np.sqrt(np.maximum(values[1:], 1e-6 * values.max(initial=1e-6))), values[1:]


def warm_start(model: Model, sets: TokenSets, *, rank: int | None = None, seed: int = 0) -> dict[str, float]:
    """Set the model's token table, pooling weights and residual branches from the SVD of `sets`, in place.

    Args:
        model: a fresh model over the universe of `sets`.
        sets: training token sets, labelled or not; at least three of them.
        rank: components kept, at most the model's width less one; `default_rank` by default.
        seed: of what the SVD starts from and of what regions that no set holds start from.

    Returns:
        What was done, for the log: rank, share of variance, regions never seen.

    Layer normalisation takes the mean off every token's vector and divides by its length. The components are
    therefore laid along directions whose mean is zero, and the pooling weights give each token its length back:
    pooled vectors are exact. A region that no training set holds keeps a small random row and the smallest
    pooling weight, so that it neither points anywhere nor makes a set of such regions vanish.
    """
    from scipy.linalg import helmert

    n_regions, d = model.config.n_regions, model.config.hidden_size
    rows, explained = svd_table(sets, n_regions, rank=min(rank or default_rank(sets), d - 1), seed=seed)
    rank = rows.shape[1]
    seen = rows.any(1)
    scale = (float(np.sqrt(np.mean(rows[seen] ** 2))) if seen.any() else 0.0) or 1.0

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
