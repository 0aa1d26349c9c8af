"""Label transfer of many cells against many: `annotate` as a user runs it, beside exact neighbours in memory.

    python scripts/bench/speed/annotate.py --folder WORK [--sizes 100000,1000000]
        --json docs/results/records/annotate.json

The reference is the index of made cells that `index.py` builds (`mixtures.py`), of 40 donors and ten label columns;
the query is an h5ad of 10,000 cells made of parents that no reference cell has. Calibration (`index calibrate`, all
label columns) is timed apart: publishing does it once. The peer gets vectors that are in memory already.
"""

from __future__ import annotations

import csv
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the folder of `bench`

from bench.common.measuring import Row, finish, options, run
from bench.common.mixtures import QUERIES, Mixtures, open_mixtures
from bench.speed.index import index_path

SIZES = [10_000, 100_000, 1_000_000]
LABEL = "cell_type"
VOTES = 15


def write_query(made: Mixtures, path: Path) -> list[str]:
    """Write the query cells as an h5ad of peaks; the types of their parents."""
    import anndata
    import pandas as pd

    sets, parents = made.chunk(-1, QUERIES)
    universe = made.model.universe
    names = ["{}:{}-{}".format(*universe.region(token)) for token in range(len(universe))]
    cells = anndata.AnnData(
        sets.to_csr(len(universe)).astype(np.float32),
        obs=pd.DataFrame(index=list(sets.names)),
        var=pd.DataFrame(index=names),
    )
    cells.uns["genome"] = made.genome
    cells.write_h5ad(path)
    return [str(name) for name in made.types[parents]]


def ours(made: Mixtures, index: Path, n: int, query: Path, truth: list[str], repeats: int) -> list[Row]:
    """The commands, each in a process of its own."""
    program = [sys.executable, "-m", "atacsearch"]
    size = f"against {n:,}"
    calibrated = run([*program, "index", "calibrate", index])
    rows = [row("calibrate all label columns, " + size, "atacsearch index calibrate", [calibrated])]
    calls = query.with_suffix(".tsv")
    words = ["annotate", query, "--index", index, "--label", LABEL, "-o", calls]
    found = [run([*program, *words]) for _ in range(repeats)]
    with calls.open(newline="") as handle:
        said = [line["label"] for line in csv.DictReader(handle, delimiter="\t")]
    right = round(float(np.mean([a == b for a, b in zip(said, truth, strict=True)])), 4)
    rows.append(row(f"{QUERIES:,} cells {size}", "atacsearch annotate", found, right, float(n)))
    return rows


def row(
    case: str, what: str, found: list[dict[str, Any]], right: float | None = None, size: float | None = None
) -> Row:
    """A row of processes."""
    facts = {} if right is None else {"named_as_the_dominant_parent": right}
    walls, cpus = [one["wall"] for one in found], [one["cpu"] for one in found]
    peak = max(one["peak_mb"] for one in found)
    stage = "annotate" if size else ""
    per = "reference cells" if size else ""
    return Row(case, what, walls, cpu=cpus, peak_mb=peak, size=size, per=per, stage=stage, facts=facts)


def exact(made: Mixtures, n: int, truth: list[str]) -> Row:
    """Majority of the 15 nearest by scikit-learn's exact search, labels and vectors in memory."""
    from sklearn.neighbors import KNeighborsClassifier

    chunks = [made.chunk(number)[1] for number in range(-(-n // 20_000))]
    labels = made.types[np.concatenate(chunks)[:n]].astype(str)
    vectors, queries = unit(made.vectors(n).astype(np.float32)), unit(made.queries)
    wall, cpu = time.perf_counter(), time.process_time()
    said = KNeighborsClassifier(VOTES, algorithm="brute").fit(vectors, labels).predict(queries)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    facts = {"named_as_the_dominant_parent": round(float(np.mean(said == np.array(truth))), 4)}
    case = f"{QUERIES:,} cells against {n:,}"
    return Row(case, "scikit-learn, exact, vectors given", [wall], ours=False, cpu=[cpu], facts=facts)


def unit(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Rows of length 1."""
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12))


def main() -> None:
    """Measure and print."""
    parser = options(__doc__, 3)
    parser.add_argument("--sizes", help="numbers of reference cells, joined by commas")
    asked = parser.parse_args()
    folder = asked.folder or Path(tempfile.mkdtemp(prefix="atacsearch-bench-"))
    given = [int(n) for n in asked.sizes.split(",")] if asked.sizes else SIZES[:1] if asked.quick else SIZES
    made = open_mixtures(folder)
    for n in given:
        if not index_path(folder, n).exists():
            run([sys.executable, Path(__file__).with_name("index.py"), "--folder", folder, "--build", str(n)])
    query = folder / "query.h5ad"
    truth = write_query(made, query)
    rows = []
    for n in given:
        rows += [*ours(made, index_path(folder, n), n, query, truth, asked.repeats), exact(made, n, truth)]
    finish("annotate", rows, asked.json)


if __name__ == "__main__":
    main()
