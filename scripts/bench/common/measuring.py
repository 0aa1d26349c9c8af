"""What the benchmarks share: runs in processes of their own, rows with median and spread, one table, JSON.

A benchmark makes `Row`s and hands them to `finish`, which prints one table and writes the JSON that
`scripts/bench/speed/report.py` turns into docs/results/benchmarks.md. Rows of the same `case` do the same work: the
first one that is ours is what the others' `ratio` is taken against (theirs over ours: above 1, ours is faster).
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any, TypedDict, TypeVar

T = TypeVar("T")

# Threads that wait give the core back, here and in every process started from here.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


class Input(TypedDict):
    """How large the input of a row was; see `Row`."""

    size: float
    per: str


class Fields(TypedDict, total=False):
    """Fields of a `Row` that a function passes on."""

    ours: bool
    threads: int
    size: float
    per: str
    stage: str


@dataclass
class Row:
    """One thing measured.

    Attributes:
        case: the work, the same words for ours and for the peers' ("20 M fragments, bgzip").
        what: who or how ("atacsearch tokenize", "gtars", "gunzip -c").
        wall: [runs] seconds, one a run (or one a query where it is a latency).
        ours: whether this is atacsearch.
        cpu: [runs] user and system seconds.
        peak_mb: largest resident memory of any run.
        threads: cores it could use.
        size: how large the input was, in `per`; what growth plots have on their x axis.
        per: what size counts: "fragments", "regions", "cells", "tokens", "vectors".
        stage: line of a growth plot that this is a point of, "" for none.
        floor: what bounds it, in words.
        facts: anything else worth a column in the JSON (recall, bytes a pair, counts).
    """

    case: str
    what: str
    wall: list[float]
    ours: bool = True
    cpu: list[float] = field(default_factory=list)
    peak_mb: float | None = None
    threads: int | None = None
    size: float | None = None
    per: str = ""
    stage: str = ""
    floor: str = ""
    facts: dict[str, Any] = field(default_factory=dict)

    def summary(self, base: float | None) -> dict[str, Any]:
        """The row with its statistics; `base` is the median that `ratio` is taken against."""
        ordered = sorted(self.wall)
        middle = median(ordered)
        last = ordered[min(len(ordered) - 1, math.ceil(0.99 * len(ordered)) - 1)]
        known = {k: v for k, v in asdict(self).items() if k not in {"wall", "cpu"}}
        return {
            **known,
            "runs": len(ordered),
            "wall_s": middle,
            "wall_min_s": ordered[0],
            "wall_max_s": ordered[-1],
            "wall_p99_s": last if len(ordered) >= 100 else None,
            "cpu_s": median(self.cpu) if self.cpu else None,
            "per_s": self.size / middle if self.size and middle else None,
            "ratio": middle / base if base else None,
        }


def options(doc: str | None, repeats: int) -> argparse.ArgumentParser:
    """A parser with the options that all benchmarks have."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=repeats, help=f"measured rounds (default {repeats})")
    parser.add_argument("--peer-python", help="an interpreter of an environment with the peers")
    parser.add_argument("--quick", action="store_true", help="small sizes only: does it run at all")
    parser.add_argument("--json", type=Path, help="write the rows here")
    parser.add_argument(
        "--folder", type=Path, help="keep what was made here, and use it again if it is there"
    )
    return parser


def run(
    command: Sequence[object], env: dict[str, str] | None = None, cores: int | None = None
) -> dict[str, Any]:
    """Run a command: wall and CPU seconds, peak MB; a last line of JSON on its stdout joins or replaces them.

    Args:
        command: what to run; its stdout is read where it is a Python interpreter's, else thrown away.
        env: environment variables besides those of this process.
        cores: keep it to that many processors.
    """
    is_python = Path(str(command[0])).name.startswith("python")
    allowed = sorted(os.sched_getaffinity(0))[:cores] if cores else None
    began = time.perf_counter()
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            [str(part) for part in command],
            stdout=subprocess.PIPE if is_python else subprocess.DEVNULL,
            stderr=errors,
            text=True,
            env={**os.environ, **(env or {})},
            preexec_fn=(lambda: os.sched_setaffinity(0, allowed)) if allowed else None,
        )
        output = process.stdout.read() if process.stdout else ""
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        wall = time.perf_counter() - began
        if process.returncode:
            errors.seek(0)
            sys.exit(f"{command} failed with status {process.returncode}: {errors.read()[-2000:]}")
    found = {"wall": wall, "cpu": used.ru_utime + used.ru_stime, "peak_mb": used.ru_maxrss / 1e3}
    lines = output.strip().splitlines()
    return {**found, **json.loads(lines[-1])} if lines and lines[-1].startswith("{") else found


