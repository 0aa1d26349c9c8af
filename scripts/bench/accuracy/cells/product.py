"""Labels of query cells by atacsearch, as a user runs it: commands with their defaults, one after another."""

from __future__ import annotations

import csv
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.common.commands import command
from bench.common.folds import Files


def transfer(
    files: Files, folder: Path, *, kind: str, seed: int, extra: Sequence[str] = ()
) -> tuple[list[str | None], dict[str, Any]]:
    """Train on the reference, index it, annotate the query.

    Args:
        files: reference and query.
        folder: for model, index and calls; what is there goes.
        kind: `inductive`, or `transductive`: the query's cells, without labels, join the training.
        seed: of the training.
        extra: more words of `train celltype`.

    Returns:
        The label of each query cell in its order, None where there is none, and what it took.
    """
    model, index, calls = folder / "model", folder / "index", folder / "calls.tsv"
    for old in (model, index):
        shutil.rmtree(old, ignore_errors=True)
    genome = [] if files.genome is None else ["--genome", files.genome]
    words: list[object] = ["train", "celltype", files.reference, "--label", files.label, "--seed", seed]
    words += ["-o", model, *genome, *extra]
    words += [] if files.batch is None else ["--batch", files.batch]
    words += [] if files.universe is None else ["--universe", files.universe]
    words += ["--unlabelled", files.query] if kind == "transductive" else []
    began = time.perf_counter()
    command(*words)
    trained = time.perf_counter()
    command("index", "create", index, "--model", model)
    command("index", "add-cells", index, files.reference, *genome)
    command("annotate", files.query, "--index", index, "--label", files.label, *genome, "-o", calls)
    with open(calls, newline="") as file:
        labels = [row["label"] or None for row in csv.DictReader(file, delimiter="\t")]
    return labels, {
        "train_seconds": round(trained - began, 1),
        "seconds": round(time.perf_counter() - began, 1),
    }
