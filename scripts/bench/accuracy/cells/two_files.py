"""Two files of cells as one line: a reference with labels, and a query whose labels the scores alone see."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.common.datasets import Cells, Fold, Line, binary

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


def read_pair(
    reference: Path,
    query: Path,
    label: str,
    *,
    batch: str | None = None,
    universe: Path | None = None,
    genome: str | None = None,
) -> tuple[Cells, Line]:
    """Read both through the product's readers, over one universe; cells without a label are left out.

    Args:
        reference, query: h5ad files, or what else the readers take that holds labels.
        label: column of the labels.
        batch: column of donor, library or replicate, or None.
        universe: BED file of the regions; the reference's own peaks where None.
        genome: assembly of both.

    Raises:
        SystemExit: a column is missing; the message lists those that exist.
    """
    from atacsearch.readers.inputs.open import open_input
    from atacsearch.readers.inputs.universes import universe_from_inputs
    from atacsearch.readers.options import ReadOptions
    from atacsearch.tokens.universe import Universe

    if universe is not None:
        regions = Universe.load(universe, genome=genome)
    else:
        regions = universe_from_inputs([reference], genome)
    options = ReadOptions(genome=genome)
    sides = [_side(open_input(path, regions, options), path, label, batch) for path in (reference, query)]
    matrix = _stack([binary(sets.to_csr(len(regions))) for sets, *_ in sides])
    ids = np.array([name for _, names, *_ in sides for name in names])
    if len(set(ids.tolist())) < len(ids):  # barcodes that both files use
        ids = np.array(
            [f"{path.stem}:{n}" for path, s in zip((reference, query), sides, strict=True) for n in s[1]]
        )
    labels = np.array([value or "" for _, _, values, _ in sides for value in values])
    batches = None
    if batch is not None:
        batches = np.array([value or "" for *_, values in sides for value in values])
    is_query = np.arange(len(ids)) >= len(sides[0][1])
    kept = labels != ""
    names = ["{}:{}-{}".format(*regions.region(i)) for i in range(len(regions))]
    cells = Cells(matrix[kept], ids[kept], labels[kept], names, regions.genome, None, universe)
    if batches is not None:
        cells = Cells(cells.matrix, cells.ids, cells.labels, names, regions.genome, batches[kept], universe)
    fold = Fold("all", np.flatnonzero(~is_query[kept]), np.flatnonzero(is_query[kept]))
    return cells, Line(reference.name, f"→ {query.name}", (fold,))


def _side(found: list[Any], path: Path, label: str, batch: str | None) -> tuple[Any, ...]:
    import sys

    from atacsearch.tokens.token_sets import TokenSets

    out: dict[str, list[str | None]] = {}
    for column in filter(None, (label, batch)):
        if any(column not in items.labels.column_names for items in found):
            known = sorted({name for items in found for name in items.labels.column_names})
            sys.exit(f"{path}: no column '{column}'; columns: {', '.join(known) or 'none'}")
        out[column] = [
            None if v is None else str(v) for items in found for v in items.labels[column].to_pylist()
        ]
    ids = [str(item) for items in found for item in items.sets.names]
    sets = TokenSets.concat([items.sets for items in found])
    return sets, ids, out[label], out[batch] if batch is not None else [None] * len(ids)


def _stack(parts: list[csr_matrix]) -> csr_matrix:
    import scipy.sparse as sp

    return sp.vstack(parts).tocsr()
