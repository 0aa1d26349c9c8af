"""The adversary of batch correction: a batch classifier behind a reversed gradient.

The classifier learns to tell the batch of a vector; the encoder gets its gradient reversed and learns to hide it
(Ganin & Lempitsky 2015, arXiv:1409.7495).
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from ...model.checkpoints.checkpoint import Model
from ...model.heads.task_heads import TaskModel, reverse_gradient

GAMMA = 10.0  # steepness of the schedule, as published


def strength_at(progress: float) -> float:
    """The published schedule of the reversed gradient's weight: 0 at the start, towards 1 at the end.

    Args:
        progress: share of all steps that are done.

    Example:
        >>> round(strength_at(0.0), 2), round(strength_at(0.2), 2), round(strength_at(1.0), 2)
        (0.0, 0.76, 1.0)
    """
    return 2.0 / (1.0 + math.exp(-GAMMA * progress)) - 1.0


def with_batch_head(model: Model, n_batches: int, seed: int) -> Model:
    """The model with a fresh batch head and, where it had none, a fresh discriminator."""
    config = replace(model.config, num_batches=n_batches)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = TaskModel(config, discriminator=True, batches=True)
    module.atacformer.load_state_dict(model.module.atacformer.state_dict())
    if model.module.discriminator is not None and module.discriminator is not None:
        module.discriminator.load_state_dict(model.module.discriminator.state_dict())
    return Model(module.eval(), model.universe_source, model.path, model.own, model.pool_weights)


def freeze_but_last(model: Model, layers: int, table: bool) -> None:
    """Let only the last layers, all norms and the heads train, as published; the token table where asked."""
    encoder = model.module.atacformer
    for parameter in encoder.parameters():
        parameter.requires_grad_(False)
    for layer in list(encoder.encoder.layers)[-layers:]:
        layer.requires_grad_(True)
    for name, parameter in encoder.named_parameters():
        if ".norm" in name:
            parameter.requires_grad_(True)
    encoder.embeddings.token_embeddings.weight.requires_grad_(table)


def batch_weights(
    batches: npt.NDArray[np.int64], labels: npt.NDArray[np.int64] | None
) -> npt.NDArray[np.float64]:
    """How much the adversary looks at each cell, so that it cannot tell batches by their composition.

    Within each label every batch weighs the same; a label that one batch alone has weighs nothing, since hiding
    its batch would mean hiding the label. Without labels every batch weighs the same.

    Args:
        batches: [n] codes.
        labels: [n] codes, -1 where a cell has none (weight 0); or None.

    Returns:
        [n] weights with mean 1, all zero where no label is in two batches.
    """
    groups = np.zeros(len(batches), np.int64) if labels is None else labels
    weights = np.zeros(len(batches))
    for group in np.unique(groups[groups >= 0]):
        mine = groups == group
        counts = np.bincount(batches[mine])
        if (counts > 0).sum() > 1:
            weights[mine] = mine.sum() / ((counts > 0).sum() * counts[batches[mine]])
    mean = weights.mean()
    return weights / mean if mean > 0 else weights


def adversarial_loss(
    vectors: Tensor, head: torch.nn.Module, batches: Tensor, weights: Tensor, strength: float
) -> Tensor:
    """Weighted cross-entropy of the batch, whose gradient to `vectors` comes back reversed.

    Args:
        vectors: [n, d] pooled vectors; the classifier sees them at the length sqrt(d), since search compares
            directions alone.
        head: classifier of [n, d].
        batches: [n] int64.
        weights: [n] float32.
        strength: of the reversed gradient; the classifier itself always learns at full strength.
    """
    scaled = F.normalize(vectors, dim=1) * math.sqrt(vectors.shape[1])
    losses = F.cross_entropy(head(reverse_gradient(scaled, strength)), batches, reduction="none")
    return (losses * weights).sum() / weights.sum().clamp_min(1e-6)
