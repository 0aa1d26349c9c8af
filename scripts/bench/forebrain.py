"""Label transfer between the replicates of the mouse forebrain set, in both directions, beside the baseline.

Every row but the baseline's goes through the product: train on one replicate, index it, annotate the other.
The rows are an ablation: an untrained warm start, training without one, and with pretraining before it.

    python scripts/bench/forebrain.py --seeds 3 --json forebrain.json
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import Any

import anndata
import numpy as np
from sklearn.metrics import accuracy_score, f1_score

from atacsearch.client import create_index
from atacsearch.demo.baseline import transfer
from atacsearch.genome.fetch import fetch
from atacsearch.readers.inputs import ReadOptions
from atacsearch.training.celltype import CelltypeSettings
from atacsearch.training.pretrain import PretrainSettings
from atacsearch.training.warmstart import warm_start
from atacsearch.training.workflow import celltype_files, prepare

LABEL = "celltype"
ROWS = {
    "warm start, untrained": {"train": False},
    "trained, no warm start": {"warm": False},
    "trained, warm start (default)": {},
    "trained, warm start, pretrained 3 epochs": {"pretraining": 3},
}


def split(folder: Path) -> dict[str, Any]:
    """Write one h5ad for each replicate: counts, names and labels only."""
    cells = anndata.read_h5ad(fetch("forebrain"))
    cells = anndata.AnnData(cells.X.tocsr(), obs=cells.obs[[LABEL]], var=cells.var[[]])
    replicate = np.array([name.split("_")[1] for name in cells.obs_names])
    parts = {name: cells[replicate == name].copy() for name in ("rep1", "rep2")}
    for name, part in parts.items():
        part.write_h5ad(folder / f"{name}.h5ad")
    return parts


def annotate(folder: Path, reference: str, query: str, seed: int, how: dict[str, Any]) -> list[str]:
    """Labels that the product gives to the query replicate."""
    options, model = ReadOptions(genome="mm10"), folder / "model"
    shutil.rmtree(model, ignore_errors=True)
    shutil.rmtree(folder / "index", ignore_errors=True)
    source = [folder / f"{reference}.h5ad"]
    if how.get("train", True):
        epochs = how.get("pretraining", 0)
        celltype_files(
            source,
            LABEL,
            model,
            settings=CelltypeSettings(seed=seed),
            warm=how.get("warm", True),
            pretraining=PretrainSettings(epochs=epochs, seed=seed) if epochs else None,
            options=options,
        )
    else:
        work = prepare(source, options=options, seed=seed)
        warm_start(work.model, work.sets, seed=seed)
        work.model.save(model)
    index = create_index(folder / "index", model)
    index.add_cells(source[0], options=options)
    return index.annotate(folder / f"{query}.h5ad", label=LABEL, options=options)["label"].tolist()


def main() -> None:
    """Run all rows and print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=1, help="seeds of every trained row")
    parser.add_argument("--rows", nargs="*", default=list(ROWS), help="rows to run, by name")
    parser.add_argument("--json", type=Path, help="write the table here too")
    arguments = parser.parse_args()
    table = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        parts = split(folder)
        for reference, query in (("rep1", "rep2"), ("rep2", "rep1")):
            truth = parts[query].obs[LABEL].astype(str).tolist()

            def add(
                name: str, calls: list[list[str]], seconds: float, reference: str, truth: list[str]
            ) -> None:
                accuracy = [accuracy_score(truth, c) for c in calls]
                f1 = [f1_score(truth, c, average="macro") for c in calls]
                row = {
                    "reference": reference,
                    "method": name,
                    "accuracy": round(float(np.mean(accuracy)), 4),
                    "accuracy_sd": round(float(np.std(accuracy)), 4),
                    "macro_f1": round(float(np.mean(f1)), 4),
                    "macro_f1_sd": round(float(np.std(f1)), 4),
                    "runs": len(calls),
                    "seconds": round(seconds, 1),
                }
                table.append(row)
                print(
                    f"{reference:5} {name:45} accuracy {row['accuracy']:.3f} ± {row['accuracy_sd']:.3f}  "
                    f"macro-F1 {row['macro_f1']:.3f} ± {row['macro_f1_sd']:.3f}  {seconds:6.1f} s",
                    flush=True,
                )

            labels = parts[reference].obs[LABEL].to_numpy(object)
            for both in (False, True):
                began = time.perf_counter()
                call = transfer(parts[reference].X, labels, parts[query].X, fit_on_query=both)
                name = "TF-IDF + SVD + kNN" + (", transductive" if both else "")
                add(name, [list(call)], time.perf_counter() - began, reference, truth)
            for name in arguments.rows:
                how = ROWS[name]
                seeds = range(arguments.seeds if how.get("train", True) else 1)
                began = time.perf_counter()
                calls = [annotate(folder, reference, query, seed, how) for seed in seeds]
                add(name, calls, (time.perf_counter() - began) / len(calls), reference, truth)
    if arguments.json:
        about = {"date": str(date.today()), "machine": platform.processor() or platform.machine()}
        arguments.json.write_text(json.dumps({**about, "rows": table}, indent=1) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
