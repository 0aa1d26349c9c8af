"""Vectors of token sets for the figures of a training run: the network as it is, without building an encoder."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch

from ..genome.tokensets import TokenSets
from ..model.atacformer import pool
from ..model.checkpoint import Model
from .batches import subsample

Floats = npt.NDArray[np.float32]
TOGETHER = 64  # sets of one call


@torch.no_grad()
def embed_sets(
    model: Model,
    sets: TokenSets,
    *,
    most: int | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Floats:
    """Pooled vector of each set, in order.

    Args:
        model: its network is put into eval mode and stays on its device.
        sets: token sets; an empty one becomes zeros.
        most: tokens of one set at the most, drawn from `seed`; the model's context where None.
        seed: of that draw.
        progress: called with the number of the step and of all steps after each.

    Returns:
        [n_sets, d] float32.
    """
    network = model.module.eval()
    device = next(network.parameters()).device
    most = most or model.config.max_position_embeddings
    rng = np.random.default_rng(seed)
    weights = None if model.pool_weights is None else model.pool_weights.to(device)
    out = np.zeros((len(sets), model.dim), np.float32)
    order = np.argsort(sets.lengths, kind="stable")  # like beside like: runs of equal lengths are long
    for first in range(0, len(order), TOGETHER):
        batch = subsample(sets, order[first : first + TOGETHER], rng, most=most)
        if len(batch.rows):
            tokens = batch.tokens.to(device)
            w = None if weights is None else weights[tokens]
            out[batch.rows] = pool(network(tokens, batch.packing), batch.packing, w).float().cpu().numpy()
        if progress is not None:
            progress(first // TOGETHER, -(-len(order) // TOGETHER))
    return out
