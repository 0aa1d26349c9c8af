"""Proof that the posting files of an index say what its shards say."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ...kernels.postings import KERNELS
from ..manifest import ShardEntry
from .build import cover, folder_of, open_files, row_places, token_pieces
from .file import DamagedPostingsError, Int64s, PostingsFile, UInt32s


def check_postings(
    index: Path,
    kind: str,
    entries: Sequence[ShardEntry],
    universe_digest: str,
) -> tuple[list[str], list[str]]:
    """Compare every posting file of a collection with the tokens of its shards.

    A list in a file is right where its items are exactly those whose shard names the token. Rows of deleted shards
    are passed over. Where no file holds a shard that is a note: the next question makes it.

    Args:
        index: the index folder.
        kind: collection.
        entries: live shards that are sound themselves.
        universe_digest: of the index.

    Returns:
        Problems and notes, one line each.
    """
    files, damaged = open_files(folder_of(index, kind))
    problems = [f"postings: {error}" for error in damaged]
    notes: list[str] = []
    chosen, missing = cover(files, entries, universe_digest)
    if missing and not damaged:
        notes.append(
            f"no posting file holds {len(missing)} shards of the {kind}; the next `overlap` makes it"
        )
    by_number = {e.number: e for e in entries}
    for file in chosen:
        inside = [by_number[n] for n in file.shards.numbers.tolist() if n in by_number]
        try:
            file.check()
            wrong = _differences(index, file, inside)
        except DamagedPostingsError as error:
            problems.append(f"postings: {error}")
        except InputError as error:
            problems.append(str(error))
        else:
            if wrong:
                problems.append(
                    f"postings: {wrong:,} of the lists in {file.path.name} of the {kind} differ from the shards"
                )
    return problems, notes


def _differences(index: Path, file: PostingsFile, entries: Sequence[ShardEntry]) -> int:
    """Number of tokens whose list is not what the shards say.

    Of each token, the number of items and a sum of their hashes are compared, so that memory grows with the universe
    and not with the items: lists that differ agree in the 64 bits of the sum by a chance of some 10^-19.
    """
    starts: dict[int, int] = {}
    row = 0
    for entry in entries:
        starts[entry.number] = row
        row += entry.rows
    place = row_places(file, starts)
    n_tokens = file.n_tokens
    held = np.zeros((2, n_tokens), np.int64)
    for lists in file.in_range(0, n_tokens):
        KERNELS(
            "sum_lists", lists.tokens, lists.counts, len(lists.tokens), lists.items, place, held[0], held[1]
        )
    true = np.zeros((2, n_tokens), np.int64)
    beyond: set[int] = set()
    row = 0
    for offsets, tokens in token_pieces(index, entries):
        tokens, rows = _pairs(offsets, tokens, row)
        row += len(offsets) - 1
        inside = tokens < n_tokens
        beyond.update(tokens[~inside].tolist())
        KERNELS("sum_pairs", tokens[inside], rows[inside], int(inside.sum()), true[0], true[1])
    return int(np.count_nonzero((held != true).any(0))) + len(beyond)


def _pairs(offsets: Int64s, tokens: UInt32s, first: int) -> tuple[UInt32s, npt.NDArray[np.uint32]]:
    """Token and row of every pair, each pair once."""
    rows = np.repeat(np.arange(first, first + len(offsets) - 1, dtype=np.uint32), np.diff(offsets))
    if (tokens[1:] > tokens[:-1])[rows[1:] == rows[:-1]].all():
        return tokens, rows
    keys = np.unique(rows.astype(np.uint64) << np.uint64(32) | tokens)
    return keys.astype(np.uint32), (keys >> np.uint64(32)).astype(np.uint32)
