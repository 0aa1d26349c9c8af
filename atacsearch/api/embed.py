"""Vectors written to Parquet as they are made: `id, vector`, for regions with `chrom, start, end`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..files import to_file
from ..query.regions.contexts import by_tokens
from ..query.session import ENCODE_CHUNK, Progress, no_progress
from ..query.session import VECTOR as GENERAL

if TYPE_CHECKING:
    from ..model.checkpoints.checkpoint import Model
    from ..model.encoding.encoder import Encoder
    from ..tokens.token_sets import TokenSets


def write_vectors(
    path: Path,
    encoder: Encoder,
    model: Model,
    sets: TokenSets,
    *,
    level: str = "cell",
    vector: str = GENERAL,
    progress: Progress = no_progress,
) -> int:
    """Encode token sets and write their vectors.

    Args:
        path: the Parquet file; it appears when it is complete.
        encoder: gives the vectors.
        model: the encoder's model; its digests go into the file's metadata.
        sets: what to encode.
        level: `cell` for one vector a set, `region` for one contextual vector a token.
        vector: of level `cell`, which vector: `general`, or the label of a head of the model.
        progress: called with the number of sets encoded.

    Returns:
        The number of rows.

    Raises:
        InputError: the model has no such vector.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    fields = [pa.field("id", pa.string())]
    if level == "region":
        fields += [pa.field("chrom", pa.string()), pa.field("start", pa.int64()), pa.field("end", pa.int64())]
    if vector not in model.vectors:
        raise InputError(f"--vector {vector}: this model gives {', '.join(model.vectors)}")
    dim = model.vectors[vector] if level == "cell" else model.dim
    fields.append(pa.field("vector", pa.list_(pa.float32(), dim)))
    metadata = {
        "atacsearch.model_digest": model.digest,
        "atacsearch.universe_digest": model.universe_digest,
        "atacsearch.vector": vector if level == "cell" else "regions",
        "atacsearch.dtype": str(encoder.dtype).removeprefix("torch."),
    }
    schema = pa.schema(fields, metadata=metadata)
    rows = 0

    def write(temporary: Path) -> None:
        nonlocal rows
        with pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
            blocks = _cells(encoder, sets, vector) if level == "cell" else _regions(encoder, model, sets)
            for columns, n_sets in blocks:
                table = pa.table([*columns[:-1], _vectors(columns[-1], dim)], schema=schema)
                writer.write_table(table)
                rows += table.num_rows
                progress(n_sets)

    to_file(path, write)
    return rows


def _vectors(vectors: npt.NDArray[np.float32], dim: int) -> Any:
    import pyarrow as pa

    return pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1), pa.float32()), dim)


def _cells(encoder: Encoder, sets: TokenSets, vector: str) -> Iterator[tuple[list[Any], int]]:
    for first in range(0, len(sets), ENCODE_CHUNK):
        part = sets.take(np.arange(first, min(first + ENCODE_CHUNK, len(sets))))
        yield [list(part.names), encoder.encode_as([vector], part)[vector]], len(part)


def _regions(encoder: Encoder, model: Model, sets: TokenSets) -> Iterator[tuple[list[Any], int]]:
    for part in by_tokens(sets):
        regions = model.universe.intervals.take(part.tokens.astype(np.int64))
        names = np.repeat(np.asarray(part.names, object), part.lengths)
        vectors = [np.empty((0, model.dim), np.float32), *encoder.encode_regions(part)]
        yield (
            [names.tolist(), regions.names().tolist(), regions.start, regions.end, np.concatenate(vectors)],
            len(part),
        )
