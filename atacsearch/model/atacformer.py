"""Atacformer: a transformer encoder over sets of genomic regions (LeRoy et al., bioRxiv 2025.11.03.685753).

Token ids in, one contextual vector per token out; the mean over a set's tokens is the vector of the cell or
BED file. Layers are post-norm with ReLU, without a final norm. Sequences are packed: the tokens of all sets
lie one after another, so no padding is computed and linear layers see one long matrix.
Parameter names are those of the published checkpoints.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .config import AtacformerConfig

LAYER_NORM_EPS = 1e-5  # torch's default, which the published encoder layers use


@dataclass(frozen=True)
class Packing:
    """How the packed tokens fall into sets: runs of neighbouring sets that have the same length.

    Equal lengths let attention run as one batched call; sets sorted by length make long runs.

    Attributes:
        runs: (number of sets, length of each) of every run.
        padded: let attention pad all sets to the longest and mask, one call for the whole batch. Right for a
            GPU and sets of similar length; on a CPU a call per run costs less than the padding.
    """

    runs: tuple[tuple[int, int], ...]
    padded: bool = False

    @classmethod
    def from_lengths(cls, lengths: list[int], padded: bool = False) -> Packing:
        """Runs of equal neighbours in `lengths`."""
        runs: list[tuple[int, int]] = []
        for length in lengths:
            if runs and runs[-1][1] == length:
                runs[-1] = (runs[-1][0] + 1, length)
            else:
                runs.append((1, length))
        return cls(tuple(runs), padded)

    def split(self, packed: Tensor) -> tuple[Tensor, ...]:
        """The rows of each run. One split, not a slice a run: the gradient of a slice is as long as the whole."""
        return packed.split([count * length for count, length in self.runs])

    @property
    def lengths(self) -> list[int]:
        """Length of each set, in order."""
        return [length for count, length in self.runs for _ in range(count)]


class SelfAttention(nn.Module):
    """Multi-head self-attention within each set; parameters as in `nn.MultiheadAttention`."""

    def __init__(self, config: AtacformerConfig) -> None:
        super().__init__()
        d = config.hidden_size
        self.n_heads = config.num_attention_heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * d, d))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * d))
        self.out_proj = nn.Linear(d, d)

    def forward(self, x: Tensor, packing: Packing) -> Tensor:
        """[T, d] packed vectors to [T, d], mixed within each set."""
        qkv = F.linear(x, self.in_proj_weight, self.in_proj_bias)  # [T, 3d]
        mixed = self._padded(qkv, packing) if packing.padded else self._by_runs(qkv, packing)
        return self.out_proj(mixed)  # [T, d]

    def _by_runs(self, qkv: Tensor, packing: Packing) -> Tensor:
        """One attention call for each run of equal lengths."""
        d = qkv.shape[1] // 3
        out: list[Tensor] = []
        for (count, length), rows in zip(packing.runs, packing.split(qkv), strict=True):
            rows = rows.view(count, length, 3, self.n_heads, d // self.n_heads)
            q, k, v = rows.permute(2, 0, 3, 1, 4)  # each [count, heads, length, d/heads]
            mixed = F.scaled_dot_product_attention(q, k, v)
            out.append(mixed.transpose(1, 2).reshape(count * length, d))
        return out[0] if len(out) == 1 else torch.cat(out)  # [T, d]

    def _padded(self, qkv: Tensor, packing: Packing) -> Tensor:
        """One attention call for all sets, padded to the longest, padding masked out."""
        d = qkv.shape[1] // 3
        lengths = torch.tensor(packing.lengths, device=qkv.device)
        real = torch.arange(int(lengths.max()), device=qkv.device) < lengths[:, None]  # [n_sets, longest]
        rows = qkv.new_zeros(*real.shape, 3 * d)
        rows[real] = qkv
        q, k, v = rows.view(*real.shape, 3, self.n_heads, d // self.n_heads).permute(2, 0, 3, 1, 4)
        mask = real[:, None, None, :]  # [n_sets, 1, 1, longest]
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return mixed.transpose(1, 2).reshape(*real.shape, d)[real]  # [T, d]


class EncoderLayer(nn.Module):
    """One post-norm transformer layer."""

    def __init__(self, config: AtacformerConfig) -> None:
        super().__init__()
        d = config.hidden_size
        self.self_attn = SelfAttention(config)
        self.linear1 = nn.Linear(d, config.intermediate_size)
        self.linear2 = nn.Linear(config.intermediate_size, d)
        self.norm1 = nn.LayerNorm(d, eps=LAYER_NORM_EPS)
        self.norm2 = nn.LayerNorm(d, eps=LAYER_NORM_EPS)

    def forward(self, x: Tensor, packing: Packing) -> Tensor:
        """[T, d] packed vectors to [T, d]."""
        x = self.norm1(x + self.self_attn(x, packing))  # [T, d]
        return self.norm2(x + self.linear2(F.relu(self.linear1(x))))  # [T, d]


class Embeddings(nn.Module):
    """The token table and, where the config says so, learned positions."""

    def __init__(self, config: AtacformerConfig) -> None:
        super().__init__()
        self.token_embeddings = nn.Embedding(config.vocab_size, config.hidden_size)
        # Always in a published checkpoint, though released models do not add it.
        self.position_embeddings = nn.Embedding(config.max_position_embeddings, config.hidden_size)
        self.use_positions = config.use_pos_embeddings
        self.dropout = nn.Dropout(config.embedding_dropout)

    def forward(self, tokens: Tensor, packing: Packing) -> Tensor:
        """[T] int64 token ids to [T, d] vectors."""
        x = self.token_embeddings(tokens)  # [T, d]
        if self.use_positions:
            places = [torch.arange(n, device=tokens.device).repeat(count) for count, n in packing.runs]
            x = x + self.position_embeddings(torch.cat(places))
        return self.dropout(x)


class Encoder(nn.Module):
    """The stack of layers; a module of its own because the published names have `encoder.layers`."""

    def __init__(self, config: AtacformerConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(EncoderLayer(config) for _ in range(config.num_hidden_layers))

    def forward(self, x: Tensor, packing: Packing) -> Tensor:
        """[T, d] packed vectors to [T, d], through all layers."""
        for layer in self.layers:
            x = layer(x, packing)
        return x


class Atacformer(nn.Module):
    """The encoder: packed token ids [T] int64 to contextual vectors [T, d]."""

    def __init__(self, config: AtacformerConfig) -> None:
        super().__init__()
        self.config = config
        self.embeddings = Embeddings(config)
        self.encoder = Encoder(config)
        self.initialise()

    def initialise(self) -> None:
        """Draw fresh weights: normal with the config's range, zero biases, unit norms."""
        for name, parameter in self.named_parameters():
            if parameter.dim() > 1:
                nn.init.normal_(parameter, std=self.config.initializer_range)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)

    def forward(self, tokens: Tensor, packing: Packing) -> Tensor:
        """[T] int64 token ids to [T, d] contextual vectors."""
        return self.encoder(self.embeddings(tokens, packing), packing)


def pool(vectors: Tensor, packing: Packing, weights: Tensor | None = None) -> Tensor:
    """Mean of each set's token vectors.

    Args:
        vectors: [T, d] packed token vectors.
        packing: how they fall into sets, none of them empty.
        weights: [T] non-negative weight of each token; the plain mean where None.

    Returns:
        [n_sets, d]. A set whose weights are all zero takes the plain mean.
    """
    out: list[Tensor] = []
    parts = (None,) * len(packing.runs) if weights is None else packing.split(weights)
    for (count, length), packed, part in zip(packing.runs, packing.split(vectors), parts, strict=True):
        rows = packed.view(count, length, -1)
        if part is None:
            out.append(rows.mean(dim=1))
        else:
            w = part.view(count, length, 1).to(rows.dtype)
            total = w.sum(dim=1, keepdim=True)
            w = torch.where(total > 0, w / total.clamp_min(1e-12), torch.full_like(w, 1.0 / length))
            out.append((rows * w).sum(dim=1))
    return torch.cat(out)
