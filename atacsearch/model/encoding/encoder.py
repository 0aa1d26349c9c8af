"""TokenSets to vectors: device, dtype, packing and pooling.

The encoder never samples and never drops: the same input gives the same vectors on every run. Inputs longer
than the model's context are split into disjoint chunks that cover every token, and pooled by token count.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ...errors import DigestError, InputError
from ...spelling import did_you_mean
from ...tokens.token_sets import TokenSets
from ..atacformer import Atacformer, Packing, SelfAttention
from ..attention import HEAD_MULTIPLE, How, has_varlen
from ..checkpoints.checkpoint import GENERAL, Model
from ..device import choose_device, choose_dtype, has_fast_bfloat16
from ..heads.class_head import ClassHead
from ..threads import in_order
from .packing import Pack, packs_of

# Tokens that go through the network at once. CPU: few enough for activations to be written to memory that the
# process already has (blocks over 32 MB are given back to the system and cost a page fault for every 4 kB), and
# for a thousand cells to keep every core busy. CUDA: enough for kernels to outlast their launch.
PACK_TOKENS = {"cpu": 4_096, "cuda": 262_144}

R = TypeVar("R")
# Contextual vectors [T, d] of a pack, how they fall into pieces, and the token ids [T]: to what is kept of them.
Finish = Callable[[Tensor, Packing, Tensor], R]


class Encoder:
    """Encodes token sets with one model on one device.

    `close`, or the end of a `with` block, gives back the memory that the encoder took, on a GPU too. The model stays
    as it is.

    Args:
        model: a loaded checkpoint. On the CPU in float32 its network is used as it is; else a copy is.
        device: `auto` (CUDA where there is one), `cpu`, `cuda` or `cuda:N`.
        dtype: `auto` (bfloat16 on CUDA, float32 on the CPU), `float32` or `bfloat16`.
        attention: another way of attention than the device's own, for checks (`atacsearch.model.attention`).

    Example:
        >>> model = ats.load_model("model")
        >>> with ats.Encoder(model, device="cpu") as encoder:
        ...     vectors = encoder.encode(model.universe.tokenize("f0.bed"))
        >>> vectors.shape == (1, model.dim), vectors.dtype.name
        (True, 'float32')
    """

    def __init__(
        self, model: Model, device: str = "auto", dtype: str | None = "auto", attention: How | None = None
    ) -> None:
        self.model = model
        self.device = choose_device(device)
        self.dtype = choose_dtype(dtype, self.device)
        self.how = attention or _way(self.device, self.dtype)
        self._network: Atacformer | None = _prepared(
            model.module.atacformer, self.device, self.dtype, self.how
        )
        weights = model.pool_weights
        self.pool_weights = None if weights is None else weights.to(self.device)
        self.context = model.config.max_position_embeddings

    def __enter__(self) -> Encoder:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give back the memory that the encoder took. It encodes nothing afterwards; a second call does nothing."""
        self._network = self.pool_weights = None
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    @property
    def network(self) -> Atacformer:
        """The network on the encoder's device. Raises `ValueError` once the encoder is closed."""
        if self._network is None:
            raise ValueError("this encoder is closed; make a new one")
        return self._network

    @property
    def dim(self) -> int:
        """Width d of the vectors."""
        return self.model.dim

    def describe(self) -> str:
        """One line that says where and how this encoder computes."""
        words = [f"{self.device} {str(self.dtype).removeprefix('torch.')}"]
        if self.device.type == "cpu":
            if self.dtype == torch.bfloat16 and not has_fast_bfloat16():
                words.append("slower than float32 on this processor")
            words.append(f"{torch.get_num_threads()} threads")
        return ", ".join(words)

    def encode(
        self, sets: TokenSets, progress: Callable[[int], None] | None = None
    ) -> npt.NDArray[np.float32]:
        """Vectors of whole sets.

        Args:
            sets: token sets over this model's universe.
            progress: called with the number of tokens done since the last call (on a GPU: handed to it).

        Returns:
            [n_sets, d] float32; the zero vector for an empty set.

        Raises:
            DigestError: the sets were made with another universe.
            InputError: a token id lies outside the vocabulary.
        """
        rows: list[npt.NDArray[np.int64]] = []
        parts: list[Tensor] = []
        for pack, part in self._each(sets, self._pooled):
            rows.append(pack.row)
            parts.append(part)
            if progress is not None:
                progress(len(pack.tokens))
        found = np.zeros((len(sets), self.dim + 1), np.float64)  # the last column is the mass
        if parts:
            # Sums stay on the device until all are there: one copy and, on a GPU, the only wait.
            np.add.at(
                found, np.concatenate(rows), torch.cat(parts).cpu().numpy()
            )  # a long set has several pieces
        mass = found[:, -1:]
        return (found[:, :-1] / np.where(mass > 0, mass, 1.0)).astype(np.float32)

    def encode_as(
        self, names: Sequence[str], sets: TokenSets, progress: Callable[[int], None] | None = None
    ) -> dict[str, npt.NDArray[np.float32]]:
        """Vectors of whole sets by name: `general`, which `encode` gives, or those of label heads.

        Heads compute on the CPU. Those of cells look at the token set and at its general vector, those of BED
        files at the token set alone.

        Raises:
            InputError: the model has no such vector.
        """
        for name in names:
            if name not in self.model.vectors:
                known = ", ".join(self.model.vectors)
                raise InputError(
                    f"this model gives no vector {name!r}; it gives {known}"
                    f"{did_you_mean(name, self.model.vectors)}"
                )
        self._check(sets)
        heads = {name: self.model.heads[name] for name in names if name != GENERAL}
        found: dict[str, npt.NDArray[np.float32]] = {}
        if GENERAL in names or any(isinstance(head, ClassHead) for head in heads.values()):
            found[GENERAL] = self.encode(sets, progress)
        for name, head in heads.items():
            found[name] = (
                head.vectors(sets, found[GENERAL]) if isinstance(head, ClassHead) else head.vectors(sets)
            )
        return {name: found[name] for name in names}

    def encode_regions(
        self, sets: TokenSets, progress: Callable[[int], None] | None = None
    ) -> list[npt.NDArray[np.float32]]:
        """Contextual vectors of every token of every set, in token order.

        Returns:
            A list of [n_tokens, d] float32, one array a set.
        """
        out = [np.zeros((int(n), self.dim), np.float32) for n in sets.lengths]
        for pack, found in self._each(sets, lambda vectors, packing, tokens: vectors.float()):
            values = found.cpu().numpy()
            ends = np.cumsum(pack.lengths)
            for i, (row, end) in enumerate(zip(pack.row, ends, strict=True)):
                out[row][pack.places(i)] = values[end - pack.lengths[i] : end]
            if progress is not None:
                progress(len(pack.tokens))
        return out

    def _pooled(self, vectors: Tensor, packing: Packing, tokens: Tensor) -> Tensor:
        """[n, d + 1] float32: weighted sum of each piece's token vectors, and the sum of the weights."""
        if self.pool_weights is None:
            weights = torch.ones(len(tokens), 1, device=vectors.device)
            weighted = vectors.float()
        else:
            weights = self.pool_weights.index_select(0, tokens)[:, None]
            weighted = vectors.float() * weights
        return torch.cat([packing.sums(weighted), packing.sums(weights)], 1)

    def _each(self, sets: TokenSets, finish: Finish[R]) -> Iterator[tuple[Pack, R]]:
        """Run the network over all packs.

        On the CPU as many packs at once as torch has threads; on a GPU one after another, without ever waiting
        for it, so that the next pack is made and copied while this one is computed.
        """
        self._check(sets)
        network = self.network

        def work(pack: Pack) -> tuple[Pack, R]:
            with torch.inference_mode():  # counts for one thread, so it is entered in each
                tokens, packing = self.packed(pack)
                return pack, finish(network(tokens, packing), packing, tokens)

        packs = packs_of(sets, self.context, PACK_TOKENS[self.device.type])
        return in_order(work, packs) if self.device.type == "cpu" else map(work, packs)

    def packed(self, pack: Pack) -> tuple[Tensor, Packing]:
        """A pack's token ids [T] int32 and packing, on the device."""
        lengths = pack.lengths.tolist()
        tokens = self._sent(pack.tokens)
        if self.how == "runs":
            return tokens, Packing.from_lengths(lengths)
        offsets = np.concatenate([[0], np.cumsum(pack.lengths)]).astype(np.int32)
        return tokens, Packing.from_lengths(lengths, self.how, self._sent(offsets))

    def _sent(self, values: npt.NDArray[np.int32]) -> Tensor:
        """`values` on the device. From pinned memory, since a copy from any other waits for the GPU."""
        made = torch.from_numpy(values)
        return made.pin_memory().to(self.device, non_blocking=True) if self.device.type == "cuda" else made

    def _check(self, sets: TokenSets) -> None:
        digest = sets.universe_digest
        if digest is not None and digest != self.model.universe_digest:
            raise DigestError(
                f"these token sets were made with universe {digest[:12]}, the model has universe "
                f"{self.model.universe_digest[:12]}; tokenise again with the model's universe.bed.gz"
            )
        if len(sets.tokens) and int(sets.tokens.max()) >= self.model.config.vocab_size:
            raise InputError(
                f"token id {int(sets.tokens.max())} lies outside the model's vocabulary of "
                f"{self.model.config.vocab_size:,}; tokenise with the model's universe.bed.gz"
            )


def _way(device: torch.device, dtype: torch.dtype) -> How:
    """The fastest way of attention there."""
    if device.type == "cpu":
        return "runs"
    return "varlen" if has_varlen(device, dtype) else "padded"


def _prepared(network: Atacformer, device: torch.device, dtype: torch.dtype, how: How) -> Atacformer:
    """The network in eval mode where and how it computes; itself if nothing changes, else a copy."""
    parameter = next(network.parameters())
    if (parameter.device, parameter.dtype) == (device, dtype) and how == "runs":
        return network.eval()
    made = copy.deepcopy(network).eval()
    if how == "varlen":
        for module in made.modules():
            if isinstance(module, SelfAttention):
                module.widen_heads(HEAD_MULTIPLE)
    return made.to(device, dtype)