def timed(call: Callable[[], T], times: int, warm: int = 1) -> tuple[list[float], list[float], T]:
    """Call `times` times after `warm` calls that do not count: wall seconds, CPU seconds, the last answer."""
    walls, cpus = [], []
    for number in range(warm + times):
        wall, cpu = time.perf_counter(), time.process_time()
        answer = call()
        if number >= warm:
            walls.append(time.perf_counter() - wall)
            cpus.append(time.process_time() - cpu)
    return walls, cpus, answer


def peer_version(python: str | None, package: str) -> str | None:
    """Version of a package in a peer environment, None where there is none; a line on stderr tells."""
    if python is not None:
        ask = f"import importlib.metadata as m; print(m.version({package!r}))"
        got = subprocess.run([python, "-c", ask], capture_output=True, text=True, check=False)
        if got.returncode == 0:
            return got.stdout.strip()
    print(
        f"no {package}: its rows are left out (--peer-python names an environment that has it)",
        file=sys.stderr,
    )
    return None


def program(name: str) -> str | None:
    """Path of a program, None where there is none; a line on stderr tells."""
    found = shutil.which(name)
    if found is None:
        print(f"no {name}: its rows are left out", file=sys.stderr)
    return found


def machine() -> dict[str, Any]:
    """What it ran on, and when."""
    try:
        info = Path("/proc/cpuinfo").read_text().splitlines()
        names = [line.partition(":")[2].strip() for line in info if line.startswith("model name")]
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    except (OSError, ValueError):
        names, memory = [], math.nan
    return {
        "date": str(date.today()),
        "processor": names[0] if names else platform.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(memory, 1),
        "python": platform.python_version(),
        "atacsearch": version("atacsearch"),
    }


def finish(stage: str, rows: list[Row], json_path: Path | None, **facts: object) -> None:
    """Print one table, and write the JSON where a path was given; `facts` are of the run as a whole."""
    bases: dict[str, float] = {}
    for row in rows:
        if row.ours:
            bases.setdefault(row.case, median(row.wall))
    record = {"benchmark": stage, **machine(), **facts}
    summaries = [row.summary(bases.get(row.case)) for row in rows]
    print(*(f"{key} {value}" for key, value in record.items()), sep=" | ")
    print(
        f"{'case':46s} {'what':36s} {'cores':>5s} {'median':>9s} {'min':>9s} {'max':>9s} {'p99':>9s} {'CPU s':>8s} "
        f"{'peak MB':>8s} {'per s':>9s} {'ratio':>7s}  other"
    )
    for found in summaries:
        walls = (seconds(found[k]) for k in ("wall_s", "wall_min_s", "wall_max_s", "wall_p99_s"))
        print(
            f"{found['case']:46.46s} {found['what']:36.36s} {found['threads'] or '':>5}",
            *(f"{wall:>9s}" for wall in walls),
            f"{found['cpu_s'] if found['cpu_s'] is not None else math.nan:8.2f}",
            f"{found['peak_mb'] if found['peak_mb'] is not None else math.nan:8.0f}",
            f"{short(found['per_s']):>9s} {found['ratio'] if found['ratio'] is not None else math.nan:7.2f} ",
            ", ".join(f"{key} {value}" for key, value in found["facts"].items()),
        )
    if json_path:
        json_path.parent.mkdir(parents=True, exist_ok=True)
        json_path.write_text(json.dumps({**record, "rows": summaries}, indent=1) + "\n")


def seconds(value: float | None) -> str:
    """A time in a unit that suits it."""
    if value is None:
        return ""
    if value >= 1:
        return f"{value:.2f} s"
    return f"{value * 1e3:.3g} ms" if value >= 1e-3 else f"{value * 1e6:.3g} µs"


def short(value: float | None) -> str:
    """A count with M or k."""
    if value is None:
        return ""
    if value >= 1e6:
        return f"{value / 1e6:.2f} M"
    return f"{value / 1e3:.1f} k" if value >= 1e3 else f"{value:.1f}"
