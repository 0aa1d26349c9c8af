"""First experiment: mouse forebrain, one replicate as reference, the other as query.

In: the h5ad of 2,088 cells (Preissl et al. 2018, doi:10.1038/s41593-018-0079-3). The replicate is the second
field of a cell's name; the labels of the query replicate are used for scoring and for nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from .outcome import Example, Experiment, Method
from .runner import Runner
from .steps import Files, baselines, embedded, example, panels, read_calls

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

KEY = "forebrain"
LABEL = "celltype"
# A peak of this data set 3 kb into Csf1r, where the microglial enhancer FIRE is described (Rojo et al. 2019,
# doi:10.1038/s41467-019-11053-8); 1-based and inclusive.
ENHANCER = "chr18:61,108,408-61,108,907"


@dataclass(frozen=True)
class _Split:
    """The cells, and which of them are query.

    Attributes:
        cells: all of them, as an `anndata.AnnData`.
        is_query: [n_cells] bool.
        reference, query: the two files; the query's has no labels.
    """

    cells: AnnData
    is_query: npt.NDArray[np.bool_]
    reference: Path
    query: Path

    @property
    def truth(self) -> pd.Series[str]:
        """Label of each cell."""
        return self.cells.obs[LABEL].astype(str)


def run_forebrain(runner: Runner, source: Path) -> Experiment:
    """Run the experiment.

    Args:
        runner: runs and times the steps; the working directory is the demo's folder.
        source: the fetched h5ad.

    Returns:
        Scores, pictures and example searches.
    """
    files = Files(Path(KEY))
    files.folder.mkdir()
    with runner.step(KEY, "split the cells by replicate"):
        split = _split(source, files.folder)
    notes = _train_and_annotate(runner, files, split)
    cells, is_query, truth = split.cells, split.is_query, split.truth
    true = truth[is_query].tolist()
    with runner.step(KEY, "baseline: TF-IDF, SVD, nearest neighbours"):
        others = baselines(cells.X[~is_query], truth[~is_query].to_numpy(object), cells.X[is_query], true)
    calls = read_calls(files.calls)
    query_names = cells.obs_names[is_query]
    ours = calls.score(dict(zip(query_names, true, strict=True)))
    microglia = next(name for name, kind in zip(query_names, true, strict=True) if kind == "MG")
    examples = (
        _cell_search(runner, files, split.query, microglia),
        _region_search(runner, files),
    )
    with runner.step(KEY, "draw the cells"):
        pictures = panels(files.index, embedded(files.query_vectors), calls, dict(truth.items()), ours.labels)
    n_query = int(is_query.sum())
    return Experiment(
        key=KEY,
        title="Mouse forebrain: one replicate names the other",
        lead="Cells of one replicate train a small Atacformer from scratch and fill an index. The cells of "
        "the other replicate, another library, are named by it.",
        split=f"Reference: replicate 1, {cells.n_obs - n_query:,} cells. Query: replicate 2, {n_query:,} cells, "
        "their labels unseen.",
        facts=(
            ("cells", f"{cells.n_obs:,}"),
            ("regions in the universe", f"{cells.n_vars:,}"),
            ("cell types", f"{truth.nunique()}"),
            ("genome", "mm10"),
            ("open regions a cell, median", f"{np.median(np.diff(cells.X.indptr)):,.0f}"),
        ),
        notes=tuple(notes),
        methods=(Method("atacsearch", "reference alone", ours, True), *others),
        panels=pictures,
        examples=examples,
    )


def _split(source: Path, folder: Path) -> _Split:
    cells = _read(source)
    is_query = np.array([name.split("_")[1] == "rep2" for name in cells.obs_names])
    split = _Split(cells, is_query, folder / "reference.h5ad", folder / "query.h5ad")
    cells[~is_query].copy().write_h5ad(split.reference)
    unlabelled = cells[is_query].copy()
    del unlabelled.obs[LABEL]
    unlabelled.write_h5ad(split.query)
    return split


def _train_and_annotate(runner: Runner, files: Files, split: _Split) -> list[str]:
    """Run the commands from the two files to calls and vectors; returns what the readers said about the input."""
    model, index = files.model, files.index
    runner.command(
        KEY,
        "train a model on the reference cells",
        runner.with_device(
            ["train", "celltype", split.reference, "--label", LABEL, "--genome", "mm10", "-o", model]
        ),
    )
    runner.command(KEY, "create the index", ["index", "create", index, "--model", model])
    notes = runner.command(
        KEY, "add the reference cells", runner.with_device(["index", "add-cells", index, split.reference])
    )
    notes += runner.command(
        KEY,
        "annotate the query cells",
        runner.with_device(["annotate", split.query, "--index", index, "--label", LABEL, "-o", files.calls]),
    )
    runner.command(
        KEY,
        "embed the query cells for the pictures",
        runner.with_device(["embed", split.query, "--model", model, "-o", files.query_vectors]),
    )
    return notes


def _cell_search(runner: Runner, files: Files, query: Path, cell: str) -> Example:
    return example(
        runner,
        KEY,
        "Which cells are like this one?",
        ["search", "cells", query, "--item", cell, "--index", files.index, "-k", 8, "--columns", LABEL],
        files.folder,
        f"The query is the first cell of replicate 2 that its authors call microglia (MG), {cell}.",
        ("rank", "id", LABEL, "distance"),
    )


def _region_search(runner: Runner, files: Files) -> Example:
    runner.command(
        KEY,
        "add the regions in the context of each cell type",
        runner.with_device(["index", "add-regions", files.index, "--context-label", LABEL]),
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
            files.index,
            "-k",
            8,
        ],
        files.folder,
        "The query is a peak 3 kb into Csf1r, the gene of a receptor that microglia depend on, where an "
        "enhancer of theirs is described (FIRE, Rojo et al. 2019). The answers are other regions in the context "
        "of microglia; n_items is the number of reference microglia in which each is open.",
        ("rank", "chrom", "start", "end", "context", "n_items", "distance"),
    )


def _read(path: Path) -> AnnData:
    import anndata

    cells = anndata.read_h5ad(path)
    # Only counts, names and labels travel on: the file also holds an analysis of both replicates together.
    return anndata.AnnData(cells.X.tocsr(), obs=cells.obs[[LABEL]], var=cells.var[[]])
