"""Times of the index: add and publish by size, publishing a little more, opening, metadata, memory, bytes.

Cells are real ones, thinned and mixed (see mixtures.py); every measurement runs in a process of its own, and
times by size are one run each, since the largest takes minutes. The indexes stay in `--folder` for search.py.

    python scripts/bench/speed/index.py --folder WORK --json docs/results/records/index.json
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the folder of `bench`

from atacsearch.store.index.folder import IndexFolder
from atacsearch.store.types import Source
from bench.common.measuring import Row, finish, options, run
from bench.common.mixtures import CHUNK, Mixtures, open_mixtures

SIZES = (10_000, 100_000, 300_000, 1_000_000)
ADDED = 1_000  # cells of the small publish
ASK = 1_000  # queries of the process that is measured while serving


def index_path(folder: Path, n: int) -> Path:
    """Where the index of n cells is kept."""
    return folder / f"{n}.index"


def grown_path(folder: Path, n: int) -> Path:
    """A copy of that index, made of links to its files, which never change: what more is published in."""
    return folder / f"{n}.grown"


def create(made: Mixtures, path: Path) -> IndexFolder:
    """An empty index for these cells, with the model in it."""
    shutil.rmtree(path, ignore_errors=True)
    return IndexFolder.create(
        path,
        model_dir=made.model_dir,
        model_digest=made.model.digest,
        universe_digest=made.universe_digest,
        genome=made.genome,
        vectors={"general": made.model.dim},
    )


def prepare(made: Mixtures) -> dict[str, Any]:
    """Save the queries; how far the quick encoding is from the encoder's."""
    np.save(made.folder / "serve.npy", made.queries[:ASK])
    return {"model_check": made.check()}


