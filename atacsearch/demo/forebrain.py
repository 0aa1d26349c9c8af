"""First experiment: mouse forebrain, one replicate as reference, the other as query.

In: the h5ad of 2,088 cells (Preissl et al. 2018, doi:10.1038/s41593-018-0079-3). The replicate is the second
field of a cell's name; the labels of the query replicate are used for scoring and for nothing else.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from .baseline import transfer
from .outcome import Experiment, Method
from .runner import Runner
from .scores import score
from .steps import embedded, example, panels, read_calls

KEY = "forebrain"
LABEL = "celltype"
# A peak of this data set 3 kb into Csf1r, where the microglial enhancer FIRE is described (Rojo et al. 2019,
# doi:10.1038/s41467-019-11053-8); 1-based and inclusive.
ENHANCER = "chr18:61,108,408-61,108,907"


def run_forebrain(runner: Runner, source: Path) -> Experiment:
    """Run the experiment.

    Args:
        runner: runs and times the steps; the working directory is the demo's folder.
        source: the fetched h5ad.

    Returns:
        Scores, pictures and example searches.
    """
    folder = Path(KEY)
    folder.mkdir()
    reference, query = folder / "reference.h5ad", folder / "query.h5ad"
    with runner.step(KEY, "split the cells by replicate"):
        cells = _read(source)
        is_query = np.array([name.split("_")[1] == "rep2" for name in cells.obs_names])
        truth = cells.obs[LABEL].astype(str)
        cells[~is_query].copy().write_h5ad(reference)
        unlabelled = cells[is_query].copy()
        del unlabelled.obs[LABEL]
        unlabelled.write_h5ad(query)

    model, index, calls_file = folder / "model", folder / "index", folder / "calls.tsv"
    runner.command(
        KEY,
        "train a model on the reference cells",
        runner.with_device(
            ["train", "celltype", reference, "--label", LABEL, "--genome", "mm10", "-o", model]
        ),
    )
    runner.command(KEY, "create the index", ["index", "create", index, "--model", model])
    notes = runner.command(
        KEY, "add the reference cells", runner.with_device(["index", "add-cells", index, reference])
    )
    notes += runner.command(
        KEY,
        "annotate the query cells",
        runner.with_device(["annotate", query, "--index", index, "--label", LABEL, "-o", calls_file]),
    )
    runner.command(
        KEY,
        "embed the query cells for the pictures",
        runner.with_device(["embed", query, "--model", model, "-o", folder / "query.parquet"]),
    )

    with runner.step(KEY, "baseline: TF-IDF, SVD, nearest neighbours"):
        inputs = (cells.X[~is_query], truth[~is_query].to_numpy(object), cells.X[is_query])
        alone, both = (transfer(*inputs, fit_on_query=fit) for fit in (False, True))

    calls = read_calls(calls_file)
    true = truth[is_query].tolist()
    ours = calls.score(dict(zip(unlabelled.obs_names, true, strict=True)))
    methods = (
        Method("atacsearch", "reference alone", ours, True),
        Method("TF-IDF + SVD + kNN", "reference alone", score(true, list(alone)), False),
        Method(
            "TF-IDF + SVD + kNN, transductive", "reference and query together", score(true, list(both)), False
        ),
    )
    asking = next(name for name, kind in zip(unlabelled.obs_names, true, strict=True) if kind == "MG")
    examples = (
        example(
            runner,
            KEY,
            "Which cells are like this one?",
            ["search", "cells", query, "--item", asking, "--index", index, "-k", 8, "--columns", LABEL],
            folder,
            f"The query is the first cell of replicate 2 that its authors call microglia (MG), {asking}.",
            ("rank", "id", LABEL, "distance"),
        ),
        _region_search(runner, index, folder),
    )
    with runner.step(KEY, "draw the cells"):
        pictures = panels(index, embedded(folder / "query.parquet"), calls, dict(truth.items()), ours.labels)
    n_reference = int((~is_query).sum())
    return Experiment(
        key=KEY,
        title="Mouse forebrain: one replicate names the other",
        lead="Cells of one replicate train a small Atacformer from scratch and fill an index. The cells of "
        "the other replicate, another library, are named by it.",
        split=f"Reference: replicate 1, {n_reference:,} cells. Query: replicate 2, {is_query.sum():,} cells, "
        "their labels unseen.",
        facts=(
            ("cells", f"{cells.n_obs:,}"),
            ("regions in the universe", f"{cells.n_vars:,}"),
            ("cell types", f"{truth.nunique()}"),
            ("genome", "mm10"),
            ("open regions a cell, median", f"{np.median(np.diff(cells.X.indptr)):,.0f}"),
        ),
        notes=tuple(notes),
        methods=methods,
        panels=pictures,
        examples=examples,
    )


def _region_search(runner: Runner, index: Path, folder: Path) -> Any:
    runner.command(
        KEY,
        "add the regions in the context of each cell type",
        runner.with_device(["index", "add-regions", index, "--context-label", LABEL]),
    )
    return example(
        runner,
        KEY,
        "Which regions are like this one in microglia?",
        [
            "search",
            "regions",
            ENHANCER,
            "--context",
            "MG",
            "--where",
            "context=MG",
            "--index",
            index,
            "-k",
            8,
        ],
        folder,
        "The query is a peak 3 kb into Csf1r, the gene of a receptor that microglia depend on, where an "
        "enhancer of theirs is described (FIRE, Rojo et al. 2019). The answers are other regions in the context "
        "of microglia; n_items is the number of reference microglia in which each is open.",
        ("rank", "chrom", "start", "end", "context", "n_items", "distance"),
    )


def _read(path: Path) -> Any:
    import anndata

    cells = anndata.read_h5ad(path)
    # Only counts, names and labels travel on: the file also holds an analysis of both replicates together.
    return anndata.AnnData(cells.X.tocsr(), obs=cells.obs[[LABEL]], var=cells.var[[]])
