"""Losses: replaced-token detection, and the metric-learning losses of cell-type fine-tuning."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def replace_tokens(
    tokens: Tensor, n_regions: int, share: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Replace a share of the tokens by regions drawn uniformly from the vocabulary, as published.

    Args:
        tokens: [T] int64 packed ids.
        n_regions: size V of the universe.
        share: probability of each token to be replaced (0.45 in the paper).
        generator: source of randomness.

    Returns:
        [T] ids after replacement and [T] float32, 1 where the id differs from the original.
    """
    chosen = torch.rand(len(tokens), generator=generator) < share
    drawn = torch.randint(n_regions, (len(tokens),), generator=generator)
    replaced = torch.where(chosen, drawn, tokens)
    return replaced, (replaced != tokens).float()


def cosine_proxy_loss(
    vectors: Tensor, proxies: Tensor, target: Tensor, temperature: float, smoothing: float
) -> Tensor:
    """Cross-entropy over cosines to one learned vector a class (NormFace, Wang et al. 2017, arXiv:1704.06369).

    Args:
        vectors: [n, d] pooled vectors.
        proxies: [n_classes, d].
        target: [n] int64 class of each vector, or [n, n_classes] probability of each class.
        temperature: divides the cosines.
        smoothing: label smoothing.
    """
    cosines = F.normalize(vectors, dim=1) @ F.normalize(proxies, dim=1).T
    return F.cross_entropy(cosines / temperature, target, label_smoothing=smoothing)


def triplet_loss(vectors: Tensor, labels: Tensor, generator: torch.Generator, margin: float = 1.0) -> Tensor:
    """Triplet margin loss (p = 2) as published, with a random positive and negative for every anchor.

    Anchors without another set of their class, or without one of a different class, in the batch are left out;
    a batch without any anchor gives zero.
    """
    same = labels[:, None] == labels[None]
    positive = same & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    anchors = positive.any(1) & (~same).any(1)
    if not bool(anchors.any()):
        return vectors.sum() * 0.0
    pick = torch.rand(same.shape, generator=generator).to(vectors.device)
    p = (pick * positive).argmax(1)[anchors]
    n = (pick * ~same).argmax(1)[anchors]
    return F.triplet_margin_loss(vectors[anchors], vectors[p], vectors[n], margin=margin, p=2)


def contrastive_loss(vectors: Tensor, labels: Tensor, groups: Tensor | None, temperature: float) -> Tensor:
    """Supervised contrastive loss over the batch (Khosla et al. 2020, arXiv:2004.11362, their L_out).

    Positives are the other sets of the same label; where some of them come from another group (donor, library),
    only those, so that what is alike is the type and not the group. Sets without a positive are left out; a
    batch without any gives zero.

    Args:
        vectors: [n, d] pooled vectors.
        labels: [n] int64.
        groups: [n] int64 group of each, or None.
        temperature: divides the cosines.
    """
    unit = F.normalize(vectors, dim=1)
    itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    positive = (labels[:, None] == labels[None]) & ~itself
    if groups is not None:
        across = positive & (groups[:, None] != groups[None])
        positive = torch.where(across.any(1, keepdim=True), across, positive)
    anchors = positive.any(1)
    if not bool(anchors.any()):
        return vectors.sum() * 0.0
    logits = (unit @ unit.T / temperature).masked_fill(itself, float("-inf"))
    log_share = (logits - logits.logsumexp(1, keepdim=True)).masked_fill(itself, 0.0)
    each = (log_share * positive).sum(1) / positive.sum(1).clamp_min(1)
    return -each[anchors].mean()
