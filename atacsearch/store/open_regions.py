"""Which regions of the universe are open in any item of a collection."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..arrow import numbers_of
from .manifest import ShardEntry

ROWS = 4_096  # items read at a time


def open_regions(index: Path, shards: Sequence[ShardEntry], n_regions: int) -> npt.NDArray[np.bool_]:
    """Mark the regions that at least one item of these shards holds.

    Reads the shards one after another, and no further once every region was seen.

    Args:
        index: the index folder.
        shards: of one collection.
        n_regions: size V of the universe.

    Returns:
        [V] bool.
    """
    import pyarrow.parquet as pq

    seen = np.zeros(n_regions, bool)
    for entry in shards:
        with pq.ParquetFile(index / entry.file) as file:
            for batch in file.iter_batches(ROWS, columns=["tokens"]):
                tokens = numbers_of(batch.column(0).flatten())
                seen[tokens[tokens < n_regions]] = True
                if seen.all():
                    return seen
    return seen
