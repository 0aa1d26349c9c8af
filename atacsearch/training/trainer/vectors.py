"""Vectors of token sets for the figures of a training run: the network as it is, without building an encoder."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch

from ...model.atacformer import pool
from ...model.checkpoints.checkpoint import Model
from ...model.encoding.packing import pieces_of
from ...tokens.token_sets import TokenSets
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
        most: tokens of one set at the most, drawn from `seed`. Where None every token is used: a set longer than
            the model's context is cut into pieces as the encoder cuts it, so that both give the same vector.
        seed: of that draw.
        progress: called with the number of the step and of all steps after each.

    Returns:
        [n_sets, d] float32.
    """
    context = model.config.max_position_embeddings
    if most is None and sets.lengths.max(initial=0) > context:
        return _in_pieces(model, sets, context, progress)
    network = model.module.eval()
    device = next(network.parameters()).device
    most = most or context
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


def _in_pieces(
    model: Model, sets: TokenSets, context: int, progress: Callable[[int, int], None] | None
) -> Floats:
    """Vectors of sets of which some are longer than the context: weighted means over their pieces."""
    pieces = pieces_of(sets.lengths, context)
    parts = TokenSets.from_lists(
        [sets[int(row)][pieces.places(i)].tolist() for i, row in enumerate(pieces.row)]
    )
    vectors = embed_sets(model, parts, most=context, progress=progress).astype(np.float64)
    weights = None if model.pool_weights is None else model.pool_weights.cpu().numpy()
    mass = np.array(
        [len(tokens) if weights is None else weights[tokens].sum() for tokens in parts], np.float64
    )
    out = np.zeros((len(sets), model.dim))
    total = np.zeros(len(sets))
    np.add.at(out, pieces.row, vectors * mass[:, None])
    np.add.at(total, pieces.row, mass)
    return (out / np.where(total > 0, total, 1.0)[:, None]).astype(np.float32)
