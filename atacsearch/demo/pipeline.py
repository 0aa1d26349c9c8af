"""The demo from end to end: fetch the data, run both experiments, write the report, say what to try next."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from atacsearch.errors import InputError

from .formatting import duration
from .machine import machine, versions
from .outcome import Experiment, Outcome, Source
from .runner import Runner

# Made by the first run in a folder: only what lies beside it is ever replaced.
MARKER = ".atacsearch-demo"
OUTPUTS = ("forebrain", "pbmc", "report.html", "scores.json")

CITATIONS = {
    "forebrain": (
        "mouse forebrain, P56, snATAC",
        "MIT",
        "Preissl et al. 2018, Nat Neurosci 21:432, doi:10.1038/s41593-018-0079-3 (GSE100033)",
    ),
    "pbmc-tiny-fragments": (
        "human PBMC, fragments",
        "MIT",
        "10x Genomics, PBMC from a healthy donor, 10k cells, single-cell multiome ATAC + gene expression",
    ),
    "pbmc-tiny-labels": (
        "human PBMC, cell types",
        "MIT",
        "labels of the same cells from their RNA, by the authors of ChromatinHD (Saelens et al.)",
    ),
}


def run_demo(out: Path, main: Callable[[list[str]], object], device: str = "auto") -> Path:
    """Run the demo.

    Args:
        out: folder for the report and everything that it is made from; what an earlier run left is replaced.
        main: runs the command line `atacsearch` in this process.
        device: where the encoder runs: `auto`, `cpu`, `cuda`.

    Returns:
        The report, `out/report.html`.

    Raises:
        InputError: `out` holds files that are not the demo's.
        AtacsearchError: a data set could not be fetched, or a command failed.
    """
    from atacsearch.genome.datasets import fetch

    from .forebrain import run_forebrain
    from .pbmc import run_pbmc
    from .report import write_report

    began = time.perf_counter()
    # Read when torch is loaded: threads that spin while they wait cost several times the work on a busy machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    runner = Runner(main, device)
    prepare_folder(out)
    with runner.step("", "fetch the data"):
        fetched = {name: fetch(name, progress=_notify).resolve() for name in CITATIONS}
    with contextlib.chdir(out):
        experiments = (
            run_forebrain(runner, fetched["forebrain"]),
            run_pbmc(runner, fetched["pbmc-tiny-fragments"], fetched["pbmc-tiny-labels"]),
        )
    outcome = Outcome(
        created=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        machine=machine(),
        versions=versions(),
        experiments=experiments,
        stages=tuple(runner.stages),
        sources=sources(),
        seconds=time.perf_counter() - began,
    )
    report = write_report(outcome, out / "report.html")
    (out / "scores.json").write_text(
        json.dumps(figures(outcome), indent=1, ensure_ascii=False) + "\n", "utf-8"
    )
    _notify(closing(outcome, out, report))
    return report


def prepare_folder(out: Path) -> None:
    """Make `out`, or clear what an earlier run left there.

    Raises:
        InputError: it holds files, and no earlier run of the demo made it.
    """
    if out.exists() and any(out.iterdir()) and not (out / MARKER).exists():
        raise InputError(
            f"{out}: is not empty and was not made by an earlier demo; name another folder with --out"
        )
    out.mkdir(parents=True, exist_ok=True)
    (out / MARKER).touch()
    for name in OUTPUTS:
        path = out / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def sources() -> tuple[Source, ...]:
    """The data sets that the demo uses."""
    from atacsearch.genome.datasets import KNOWN_DATA

    return tuple(
        Source(
            name,
            f"{KNOWN_DATA[key].package.name}=={KNOWN_DATA[key].package.version}",
            licence,
            KNOWN_DATA[key].sha256,
            by,
        )
        for key, (name, licence, by) in CITATIONS.items()
    )


def figures(outcome: Outcome) -> dict[str, object]:
    """The run's numbers for programs: scores of every method, times of every stage, and what they stand on."""
    return {
        "created": outcome.created,
        "machine": outcome.machine,
        "versions": dict(outcome.versions),
        "seconds": round(outcome.seconds, 1),
        "experiments": [
            {
                "data": e.title,
                "split": e.split,
                "methods": [
                    {
                        "method": m.name,
                        "fitted_on": m.fitted_on,
                        "cells": m.scores.n,
                        "accuracy": round(m.scores.accuracy, 6),
                        "macro_f1": round(m.scores.macro_f1, 6),
                        "unknown": None if m.scores.unknown is None else round(m.scores.unknown, 6),
                    }
                    for m in e.methods
                ],
            }
            for e in outcome.experiments
        ],
        "stages": [
            {"data": s.experiment, "stage": s.title, "seconds": round(s.seconds, 2), "command": s.command}
            for s in outcome.stages
        ],
    }


def closing(outcome: Outcome, out: Path, report: Path) -> str:
    """The last lines: scores, where the report is, and commands that work on what the demo has made."""
    lines = ["", *(_verdict(e) for e in outcome.experiments)]
    program = _program()
    index = out / "forebrain" / "index"
    lines += [
        "",
        f"Done in {duration(outcome.seconds)}. The report: {report}",
        "",
        "Try next:",
        f"  {program} index status {index}",
        f"  {program} annotate {out / 'forebrain' / 'query.h5ad'} --index {index} --label celltype | head",
        f"  {program} search regions chr3:31,166,301-31,166,800 --context OC --index {index} -k 5",
        f"  {program} index create my.index --model {out / 'forebrain' / 'model'}",
        f"  {program} --help",
    ]
    return "\n".join(lines)


def _verdict(e: Experiment) -> str:
    ours, other = e.ours.scores, e.baseline.scores
    return (
        f"{e.title}: accuracy {ours.accuracy:.3f} (baseline {other.accuracy:.3f}), "
        f"macro-F1 {ours.macro_f1:.3f} ({other.macro_f1:.3f})"
    )


def _program() -> str:
    """How the user has called us, so that the lines to try next can be pasted."""
    called = Path(sys.argv[0])
    if called.name != "atacsearch":
        return "atacsearch"
    found = shutil.which("atacsearch")
    if found and os.path.samefile(found, called):
        return "atacsearch"
    return min(str(called), os.path.relpath(called), key=len)


def _notify(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
