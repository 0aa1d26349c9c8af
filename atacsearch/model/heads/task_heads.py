"""Task heads on top of the encoder: replaced-token detection and batch prediction.

A task model holds the encoder under the name `atacformer`, as published checkpoints do, and its heads beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..atacformer import Atacformer, Packing, pool
from ..config import AtacformerConfig


class Discriminator(nn.Module):
    """Says of each token vector whether its token was replaced: Linear, GELU, LayerNorm, Linear to one logit."""

    def __init__(self, config: AtacformerConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.norm_eps)
        self.classifier = nn.Linear(config.hidden_size, 1)

    def forward(self, vectors: Tensor) -> Tensor:
        """[T, d] token vectors to [T] logits."""
        logits: Tensor = self.classifier(self.norm(F.gelu(self.dense(vectors))))  # [T, 1]
        return logits.squeeze(-1)


class _ReverseGradient(torch.autograd.Function):
    """Identity forward, gradient times -alpha backward (Ganin & Lempitsky 2015, arXiv:1409.7495)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, alpha: float) -> Tensor:
        ctx.alpha = alpha
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return -ctx.alpha * grad, None


def reverse_gradient(x: Tensor, alpha: float) -> Tensor:
    """`x` itself; its gradient comes back times `-alpha`."""
    apply: Callable[[Tensor, float], Tensor] = _ReverseGradient.apply
    return apply(x, alpha)


class TaskModel(nn.Module):
    """An encoder with the heads that a checkpoint carries; either head may be absent.

    Attributes:
        atacformer: the encoder.
        discriminator: replaced-token detection head, or None.
        batch_prediction_head: Linear to the batches' logits, or None.
    """

    def __init__(
        self, config: AtacformerConfig, *, discriminator: bool = False, batches: bool = False
    ) -> None:
        super().__init__()
        self.config = config
        self.atacformer = Atacformer(config)
        self.discriminator = Discriminator(config) if discriminator else None
        self.batch_prediction_head = nn.Linear(config.hidden_size, config.num_batches) if batches else None

    @property
    def architecture(self) -> str:
        """Name of the published class with these heads."""
        if self.batch_prediction_head is not None:
            return "AtacformerForUnsupervisedBatchCorrection"
        if self.discriminator is not None:
            return "AtacformerForReplacedTokenDetection"
        return "AtacformerForCellClustering"

    def forward(self, tokens: Tensor, packing: Packing) -> Tensor:
        """[T] int64 token ids to [T, d] contextual vectors."""
        contextual: Tensor = self.atacformer(tokens, packing)  # [T, d]
        return contextual

    def replaced_logits(self, vectors: Tensor) -> Tensor:
        """[T] logit that each token was replaced. Raises ValueError without a discriminator."""
        if self.discriminator is None:
            raise ValueError("this model has no discriminator head")
        logits: Tensor = self.discriminator(vectors)
        return logits

    def batch_logits(self, vectors: Tensor, packing: Packing) -> Tensor:
        """[n_sets, num_batches] logits from the mean of each set. Raises ValueError without that head."""
        if self.batch_prediction_head is None:
            raise ValueError("this model has no batch prediction head")
        logits: Tensor = self.batch_prediction_head(pool(vectors, packing))
        return logits
