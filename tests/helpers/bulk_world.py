"""BED files of a small world: what they open depends strongly on the target and weakly on the cell type."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from atacsearch.genome.intervals import Intervals
from atacsearch.tokens.token_sets import TokenSets
from atacsearch.tokens.universe import Universe

V = 1200
TYPES = [f"line {i}" for i in range(5)]
TARGETS = [f"TF{i}" for i in range(6)]
Columns = dict[str, list[str | None]]


def universe() -> Universe:
    """V regions on two chromosomes."""
    starts = 1_000_000 + 2_000 * np.arange(V // 2)
    start = np.concatenate([starts, starts])
    return Universe(Intervals.from_columns(["chr1"] * (V // 2) + ["chr2"] * (V // 2), start, start + 500))


def open_regions(cell_type: int, target: int, rng: np.random.Generator) -> np.ndarray:
    """Most of the target's 100 regions, some of the cell type's 60, and a few of anywhere."""
    odds = np.full(V, 0.02)
    odds[100 * target : 100 * (target + 1)] = 0.8
    odds[600 + 60 * cell_type : 600 + 60 * (cell_type + 1)] = 0.3
    return np.flatnonzero(rng.random(V) < odds)


def files(seed: int = 0, share: float = 1.0) -> tuple[TokenSets, Columns]:
    """A file of every cell type and target; of a seed other than 0 the same world, other draws."""
    rng = np.random.default_rng(seed)
    pairs = [(c, t) for c in range(len(TYPES)) for t in range(len(TARGETS)) if rng.random() <= share]
    sets = TokenSets.from_lists([open_regions(c, t, rng).tolist() for c, t in pairs])
    types: list[str | None] = [TYPES[c] for c, _ in pairs]
    targets: list[str | None] = [TARGETS[t] for _, t in pairs]
    assays: list[str | None] = ["histone" if t < 2 else "TF" for _, t in pairs]
    return sets, {"cell_type": types, "assay": assays, "target": targets}


def write_manifest(folder: Path, seed: int, share: float = 1.0) -> Path:
    """The files as BED files with a manifest; a field without a value is empty."""
    folder.mkdir(parents=True, exist_ok=True)
    sets, columns = files(seed, share)
    x = universe().intervals
    lines = ["\t".join(["file", *columns])]
    for i, tokens in enumerate(sets):
        rows = [f"{x.chroms[x.chrom[t]]}\t{x.start[t] + 5}\t{x.end[t] - 5}\n" for t in tokens]
        (folder / f"{i}.bed").write_text("".join(rows))
        lines.append("\t".join([f"{i}.bed", *[v[i] or "" for v in columns.values()]]))
    path = folder / "files.tsv"
    path.write_text("\n".join(lines) + "\n")
    return path
