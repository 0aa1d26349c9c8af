"""Ours, as a user runs it: commands of `atacsearch` with their defaults, one after another."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from .datasets import Cells, Fold

LABEL, BATCH = "label", "batch"
_ENTRY = "import sys; from atacsearch.cli import main; sys.exit(main())"


def command(*words: object) -> str:
    """Run `atacsearch WORDS...` in a process of its own; what it prints.

    Raises:
        SystemExit: it failed; the message holds what it said.
    """
    line = [sys.executable, "-c", _ENTRY, *(str(word) for word in words)]
    environment = {"OMP_WAIT_POLICY": "PASSIVE", **os.environ}
    done = subprocess.run(line, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        shown = " ".join(str(word) for word in words)
        sys.exit(f"atacsearch {shown}: status {done.returncode}: {done.stderr[-3000:]}")
    return done.stdout


@cache
def offers(option: str, *words: str) -> bool:
    """Whether a command has an option."""
    return option in command(*words, "--help").split()


@dataclass(frozen=True)
class Files:
    """A reference with labels and a query without, as files that the product reads.

    Attributes:
        reference, query: h5ad or fragment files.
        label: column of the labels in the reference.
        batch: column of the batch, or None.
        universe: BED file of the universe; None lets the product make it from its input.
        genome: assembly; None lets the product find it out.
    """

    reference: Path
    query: Path
    label: str = LABEL
    batch: str | None = None
    universe: Path | None = None
    genome: str | None = None


def write_fold(cells: Cells, fold: Fold, folder: Path) -> Files:
    """Write reference and query of a fold as h5ad files; the query's has no labels."""
    import anndata
    import pandas as pd

    paths = []
    for name, rows in (("reference", fold.reference), ("query", fold.query)):
        obs = pd.DataFrame(index=pd.Index(cells.ids[rows]))
        if cells.batches is not None:
            obs[BATCH] = cells.batches[rows]
        if name == "reference":
            obs[LABEL] = cells.labels[rows]
        data = anndata.AnnData(
            cells.matrix[rows], obs=obs, var=pd.DataFrame(index=pd.Index(list(cells.regions)))
        )
        if cells.genome is not None:
            data.uns["genome"] = cells.genome
        paths.append(folder / f"{name}.h5ad")
        data.write_h5ad(paths[-1])
    several = cells.batches is not None and len(np.unique(cells.batches[fold.reference])) > 1
    return Files(paths[0], paths[1], batch=BATCH if several else None, universe=cells.universe)


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


def vectors_without_labels(cells: Cells, way: str, seed: int) -> Any:
    """[n, d] vectors of all cells from a model that has seen no label.

    Args:
        cells: the cells.
        way: `warm start` (a fresh model of `train celltype`, before training) or `pretrained` (`train pretrain`
            with its defaults).
        seed: of the model.
    """
    from atacsearch.model.checkpoints.checkpoint import load_model
    from atacsearch.model.encoding.encoder import Encoder
    from atacsearch.training.recipes.workflow import prepare
    from atacsearch.training.trainer.warm_start import warm_start

    everyone = np.arange(len(cells.ids))
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        source = write_fold(cells, Fold("all", everyone, everyone[:1]), folder).query.with_name(
            "reference.h5ad"
        )
        work = prepare([source], universe=cells.universe, seed=seed)
        if way == "warm start":
            warm_start(work.model, work.sets, seed=seed)
            model = work.model
        else:
            words = [] if cells.universe is None else ["--universe", cells.universe]
            command("train", "pretrain", source, "--seed", seed, "-o", folder / "model", *words)
            model = load_model(folder / "model")
        return Encoder(model).encode(work.sets)
