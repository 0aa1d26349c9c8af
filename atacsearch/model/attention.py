"""Self-attention within packed sets, in three ways that give the same numbers.

The tokens of all sets lie one after another in a matrix [T, ...] and no token sees another set's:

- `runs`: one call for each run of neighbours of equal length. Nothing is padded and no mask is read; each call
  costs microseconds, which is nothing on a CPU. The only way that training needs.
- `varlen`: one call for all sets through torch's variable-length flash attention. CUDA and half precision
  only. On any other device it computes what `runs` does from the same arguments, so that the packing for a GPU
  can be checked without one.
- `padded`: one call for all sets, padded to the longest and masked. For GPUs without the kernel, and for fp32.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

How = Literal["runs", "varlen", "padded"]
# The kernel takes head sizes that are multiples of this (checked by torch when it is called).
HEAD_MULTIPLE = 8
# Rows that one thread of a segment reduction adds up. Longer sets are added up in two steps, so that the
# longest set does not decide how long the reduction of a batch takes.
SUM_CHUNK = 128


@dataclass(frozen=True)
class Packing:
    """How the packed tokens fall into sets: runs of neighbouring sets that have the same length.

    Equal lengths let attention run as one batched call; sets sorted by length make long runs.

    Attributes:
        runs: (number of sets, length of each) of every run.
        how: the way of attention.
        offsets: [n_sets + 1] int32 first token of each set, on the device that computes; None under `runs`.
    """

    runs: tuple[tuple[int, int], ...]
    how: How = "runs"
    offsets: Tensor | None = None

    @classmethod
    def from_lengths(cls, lengths: list[int], how: How = "runs", offsets: Tensor | None = None) -> Packing:
        """Runs of equal neighbours in `lengths`.

        Args:
            lengths: tokens of each set.
            how: the way of attention.
            offsets: as the attribute; made here, on the CPU, where a way that needs them gets none.
        """
        runs: list[tuple[int, int]] = []
        for length in lengths:
            if runs and runs[-1][1] == length:
                runs[-1] = (runs[-1][0] + 1, length)
            else:
                runs.append((1, length))
        if how != "runs" and offsets is None:
            offsets = F.pad(torch.tensor(lengths).cumsum(0), (1, 0)).to(torch.int32)
        return cls(tuple(runs), how, offsets)

    def split(self, packed: Tensor) -> tuple[Tensor, ...]:
        """The rows of each run. One split, not a slice a run: the gradient of a slice is as long as the whole."""
        rows: tuple[Tensor, ...] = packed.split([count * length for count, length in self.runs])
        return rows

    @property
    def lengths(self) -> list[int]:
        """Length of each set, in order."""
        return [length for count, length in self.runs for _ in range(count)]

    @property
    def longest(self) -> int:
        """Tokens of the longest set."""
        return max(length for _, length in self.runs)

    @property
    def bounds(self) -> Tensor:
        """`offsets`. Raises ValueError where there are none."""
        if self.offsets is None:
            raise ValueError("a packing by runs has no offsets")
        return self.offsets

    @cached_property
    def slots(self) -> Tensor:
        """[T] int64 place of every token among n_sets x longest. Computed on the device, without a wait."""
        total = sum(count * length for count, length in self.runs)
        firsts = self.bounds[:-1].long()
        counts = self.bounds.diff()
        shift = torch.arange(len(firsts), device=firsts.device) * self.longest - firsts
        places = torch.arange(total, device=firsts.device)
        return places + shift.repeat_interleave(counts, output_size=total)

    def sums(self, values: Tensor) -> Tensor:
        """[T, d] float32 rows to [n_sets, d] float32, added up within each set, always in the same order."""
        if self.how == "runs":
            parts = zip(self.runs, self.split(values), strict=True)
            return torch.cat([rows.view(count, length, -1).sum(1) for (count, length), rows in parts])
        chunks, cuts = [], []
        for length in self.lengths:
            whole, rest = divmod(length, SUM_CHUNK)
            chunks += [SUM_CHUNK] * whole + [rest] * (rest > 0)
            cuts.append(whole + (rest > 0))
        for lengths in (chunks, cuts):
            values = torch.segment_reduce(values, "sum", lengths=_sent(lengths, values.device), unsafe=True)
        return values


def attend(qkv: Tensor, n_heads: int, packing: Packing) -> Tensor:
    """Multi-head attention within each set.

    Args:
        qkv: [T, 3 d] queries, keys and values, each with its heads one after another.
        n_heads: divides d.
        packing: how the rows fall into sets, none of them empty.

    Returns:
        [T, d] of the same dtype.
    """
    ways = {"runs": _by_runs, "varlen": _varlen, "padded": _padded}
    return ways[packing.how](qkv, n_heads, packing)


def has_varlen(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether `varlen` runs its kernel there: NVIDIA Ampere or later, half precision, torch with that API."""
    if device.type != "cuda" or torch.version.hip is not None or dtype == torch.float32:
        return False
    try:
        from torch.nn.attention import varlen  # noqa: F401
    except ImportError:
        return False
    return torch.cuda.get_device_capability(device) >= (8, 0)


