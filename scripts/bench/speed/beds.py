"""Times of BED files and matrices to token sets, and of loading a universe: ours, gtars and bedtools.

    python scripts/bench/speed/beds.py [--peer-python PEER/bin/python] [--input cells.h5ad] [--json out.json]

PEER is an environment of its own (`python -m venv PEER && PEER/bin/pip install gtars`); bedtools is taken from
the path. Universes, BED files and the matrix are drawn here, seeded: universes are spread over hg38, four in five
regions of a BED file lie near one of the universe, the others anywhere. Rows of calls are warm calls in a process
of their own, reading the file each time (parse, checks of the genome, digest, overlap); rows of loads and commands
are new processes. `--input` takes a real matrix instead of the drawn one of 9,110 x 198,137.
"""

from __future__ import annotations

import argparse
import gzip
import sys
import tempfile
from pathlib import Path
from typing import Any, Unpack

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the folder of `bench`

from bench.common.measuring import Fields, Input, Row, finish, options, peer_version, program, run

UNIVERSE = 890_704
SIZES = (10_000, 30_000, 100_000, 300_000, 1_000_000)
CELLS, PEAKS, STORED = 9_110, 198_137, 5_618_045

_TIMER = """
import json, sys, time
def timed(call, times, warm=3):
    walls, cpus = [], []
    for number in range(warm + times):
        wall, cpu = time.perf_counter(), time.process_time()
        answer = call()
        if number >= warm:
            walls.append(time.perf_counter() - wall)
            cpus.append(time.process_time() - cpu)
    return answer, {"wall": walls, "cpu": cpus}
universe, path, times = sys.argv[1], sys.argv[2], int(sys.argv[3])
"""
READ_ITEMS = (
    _TIMER
    + """
from atacsearch.tokens.universe import Universe
from atacsearch.readers.inputs.open import open_input
regions = Universe.from_bed(universe, genome="hg38")
(items,), found = timed(lambda: open_input(path, regions), times)
print(json.dumps({**found, "tokens": len(items.sets.tokens)}))
"""
)
TOKENIZE = (
    _TIMER
    + """
from atacsearch.tokens.universe import Universe
regions = Universe.from_bed(universe, genome="hg38")
sets, found = timed(lambda: regions.tokenize(path), times)
print(json.dumps({**found, "tokens": len(sets.tokens)}))
"""
)
OVERLAP = (
    _TIMER
    + """
from atacsearch.tokens.universe import Universe
from atacsearch.readers.bed import read_bed
regions, intervals = Universe.from_bed(universe, genome="hg38"), read_bed(path)
sets, found = timed(lambda: regions.tokenize(intervals), times)
print(json.dumps({**found, "tokens": len(sets.tokens)}))
"""
)
GTARS = (
    _TIMER
    + """
from gtars.models import RegionSet
from gtars.tokenizers import Tokenizer
tokenizer = Tokenizer.from_bed(universe)
def call():
    return tokenizer.encode(tokenizer.tokenize(RegionSet(path)))
ids, found = timed(call, times, 1)
print(json.dumps({**found, "tokens": len(set(ids) - {tokenizer.unk_token_id})}))
"""
)
LOAD = """
import json, sys, time
from atacsearch.tokens.universe import Universe
wall, cpu = time.perf_counter(), time.process_time()
universe = Universe.from_bed(sys.argv[1], genome="hg38")
universe.digest, universe.index
print(json.dumps({"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu, "n": len(universe)}))
"""
LOAD_GTARS = """
import json, sys, time
from gtars.tokenizers import Tokenizer
wall, cpu = time.perf_counter(), time.process_time()
tokenizer = Tokenizer.from_bed(sys.argv[1])
print(json.dumps({"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu, "n": len(tokenizer)}))
"""
COMMAND_GTARS = """
import sys
from gtars.models import RegionSet
from gtars.tokenizers import Tokenizer
tokenizer = Tokenizer.from_bed(sys.argv[1])
tokenizer.encode(tokenizer.tokenize(RegionSet(sys.argv[2])))
"""
BARE = (
    _TIMER
    + """
import h5py
def call():
    with h5py.File(path, "r") as handle:
        return [handle["X"][name][:] for name in ("data", "indices", "indptr")]
_, found = timed(call, times, 1)
print(json.dumps(found))
"""
)
ANNDATA = (
    _TIMER
    + """
import anndata
_, found = timed(lambda: anndata.read_h5ad(path), times, 1)
print(json.dumps(found))
"""
)
LOOP = (
    _TIMER
    + """
import anndata
from atacsearch.tokens.universe import Universe
from atacsearch.readers.matrices.h5ad import read_peaks
from atacsearch.readers.report import ReadReport
regions = Universe.from_bed(universe, genome="hg38")
cells = anndata.read_h5ad(path)
counts = cells.X.tocsr()
peaks = read_peaks(__import__("pathlib").Path(path), path, ReadReport(path, "h5ad"))[0]
def call():
    rows, tokens = regions.overlap(peaks)
    of_peak = [[] for _ in range(len(peaks))]
    for row, token in zip(rows.tolist(), tokens.tolist()):
        of_peak[row].append(token)
    sets = []
    for cell in range(counts.shape[0]):
        low, high = counts.indptr[cell], counts.indptr[cell + 1]
        values, columns = counts.data[low:high].tolist(), counts.indices[low:high].tolist()
        sets.append(sorted({t for value, column in zip(values, columns) if value > 0 for t in of_peak[column]}))
    return sets
sets, found = timed(call, times, 0)
print(json.dumps({**found, "tokens": sum(map(len, sets))}))
"""
)


