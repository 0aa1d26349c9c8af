"""Second experiment: raw fragments of human PBMC, four fifths of the cells as reference, the rest as query.

In: 10x fragments of 51 windows of 200 kb, and the cell types that the same cells' RNA gave. One library: the
split is by cell, within each type, so it says less about new data than a split by replicate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from atacsearch.tokens.universe import Universe

from .baseline import transfer
from .outcome import Experiment, Method
from .runner import Runner
from .scores import score
from .steps import embedded, example, panels, read_calls, write_tsv

KEY = "pbmc"
LABEL = "celltype"


def run_pbmc(runner: Runner, fragments: Path, labelled: Path) -> Experiment:
    """Run the experiment.

    Args:
        runner: runs and times the steps; the working directory is the demo's folder.
        fragments: the fetched fragment file.
        labelled: the fetched h5ad of the same cells' RNA, whose `obs` holds the labels.

    Returns:
        Scores, pictures and example searches.
    """
    folder = Path(KEY)
    folder.mkdir()
    source = folder / "fragments.tsv.gz"
    with runner.step(KEY, "split the cells, type by type"):
        source.symlink_to(fragments)
        truth = _labels(labelled)
        query_cells = stratified_fifth(truth)
        reference_cells = [cell for cell in truth if cell not in query_cells]
        labels = write_tsv(
            folder / "reference_labels.tsv", ("barcode", LABEL), [(c, truth[c]) for c in reference_cells]
        )
        everyone = _barcodes(folder / "cells.txt", list(truth))
        reference = _barcodes(folder / "reference.txt", reference_cells)
        query = _barcodes(folder / "query.txt", [cell for cell in truth if cell in query_cells])

    universe, tokens = folder / "universe.bed.gz", folder / "tokens.parquet"
    model, index, calls_file = folder / "model", folder / "index", folder / "calls.tsv"
    runner.command(
        KEY,
        "build a universe from the fragments",
        ["universe", "build", source, "--genome", "hg38", "-o", universe],
    )
    notes = runner.command(
        KEY,
        "tokenise the fragments",
        ["tokenize", source, "--universe", universe, "--whitelist", everyone, "-o", tokens],
    )
    with runner.step(KEY, "join token sets and labels of the reference cells"):
        regions = Universe.load(universe)
        names, matrix = _matrix(tokens, len(regions))
        row = {name: i for i, name in enumerate(names)}
        reference_cells = [cell for cell in reference_cells if cell in row]  # a few have no fragment at all
        training = _write_h5ad(
            folder / "reference.h5ad",
            matrix[[row[name] for name in reference_cells]],
            reference_cells,
            [truth[name] for name in reference_cells],
            regions,
        )
    runner.command(
        KEY,
        "train a model on the reference cells",
        runner.with_device(
            ["train", "celltype", training, "--label", LABEL, "--universe", universe, "-o", model]
        ),
    )
    runner.command(KEY, "create the index", ["index", "create", index, "--model", model])
    runner.command(
        KEY,
        "add the reference cells",
        runner.with_device(
            [
                "index",
                "add-cells",
                index,
                source,
                "--whitelist",
                reference,
                "--labels",
                labels,
                "--sample",
                "pbmc",
            ]
        ),
    )
    runner.command(
        KEY,
        "annotate the query cells",
        runner.with_device(
            ["annotate", source, "--whitelist", query, "--index", index, "--label", LABEL, "-o", calls_file]
        ),
    )
    runner.command(
        KEY,
        "embed the query cells for the pictures",
        runner.with_device(
            ["embed", source, "--whitelist", query, "--model", model, "-o", folder / "query.parquet"]
        ),
    )

    calls = read_calls(calls_file)
    true = [truth[item] for item in calls.items]
    ours = calls.score(truth)
    with runner.step(KEY, "baseline: TF-IDF, SVD, nearest neighbours"):
        inputs = (
            matrix[[row[name] for name in reference_cells]],
            np.array([truth[name] for name in reference_cells], dtype=object),
            matrix[[row[name] for name in calls.items]],
        )
        alone, both = (transfer(*inputs, fit_on_query=fit) for fit in (False, True))
    methods = (
        Method("atacsearch", "reference alone", ours, True),
        Method("TF-IDF + SVD + kNN", "reference alone", score(true, list(alone)), False),
        Method(
            "TF-IDF + SVD + kNN, transductive", "reference and query together", score(true, list(both)), False
        ),
    )
    asking = next(item for item, kind in zip(calls.items, true, strict=True) if kind == "memory B")
    examples = (
        example(
            runner,
            KEY,
            "Which cells are like this one?",
            ["search", "cells", source, "--whitelist", query, "--item", asking, "--index", index, "-k", 8],
            folder,
            f"The query is the first query cell that the RNA calls memory B, barcode {asking}.",
            ("rank", "id", LABEL, "n_fragments", "distance"),
        ),
    )
    with runner.step(KEY, "draw the cells"):
        pictures = panels(index, embedded(folder / "query.parquet"), calls, truth, ours.labels)
    per_cell = np.diff(matrix.indptr)
    return Experiment(
        key=KEY,
        title="Human PBMC: from raw fragments to cell types",
        lead="A fragment file of 51 windows of 200 kb around genes: a third of a per cent of the genome, so "
        "that cells are thin and types hard to tell. The universe is built from the fragments; reference "
        "cells train the model and fill the index.",
        split=f"Reference: {len(reference_cells):,} cells. Query: {len(calls.items):,} cells, a fifth of "
        "every type, their labels unseen. One library, split by cell; the universe is built from all of it.",
        facts=(
            ("labelled cells with fragments", f"{len(names):,}"),
            ("regions in the universe", f"{matrix.shape[1]:,}"),
            ("cell types", f"{len(set(truth.values()))}"),
            ("genome", "hg38"),
            ("open regions a cell, median", f"{np.median(per_cell):,.0f}"),
        ),
        notes=tuple(notes),
        methods=methods,
        panels=pictures,
        examples=examples,
    )


def stratified_fifth(truth: Mapping[str, str], seed: int = 0) -> frozenset[str]:
    """A random fifth of the cells of every type, at least one of each.

    Example:
        >>> sorted(stratified_fifth({"a": "B", "b": "B", "c": "NK"}))
        ['b', 'c']
    """
    rng = np.random.default_rng(seed)
    chosen: list[str] = []
    for label in sorted(set(truth.values())):
        cells = sorted(cell for cell, kind in truth.items() if kind == label)
        chosen += rng.choice(cells, max(1, round(len(cells) / 5)), replace=False).tolist()
    return frozenset(chosen)


def _labels(path: Path) -> dict[str, str]:
    import anndata

    obs = anndata.read_h5ad(path, backed="r").obs
    return dict(zip(obs.index.astype(str), obs[LABEL].astype(str), strict=True))


def _barcodes(path: Path, cells: Sequence[str]) -> Path:
    path.write_text("\n".join(cells) + "\n", "utf-8")
    return path


def _matrix(tokens: Path, n_regions: int) -> tuple[list[str], Any]:
    """Barcodes and the binary cell x region matrix of a Parquet file of `tokenize`."""
    import pyarrow.parquet as pq
    import scipy.sparse as sp

    table = pq.read_table(tokens)
    column = table["tokens"].combine_chunks()
    offsets: npt.NDArray[np.int64] = np.asarray(column.offsets, np.int64)
    regions: npt.NDArray[np.int64] = np.asarray(column.values, np.int64)
    ones = np.ones(len(regions), np.float32)
    matrix = sp.csr_matrix((ones, regions, offsets), shape=(len(column), n_regions))
    return [name.rpartition("#")[2] for name in table["id"].to_pylist()], matrix


def _write_h5ad(
    path: Path, matrix: Any, cells: Sequence[str], labels: Sequence[str], regions: Universe
) -> Path:
    """An h5ad, cells x regions of the universe, with one label column."""
    import anndata
    import pandas as pd

    names = ["{}:{}-{}".format(*regions.region(i)) for i in range(matrix.shape[1])]
    obs = pd.DataFrame({LABEL: labels}, index=pd.Index(cells))
    data = anndata.AnnData(matrix, obs=obs, var=pd.DataFrame(index=pd.Index(names)))
    if regions.genome is not None:
        data.uns["genome"] = regions.genome
    data.write_h5ad(path)
    return path
