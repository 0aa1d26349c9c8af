"""Vectors as tables, made chunk by chunk: `id, vector`, for regions with `chrom, start, end`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..files import to_file
from ..query.regions.contexts import by_tokens
from ..query.session import ENCODE_CHUNK, Progress, no_progress
from .options import EmbedOptions

if TYPE_CHECKING:
    import pyarrow as pa

    from ..model.encoding.encoder import Encoder
    from ..tokens.token_sets import TokenSets

Parts = Iterator[tuple["pa.Table", int]]  # tables, and how many sets each is of


def vector_tables(encoder: Encoder, sets: TokenSets, options: EmbedOptions) -> tuple[pa.Schema, Parts]:
    """Encode token sets chunk by chunk.

    Args:
        encoder: gives the vectors; its model's digests go into the metadata of the schema.
        sets: what to encode.
        options: the level, and of level `cell` the vector.

    Returns:
        The schema, and the tables with the number of sets that each holds.

    Raises:
        InputError: the model has no such vector.
    """
    import pyarrow as pa

    model, of_cells = encoder.model, options.level == "cell"
    if options.vector not in model.vectors:
        raise InputError(f"--vector {options.vector}: this model gives {', '.join(model.vectors)}")
    fields = [pa.field("id", pa.string())]
    if not of_cells:
        fields += [pa.field("chrom", pa.string()), pa.field("start", pa.int64()), pa.field("end", pa.int64())]
    dim = model.vectors[options.vector] if of_cells else model.dim
    fields.append(pa.field("vector", pa.list_(pa.float32(), dim)))
    metadata = {
        "atacsearch.model_digest": model.digest,
        "atacsearch.universe_digest": model.universe_digest,
        "atacsearch.vector": options.vector if of_cells else "regions",
        "atacsearch.dtype": str(encoder.dtype).removeprefix("torch."),
    }
    schema = pa.schema(fields, metadata=metadata)
    parts = _cells(encoder, sets, options.vector, schema) if of_cells else _regions(encoder, sets, schema)
    return schema, parts


def write_vectors(
    path: Path, encoder: Encoder, sets: TokenSets, options: EmbedOptions, progress: Progress = no_progress
) -> tuple[int, int]:
    """Encode token sets and write their vectors to Parquet as they are made.

    Args:
        path: the Parquet file; it appears when it is complete.
        encoder: gives the vectors.
        sets: what to encode.
        options: see `vector_tables`.
        progress: called with the number of sets encoded.

    Returns:
        Numbers of rows and of dimensions.
    """
    import pyarrow.parquet as pq

    schema, parts = vector_tables(encoder, sets, options)
    rows = 0

    def write(temporary: Path) -> None:
        nonlocal rows
        with pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
            for table, n_sets in parts:
                writer.write_table(table)
                rows += table.num_rows
                progress(n_sets)

    to_file(path, write)
    return rows, schema.field("vector").type.list_size


def _vectors(vectors: npt.NDArray[np.float32], dim: int) -> pa.Array:
    import pyarrow as pa

    return pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1), pa.float32()), dim)


def _cells(encoder: Encoder, sets: TokenSets, vector: str, schema: pa.Schema) -> Parts:
    import pyarrow as pa

    dim = schema.field("vector").type.list_size
    for first in range(0, len(sets), ENCODE_CHUNK):
        part = sets.take(np.arange(first, min(first + ENCODE_CHUNK, len(sets))))
        vectors = _vectors(encoder.encode_as([vector], part)[vector], dim)
        yield pa.table([list(part.names), vectors], schema=schema), len(part)


def _regions(encoder: Encoder, sets: TokenSets, schema: pa.Schema) -> Parts:
    import pyarrow as pa

    model = encoder.model
    for part in by_tokens(sets):
        regions = model.universe.intervals.take(part.tokens.astype(np.int64))
        names = np.repeat(np.asarray(part.names, object), part.lengths)
        vectors = [np.empty((0, model.dim), np.float32), *encoder.encode_regions(part)]
        columns = [
            names.tolist(),
            regions.names().tolist(),
            regions.start,
            regions.end,
            _vectors(np.concatenate(vectors), model.dim),
        ]
        yield pa.table(columns, schema=schema), len(part)