def build(made: Mixtures, n: int) -> dict[str, Any]:
    """Add n cells chunk by chunk and publish once; seconds of each, making the cells not counted."""
    index = create(made, index_path(made.folder, n))
    adding, adding_cpu = 0.0, 0.0
    with index.writer() as writer:
        for number in range(-(-n // CHUNK)):
            batch = made.batch(number, min(CHUNK, n - number * CHUNK))
            wall, cpu = time.perf_counter(), time.process_time()
            writer.add("cells", batch, Source("made", "made cells"))
            adding += time.perf_counter() - wall
            adding_cpu += time.process_time() - cpu
            del batch
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
        wall, cpu = time.perf_counter(), time.process_time()
        writer.publish()
        publishing, publishing_cpu = time.perf_counter() - wall, time.process_time() - cpu
    held = index.status().to_dict()["collections"]["cells"]
    database = index.path / "generations" / "1" / "metadata.duckdb"
    return {
        "wall": adding + publishing,
        "cpu": adding_cpu + publishing_cpu,
        "add_s": adding,
        "publish_s": publishing,
        "publish_cpu_s": publishing_cpu,
        "before_publish_mb": before,
        "parts": held["parts"],
        "shard_bytes": held["shard_bytes"],
        "part_bytes": held["part_bytes"],
        "database_bytes": database.stat().st_size,
    }


def add_some(made: Mixtures, n: int, first: int) -> dict[str, Any]:
    """Publish 1,000 more cells in the copy of an index of n."""
    batch = made.batch(1_000 + first, ADDED)
    began = time.perf_counter()
    with IndexFolder.open(grown_path(made.folder, n)).writer() as writer:
        opened = time.perf_counter()
        cpu = time.process_time()
        writer.add("cells", batch, Source(f"more {first}", "more cells"))
        writer.publish()
        wall = time.perf_counter() - opened
        return {"wall": wall, "cpu": time.process_time() - cpu, "open_s": opened - began}


def drop_cache(path: Path) -> None:
    """Let go of what the system holds of these files; needs no rights beyond reading."""
    os.sync()
    for file in path.rglob("*"):
        if file.is_file():
            handle = os.open(file, os.O_RDONLY)
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(handle)


ANSWER = """
import json, sys, time
began = time.perf_counter()
import atacsearch as ats
imported = time.perf_counter()
index = ats.open_index(sys.argv[1])
found = index.search_table("cells", "made#B000x00007", k=10)
answered = time.perf_counter() - began
found = {"import_s": imported - began, "answered_s": answered, "answers": found.num_rows}
print(json.dumps({**found, "torch": "torch" in sys.modules}))
"""

SERVE = """
import json, sys, time, resource
import numpy as np
from atacsearch.store.index.folder import IndexFolder
queries = np.load(sys.argv[2])
snapshot = IndexFolder.open(sys.argv[1]).snapshot()
times = []
for query in queries:
    began = time.perf_counter()
    snapshot.knn("cells", query, 10)
    times.append(time.perf_counter() - began)
resident = int(open("/proc/self/statm").read().split()[1]) * 4096 / 1e6
anonymous = {line.split(":")[0]: int(line.split()[1]) / 1e3 for line in open("/proc/self/status") if line[:3] == "Rss"}
print(json.dumps({"p50_ms": 1e3 * float(np.median(times)), "resident_mb": resident, **anonymous}))
"""

METADATA = """
import json, sys, time
import numpy as np
from atacsearch.store.index.folder import IndexFolder
snapshot = IndexFolder.open(sys.argv[1]).snapshot()
labels = [c for c in snapshot.columns("cells") if c != "n_tokens"]
ids = snapshot.matching("cells", "site=hundredth").to_pylist()
rng = np.random.default_rng(0)
def took(call, times=30):
    began = time.perf_counter()
    call()
    first, walls = time.perf_counter() - began, []
    for _ in range(times):
        began = time.perf_counter()
        call()
        walls.append(time.perf_counter() - began)
    return {"first": first, "walls": walls}
def hits():
    return [ids[i] for i in rng.integers(0, len(ids), 100)]
found = {}
for where in ("site=half", "site=tenth", "site=hundredth", "percentile<1", "site=tenth and percentile<10"):
    found[where] = took(lambda: snapshot.matching("cells", where)) | {"n": len(snapshot.matching("cells", where))}
found["join of 100 hits, 10 label columns"] = took(lambda: snapshot.rows("cells", hits(), labels))
found["join of 100 hits, 1 label column"] = took(lambda: snapshot.rows("cells", hits(), ["cell_type"]))
print(json.dumps({"found": found}))
"""


def child(code: str, *args: object) -> dict[str, Any]:
    """Run a script in a new interpreter; its last line joins wall, CPU and peak."""
    return run([sys.executable, "-c", code, *map(str, args)])


def build_rows(folder: Path, sizes: list[int], source: list[str]) -> list[Row]:
    """Add and publish at each size."""
    rows = []
    for n in sizes:
        result = run([sys.executable, __file__, "--folder", folder, "--build", str(n), *source])
        facts = {
            "add_s": round(result["add_s"], 2),
            "publish_s": round(result["publish_s"], 2),
            "publish_cpu_s": round(result["publish_cpu_s"], 1),
            "peak_before_publish_mb": round(result["before_publish_mb"]),
            "parts": result["parts"],
            **{
                f"{what}_a_cell": round(result[f"{what}_bytes"] / n, 1)
                for what in ("shard", "part", "database")
            },
        }
        rows.append(
            Row(
                f"add and publish {n:,} cells",
                "Writer.add, Writer.publish",
                [result["wall"]],
                cpu=[result["cpu"]],
                peak_mb=result["peak_mb"],
                threads=2,
                size=n,
                per="cells",
                stage="index",
                floor="links of the graph; turning vectors into Python lists for the engine",
                facts=facts,
            )
        )
    return rows


def serving_row(folder: Path, n: int) -> Row:
    """A process that opens the index, answers the queries and ends."""
    path, queries = index_path(folder, n), folder / "serve.npy"
    child(SERVE, path, queries)  # reads what the next one finds in the system's memory
    served = child(SERVE, path, queries)
    facts = {k: round(v, 1) for k, v in served.items() if k not in ("wall", "cpu", "peak_mb")}
    case = f"{ASK:,} queries to {n:,} cells"
    return Row(case, "open, serve, end", [served["wall"]], peak_mb=served["peak_mb"], facts=facts)


def growing_row(folder: Path, n: int, repeats: int, source: list[str]) -> Row:
    """A little more published in a copy of the index, and how it serves afterwards."""
    grown = grown_path(folder, n)
    shutil.rmtree(grown, ignore_errors=True)
    shutil.copytree(index_path(folder, n), grown, copy_function=os.link)
    more = [
        run([sys.executable, __file__, "--folder", folder, "--add", str(n), str(i), *source])
        for i in range(repeats)
    ]
    served = child(SERVE, grown, folder / "serve.npy")
    shutil.rmtree(grown)
    return Row(
        f"publish {ADDED:,} more in {n:,} cells",
        "Writer.add, Writer.publish",
        [r["wall"] for r in more],
        cpu=[r["cpu"] for r in more],
        peak_mb=max(r["peak_mb"] for r in more),
        facts={"open_s": round(more[0]["open_s"], 3), "p50_ms_after": round(served["p50_ms"], 2)},
    )


def opening_rows(path: Path, n: int, repeats: int) -> list[Row]:
    """A new process that opens the index and answers one query by id."""
    case = f"open {n:,} cells, first answer"
    rows = []
    for what, drop in (("new process, warm cache", False), ("new process, dropped cache", True)):
        child(ANSWER, path)
        results = []
        for _ in range(repeats):
            if drop:
                drop_cache(path)
            results.append(child(ANSWER, path))
        facts = {
            "import_s": round(float(np.median([r["import_s"] for r in results])), 3),
            "answer_after_s": round(float(np.median([r["answered_s"] for r in results])), 3),
            "torch_imported": results[0]["torch"],
        }
        walls, cpus = [r["wall"] for r in results], [r["cpu"] for r in results]
        peak = max(r["peak_mb"] for r in results)
        rows.append(Row(case, what, walls, cpu=cpus, peak_mb=peak, size=n, per="cells", facts=facts))
    return rows


def metadata_rows(path: Path, n: int) -> list[Row]:
    """Filters to ids and joins of hits in one process."""
    rows = []
    for what, one in child(METADATA, path)["found"].items():
        joined = what.startswith("join")
        case = f"{n:,} cells: {what if joined else 'ids of ' + what}"
        facts = {"first_ms": round(one["first"] * 1e3, 1), **({} if joined else {"ids": one["n"]})}
        name = "Snapshot.rows" if joined else "Snapshot.matching"
        rows.append(Row(case, name, one["walls"], facts=facts))
    return rows


def help_row(repeats: int) -> Row:
    """`atacsearch --help` in a new process."""
    script = Path(sys.executable).with_name("atacsearch")
    results = [run([script, "--help"]) for _ in range(repeats + 1)][1:]
    cpu = [r["cpu"] for r in results]
    return Row("atacsearch --help", "new process", [r["wall"] for r in results], cpu=cpu)


def main() -> None:
    """Measure and print."""
    parser = options(__doc__, 5)
    parser.add_argument("--input", type=Path, help="h5ad of real cells (default: the demo's forebrain set)")
    parser.add_argument("--untrained", action="store_true", help="the model as the warm start leaves it")
    parser.add_argument("--label", default="celltype", help="its column of cell types")
    parser.add_argument(
        "--keep", action="store_true", help="use indexes that are there; no times of building"
    )
    parser.add_argument("--sizes", help="numbers of cells, joined by commas")
    parser.add_argument("--prepare", action="store_true", help="make model and queries, and nothing else")
    parser.add_argument("--build", type=int, help="build the index of this many cells, and nothing else")
    parser.add_argument(
        "--add", type=int, nargs=2, metavar=("N", "ROUND"), help="publish 1,000 more, nothing else"
    )
    asked = parser.parse_args()
    folder = asked.folder or Path(tempfile.mkdtemp(prefix="atacsearch-bench-"))
    source = ["--label", asked.label, *(["--input", str(asked.input)] if asked.input else [])]
    source += ["--untrained"] if asked.untrained else []
    if asked.prepare or asked.build or asked.add:
        made = open_mixtures(folder, asked.input, asked.label, not asked.untrained)
        if asked.prepare:
            result = prepare(made)
        else:
            result = build(made, asked.build) if asked.build else add_some(made, *asked.add)
        print(json.dumps(result))
        return
    given = [int(n) for n in asked.sizes.split(",")] if asked.sizes else SIZES[:1] if asked.quick else SIZES
    sizes = list(given)
    # a child begins as large as its parent is, so nothing is loaded here
    check = run([sys.executable, __file__, "--folder", folder, "--prepare", *source])["model_check"]
    rows: list[Row] = [help_row(2 * asked.repeats)]
    for n in sizes:
        path = index_path(folder, n)
        if not (asked.keep and path.exists()):
            rows += build_rows(folder, [n], source)
        if n not in (sizes[0], sizes[-1]):
            continue
        rows += metadata_rows(path, n)
        rows.append(serving_row(folder, n))
        rows.append(growing_row(folder, n, asked.repeats, source))
        rows += opening_rows(path, n, asked.repeats)  # last, for it drops what the system holds of the files
    finish("index", rows, asked.json, input=str(asked.input or "forebrain"), model_check=check)


if __name__ == "__main__":
    main()