def chromosomes() -> dict[str, int]:
    """Lengths of the main chromosomes of hg38."""
    from atacsearch.genome.assemblies import get_assembly

    names = [f"chr{i}" for i in range(1, 23)] + ["chrX", "chrY"]
    return {name: get_assembly("hg38").chroms[name] for name in names}


def spread(n: int, rng: np.random.Generator) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """n regions of 200 to 800 bp that do not overlap, sorted, over the genome."""
    lengths = chromosomes()
    shares = np.array(list(lengths.values())) / sum(lengths.values())
    counts = np.floor(shares * n).astype(int)
    counts[0] += n - counts.sum()
    found = []
    for (name, length), count in zip(lengths.items(), counts.tolist(), strict=True):
        slots = np.sort(rng.choice(length // 1000 - 1, count, replace=False))
        start = slots * 1000 + rng.integers(0, 200, count)
        found.append((name, start, start + rng.integers(200, 800, count)))
    return found


def peaks_near(
    universe: list[tuple[str, np.ndarray, np.ndarray]], n: int, rng: np.random.Generator
) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """n sorted intervals: four in five near a region of the universe, the others anywhere."""
    lengths = chromosomes()
    total = sum(len(start) for _, start, _ in universe)
    found = []
    for name, start, _ in universe:
        count = max(1, round(n * len(start) / total))
        near = rng.choice(start, count * 4 // 5) + rng.integers(-150, 150, count * 4 // 5)
        anywhere = rng.integers(0, lengths[name] - 3000, count - len(near))
        at = np.sort(np.maximum(np.concatenate([near, anywhere]), 0))
        found.append((name, at, at + rng.integers(150, 2000, count)))
    return found


def write(path: Path, regions: list[tuple[str, np.ndarray, np.ndarray]]) -> None:
    """Write three columns, and the same as gzip beside it."""
    text = "".join(
        f"{name}\t{a}\t{b}\n"
        for name, start, end in regions
        for a, b in zip(start.tolist(), end.tolist(), strict=True)
    )
    path.write_text(text)
    with gzip.open(f"{path}.gz", "wb", 6) as out:
        out.write(text.encode())


def write_matrix(path: Path, rng: np.random.Generator, quick: bool) -> None:
    """An h5ad of the shape of the heart data: cells of uneven depth, peaks of uneven openness, counts."""
    import anndata
    import pandas as pd
    from scipy.sparse import csr_matrix

    cells, peaks, stored = (CELLS // 10, PEAKS // 10, STORED // 10) if quick else (CELLS, PEAKS, STORED)
    regions = spread(peaks, rng)
    var = pd.DataFrame(
        {
            "chrom": np.repeat([name for name, _, _ in regions], [len(start) for _, start, _ in regions]),
            "start": np.concatenate([start for _, start, _ in regions]),
            "end": np.concatenate([end for _, _, end in regions]),
        }
    )
    var.index = var["chrom"] + ":" + var["start"].astype(str) + "-" + var["end"].astype(str)
    depth, openness = rng.lognormal(0, 0.6, cells), rng.lognormal(0, 1.0, peaks)
    rows = rng.choice(cells, stored, p=depth / depth.sum())
    columns = rng.choice(peaks, stored, p=openness / openness.sum())
    counts = csr_matrix((np.ones(stored, np.int64), (rows, columns)), (cells, peaks))
    obs = pd.DataFrame({"cell_type": pd.Categorical(rng.choice(list("abcdef"), cells))})
    obs.index = [f"cell{i}" for i in range(cells)]
    data = anndata.AnnData(counts, obs=obs, var=var, uns={"genome": "hg38"})
    data.write_h5ad(path)


def variants(path: Path, folder: Path) -> dict[str, Path]:
    """The matrix by row, by row with gzip, and by column."""
    return {
        "CSR": path,
        "CSR gzip": folder / f"{path.stem}.gzip.h5ad",
        "CSC": folder / f"{path.stem}.csc.h5ad",
    }


def write_variants(path: Path, folder: Path) -> None:
    """Write those that are not there yet."""
    import anndata

    forms = variants(path, folder)
    if not all(form.exists() for form in forms.values()):
        data = anndata.read_h5ad(path)
        data.write_h5ad(forms["CSR gzip"], compression="gzip")
        data.X = data.X.tocsc()
        data.write_h5ad(forms["CSC"])


def make(folder: Path, quick: bool, matrix: Path | None) -> None:
    """Draw what is not there yet."""
    done = folder / ("quick.drawn" if quick else "beds.drawn")
    if not done.exists():
        draw(folder, quick)
        done.touch()
    write_variants(matrix or folder / "cells.h5ad", folder)


def draw(folder: Path, quick: bool) -> None:
    """Universes, BED files and the matrix."""
    rng = np.random.default_rng(20_261_122)
    universes = {n: spread(n, rng) for n in (200_000, UNIVERSE)}
    for n, regions in universes.items():
        write(folder / f"universe{n}.bed", regions)
    for n in SIZES[:3] if quick else SIZES:
        write(folder / f"peaks{n}.bed", peaks_near(universes[UNIVERSE], n, rng))
    write_matrix(folder / "cells.h5ad", rng, quick)


def row_of(case: str, what: str, found: dict[str, Any], **more: Unpack[Fields]) -> Row:
    """A row of what one process measured in itself, or of a process."""
    facts = {key: value for key, value in found.items() if key not in {"wall", "cpu", "peak_mb"}}
    wall, cpu = (value if isinstance(value := found[key], list) else [value] for key in ("wall", "cpu"))
    return Row(case, what, wall, cpu=cpu, peak_mb=found["peak_mb"], facts=facts, **more)


def joined(case: str, what: str, found: list[dict[str, Any]], **more: Unpack[Fields]) -> Row:
    """A row of several runs of one process each."""
    rows = [row_of(case, what, one, **more) for one in found]
    rows[0].wall, rows[0].cpu = [w for row in rows for w in row.wall], [c for row in rows for c in row.cpu]
    return rows[0]


def bed_rows(folder: Path, given: argparse.Namespace, peer: str | None, bedtools: str | None) -> list[Row]:
    """BED files against the large universe."""
    universe, target, rows = folder / f"universe{UNIVERSE}.bed", 100_000, []
    python = sys.executable
    times = str(given.repeats * 5)
    for ending, form in (("", "plain"), (".gz", "gzip")):
        path = folder / f"peaks{target}.bed{ending}"
        case = f"BED of 100 k regions, 890 k universe, {form}"
        same: Input = {"size": target, "per": "regions"}
        for cores in (2, 1):
            for what, code in (("Universe.tokenize", TOKENIZE), ("open_input", READ_ITEMS)):
                found = run([python, "-c", code, universe, path, times], cores=cores)
                rows.append(row_of(case, what, found, threads=cores, **same))
        if peer:
            found = run([peer, "-c", GTARS, universe, path, str(given.repeats)])
            rows.append(row_of(case, "gtars Tokenizer", found, ours=False, threads=1, **same))
        if bedtools:
            line = [bedtools, "intersect", "-u", "-sorted", "-a", universe, "-b", path]
            unsorted = [part for part in line if part != "-sorted"]
            for what, call in (("bedtools intersect -u", unsorted), ("bedtools intersect -u -sorted", line)):
                several = [run(call) for _ in range(given.repeats)]
                rows.append(joined(case, f"{what} *", several, ours=False, threads=1, **same))
    path = folder / f"peaks{target}.bed"
    found = run([python, "-c", OVERLAP, universe, path, times])
    rows.append(
        row_of("overlap alone, 100 k in memory", "Universe.tokenize", found, size=target, per="regions")
    )
    for n in SIZES[:3] if given.quick else SIZES:
        found = run([python, "-c", READ_ITEMS, universe, folder / f"peaks{n}.bed", times])
        case = f"BED of {n:,} regions, 890 k universe"
        rows.append(row_of(case, "open_input", found, size=n, per="regions", stage="beds", threads=2))
    return rows


def universe_rows(
    folder: Path, given: argparse.Namespace, peer: str | None, bedtools: str | None
) -> list[Row]:
    """Loading a universe in a new process, and a whole command."""
    rows = []
    for n in (200_000, UNIVERSE):
        for ending, form in (("", "plain"), (".gz", "gzip")):
            path = folder / f"universe{n}.bed{ending}"
            case = f"universe of {n:,} regions, {form}"
            same: Input = {"size": n, "per": "regions"}
            stage = "universe" if not ending else ""
            several = [run([sys.executable, "-c", LOAD, path]) for _ in range(given.repeats + 1)][1:]
            rows.append(joined(case, "Universe.from_bed, digest, index", several, stage=stage, **same))
            if peer:
                several = [run([peer, "-c", LOAD_GTARS, path]) for _ in range(min(given.repeats, 3))]
                rows.append(joined(case, "gtars Tokenizer.from_bed", several, ours=False, **same))
    ours = Path(sys.executable).with_name("atacsearch")
    universe, path = folder / f"universe{UNIVERSE}.bed.gz", folder / "peaks100000.bed"
    case = "whole command, 100 k regions, 890 k universe"
    line = [ours, "tokenize", path, "--universe", universe, "-o", folder / "out.parquet", "--genome", "hg38"]
    rows.append(
        joined(case, "atacsearch tokenize", [run(line) for _ in range(given.repeats + 1)][1:], threads=2)
    )
    if peer:
        several = [run([peer, "-c", COMMAND_GTARS, universe, path]) for _ in range(min(given.repeats, 3))]
        rows.append(joined(case, "python, gtars", several, ours=False))
    if bedtools:
        line = [bedtools, "intersect", "-u", "-a", universe, "-b", path]
        several = [run(line) for _ in range(given.repeats)]
        rows.append(joined(case, "bedtools intersect -u", several, ours=False))
    return rows


def matrix_rows(folder: Path, given: argparse.Namespace) -> list[Row]:
    """A matrix of cells, in three ways of storing it."""
    python, universe = sys.executable, folder / f"universe{UNIVERSE}.bed"
    rows = []
    for form, path in variants(given.input or folder / "cells.h5ad", folder).items():
        case = f"h5ad of cells x peaks, {form}"
        asked = [universe, path, str(given.repeats)]
        bare = row_of(case, "h5py: X alone, no more", run([python, "-c", BARE, *asked]), ours=False)
        found = row_of(case, "open_input", run([python, "-c", READ_ITEMS, *asked]))
        found.facts["beside_the_read_s"] = round(float(np.median(found.wall) - np.median(bare.wall)), 3)
        rows += [
            found,
            bare,
            row_of(case, "anndata.read_h5ad", run([python, "-c", ANNDATA, *asked]), ours=False),
        ]
        if form == "CSR":
            loop = run([python, "-c", LOOP, universe, path, "1"])
            rows.append(row_of(case, "a Python loop a cell, X in memory", loop, ours=False))
    return rows


def main() -> None:
    """Draw the files, measure and print."""
    parser = options(__doc__, 5)
    parser.add_argument("--input", type=Path, help="a real h5ad of hg38 peaks")
    parser.add_argument("--draw", action="store_true", help="draw the files into --folder, measure nothing")
    given = parser.parse_args()
    if given.draw:
        make(given.folder, given.quick, given.input)
        return
    peer = given.peer_python if peer_version(given.peer_python, "gtars") else None
    bedtools = program("bedtools")
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        # in a process of its own: those started from a large one would be counted with its memory
        extra = [*(["--quick"] if given.quick else []), *(["--input", given.input] if given.input else [])]
        run([sys.executable, __file__, "--draw", "--folder", folder, *extra])
        rows = bed_rows(folder, given, peer, bedtools)
        rows += universe_rows(folder, given, peer, bedtools)
        rows += matrix_rows(folder, given)
    facts = {"gtars": peer_version(peer, "gtars")} if peer else {}
    finish("beds", rows, given.json, matrix=given.input.name if given.input else "drawn", **facts)


if __name__ == "__main__":
    main()