def _by_runs(qkv: Tensor, n_heads: int, packing: Packing) -> Tensor:
    d = qkv.shape[1] // 3
    out: list[Tensor] = []
    for (count, length), rows in zip(packing.runs, packing.split(qkv), strict=True):
        rows = rows.view(count, length, 3, n_heads, d // n_heads)
        q, k, v = rows.permute(2, 0, 3, 1, 4)  # each [count, heads, length, d/heads]
        mixed = F.scaled_dot_product_attention(q, k, v)
        out.append(mixed.transpose(1, 2).reshape(count * length, d))
    return out[0] if len(out) == 1 else torch.cat(out)  # [T, d]


def _varlen(qkv: Tensor, n_heads: int, packing: Packing) -> Tensor:
    if not qkv.is_cuda:
        return _varlen_reference(qkv, n_heads, packing)
    from torch.nn.attention.varlen import varlen_attn

    d = qkv.shape[1] // 3
    q, k, v = qkv.view(-1, 3, n_heads, d // n_heads).unbind(1)  # each [T, heads, d/heads], rows apart by 3 d
    mixed = varlen_attn(q, k, v, packing.bounds, packing.bounds, packing.longest, packing.longest)
    assert isinstance(mixed, Tensor)  # a tuple only where more than the result was asked for
    return mixed.reshape(-1, d)


def _varlen_reference(qkv: Tensor, n_heads: int, packing: Packing) -> Tensor:
    """What the kernel computes, from `offsets` alone, one set at a time."""
    d = qkv.shape[1] // 3
    q, k, v = qkv.view(-1, 3, n_heads, d // n_heads).permute(1, 2, 0, 3)  # each [heads, T, d/heads]
    parts = [slice(a, b) for a, b in pairwise(packing.bounds.tolist())]
    out = [F.scaled_dot_product_attention(q[:, p], k[:, p], v[:, p]).transpose(0, 1) for p in parts]
    return torch.cat(out).reshape(-1, d)


def _padded(qkv: Tensor, n_heads: int, packing: Packing) -> Tensor:
    d = qkv.shape[1] // 3
    slots, n_sets, longest = packing.slots, sum(count for count, _ in packing.runs), packing.longest
    rows = qkv.new_zeros(n_sets * longest, 3 * d)
    rows = rows.index_copy(0, slots, qkv).view(n_sets, longest, 3, n_heads, d // n_heads)
    q, k, v = rows.permute(2, 0, 3, 1, 4)  # each [n_sets, heads, longest, d/heads]
    real = slots.new_zeros(n_sets * longest, dtype=torch.bool).index_fill(0, slots, True)
    mask = real.view(n_sets, 1, 1, longest)
    mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    return mixed.transpose(1, 2).reshape(n_sets * longest, d).index_select(0, slots)  # [T, d]


def _sent(values: list[int], device: torch.device) -> Tensor:
    """[n] int64 on the device; a pinned copy, so that a GPU's queue is not waited for."""
    made = torch.tensor(values)
    return made.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else made
