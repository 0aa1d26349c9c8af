"""What pretraining minimises: replaced-token detection, an anchor to the vectors that training began with, and on
request a contrast of two views of each set."""

from __future__ import annotations

import copy
from dataclasses import replace as changed
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...errors import InputError
from ...model.atacformer import Packing, pool
from ...model.checkpoints.checkpoint import Model
from ...tokens.token_sets import TokenSets
from .batches import Batch, subsample
from .losses import replace_tokens

REPLACEMENTS = ("uniform", "frequency")


class Replacement:
    """Replaces a share of the tokens of each set.

    Args:
        kind: `uniform` draws regions uniformly, as published; `frequency` as often as the corpus holds them, so
            that a region's frequency alone does not give a replacement away.
        share: probability of each token to be replaced.
        counts: [V] sets that hold each region.
    """

    def __init__(self, kind: str, share: float, counts: npt.NDArray[np.int64]) -> None:
        self.kind, self.share, self.n_regions = kind, share, len(counts)
        self.upto = torch.from_numpy(np.cumsum(counts) / max(int(counts.sum()), 1))  # [V] float64

    def __call__(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """[T] int64 ids after replacement and [T] float32, 1 where a token does not belong to its set.

        A drawn region that the set holds anyway belongs to it under `frequency`, where that is common;
        `uniform` keeps the published rule, by which every changed id counts.
        """
        if self.kind == "uniform":
            return replace_tokens(batch.tokens, self.n_regions, self.share, generator)
        n = len(batch.tokens)
        chosen = torch.rand(n, generator=generator) < self.share
        drawn = torch.searchsorted(self.upto, torch.rand(n, generator=generator, dtype=torch.float64))
        drawn = drawn.clamp_max(self.n_regions - 1)
        lengths = torch.tensor(batch.packing.lengths)
        place = torch.arange(len(lengths)).repeat_interleave(lengths) * (self.n_regions + 8)
        foreign = chosen & ~torch.isin(place + drawn, place + batch.tokens)
        return torch.where(foreign, drawn, batch.tokens), foreign.float()


def two_views(
    sets: TokenSets, rng: np.random.Generator, *, most: int, rank: int = 0, size: int = 1
) -> tuple[Batch, Batch]:
    """Two disjoint random halves of each set's tokens, at most `most` tokens each; sets of two tokens or more.

    All sets are drawn, whatever the rank, so that several processes see what one alone would see; the batches
    hold every `size`-th set from `rank` on, and their `rows` count these.
    """
    halves: tuple[list[npt.NDArray[np.uint32]], list[npt.NDArray[np.uint32]]] = ([], [])
    for number, tokens in enumerate(sets):
        mixed = rng.permutation(tokens)
        if number % size == rank:
            middle = len(mixed) // 2
            halves[0].append(mixed[:middle][:most])
            halves[1].append(mixed[middle:][:most])
    rows = np.arange(len(halves[0]))
    first, second = (subsample(TokenSets.from_lists(h), rows, rng, most=most) for h in halves)
    return first, second


def part_of(batch: Batch, rank: int, size: int, *packed: Tensor) -> tuple[Batch, tuple[Tensor, ...]]:
    """Every `size`-th set of a batch from `rank` on, with what belongs to its tokens."""
    if size == 1:
        return batch, packed
    lengths = batch.packing.lengths
    keep = range(rank, len(lengths), size)
    pieces = [[t.split(lengths)[i] for i in keep] for t in (batch.tokens, *packed)]
    tokens, *others = [torch.cat(p) for p in pieces]
    packing = Packing.from_lengths([lengths[i] for i in keep])
    return Batch(batch.rows[list(keep)], tokens, packing), tuple(others)


def contextual(model: Model, tokens: Tensor, packing: Packing, device: torch.device) -> Tensor:
    """[T, d] contextual vectors; on a GPU by padded attention, which is one call for all sets."""
    if device.type == "cuda":
        offsets = F.pad(torch.tensor(packing.lengths).cumsum(0), (1, 0)).to(device, torch.int32)
        packing = changed(packing, how="padded", offsets=offsets)
    vectors: Tensor = model.module(tokens.to(device), packing)
    return vectors


def pooled(model: Model, batch: Batch, device: torch.device) -> Tensor:
    """[n, d] vectors of the batch's sets, pooled as the model says."""
    vectors = contextual(model, batch.tokens, batch.packing, device)
    weights = None
    if model.pool_weights is not None:
        weights = model.pool_weights[batch.tokens].to(device)
    return pool(vectors, batch.packing, weights)


class Projection(nn.Module):
    """The two-layer head of SimCLR, dropped after training: contrast shapes what is below it more gently."""

    def __init__(self, d: int, generator: torch.Generator) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(d, d), nn.Linear(d, d)
        for layer in (self.first, self.second):
            nn.init.xavier_uniform_(layer.weight, generator=generator)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        """[n, d] to [n, d]."""
        out: Tensor = self.second(F.relu(self.first(x)))
        return out


def nt_xent(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """Normalised temperature-scaled cross-entropy (SimCLR, Chen et al. 2020, arXiv:2002.05709).

    Args:
        first: [n, d] one view of each set.
        second: [n, d] the other view, in the same order; all other views are negatives.
        temperature: divides the cosines.
    """
    n = len(first)
    views = F.normalize(torch.cat([first, second]).float(), dim=1)
    cosines = views @ views.T / temperature
    cosines.fill_diagonal_(float("-inf"))
    partner = torch.arange(2 * n, device=cosines.device).roll(n)
    return F.cross_entropy(cosines, partner)


class Anchor:
    """The model as training began, which says where the vector of a set should lie.

    Telling replaced tokens asks nothing of pooled vectors and is mostly a matter of how common a region is, so
    without an anchor that direction grows until it outweighs all others in every vector. The distillation of
    Hinton et al. 2015 (arXiv:1503.02531) from a model to itself: what it said of a whole set is to be told from
    half of it, which also takes out what one half does not share with the other.

    Args:
        model: is copied, and the copy never changes: as much memory again as its weights take.
        device: of the copy.
    """

    def __init__(self, model: Model, device: torch.device) -> None:
        weights = None if model.pool_weights is None else model.pool_weights.clone()
        module = copy.deepcopy(model.module).to(device).eval().requires_grad_(False)
        self.model = Model(module, model.universe_source, pool_weights=weights)
        self.device = device

    @torch.no_grad()
    def __call__(self, batch: Batch) -> Tensor:
        """[n, d] unit vectors of the batch's sets, by their `rows`."""
        vectors = pooled(self.model, batch, self.device).float()
        return F.normalize(by_row(vectors, batch), dim=1)

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs."""
        return {"network": self.model.module.state_dict(), "pool_weights": self.model.pool_weights}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self.model.module.load_state_dict(state["network"])
        self.model.pool_weights = state["pool_weights"]


def by_row(vectors: Tensor, batch: Batch) -> Tensor:
    """[n, d] vectors of a batch, shortest set first, put in the order of the sets' rows."""
    return vectors[torch.from_numpy(np.argsort(batch.rows)).to(vectors.device)]


def cosine_distance(vectors: Tensor, wanted: Tensor) -> Tensor:
    """[n] 1 - cosine of [n, d] vectors and the [n, d] that are wanted, from 0 to 2."""
    return 1.0 - F.cosine_similarity(vectors.float(), wanted, dim=1)


@torch.no_grad()
def evaluate_detection(
    model: Model, sets: TokenSets, replacement: Replacement, most: int, device: torch.device
) -> dict[str, float]:
    """Replaced-token detection on held-out sets, with the same replacements at every call.

    Returns:
        `held_out_loss`, `held_out_token_accuracy`, `held_out_auc`, and `frequency_auc`: what telling
        replacements by the region's frequency alone would reach.
    """
    from sklearn.metrics import roc_auc_score

    network = model.module
    was_training = network.training
    network.eval()
    rng, generator = np.random.default_rng(0), torch.Generator().manual_seed(0)
    frequency = np.diff(replacement.upto.numpy(), prepend=0.0)
    logits, truth, rarity = [], [], []
    for first in range(0, len(sets), 32):
        rows = np.arange(first, min(first + 32, len(sets)))
        batch = subsample(sets, rows, rng, most=most)
        replaced, target = replacement(batch, generator)
        vectors = contextual(model, replaced, batch.packing, device)
        logits.append(network.replaced_logits(vectors).float().cpu())
        truth.append(target)
        rarity.append(-frequency[np.minimum(replaced.numpy(), len(frequency) - 1)])
    network.train(was_training)
    x, y = torch.cat(logits), torch.cat(truth)
    if float(y.min()) == float(y.max()):
        raise InputError(
            f"the {len(sets):,} held-out sets hold too few tokens for some to be replaced and others not: pretraining "
            "needs more or larger sets"
        )
    return {
        "held_out_loss": round(float(F.binary_cross_entropy_with_logits(x, y)), 5),
        "held_out_token_accuracy": round(float(((x > 0) == (y > 0.5)).float().mean()), 5),
        "held_out_auc": round(float(roc_auc_score(y.numpy(), x.numpy())), 5),
        "frequency_auc": round(float(roc_auc_score(y.numpy(), np.concatenate(rarity))), 5),
    }
