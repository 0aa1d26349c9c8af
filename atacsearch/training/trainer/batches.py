"""Batches for training: which sets, which of their tokens, packed for the network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ...model.atacformer import Packing
from ...tokens.token_sets import TokenSets


@dataclass(frozen=True)
class Batch:
    """Some sets, shortest first.

    Attributes:
        rows: [n] int64 which set each came from.
        tokens: [T] int64 packed token ids.
        packing: how they fall into sets.
    """

    rows: npt.NDArray[np.int64]
    tokens: Tensor
    packing: Packing


def subsample(
    sets: TokenSets,
    rows: npt.NDArray[np.int64],
    rng: np.random.Generator,
    *,
    most: int,
    keep: tuple[float, float] = (1.0, 1.0),
) -> Batch:
    """Draw a part of the tokens of each set, without replacement; empty sets are left out.

    Args:
        sets: token sets.
        rows: which of them.
        rng: source of all randomness.
        most: tokens of one set at the most.
        keep: range from which the kept share of each set's tokens is drawn.
    """
    rows = rows[sets.lengths[rows] > 0]
    shares = rng.uniform(*keep, size=len(rows))
    wanted = np.minimum(np.maximum(np.ceil(shares * sets.lengths[rows]), 1), most).astype(np.int64)
    order = np.argsort(wanted, kind="stable")
    picked = [
        sets[r] if n == sets.lengths[r] else rng.choice(sets[r], n, replace=False)
        for r, n in zip(rows[order], wanted[order], strict=True)
    ]
    ids = np.concatenate(picked).astype(np.int64) if picked else np.empty(0, np.int64)
    return Batch(rows[order], torch.from_numpy(ids), Packing.from_lengths(wanted[order].tolist()))


def mix(
    sets: TokenSets,
    rows: npt.NDArray[np.int64],
    partners: npt.NDArray[np.int64],
    shares: npt.NDArray[np.float64],
    rng: np.random.Generator,
    *,
    most: int,
    keep: tuple[float, float],
) -> Batch:
    """Mixed sets: of each row a share of its tokens, of its partner the rest, joined as a set.

    The mixup of Zhang et al. 2018 (arXiv:1710.09412) for sets of regions.

    Args:
        sets: token sets, none of those named by `rows` and `partners` empty.
        rows: [n] first parent.
        partners: [n] second parent; where it is the row itself the set is only thinned.
        shares: [n] part of the mixture that comes from the first parent.
        rng: source of all randomness.
        most: tokens of one mixed set at the most.
        keep: range from which the kept share of tokens is drawn.

    Returns:
        The batch, shortest set first; its `rows` are positions in the arguments.
    """
    kept = rng.uniform(*keep, size=len(rows))
    picked = []
    for row, partner, share, k in zip(rows, partners, shares, kept, strict=True):
        parts = [(row, k)] if row == partner else [(row, k * share), (partner, k * (1.0 - share))]
        drawn = [_part(sets[r], part, rng) for r, part in parts]
        tokens = np.union1d(*drawn) if len(drawn) == 2 else drawn[0]
        picked.append(tokens if len(tokens) <= most else rng.choice(tokens, most, replace=False))
    order = np.argsort([len(p) for p in picked], kind="stable")
    ids = np.concatenate([picked[i] for i in order]).astype(np.int64)
    packing = Packing.from_lengths([len(picked[i]) for i in order])
    return Batch(order, torch.from_numpy(ids), packing)


def _part(tokens: npt.NDArray[np.uint32], share: float, rng: np.random.Generator) -> npt.NDArray[np.uint32]:
    """A random part of the tokens, at least one."""
    n = max(1, round(share * len(tokens)))
    return tokens if n == len(tokens) else rng.choice(tokens, n, replace=False)
