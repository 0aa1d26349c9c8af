"""Token lists exactly as gtars 0.10 makes them, duplicates and unk included, for comparison with it.

Read from its source and checked by `scripts/parity_gtars.py`: `RegionSet` sorts a BED file by chromosome name
and start (stable); `Tokenizer.tokenize` lists, interval after interval, every region with `region.start <
end` and `region.end > start` in order of start; if the whole list is empty it is one unk.
`tokenize_fragment_file` calls it once a line in file order, so there every fragment that hits nothing gives
an unk. Names must match exactly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from atacsearch.errors import InputError

from ..genome.intervals import Intervals

if TYPE_CHECKING:
    from .universe import Universe


def gtars_tokens(universe: Universe, intervals: Intervals) -> npt.NDArray[np.uint32]:
    """[n] uint32 token ids of one BED file as gtars lists them."""
    _refuse_duplicates(universe)
    names = intervals.names().astype(str) if len(intervals) else np.empty(0, str)
    ordered = intervals.take(np.lexsort((intervals.start, names)))
    _, positions = universe.index.query(ordered)
    tokens = universe.index.order[positions].astype(np.uint32)
    return tokens if len(tokens) else np.array([universe.unk], np.uint32)


def gtars_fragment_tokens(
    universe: Universe, fragments: Intervals
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint32]]:
    """Token ids of fragments in file order as gtars lists them: one unk for every fragment that hits nothing.

    Returns:
        ([n] int64 row of the fragment, rising; [n] uint32 token).
    """
    _refuse_duplicates(universe)
    rows, positions = universe.index.query(fragments)
    hit = np.zeros(len(fragments), bool)
    hit[rows] = True
    missed = np.flatnonzero(~hit)
    all_rows = np.concatenate([rows, missed])
    tokens = np.concatenate([universe.index.order[positions], np.full(len(missed), universe.unk)])
    by_row = np.argsort(all_rows, kind="stable")
    return all_rows[by_row], tokens[by_row].astype(np.uint32)


def _refuse_duplicates(universe: Universe) -> None:
    if universe.n_duplicates:
        raise InputError(
            f"parity='gtars' needs a universe of distinct regions: {universe.n_duplicates} of them repeat an "
            "earlier one, and gtars drops those from its numbering; remove the duplicates (sort -u) or leave "
            "parity out"
        )
