"""The small files that the guides speak of: cells, fragments, BED files, genes. Drawn, the same each time.

600 regions of hg38. Each of three blood cell types opens 150 regions of its own often and the others seldom; a
fourth type is in the new cells alone. `python tests/helpers/guide_world.py FOLDER` writes them to look at.
"""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix

TYPES = ("B", "NK", "Monocyte")
STRANGER = "Erythroid"
N_REGIONS = 600
FIRST, STEP, WIDTH = 1_000_000, 5_000, 500  # bp
PER_CHROM = N_REGIONS // 2


def region(i: int) -> tuple[str, int, int]:
    """Region i, 0-based half-open."""
    start = FIRST + STEP * (i % PER_CHROM)
    return f"chr{1 + i // PER_CHROM}", start, start + WIDTH


def own_regions(cell_type: str) -> np.ndarray:
    """The 150 regions that a type opens often, [150] int64."""
    return 150 * (*TYPES, STRANGER).index(cell_type) + np.arange(150)


def odds(cell_type: str, own: float, other: float) -> np.ndarray:
    """The chance of each region to be open, [N_REGIONS] float64."""
    chance = np.full(N_REGIONS, other)
    chance[own_regions(cell_type)] = own
    return chance


def write_cells(path: Path, types: list[str], donors: list[str], seed: int, depth: float = 0.35) -> None:
    """A binary cell x region matrix; coordinates are in the names of the regions."""
    rng = np.random.default_rng(seed)
    matrix = np.stack([rng.random(N_REGIONS) < odds(t, depth, depth / 12) for t in types]).astype(np.float32)
    letters = rng.choice(list("ACGT"), (len(types), 16))
    obs = pd.DataFrame({"cell_type": types, "donor": donors}, index=["".join(row) + "-1" for row in letters])
    var = pd.DataFrame(index=["{}:{}-{}".format(*region(i)) for i in range(N_REGIONS)])
    ad.AnnData(csr_matrix(matrix), obs=obs, var=var, uns={"genome": "hg38"}).write_h5ad(path)


def write_fragments(path: Path, barcodes: Path, seed: int, n: int = 12) -> None:
    """Fragments of n cells in order of position, and the list of their barcodes."""
    rng = np.random.default_rng(seed)
    rows = []
    names = [f"CELL{i:04d}ACGTACGT-1" for i in range(n)]
    for i, name in enumerate(names):
        for j in np.flatnonzero(rng.random(N_REGIONS) < odds(TYPES[i % 3], 0.35, 0.03)):
            chrom, start, _ = region(int(j))
            rows.append((chrom, start + 100, start + 300, name))
    with gzip.open(path, "wt") as handle:
        handle.writelines(f"{c}\t{s}\t{e}\t{b}\t1\n" for c, s, e, b in sorted(rows))
    barcodes.write_text("".join(f"{name}\n" for name in names))


def write_bed(path: Path, rows: np.ndarray, prefix: str = "chr") -> None:
    """A BED file of these regions."""
    lines = [region(int(i)) for i in np.sort(rows)]
    path.write_text("".join(f"{c.replace('chr', prefix, 1)}\t{s}\t{e}\n" for c, s, e in lines))


def write_beds(folder: Path, seed: int) -> None:
    """24 BED files of three types, two targets and two studies, with their manifest; and one unlabelled file."""
    rng = np.random.default_rng(seed)
    (folder / "beds").mkdir(exist_ok=True)
    lines = ["file\tcell_type\tassay\ttarget\tstudy"]
    for i in range(24):
        cell_type, target = TYPES[i % 3], ("CTCF", "H3K4me3")[i // 3 % 2]
        assay = "TF ChIP-seq" if target == "CTCF" else "Histone ChIP-seq"
        chance = odds(cell_type, 0.5, 0.02)
        chance[(0 if target == "CTCF" else 1) :: 10] = 0.8
        name = f"beds/{cell_type.lower()}_{target}_{i // 6 + 1}.bed"
        write_bed(folder / name, np.flatnonzero(rng.random(N_REGIONS) < chance))
        lines.append(f"{name}\t{cell_type}\t{assay}\t{target}\tstudy {1 + i // 12}")
    (folder / "manifest.tsv").write_text("\n".join(lines) + "\n")
    write_bed(folder / "peaks.bed", np.flatnonzero(rng.random(N_REGIONS) < odds("NK", 0.5, 0.02)))


def write_genes(folder: Path) -> None:
    """Transcription start sites, and marker genes of two types."""
    sites = {"MS4A1": 23, "CD79A": 63, "NKG7": 173, "GNLY": 213, "LYZ": 323, "CD14": 363}
    lines = []
    for name, i in sites.items():
        chrom, start, _ = region(i)
        lines.append(f"{chrom}\t{start + 200}\t{start + 201}\t{name}|T1\t0\t+\n")
    (folder / "genes.bed").write_text("".join(sorted(lines)))
    kinds = ("B", "B", "NK", "NK", "Monocyte", "Monocyte")
    rows = [f"{kind}\t{gene}\n" for kind, gene in zip(kinds, sites, strict=True)]
    (folder / "markers.tsv").write_text("cell_type\tgene\n" + "".join(rows))


def write_odd(folder: Path) -> None:
    """A BED file with Ensembl's names, and one with lines that are no regions."""
    write_bed(folder / "ensembl.bed", own_regions("B")[::2], prefix="")
    write_bed(folder / "messy.bed", own_regions("B")[::2])
    text = (folder / "messy.bed").read_text()
    (folder / "messy.bed").write_text("track name=peaks\n" + text + "chr1\tabc\t2000\nchr1\t5000\t4000\n")


def build_guide_world(folder: Path) -> None:
    """Write all files."""
    reference = [TYPES[i % 3] for i in range(120)]
    write_cells(folder / "reference.h5ad", reference, [f"donor{1 + i // 3 % 4}" for i in range(120)], seed=1)
    new = [TYPES[i % 3] for i in range(12)] + [STRANGER] * 3
    write_cells(folder / "new_cells.h5ad", new, ["donor5"] * len(new), seed=2)
    write_fragments(folder / "fragments.tsv.gz", folder / "barcodes.txt", seed=3)
    write_beds(folder, seed=4)
    write_genes(folder)
    write_odd(folder)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    build_guide_world(folder)
