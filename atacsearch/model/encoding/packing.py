"""Token sets cut into pieces that fit the context, and pieces put into packs that go through the network at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ...tokens.token_sets import TokenSets

Array = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Pieces:
    """Pieces of sets. Piece i holds the tokens at `first[i]`, `first[i] + step[i]`, … of a set.

    Attributes:
        row: [n] int64 number of the set that each piece is of.
        first: [n] int64 place of the piece's first token in its set.
        step: [n] int64 into how many pieces the set is cut; 1 is the whole set.
        lengths: [n] int64 tokens of each piece, none of them 0.
    """

    row: Array
    first: Array
    step: Array
    lengths: Array

    def places(self, i: int) -> slice:
        """Where the tokens of piece `i` lie in their set."""
        return slice(int(self.first[i]), None, int(self.step[i]))


@dataclass(frozen=True)
class Pack(Pieces):
    """Some pieces, longest first, with their tokens.

    Attributes:
        tokens: [T] int32 token ids of all pieces.
    """

    tokens: npt.NDArray[np.int32]


def pieces_of(totals: Array, context: int) -> Pieces:
    """Cut sets into pieces that fit the context.

    A set longer than the context is dealt out in turn, so that every piece of it spans the whole genome.

    Args:
        totals: [n_sets] tokens of each set; an empty set has no piece.
        context: most tokens of a piece.

    Returns:
        The pieces in the order of the sets.

    Example:
        >>> pieces = pieces_of(np.array([2, 0, 5]), context=3)
        >>> pieces.row.tolist(), pieces.lengths.tolist()
        ([0, 2, 2], [2, 3, 2])
    """
    pieces = -(-totals // context)
    row = np.repeat(np.arange(len(totals)), pieces)
    first = np.arange(len(row)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    step = pieces[row]
    return Pieces(row, first, step, (totals[row] - first + step - 1) // step)


def packs_of(sets: TokenSets, context: int, limit: int) -> Iterator[Pack]:
    """Every token of every set once, in packs of at most `limit` tokens (or of one piece).

    Pieces are sorted by length, so that neighbours can share a call, and the longest, which take longest, come
    first.

    Args:
        sets: what to encode; empty sets are in no pack.
        context: most tokens of a piece.
        limit: most tokens of a pack of several pieces.

    Yields:
        The same packs for the same sets, however many threads compute.
    """
    all_pieces = pieces_of(sets.lengths, context)
    order = np.argsort(-all_pieces.lengths, kind="stable")
    ends = np.cumsum(all_pieces.lengths[order])
    begin = 0
    while begin < len(order):
        before = ends[begin - 1] if begin else 0
        end = max(begin + 1, int(np.searchsorted(ends, before + limit, side="right")))
        picked = order[begin:end]
        ids = [sets[int(all_pieces.row[p])][all_pieces.places(p)] for p in picked]
        tokens = np.concatenate(ids).astype(np.int32)
        yield Pack(
            all_pieces.row[picked],
            all_pieces.first[picked],
            all_pieces.step[picked],
            all_pieces.lengths[picked],
            tokens,
        )
        begin = end
