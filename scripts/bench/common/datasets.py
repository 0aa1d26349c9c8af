"""The single-cell data of the table: how each is read, where its labels come from, and how it is split."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from atacsearch.genome.datasets import fetch
from bench.common.commands import command

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


Rows = npt.NDArray[np.int64]
FOLDS = 5


@dataclass(frozen=True)
class Fold:
    """Reference and query rows of one split; every query cell of a line is asked in one fold."""

    name: str
    reference: Rows
    query: Rows


@dataclass(frozen=True)
class Cells:
    """Labelled cells.

    Attributes:
        matrix: scipy CSR [n, n_regions] float32, binary.
        ids: [n] names of the cells.
        labels: [n] cell types.
        regions: [n_regions] as `chrom:start-end` or any form that the readers know, or None where
            `universe` says them.
        genome: assembly.
        batches: [n] donor, library or replicate, or None.
        universe: BED file of the regions, where the product built it.
    """

    matrix: csr_matrix
    ids: npt.NDArray[np.str_]
    labels: npt.NDArray[np.str_]
    regions: Sequence[str]
    genome: str | None
    batches: npt.NDArray[np.str_] | None = None
    universe: Path | None = None

    @cached_property
    def digest(self) -> str:
        """sha256 of what rows depend on."""
        sha = hashlib.sha256()
        for part in (self.matrix.indptr, self.matrix.indices):
            sha.update(np.ascontiguousarray(part, np.int64).tobytes())
        words: list[Iterable[str]] = [self.ids, self.labels, () if self.batches is None else self.batches]
        for column in words:
            sha.update("\n".join(column).encode())
        return sha.hexdigest()


@dataclass(frozen=True)
class Line:
    """One line of the table: folds whose query cells are scored together.

    Attributes:
        dataset: name of the data set.
        title: what is reference and what is query.
        folds: of the line.
    """

    dataset: str
    title: str
    folds: tuple[Fold, ...]

    @property
    def key(self) -> str:
        """Data set and split in words."""
        return f"{self.dataset} {self.title}"


@dataclass(frozen=True)
class Dataset:
    """A data set of the table.

    Attributes:
        read: the folder of shared data and a folder to keep things in, to `Cells`.
        lines: `Cells` to the lines.
        labels: where the labels come from: `clustering of the same ATAC data`, `RNA` or `experiment`.
        split: `cross-replicate`, `cross-donor`, `cross-library` or `within one library` or `within one study`.
    """

    read: Callable[[Path, Path], Cells]
    lines: Callable[[str, Cells], list[Line]]
    labels: str
    split: str

    @property
    def headline(self) -> bool:
        """Whether reference and query come from different replicates, donors or libraries."""
        return self.split.startswith("cross")


def binary(matrix: csr_matrix) -> csr_matrix:
    """CSR float32, 1 where `matrix` is not zero, indices sorted."""
    import scipy.sparse as sp

    out = sp.csr_matrix(matrix != 0, dtype=np.float32)
    out.sort_indices()
    return out


def by_batch(name: str, cells: Cells) -> list[Line]:
    """Every batch once the reference for all others, a line each."""
    assert cells.batches is not None
    out = []
    for batch in np.unique(cells.batches):
        here = cells.batches == batch
        others = ", ".join(sorted(set(cells.batches[~here].tolist())))
        fold = Fold("all", np.flatnonzero(here), np.flatnonzero(~here))
        out.append(Line(name, f"{batch} → {others}", (fold,)))
    return out


def stratified(name: str, cells: Cells) -> list[Line]:
    """One line of stratified random folds; the same folds whatever the seed of a method."""
    from sklearn.model_selection import StratifiedKFold

    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(cells.labels, cells.labels)
    return [Line(name, f"{FOLDS}-fold", tuple(Fold(f"fold {i}", *rows) for i, rows in enumerate(folds)))]


def pairs_of_batches(name: str, cells: Cells) -> list[Line]:
    """One line: two whole batches are the query, in turn until all were."""
    assert cells.batches is not None
    names = np.unique(cells.batches)
    folds = []
    for i in range(0, len(names), 2):
        held = np.isin(cells.batches, names[i : i + 2])
        folds.append(Fold("+".join(names[i : i + 2]), np.flatnonzero(~held), np.flatnonzero(held)))
    return [Line(name, "two whole libraries held out", tuple(folds))]


def _forebrain(data: Path, folder: Path) -> Cells:
    import anndata

    a = anndata.read_h5ad(fetch("forebrain"))
    ids = a.obs_names.to_numpy().astype(str)
    replicate = np.array([name.split("_")[1] for name in ids])
    return Cells(
        binary(a.X), ids, a.obs["celltype"].to_numpy().astype(str), list(a.var_names), "mm10", replicate
    )


def _shared(file: str, batch: str | None, leave_out: str = "") -> Callable[[Path, Path], Cells]:
    def read(data: Path, folder: Path) -> Cells:
        import anndata

        a = anndata.read_h5ad(data / "sc" / file)
        a = a[(a.obs["cell_type"] != leave_out).to_numpy()]
        return Cells(
            binary(a.X),
            a.obs_names.to_numpy().astype(str),
            a.obs["cell_type"].to_numpy().astype(str),
            list(a.var_names),
            str(a.uns["genome"]),
            None if batch is None else a.obs[batch].to_numpy().astype(str),
        )

    return read


def _heart(data: Path, folder: Path) -> Cells:
    import anndata

    a = anndata.read_h5ad(fetch("heart"))
    labels = a.obs["cell type"].to_numpy().astype(str)
    names, counts = np.unique(labels, return_counts=True)
    kept = np.isin(labels, names[counts >= 10])
    var = a.var
    regions = [
        f"{c}:{s}-{e}" for c, s, e in zip(var["Chromosome"], var["hg38_Start"], var["hg38_End"], strict=True)
    ]
    return Cells(
        binary(a.X[np.flatnonzero(kept)]),
        a.obs_names.to_numpy().astype(str)[kept],
        labels[kept],
        regions,
        "hg38",
    )


def _pbmc(data: Path, folder: Path) -> Cells:
    """Fragments, over a universe that the product builds from them; the labels are those of the same cells' RNA."""
    import anndata

    from atacsearch.tokens.token_sets import TokenSets
    from atacsearch.tokens.universe import Universe

    obs = anndata.read_h5ad(fetch("pbmc-tiny-labels"), backed="r").obs
    truth = dict(zip(obs.index.astype(str), obs["celltype"].astype(str), strict=True))
    work = folder / "pbmc"
    work.mkdir(parents=True, exist_ok=True)
    universe, tokens, cells = work / "universe.bed.gz", work / "tokens.parquet", work / "cells.txt"
    cells.write_text("\n".join(truth) + "\n")
    fragments = fetch("pbmc-tiny-fragments")
    if not universe.exists():
        command("universe", "build", fragments, "--genome", "hg38", "-o", universe)
    command("tokenize", fragments, "--universe", universe, "--whitelist", cells, "-o", tokens)
    regions = Universe.load(universe)
    sets = TokenSets.from_parquet(tokens)
    ids = np.array([name.rpartition("#")[2] for name in _ids(tokens)])
    some = np.flatnonzero(sets.lengths > 0)
    names = ["{}:{}-{}".format(*regions.region(i)) for i in range(len(regions))]
    labels = np.array([truth[name] for name in ids])
    matrix = binary(sets.to_csr(len(regions)))
    return Cells(matrix[some], ids[some], labels[some], names, "hg38", None, universe)


def _ids(path: Path) -> list[str]:
    import pyarrow.parquet as pq

    ids: list[str] = pq.read_table(path, columns=["id"])["id"].to_pylist()
    return ids


CLUSTERING, RNA, EXPERIMENT = "clustering of the same ATAC data", "RNA", "experiment"
DATASETS: dict[str, Dataset] = {
    "forebrain": Dataset(_forebrain, by_batch, CLUSTERING, "cross-replicate"),
    "granja": Dataset(_shared("granja_bmmc.h5ad", "batch"), by_batch, CLUSTERING, "cross-donor"),
    "cellmix": Dataset(_shared("cellmix_schep.h5ad", None), stratified, EXPERIMENT, "within one study"),
    "heart": Dataset(_heart, stratified, CLUSTERING, "within one library"),
    "pbmc": Dataset(_pbmc, stratified, RNA, "within one library"),
    "mop": Dataset(_shared("mop_snareseq.h5ad", "batch", "Mis"), pairs_of_batches, RNA, "cross-library"),
}
