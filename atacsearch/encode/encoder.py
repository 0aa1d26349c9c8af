"""TokenSets to vectors: device, dtype, packing and pooling.

The encoder never samples and never drops: the same input gives the same vectors on every run. Inputs longer
than the model's context are split into disjoint chunks that cover every token, and pooled by token count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..errors import DigestError, InputError
from ..genome.tokensets import TokenSets
from ..model.atacformer import Packing
from ..model.checkpoint import Model
from ..model.device import choose_device

# Tokens that go through the network at once: enough for the matrix products to run at full speed, few enough
# for the activations of one batch to stay in cache (CPU) or far below the memory of a small GPU.
BATCH_TOKENS = {"cpu": 8_192, "cuda": 262_144}


@dataclass(frozen=True)
class Chunk:
    """A piece of one set that fits the context: `tokens` are the set's ids at `places`."""

    row: int
    places: npt.NDArray[np.int64] | None  # None: the whole set
    length: int


class Encoder:
    """Encodes token sets with one model on one device.

    Args:
        model: a loaded checkpoint.
        device: `auto` (CUDA where there is one), `cpu`, `cuda` or `cuda:N`.
        dtype: `float32` or `bfloat16`; by default bfloat16 on CUDA and float32 on the CPU.

    Example:
        >>> import atacsearch as ats                                          # doctest: +SKIP
        >>> encoder = ats.Encoder(ats.load_model("my.model"), device="auto")  # doctest: +SKIP
        >>> vectors = encoder.encode(universe.tokenize("peaks.bed"))          # doctest: +SKIP
    """

    def __init__(self, model: Model, device: str = "auto", dtype: str | None = None) -> None:
        self.model = model
        self.device = choose_device(device)
        self.dtype = _choose_dtype(dtype, self.device)
        self.network = model.module.atacformer.to(self.device).eval()
        weights = model.pool_weights
        self.pool_weights = None if weights is None else weights.to(self.device)
        self.context = model.config.max_position_embeddings

    @property
    def dim(self) -> int:
        """Width d of the vectors."""
        return self.model.dim

    def describe(self) -> str:
        """One line that says where and how this encoder computes."""
        threads = f", {torch.get_num_threads()} threads" if self.device.type == "cpu" else ""
        return f"{self.device} {str(self.dtype).removeprefix('torch.')}{threads}"

    def encode(
        self, sets: TokenSets, progress: Callable[[int], None] | None = None
    ) -> npt.NDArray[np.float32]:
        """Vectors of whole sets.

        Args:
            sets: token sets over this model's universe.
            progress: called with the number of tokens done since the last call.

        Returns:
            [n_sets, d] float32; the zero vector for an empty set.

        Raises:
            DigestError: the sets were made with another universe.
            InputError: a token id lies outside the vocabulary.
        """
        sums = np.zeros((len(sets), self.dim), np.float64)
        mass = np.zeros(len(sets), np.float64)
        for chunks, vectors, tokens in self._batches(sets):
            weights = self._weights(tokens)
            lengths = torch.tensor([c.length for c in chunks], device=self.device)
            weighted = torch.segment_reduce(vectors.float() * weights[:, None], "sum", lengths=lengths)
            rows = [c.row for c in chunks]  # a long set has several chunks
            np.add.at(sums, rows, weighted.cpu().numpy())
            np.add.at(mass, rows, torch.segment_reduce(weights, "sum", lengths=lengths).cpu().numpy())
            if progress is not None:
                progress(len(tokens))
        pooled = sums / np.where(mass > 0, mass, 1.0)[:, None]
        return pooled.astype(np.float32)

    def encode_regions(
        self, sets: TokenSets, progress: Callable[[int], None] | None = None
    ) -> list[npt.NDArray[np.float32]]:
        """Contextual vectors of every token of every set, in token order.

        Returns:
            A list of [n_tokens, d] float32, one array a set.
        """
        out = [np.zeros((int(n), self.dim), np.float32) for n in sets.lengths]
        for chunks, vectors, _ in self._batches(sets):
            values = vectors.float().cpu().numpy()
            first = 0
            for chunk in chunks:
                rows = slice(None) if chunk.places is None else chunk.places
                out[chunk.row][rows] = values[first : first + chunk.length]
                first += chunk.length
            if progress is not None:
                progress(first)
        return out

    def _weights(self, tokens: Tensor) -> Tensor:
        """[T] weight of each token in its set's vector; ones where the model pools by the plain mean."""
        if self.pool_weights is None:
            return torch.ones(len(tokens), device=self.device)
        return self.pool_weights[tokens]

    def _batches(self, sets: TokenSets) -> Iterator[tuple[list[Chunk], Tensor, Tensor]]:
        """Run the network over all chunks, neighbours in length together.

        Yields:
            The batch's chunks, their contextual vectors [T, d] and their token ids [T].
        """
        self._check(sets)
        chunks = sorted(self._chunks(sets), key=lambda c: c.length)
        limit = BATCH_TOKENS[self.device.type]
        batch: list[Chunk] = []
        size = 0
        for chunk in [*chunks, None]:
            if batch and (chunk is None or size + chunk.length > limit):
                ids = np.concatenate([_ids(sets, c) for c in batch])
                tokens = torch.from_numpy(ids.astype(np.int64)).to(self.device)
                packing = Packing.from_lengths([c.length for c in batch], padded=self.device.type == "cuda")
                with torch.inference_mode(), torch.autocast(self.device.type, self.dtype, self._mixed):
                    vectors = self.network(tokens, packing)
                yield batch, vectors, tokens
                batch, size = [], 0
            if chunk is not None:
                batch.append(chunk)
                size += chunk.length

    @property
    def _mixed(self) -> bool:
        return self.dtype != torch.float32

    def _chunks(self, sets: TokenSets) -> Iterator[Chunk]:
        """Pieces of each set. A long set is dealt out in turn, so that every piece spans the whole genome."""
        for row, n in enumerate(sets.lengths.tolist()):
            pieces = -(-n // self.context)
            if pieces == 1:
                yield Chunk(row, None, n)
            else:
                for piece in range(pieces):
                    places = np.arange(piece, n, pieces)
                    yield Chunk(row, places, len(places))

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


def _ids(sets: TokenSets, chunk: Chunk) -> npt.NDArray[np.uint32]:
    tokens = sets[chunk.row]
    return tokens if chunk.places is None else tokens[chunk.places]


def _choose_dtype(dtype: str | None, device: torch.device) -> torch.dtype:
    names = {"float32": torch.float32, "bfloat16": torch.bfloat16}
    if dtype is None:
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    if dtype not in names:
        raise InputError(f"dtype '{dtype}' is not one of {', '.join(names)}")
    return names[dtype]
