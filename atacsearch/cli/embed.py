"""`atacsearch embed`: vectors of cells, BED files or their regions, without an index."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .options import OutputFile, debug_option, device_option, model_option, read_options, reader_options


@click.command()
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@model_option()
@click.option(
    "--modality", type=click.Choice(["atac"]), default="atac", show_default=True, help="What INPUT holds."
)
@click.option(
    "--level",
    type=click.Choice(["cell", "region"]),
    default="cell",
    show_default=True,
    help="One vector an item (cell or BED file), or one a region of each item.",
)
@click.option(
    "--vector",
    default="general",
    show_default=True,
    metavar="NAME",
    help="Which vector of an item: general, or a label that the model was trained for, such as cell_type.",
)
@click.option(
    "-o",
    "--output",
    "target",
    required=True,
    type=OutputFile(),
    help="The Parquet file to write: id, vector; for regions also chrom, start, end (0-based half-open).",
)
@device_option
@click.option(
    "--dtype",
    type=click.Choice(["auto", "float32", "bfloat16"]),
    default="auto",
    show_default=True,
    help="How precisely it computes: auto is bfloat16 on a GPU, float32 on a CPU.",
)
@reader_options
@debug_option
def embed(
    inputs: tuple[str, ...],
    model: str,
    modality: str,
    level: str,
    vector: str,
    target: Path,
    device: str,
    dtype: str,
    reading: dict[str, Any],
) -> None:
    """Turn cells, BED files or their regions into vectors.

    One vector for each input item, in input order; an item without a region of the universe has a vector of
    zeros. With --level region, one contextual vector for each region that is open in the item.

    \b
    Example:
      atacsearch embed cells.h5ad --model my.model -o vectors.parquet
      atacsearch embed peaks.bed --model my.model --level region -o regions.parquet
    """
    from ..api.embed import write_vectors
    from ..model.checkpoints.checkpoint import load_model
    from ..model.encoding.encoder import Encoder
    from ..query.inputs import counting_as, joined, read_all
    from .messages import progress, say

    loaded = load_model(model)
    options = counting_as(loaded.counting, read_options(reading), "model")
    sets = joined(read_all(inputs, loaded.universe, options, say))
    encoder = Encoder(loaded, device=device, dtype=dtype)
    say(f"Encoding on {encoder.describe()}")
    with progress("Encoding", len(sets)) as advance:
        rows = write_vectors(target, encoder, loaded, sets, level=level, vector=vector, progress=advance)
    dim = loaded.vectors[vector] if level == "cell" else loaded.dim
    say(f"{target}: {rows:,} vectors of {dim} dimensions ({modality})")
