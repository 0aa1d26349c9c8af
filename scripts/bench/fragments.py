"""Times of reading a fragment file: ours, bare inflation, and gtars where an interpreter has it.

    python scripts/bench/fragments.py [--lines 20000000] [--peer-python PEER/bin/python] [--json out.json]

PEER is an environment of its own (`python -m venv PEER && PEER/bin/pip install gtars`). The file is drawn by
`fragment_file.py`. Every measurement is a process of its own; rows marked * count the reading alone, after
start, universe and a small file, the others the whole process. Rounds go through all rows in turn, the first
round is a warm-up. CPU is user and system time; peak is the resident memory of the process (of small ones,
that of this script, some 15 MB, from which they are started).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from statistics import median
from typing import Any

OURS = "read_items *"
PEER = "gtars tokenize_fragment_file *"

_TIMER = """
import json, resource, sys, time
def timed(call):
    wall, cpu = time.perf_counter(), time.process_time()
    answer = call()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return answer, {"wall": wall, "cpu": cpu, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3}
universe, small, path = sys.argv[1:]
"""
READ = (
    _TIMER
    + """
from atacsearch.genome.universe import Universe
from atacsearch.readers.inputs import ReadOptions, read_items
universe, options = Universe.from_bed(universe), ReadOptions(min_fragments=1)
read_items(small, universe, options)
(items,), found = timed(lambda: read_items(path, universe, options))
print(json.dumps({**found, "items": len(items.sets), "tokens": len(items.sets.tokens)}))
"""
)
READ_PEER = (
    _TIMER
    + """
from gtars.tokenizers import Tokenizer, tokenize_fragment_file
tokenizer = Tokenizer.from_bed(universe)
tokenize_fragment_file(small, tokenizer)
sets, found = timed(lambda: tokenize_fragment_file(path, tokenizer))
tokens = sum(len(set(ids) - {tokenizer.unk_token_id}) for ids in sets.values())
print(json.dumps({**found, "items": len(sets), "tokens": tokens}))
"""
)


def steps(folder: Path, peer: str | None) -> dict[str, list[str]]:
    """Command of each row; those marked * print their own measures."""
    files = [str(folder / name) for name in ("universe.bed", "small.tsv", "fragments.tsv.gz")]
    universe, _, path = files
    ours = str(Path(sys.executable).with_name("atacsearch"))
    target = str(folder / "tokens.parquet")
    igzip = [shutil.which("igzip") or "", "-dc", path]
    rows = {
        OURS: [sys.executable, "-c", READ, *files],
        "atacsearch tokenize": [
            ours, "tokenize", path, "--universe", universe, "-o", target, "--min-fragments", "1"
        ],
        "gunzip -c": ["gunzip", "-c", path],
        "igzip -dc" if igzip[0] else "python -m isal.igzip -dc": (
            igzip if igzip[0] else [sys.executable, "-m", "isal.igzip", "-dc", path]
        ),
    }  # fmt: skip
    if peer:
        rows[PEER] = [peer, "-c", READ_PEER, *files]
    return rows


def measure(name: str, command: list[str]) -> dict[str, float]:
    """Run one command: wall and CPU seconds, peak MB, and what it says itself."""
    itself = name.endswith("*")
    began = time.perf_counter()
    with tempfile.TemporaryFile("w+") as errors:
        run = subprocess.Popen(
            command, stdout=subprocess.PIPE if itself else subprocess.DEVNULL, stderr=errors, text=True
        )
        said = run.stdout.read() if run.stdout else "{}"
        _, status, used = os.wait4(run.pid, 0)
        run.returncode = os.waitstatus_to_exitcode(status)
        if run.returncode:
            errors.seek(0)
            sys.exit(f"{name} failed with status {run.returncode}: {errors.read()[-2000:]}")
    wall = time.perf_counter() - began
    found = {"wall": wall, "cpu": used.ru_utime + used.ru_stime, "peak": used.ru_maxrss / 1e3}
    return {**found, **json.loads(said)}


def processor() -> str:
    """Name of the processor where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def version_of(python: str, package: str) -> str:
    """Version of a package in some environment."""
    ask = f"import importlib.metadata as m; print(m.version({package!r}))"
    return subprocess.run([python, "-c", ask], capture_output=True, text=True, check=True).stdout.strip()


def table_of(runs: dict[str, list[dict[str, float]]], lines: int) -> list[dict[str, Any]]:
    """Medians of every row; `ratio` is its wall time over that of our reading."""
    ours = median(run["wall"] for run in runs[OURS])
    rows: list[dict[str, Any]] = []
    for name, found in runs.items():
        wall = median(run["wall"] for run in found)
        rows.append(
            {
                "what": name,
                "wall_s": round(wall, 3),
                "wall_min_s": round(min(run["wall"] for run in found), 3),
                "wall_max_s": round(max(run["wall"] for run in found), 3),
                "cpu_s": round(median(run["cpu"] for run in found), 3),
                "peak_mb": round(max(run["peak"] for run in found), 1),
                "m_fragments_per_s": round(lines / wall / 1e6, 3),
                "ratio": round(wall / ours, 3),
                "items": found[0].get("items"),
                "tokens": found[0].get("tokens"),
                "runs": len(found),
            }
        )
    return rows


def main() -> None:
    """Draw the file, measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lines", type=int, default=20_000_000, help="fragments in the file")
    parser.add_argument("--repeats", type=int, default=3, help="measured rounds")
    parser.add_argument("--peer-repeats", type=int, default=1, help="measured rounds that gtars is part of")
    parser.add_argument("--peer-python", help="an interpreter with gtars")
    parser.add_argument(
        "--folder", type=Path, help="draw the file here and keep it; drawn before: taken as is"
    )
    parser.add_argument("--json", type=Path, help="write the table here too")
    given = parser.parse_args()
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / f"{given.lines}.drawn").exists():
            script = Path(__file__).with_name("fragment_file.py")
            subprocess.run([sys.executable, script, folder, "--lines", str(given.lines)], check=True)
            (folder / f"{given.lines}.drawn").touch()
        size = (folder / "fragments.tsv.gz").stat().st_size
        commands = steps(folder, given.peer_python)
        runs: dict[str, list[dict[str, float]]] = {name: [] for name in commands}
        for number in range(given.repeats + 1):
            for name, command in commands.items():
                if name == PEER and not 1 <= number <= given.peer_repeats:
                    continue  # a slow row; its file is warm by the others
                found = measure(name, command)
                if number:
                    runs[name].append(found)
    record = {
        "date": str(date.today()),
        "machine": platform.node(),
        "processor": f"{processor()}, {os.cpu_count()} logical processors",
        "lines": given.lines,
        "compressed_mb": round(size / 1e6, 1),
        "atacsearch": version_of(sys.executable, "atacsearch"),
    }
    if given.peer_python:
        record["gtars"] = version_of(given.peer_python, "gtars")
    rows = table_of(runs, given.lines)
    print(*(f"{key} {value}" for key, value in record.items()), sep=" | ")
    columns = ("wall_s", "wall_min_s", "wall_max_s", "cpu_s", "peak_mb", "m_fragments_per_s", "ratio")
    titles = ("wall s", "min", "max", "CPU s", "peak MB", "M frag/s", "ratio")
    print(f"{'':32s}", *(f"{title:>9s}" for title in titles), f"{'tokens':>12s}")
    for row in rows:
        tokens = "" if row["tokens"] is None else f"{row['tokens']:,}"
        print(f"{row['what']:32s}", *(f"{row[column]:9.2f}" for column in columns), f"{tokens:>12s}")
    if given.json:
        given.json.write_text(json.dumps({**record, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
