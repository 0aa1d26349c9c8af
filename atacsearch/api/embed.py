"""`ats.embed`: vectors of cells, BED files or their regions, without an index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from ..answers import Answer
from ..query.inputs import counting_of, joined, read_all
from ..query.session import Notify, Progress, no_progress, silent
from ..readers.inputs.memory import as_inputs
from ..readers.options import ReadOptions
from .options import EmbedOptions
from .vectors import vector_tables, write_vectors

if TYPE_CHECKING:
    from ..model.encoding.encoder import Encoder
    from ..readers.inputs.memory import Inputs
    from ..readers.options import Counting
    from ..tokens.token_sets import TokenSets


@dataclass(frozen=True, repr=False)
class Vectors(Answer):
    """Vectors of items or regions: `id, vector`, for regions with `chrom, start, end` (0-based half-open)."""

    @property
    def matrix(self) -> npt.NDArray[np.float32]:
        """[n, d] float32 the vectors."""
        column = self.table["vector"].combine_chunks()
        return np.asarray(column.flatten().to_numpy().reshape(len(self), column.type.list_size), np.float32)


def embed(
    inputs: Inputs,
    model: str | Path,
    *,
    modality: Literal["atac"] = "atac",
    level: Literal["cell", "region"] = "cell",
    vector: str = "general",
    device: str = "auto",
    dtype: Literal["auto", "float32", "bfloat16"] = "auto",
    genome: str | None = None,
    strict_genome: bool = False,
    liftover: str | Path | None = None,
    min_fragments: int | None = None,
    whitelist: str | Path | None = None,
    tss: str | Path | None = None,
    blacklist: str | Path | None = None,
    counting: Counting | None = None,
    sample: str | None = None,
    notify: Notify = silent,
    progress: Progress = no_progress,
) -> Vectors:
    """Turn cells, BED files or their regions into vectors.

    Args:
        inputs: one input or several: h5ad, fragments, BED or narrowPeak files, manifests, an AnnData, a table of
            intervals or barcodes, token sets.
        model: a checkpoint folder in the published layout, or a name on the hub.
        modality: what the inputs hold.
        level: `cell` for one vector an item, `region` for one contextual vector a region of each item.
        vector: of level `cell`: `general`, or a label that the model was trained for.
        device: where the encoder runs: `auto`, `cpu`, `cuda`.
        dtype: how precisely it computes: `auto` is bfloat16 on a GPU, float32 on a CPU.
        genome, strict_genome, liftover, min_fragments, whitelist, tss, blacklist, counting, sample: how files are read,
            see `tokenize`.
        notify: receives messages, one line each.
        progress: called with the number of items encoded.

    Returns:
        `id, vector`, for regions with `chrom, start, end`, in input order; an item without a region of the universe has
        a vector of zeros.

    Raises:
        InputError: an input that cannot be read; a vector that the model does not give.

    Example:
        >>> vectors = ats.embed("query.h5ad", "model", device="cpu")
        >>> vectors.id[0], vectors.matrix.shape
        ('s2-0', (20, 16))
    """
    import pyarrow as pa

    read = ReadOptions(
        genome, strict_genome, liftover, min_fragments, whitelist, tss, blacklist, counting, sample
    )
    options = EmbedOptions(modality, level, vector, device, dtype)
    encoder, sets = _encoder_and_sets(as_inputs(inputs), model, device, dtype, read, notify)
    schema, parts = vector_tables(encoder, sets, options)
    tables = []
    for table, n_sets in parts:
        tables.append(table)
        progress(n_sets)
    return Vectors(pa.concat_tables(tables) if tables else schema.empty_table())


def embed_to_file(
    inputs: Sequence[str | Path],
    model: str | Path,
    path: Path,
    options: EmbedOptions,
    read: ReadOptions,
    notify: Notify,
    progress: Progress,
) -> tuple[int, int]:
    """Write the vectors of files to Parquet as they are made.

    Returns:
        Numbers of vectors and of their dimensions.
    """
    encoder, sets = _encoder_and_sets(inputs, model, options.device, options.dtype, read, notify)
    return write_vectors(path, encoder, sets, options, progress)


def _encoder_and_sets(
    inputs: Sequence[object], model: str | Path, device: str, dtype: str, read: ReadOptions, notify: Notify
) -> tuple[Encoder, TokenSets]:
    from ..model.checkpoints.checkpoint import load_model
    from ..model.encoding.encoder import Encoder

    loaded = load_model(model)
    read = replace(read, counting=counting_of(loaded.counting, read.counting, "model"))
    sets = joined(read_all(inputs, loaded.universe, read, notify))
    encoder = Encoder(loaded, device=device, dtype=dtype)
    notify(f"Encoding on {encoder.describe()}")
    return encoder, sets
