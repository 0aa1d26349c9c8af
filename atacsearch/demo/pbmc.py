"""Second experiment: raw fragments of human PBMC, four fifths of the cells as reference, the rest as query.

In: 10x fragments of 51 windows of 200 kb, and the cell types that the same cells' RNA gave. One library: the
split is by cell, within each type, so it says less about new data than a split by replicate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from atacsearch.tokens.universe import Universe

from .outcome import Example, Experiment, Method
from .runner import Runner
from .steps import Files, baselines, embedded, example, panels, read_calls, write_tsv

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

KEY = "pbmc"
LABEL = "celltype"
UNIVERSE = "universe.bed.gz"


@dataclass(frozen=True)
class _Split:
    """The labelled cells, and which of them are query.

    Attributes:
        truth: label of each cell.
        reference: names of the reference cells.
        fragments: the fragments of all cells.
        labels: table of the labels of the reference cells.
        all_barcodes, reference_barcodes, query_barcodes: lists of cells, for `--whitelist`.
    """

    truth: Mapping[str, str]
    reference: Sequence[str]
    fragments: Path
    labels: Path
    all_barcodes: Path
    reference_barcodes: Path
    query_barcodes: Path


@dataclass(frozen=True)
class _Cells:
    """Token sets of the labelled cells.

    Attributes:
        names: [n] barcodes, in the order of the rows.
        matrix: [n, n_regions] which regions are open.
        reference: names of the reference cells that have fragments.
        training: the h5ad of those, with labels.
    """

    names: Sequence[str]
    matrix: csr_matrix
    reference: Sequence[str]
    training: Path

    def rows(self, names: Sequence[str]) -> csr_matrix:
        """The rows of these cells, in this order."""
        row = {name: i for i, name in enumerate(self.names)}
        return self.matrix[[row[name] for name in names]]


def run_pbmc(runner: Runner, fragments: Path, labelled: Path) -> Experiment:
    """Run the experiment.

    Args:
        runner: runs and times the steps; the working directory is the demo's folder.
        fragments: the fetched fragment file.
        labelled: the fetched h5ad of the same cells' RNA, whose `obs` holds the labels.

    Returns:
        Scores, pictures and example searches.
    """
    files = Files(Path(KEY))
    files.folder.mkdir()
    with runner.step(KEY, "split the cells, type by type"):
        split = _split(fragments, labelled, files.folder)
    truth = split.truth
    notes, cells = _tokenize(runner, files.folder, split)
    _train_and_annotate(runner, files, split, cells.training)
    calls = read_calls(files.calls)
    true = [truth[item] for item in calls.items]
    ours = calls.score(truth)
    with runner.step(KEY, "baseline: TF-IDF, SVD, nearest neighbours"):
        labels = np.array([truth[name] for name in cells.reference], dtype=object)
        others = baselines(cells.rows(cells.reference), labels, cells.rows(calls.items), true)
    memory_b = next(item for item, kind in zip(calls.items, true, strict=True) if kind == "memory B")
    examples = (_cell_search(runner, files, split, memory_b),)
    with runner.step(KEY, "draw the cells"):
        pictures = panels(files.index, embedded(files.query_vectors), calls, truth, ours.labels)
    return Experiment(
        key=KEY,
        title="Human PBMC: from raw fragments to cell types",
        lead="A fragment file of 51 windows of 200 kb around genes: a third of a per cent of the genome, so "
        "that cells are thin and types hard to tell. The universe is built from the fragments; reference "
        "cells train the model and fill the index.",
        split=f"Reference: {len(cells.reference):,} cells. Query: {len(calls.items):,} cells, a fifth of "
        "every type, their labels unseen. One library, split by cell; the universe is built from all of it.",
        facts=(
            ("labelled cells with fragments", f"{len(cells.names):,}"),
            ("regions in the universe", f"{cells.matrix.shape[1]:,}"),
            ("cell types", f"{len(set(truth.values()))}"),
            ("genome", "hg38"),
            ("open regions a cell, median", f"{np.median(np.diff(cells.matrix.indptr)):,.0f}"),
        ),
        notes=tuple(notes),
        methods=(Method("atacsearch", "reference alone", ours, True), *others),
        panels=pictures,
        examples=examples,
    )


def _split(fragments: Path, labelled: Path, folder: Path) -> _Split:
    source = folder / "fragments.tsv.gz"
    source.symlink_to(fragments)
    truth = _labels(labelled)
    query = stratified_fifth(truth)
    reference = [cell for cell in truth if cell not in query]
    return _Split(
        truth,
        reference,
        source,
        write_tsv(folder / "reference_labels.tsv", ("barcode", LABEL), [(c, truth[c]) for c in reference]),
        _barcodes(folder / "cells.txt", list(truth)),
        _barcodes(folder / "reference.txt", reference),
        _barcodes(folder / "query.txt", [cell for cell in truth if cell in query]),
    )


def _tokenize(runner: Runner, folder: Path, split: _Split) -> tuple[list[str], _Cells]:
    """Build the universe and the token sets; returns also what the readers said about the input."""
    universe, tokens = folder / UNIVERSE, folder / "tokens.parquet"
    runner.command(
        KEY,
        "build a universe from the fragments",
        ["universe", "build", split.fragments, "--genome", "hg38", "-o", universe],
    )
    notes = runner.command(
        KEY,
        "tokenise the fragments",
        [
            "tokenize",
            split.fragments,
            "--universe",
            universe,
            "--whitelist",
            split.all_barcodes,
            "-o",
            tokens,
        ],
    )
    with runner.step(KEY, "join token sets and labels of the reference cells"):
        regions = Universe.load(universe)
        names, matrix = _matrix(tokens, len(regions))
        there = set(names)
        reference = [cell for cell in split.reference if cell in there]  # a few have no fragment at all
        cells = _Cells(names, matrix, reference, folder / "reference.h5ad")
        labels = [split.truth[name] for name in reference]
        _write_h5ad(cells.training, cells.rows(reference), reference, labels, regions)
    return notes, cells


def _train_and_annotate(runner: Runner, files: Files, split: _Split, training: Path) -> None:
    model, index, source = files.model, files.index, split.fragments
    universe = files.folder / UNIVERSE
    runner.command(
        KEY,
        "train a model on the reference cells",
        runner.with_device(
            ["train", "celltype", training, "--label", LABEL, "--universe", universe, "-o", model]
        ),
    )
    runner.command(KEY, "create the index", ["index", "create", index, "--model", model])
    reference = ["--whitelist", split.reference_barcodes, "--labels", split.labels, "--sample", "pbmc"]
    runner.command(
        KEY,
        "add the reference cells",
        runner.with_device(["index", "add-cells", index, source, *reference]),
    )
    query = [source, "--whitelist", split.query_barcodes]
    runner.command(
        KEY,
        "annotate the query cells",
        runner.with_device(["annotate", *query, "--index", index, "--label", LABEL, "-o", files.calls]),
    )
    runner.command(
        KEY,
        "embed the query cells for the pictures",
        runner.with_device(["embed", *query, "--model", model, "-o", files.query_vectors]),
    )


def _cell_search(runner: Runner, files: Files, split: _Split, cell: str) -> Example:
    query = [split.fragments, "--whitelist", split.query_barcodes]
    return example(
        runner,
        KEY,
        "Which cells are like this one?",
        ["search", "cells", *query, "--item", cell, "--index", files.index, "-k", 8],
        files.folder,
        f"The query is the first query cell that the RNA calls memory B, barcode {cell}.",
        ("rank", "id", LABEL, "n_fragments", "distance"),
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


def _matrix(tokens: Path, n_regions: int) -> tuple[list[str], csr_matrix]:
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
    path: Path, matrix: csr_matrix, cells: Sequence[str], labels: Sequence[str], regions: Universe
) -> None:
    """Write an h5ad, cells x regions of the universe, with one label column."""
    import anndata
    import pandas as pd

    names = ["{}:{}-{}".format(*regions.region(i)) for i in range(matrix.shape[1])]
    obs = pd.DataFrame({LABEL: labels}, index=pd.Index(cells))
    data = anndata.AnnData(matrix, obs=obs, var=pd.DataFrame(index=pd.Index(names)))
    if regions.genome is not None:
        data.uns["genome"] = regions.genome
    data.write_h5ad(path)
