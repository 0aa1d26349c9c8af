"""A fold of a data set as files that atacsearch reads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.common.datasets import Cells, Fold

LABEL, BATCH = "label", "batch"  # columns of the files


@dataclass(frozen=True)
class Files:
    """A reference with labels and a query without, as files that the product reads.

    Attributes:
        reference, query: h5ad or fragment files.
        label: column of the labels in the reference.
        batch: column of the batch, or None.
        universe: BED file of the universe; None lets the product make it from its input.
        genome: assembly; None lets the product find it out.
    """

    reference: Path
    query: Path
    label: str = LABEL
    batch: str | None = None
    universe: Path | None = None
    genome: str | None = None


def write_fold(cells: Cells, fold: Fold, folder: Path) -> Files:
    """Write reference and query of a fold as h5ad files; the query's has no labels."""
    import anndata
    import pandas as pd

    paths = []
    for name, rows in (("reference", fold.reference), ("query", fold.query)):
        obs = pd.DataFrame(index=pd.Index(cells.ids[rows]))
        if cells.batches is not None:
            obs[BATCH] = cells.batches[rows]
        if name == "reference":
            obs[LABEL] = cells.labels[rows]
        data = anndata.AnnData(
            cells.matrix[rows], obs=obs, var=pd.DataFrame(index=pd.Index(list(cells.regions)))
        )
        if cells.genome is not None:
            data.uns["genome"] = cells.genome
        paths.append(folder / f"{name}.h5ad")
        data.write_h5ad(paths[-1])
    several = cells.batches is not None and len(np.unique(cells.batches[fold.reference])) > 1
    return Files(paths[0], paths[1], batch=BATCH if several else None, universe=cells.universe)
