"""The vectors of many shards in chunks of one size, read while the caller works: they pass through memory once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ..columns import VECTOR_PREFIX
from ..manifest import ShardEntry
from ..shards import matrix_of
from .base import normalised

Chunk = tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]


def vector_chunks(
    index: Path,
    shards: Sequence[ShardEntry],
    name: str,
    size: int,
    mask: npt.NDArray[np.bool_] | None = None,
) -> Iterator[Chunk]:
    """Vectors of shards in order, the next ones being read while the caller works on those it has.

    Args:
        index: the index folder.
        shards: the shards.
        name: vector name.
        size: vectors of a chunk, but for the last one.
        mask: [n_rows] bool over the rows of all shards; the others are left out, as are rows without a vector.

    Yields:
        rows [size] int64, places among the rows of all shards, and vectors [size, d] float32 of length 1.

    Raises:
        InputError: a shard cannot be read.
        FileNotFoundError: a shard is gone.
    """
    pieces = _vector_pieces(index, shards, name, size, mask)
    with ThreadPoolExecutor(1, "atacsearch-read") as reader:
        coming = reader.submit(next, pieces, None)
        held: list[Chunk] = []
        while (piece := coming.result()) is not None:
            coming = reader.submit(next, pieces, None)
            held.append(piece)
            if sum(len(rows) for rows, _ in held) >= size:
                rows, vectors = map(np.concatenate, zip(*held, strict=True))
                yield rows[:size], vectors[:size]
                held = [(rows[size:], vectors[size:])]
        if held:
            rows, vectors = map(np.concatenate, zip(*held, strict=True))
            yield rows, vectors


def _vector_pieces(
    index: Path, shards: Sequence[ShardEntry], name: str, size: int, mask: npt.NDArray[np.bool_] | None
) -> Iterator[Chunk]:
    """As `vector_chunks`, but of any lengths up to `size`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    column = VECTOR_PREFIX + name
    first = 0
    for entry in shards:
        at, first = first, first + entry.rows
        if name not in entry.points or (mask is not None and not mask[at:first].any()):
            continue
        try:
            with pq.ParquetFile(index / entry.file) as file:
                for record in file.iter_batches(size, columns=[column]):
                    values = matrix_of(record.column(0)).astype(np.float32, copy=False)
                    keep = values.any(1) if mask is None else values.any(1) & mask[at : at + len(values)]
                    rows = np.flatnonzero(keep)
                    yield rows + at, normalised(values if len(rows) == len(values) else values[rows])
                    at += len(values)
        except FileNotFoundError:
            raise
        except (OSError, pa.ArrowException) as error:
            raise InputError(
                f"{index / entry.file} (of {entry.source.name}) cannot be read ({error}); "
                f"run: atacsearch index verify {index}"
            ) from error
