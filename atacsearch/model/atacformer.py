"""Atacformer: a transformer encoder over sets of genomic regions (LeRoy et al., bioRxiv 2025.11.03.685753).

Token ids in, one contextual vector per token out; the mean over a set's tokens is the vector of the cell or
BED file. Layers are post-norm with ReLU, without a final norm. Sequences are packed: the tokens of all sets
lie one after another, so no padding is computed and linear layers see one long matrix.
Parameter names are those of the published checkpoints.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .attention import Packing, attend
from .config import AtacformerConfig

__all__ = ["Atacformer", "Packing", "pool"]

LAYER_NORM_EPS = 1e-5  # torch's default, which the published encoder layers use


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
        mixed: Tensor = self.out_proj(attend(qkv, self.n_heads, packing))  # [T, d]
        return mixed

    @torch.no_grad()
    def widen_heads(self, multiple: int) -> None:
        """Make the head size a multiple of `multiple`, which some kernels want, without changing any result.

        The rows of zeros that are added to queries, keys and values add nothing to a product, and the columns
        of zeros in `out_proj` drop what they give. Queries grow by the root of the ratio of head sizes, since
        attention divides by the root of the head size that it sees. The layout is then no longer the published
        one: for a copy that computes, never for a model that is saved.
        """
        d = self.out_proj.out_features
        size = d // self.n_heads
        wide = -(-size // multiple) * multiple
        if wide == size:
            return
        parts = self.in_proj_weight.view(3, self.n_heads, size, d).clone()
        biases = self.in_proj_bias.view(3, self.n_heads, size).clone()
        for queries in (parts[0], biases[0]):
            queries *= (wide / size) ** 0.5
        extra = wide - size
        self.in_proj_weight = nn.Parameter(F.pad(parts, (0, 0, 0, extra)).reshape(-1, d))
        self.in_proj_bias = nn.Parameter(F.pad(biases, (0, extra)).flatten())
        columns = self.out_proj.weight.view(d, self.n_heads, size)
        self.out_proj.weight = nn.Parameter(F.pad(columns, (0, extra)).reshape(d, -1))


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
        if not _adds_nothing(self.self_attn.out_proj):
            x = _added(self.self_attn(x, packing), x)  # [T, d]
        x = self.norm1(x)
        if not _adds_nothing(self.linear2):
            # In place: the gradient of ReLU needs its result alone.
            x = _added(self.linear2(F.relu(self.linear1(x), inplace=True)), x)  # [T, d]
        out: Tensor = self.norm2(x)
        return out


def _adds_nothing(last: nn.Linear) -> bool:
    """Whether a residual branch that ends in this layer is zero, as in a warm start, and need not be computed.

    Gradients need it all the same; a GPU, which would be waited for, computes it faster than it answers.
    """
    if torch.is_grad_enabled() or last.weight.device.type != "cpu":
        return False
    return not (last.weight.any() or last.bias.any())


def _added(y: Tensor, x: Tensor) -> Tensor:
    """`y + x`, in the memory of `y` where no gradient needs it and the sum has its dtype."""
    return y + x if y.requires_grad or y.dtype != x.dtype else y.add_(x)


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
        """[T] int32 or int64 token ids to [T, d] vectors."""
        x: Tensor = self.token_embeddings(tokens)  # [T, d]
        if self.use_positions:
            places = [torch.arange(n, device=tokens.device).repeat(count) for count, n in packing.runs]
            x = x + self.position_embeddings(torch.cat(places))
        dropped: Tensor = self.dropout(x)
        return dropped


class EncoderStack(nn.Module):
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
        self.encoder = EncoderStack(config)
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
        contextual: Tensor = self.encoder(self.embeddings(tokens, packing), packing)
        return contextual


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
