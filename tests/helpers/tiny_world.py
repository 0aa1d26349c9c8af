"""A small world for end-to-end tests: universe, model, cells and BED files of two types, written to a folder.

400 regions on hg38's chr1 and chr2. Type B opens the first half of each chromosome's regions, type NK the
second; the model's token vectors say which half a region is in, so that no training is needed to tell them.
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import torch
from scipy.sparse import csr_matrix

from atacsearch.genome.intervals import Intervals
from atacsearch.model.checkpoints.checkpoint import new_model
from atacsearch.model.config import sized_config
from atacsearch.tokens.universe import Universe

PER_CHROM = 200
STEP = 10_000
FIRST = 1_000_000
WIDTH = 500


@dataclass(frozen=True)
class World:
    """Paths of what was written, and the arrays behind it."""

    folder: Path
    universe: Path
    model: Path
    reference: Path
    query: Path

    def bed(self, name: str, rows: list[int] | range, tail: str = "\n") -> Path:
        """A BED file of universe regions."""
        x = regions()
        path = self.folder / name
        lines = [f"{x.chroms[x.chrom[i]]}\t{x.start[i] + 10}\t{x.end[i] - 10}" for i in rows]
        path.write_bytes(("".join(line + tail for line in lines)).encode())
        return path


def regions() -> Intervals:
    """The universe's regions."""
    start = np.tile(FIRST + STEP * np.arange(PER_CHROM), 2)
    return Intervals.from_columns(["chr1"] * PER_CHROM + ["chr2"] * PER_CHROM, start, start + WIDTH)


def of_type(name: str) -> np.ndarray:
    """Rows of the regions that a type opens."""
    first = np.arange(2 * PER_CHROM) % PER_CHROM < PER_CHROM // 2
    return np.flatnonzero(first if name == "B" else ~first)


def cells(seed: int, n: int, noise: int = 2) -> tuple[csr_matrix, list[str]]:
    """A binary matrix of n cells of alternating type, 30 regions each and a few of the other type."""
    rng = np.random.default_rng(seed)
    types = ["B" if i % 2 == 0 else "NK" for i in range(n)]
    dense = np.zeros((n, 2 * PER_CHROM), np.float32)
    for row, name in enumerate(types):
        dense[row, rng.choice(of_type(name), 30, replace=False)] = 1
        dense[row, rng.choice(of_type("NK" if name == "B" else "B"), noise, replace=False)] = 1
    return csr_matrix(dense), types


def write_h5ad(path: Path, seed: int, n: int, genome: str | None = "hg38", empty: int | None = None) -> Path:
    """Cells with coordinates in `var`, `obs["cell_type"]` and `obs["donor"]`."""
    matrix, types = cells(seed, n)
    if empty is not None:
        matrix = matrix.tolil()
        matrix[empty] = 0
        matrix = csr_matrix(matrix)
    x = regions()
    names = [f"{c}:{s}-{e}" for c, s, e in zip(x.names(), x.start, x.end, strict=True)]
    var = pd.DataFrame({"chrom": x.names(), "start": x.start, "end": x.end}, index=names)
    obs = pd.DataFrame(
        {"cell_type": types, "donor": [f"d{i % 3}" for i in range(n)]},
        index=[f"s{seed}-{i}" for i in range(n)],
    )
    uns = {"genome": genome} if genome else {}
    ad.AnnData(matrix, obs=obs, var=var, uns=uns).write_h5ad(path)
    return path


def write_model(path: Path, universe: Universe, seed: int = 0) -> Path:
    """A tiny model whose token vectors know the half of the chromosome that a region lies in."""
    model = new_model(
        sized_config("tiny", len(universe), hidden_size=16, num_attention_heads=2), universe, seed=seed
    )
    with torch.no_grad():
        table = model.module.atacformer.embeddings.token_embeddings.weight
        table[: 2 * PER_CHROM, :8] += (
            2.0 * torch.from_numpy(np.isin(np.arange(2 * PER_CHROM), of_type("B")))[:, None]
        )
        table[: 2 * PER_CHROM, 8:] += (
            2.0 * torch.from_numpy(np.isin(np.arange(2 * PER_CHROM), of_type("NK")))[:, None]
        )
    model.save(path)
    return path


def write_fragments(path: Path, seed: int, n: int) -> Path:
    """Fragments of n barcodes, sorted by coordinates, with a comment line."""
    matrix, _ = cells(seed, n)
    x = regions()
    rows = []
    for cell, region in zip(*matrix.nonzero(), strict=True):
        for shift in range(3):
            start = int(x.start[region]) + 20 + shift * 50
            rows.append((x.chroms[x.chrom[region]], start, start + 120, f"BC{cell:04d}-1"))
    with gzip.open(path, "wt") as handle:
        handle.write("# id=tiny\n")
        handle.writelines(f"{c}\t{s}\t{e}\t{b}\t1\n" for c, s, e, b in sorted(rows))
    return path


def build_world(folder: Path) -> World:
    """Write everything."""
    universe = Universe(regions(), genome="hg38")
    universe.save(folder / "universe.bed.gz")
    write_model(folder / "model", universe)
    write_h5ad(folder / "reference.h5ad", 1, 60)
    write_h5ad(folder / "query.h5ad", 2, 20, empty=4)
    return World(
        folder, folder / "universe.bed.gz", folder / "model", folder / "reference.h5ad", folder / "query.h5ad"
    )
