"""A corpus for training without labels: any number of sets, shuffled as they stream, never all in memory.

The order of an epoch is drawn from (seed, epoch) alone: chunks in random order, `OPEN` of them read in turn,
their sets drawn at random from a buffer of a given number of tokens. A run that goes on in the middle of an epoch
reads the same stream again and skips what it has seen.

Memory: the buffer (4 bytes a token), `OPEN` pieces of `PIECE` sets, the held-out sets and the sample for the
warm start, both bounded.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice, pairwise

import numpy as np

from ...errors import InputError
from ...tokens.token_sets import TokenSets
from .sources import PIECE, Source, Tokens

OPEN = 8  # chunks that are read in turn
BUFFER = 16_000_000  # tokens of the shuffle buffer: 64 MB
SAMPLE = 20_000_000  # tokens that the warm start looks at, at the most
MOST_HELD = 1000  # held-out sets
LEAST_GROUPS, LARGEST_SHARE = 3, 0.25  # a whole source is held out where there are so many and it is so small


class Corpus:
    """Sources, looked through once.

    Args:
        sources: what there is.
        n_regions: size V of the universe.
        held_share: share of the sets that are never trained on, at most `MOST_HELD` sets. One whole source
            where there are three or more and one is small, else random sets.
        most: tokens of a held-out set that are kept.
        seed: of what is held out and sampled.
        buffer: tokens of the shuffle buffer.
        sample: tokens of the sample.

    Attributes:
        counts: [V] int64 training sets that hold each region.
        n_sets, n_tokens: training sets of two tokens or more, and their tokens.
        held: the held-out sets.
        how: a sentence that says how they were chosen.
        sample: a random part of the training sets.
        digest: sha256 of all sources.

    Raises:
        InputError: fewer than two training sets with two tokens or more, or a token beyond the universe.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        n_regions: int,
        *,
        held_share: float = 0.0,
        most: int = 2048,
        seed: int = 0,
        buffer: int = BUFFER,
        sample: int = SAMPLE,
    ) -> None:
        self.sources, self.buffer = list(sources), buffer
        self._in_memory = all(s.in_memory for s in self.sources)
        self._held_rows, self.how = self._choose(held_share, seed)
        self.digest = hashlib.sha256("".join(s.digest() for s in self.sources).encode()).hexdigest()
        rng = np.random.default_rng([seed, 3])
        self.counts = np.zeros(n_regions, np.int64)
        self.n_sets = self.n_tokens = 0
        held: list[Tokens] = []
        some: list[Tokens] = []
        sampled, taking = 0, 1.0
        for number, source in enumerate(self.sources):
            hidden = self._held_rows[number]
            for chunk in range(source.n_chunks):
                for first, sets in source.read(chunk):
                    for row, tokens in enumerate(sets, start=first):
                        if len(tokens) < 2:
                            continue
                        if int(tokens.max()) >= n_regions + 1:  # one above is unk, under gtars's rule
                            raise InputError(
                                f"{source.name}: token {int(tokens.max()):,}, but the universe has {n_regions:,} "
                                "regions; tokenize with the universe that training uses"
                            )
                        if hidden is not None and row in hidden:
                            if len(held) < MOST_HELD:
                                held.append(
                                    tokens if len(tokens) <= most else rng.choice(tokens, most, False)
                                )
                            continue
                        np.add.at(self.counts, tokens[tokens < n_regions], 1)
                        self.n_sets += 1
                        self.n_tokens += len(tokens)
                        if rng.random() < taking:
                            some.append(tokens)
                            sampled += len(tokens)
                            if sampled > sample:  # keep every other one, and take half as many from now on
                                kept = rng.permutation(len(some))[: max(2, len(some) // 2)]
                                some, taking = [some[i] for i in sorted(kept)], taking / 2
                                sampled = sum(map(len, some))
        if self.n_sets < 2:
            raise InputError(f"pretraining needs at least 2 sets with 2 tokens or more, got {self.n_sets}")
        self.held, self.sample = _joined(held), _joined(some)

    def _choose(self, share: float, seed: int) -> tuple[list[set[int] | range | None], str]:
        """Held-out rows of each source, and a sentence about them."""
        nothing: list[set[int] | range | None] = [None] * len(self.sources)
        sizes = np.array([s.n_sets for s in self.sources])
        total = int(sizes.sum())
        if share <= 0 or total < 4:
            return nothing, "nothing was held out"
        several = np.flatnonzero(sizes > 1)
        small = several[sizes[several] <= LARGEST_SHARE * total]
        if len(several) >= LEAST_GROUPS and len(small):
            number = int(small[np.argmin(np.abs(sizes[small] - share * total))])
            nothing[number] = range(int(sizes[number]))
            return nothing, f"the whole input '{self.sources[number].name}'"
        n = max(1, min(MOST_HELD, round(share * total), total - 2))
        picked = np.sort(np.random.default_rng([seed, 4]).choice(total, n, replace=False))
        starts = np.concatenate([[0], np.cumsum(sizes)])
        rows: list[set[int] | range | None] = [
            set((picked[(picked >= a) & (picked < b)] - a).tolist()) for a, b in pairwise(starts.tolist())
        ]
        return rows, f"{n:,} random sets (fewer than three inputs of several sets, or none small enough)"

    @property
    def bounded(self) -> int:
        """Bytes that streaming needs at the most, however large the corpus is.

        A piece counts four times: compressed, decoded, as an array and cut into sets.
        """
        buffer = min(self.buffer, self.n_tokens)
        pieces = 4 * OPEN * PIECE * self.n_tokens // self.n_sets
        return 4 * (buffer + pieces + len(self.sample.tokens) + len(self.held.tokens)) + self.counts.nbytes

    def n_batches(self, size: int, least: int = 2) -> int:
        """Batches of an epoch; a rest smaller than `least` joins the batch before it."""
        full, rest = divmod(self.n_sets, size)
        return max(1, full + (rest >= least))

    def epoch(
        self, seed: int, epoch: int, size: int, *, least: int = 2, skip: int = 0
    ) -> Iterator[TokenSets]:
        """The batches of an epoch: every training set once.

        Args:
            seed, epoch: of the order.
            size: sets of a batch.
            least: sets of the last batch at the least; fewer join the one before.
            skip: batches that were seen before.
        """
        stream = self._shuffled(np.random.default_rng([seed, epoch, 1]))
        n = self.n_batches(size, least)
        for number in range(n):
            sets = list(islice(stream, size)) if number < n - 1 else list(stream)
            if number >= skip:
                yield _joined(sets)

    def _shuffled(self, rng: np.random.Generator) -> Iterator[Tokens]:
        pieces = self._pieces(rng)
        capacity = np.inf if self._in_memory else self.buffer
        waiting: list[Tokens] = []
        held = 0
        more = True
        while more or waiting:
            while more and held < capacity:
                piece = next(pieces, None)
                more = piece is not None
                if piece is not None:
                    waiting += piece
                    held += sum(map(len, piece))
            if waiting:
                place = int(rng.integers(len(waiting)))
                waiting[place], waiting[-1] = waiting[-1], waiting[place]
                tokens = waiting.pop()
                held -= len(tokens)
                yield tokens

    def _pieces(self, rng: np.random.Generator) -> Iterator[list[Tokens]]:
        """Training sets in pieces, from `OPEN` chunks in turn."""
        chunks = [(n, b) for n, s in enumerate(self.sources) for b in range(s.n_chunks)]
        left = iter([chunks[i] for i in rng.permutation(len(chunks))])
        readers = deque(self._chunk(*chunk) for chunk in islice(left, OPEN))
        while readers:
            reader = readers.popleft()
            piece = next(reader, None)
            if piece is not None:
                yield piece
                readers.append(reader)
            elif (following := next(left, None)) is not None:
                readers.append(self._chunk(*following))

    def _chunk(self, number: int, chunk: int) -> Iterator[list[Tokens]]:
        hidden = self._held_rows[number]
        for first, sets in self.sources[number].read(chunk):
            yield [
                tokens
                for row, tokens in enumerate(sets, start=first)
                if len(tokens) >= 2 and not (hidden is not None and row in hidden)
            ]


def _joined(lists: list[Tokens]) -> TokenSets:
    """Token sets without names of their own."""
    offsets = np.zeros(len(lists) + 1, np.int64)
    np.cumsum([len(tokens) for tokens in lists], out=offsets[1:])
    tokens = np.concatenate(lists) if lists else np.empty(0, np.uint32)
    return TokenSets(offsets, tokens, ("",) * len(lists))
