"""What each option of pretraining does to unsupervised vectors: an ablation on two mouse brain data sets.

Trained without labels on forebrain rep1 and libraries of the MOp set together. Two figures a data set: nearest
neighbours (k = 15) within the training part, each fold or library named by the others, by which options may be
chosen; and cells of the replicate or library that was never seen, named by the training part.

    python scripts/bench/training/pretraining.py --mop mop_snareseq.h5ad --epochs 3 --json pretraining.json
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import anndata
import numpy as np

from atacsearch.genome.datasets import fetch
from atacsearch.readers.options import ReadOptions
from atacsearch.tokens.token_sets import TokenSets
from atacsearch.training.loops.pretraining import PretrainSettings, pretrain
from atacsearch.training.metrics.neighbours import nearest, scores
from atacsearch.training.recipes.inputs import prepare
from atacsearch.training.recipes.options import RunOptions
from atacsearch.training.trainer.vectors import embed_sets
from atacsearch.training.trainer.warm_start import warm_start

ROWS: dict[str, dict[str, Any]] = {
    "warm start, untrained": {"epochs": 0},
    "cold, uniform": {"warm": False, "pooling": "mean"},
    "cold, uniform, IDF pooling": {"warm": False, "pooling": "idf"},
    "warm, uniform, plain mean": {"pooling": "mean"},
    "warm, uniform": {},
    "warm, frequency": {"replacement": "frequency"},
    "warm, uniform, contrastive 0.1": {"contrastive": 0.1},
    "warm, uniform, contrastive 1": {"contrastive": 1.0},
    "warm, frequency, contrastive 1": {"replacement": "frequency", "contrastive": 1.0},
    "cold, frequency, contrastive 1, IDF pooling": {
        "warm": False, "replacement": "frequency", "contrastive": 1.0, "pooling": "idf",
    },
}  # fmt: skip


def parts(mop_file: Path, folder: Path, libraries: int) -> dict[str, tuple[Path, np.ndarray, np.ndarray]]:
    """Write the four matrices; each with its labels and groups."""
    brain = anndata.read_h5ad(fetch("forebrain"))
    brain = anndata.AnnData(brain.X.tocsr(), obs=brain.obs[["celltype"]], var=brain.var[[]])
    replicate = np.array([name.split("_")[1] for name in brain.obs_names])
    folds = np.array([str(i % 5) for i in np.random.default_rng(0).permutation(len(brain))])
    mop = anndata.read_h5ad(mop_file)
    mop = mop[mop.obs["cell_type"].astype(str) != "Mis"].copy()
    library = mop.obs["batch"].astype(str).to_numpy()
    names = sorted(set(library))
    cut = {}
    for name, this in (("forebrain", "rep1"), ("forebrain new", "rep2")):
        rows = replicate == this
        cut[name] = (brain[rows], brain.obs["celltype"][rows], folds[rows])
    for name, these in (("mop", names[:libraries]), ("mop new", names[-1:])):
        rows = np.isin(library, these)
        cut[name] = (mop[rows], mop.obs["cell_type"][rows], library[rows])
    found = {}
    for name, (cells, labels, groups) in cut.items():
        path = folder / f"{name.replace(' ', '_')}.h5ad"
        cells.copy().write_h5ad(path)
        found[name] = (path, np.asarray(labels.astype(str)), groups)
    return found


def figures(model: Any, sets: dict[str, TokenSets], data: dict[str, Any]) -> dict[str, float]:
    """Accuracy of nearest neighbours, within the training part and for new cells."""
    vectors = {name: embed_sets(model, one) for name, one in sets.items()}
    out = {}
    for name in ("forebrain", "mop"):
        _, labels, groups = data[name]
        calls = np.empty_like(labels)
        for group in np.unique(groups):
            mine = groups == group
            calls[mine] = nearest(vectors[name][~mine], labels[~mine], vectors[name][mine])
        out[f"{name}_within"] = scores(labels, calls)["accuracy"]
        new = nearest(vectors[name], labels, vectors[f"{name} new"])
        out[f"{name}_new"] = scores(data[f"{name} new"][1], new)["accuracy"]
    return out


def main() -> None:
    """Run all rows and print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mop", type=Path, required=True, help="mop_snareseq.h5ad")
    parser.add_argument("--libraries", type=int, default=3, help="libraries of it to train on")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--rows", nargs="*", default=list(ROWS), help="rows to run, by name")
    parser.add_argument("--json", type=Path, help="write the table here too")
    arguments = parser.parse_args()
    table: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        data = parts(arguments.mop, folder, arguments.libraries)
        for name in arguments.rows:
            for seed in range(arguments.seeds):
                how = {"epochs": arguments.epochs, **ROWS[name]}
                work = prepare(
                    [data["forebrain"][0], data["mop"][0]],
                    RunOptions(seed=seed),
                    ReadOptions(genome="mm10"),
                    unlabelled=[data["forebrain new"][0], data["mop new"][0]],
                    discriminator=True,
                )
                assert work.unlabelled is not None
                n = len(data["forebrain new"][1])
                sets = {
                    "forebrain": work.items[0].sets,
                    "mop": work.items[1].sets,
                    "forebrain new": work.unlabelled.take(np.arange(n)),
                    "mop new": work.unlabelled.take(np.arange(n, len(work.unlabelled))),
                }
                began = time.perf_counter()
                row: dict[str, Any] = {"row": name, "seed": seed}
                if how["epochs"] == 0:
                    warm_start(work.model, work.sets, seed=seed)
                else:
                    settings = PretrainSettings(batch_size=arguments.batch_size, seed=seed, **how)
                    pretrain(work.model, work.sets, folder / f"{len(table)}", settings)
                    done = work.model.own["pretraining"]
                    row |= {k: done[k] for k in ("held_out_loss", "held_out_auc", "frequency_auc")}
                row |= figures(work.model, sets, data) | {"seconds": round(time.perf_counter() - began)}
                table.append(row)
                print(json.dumps(row), flush=True)
                if arguments.json:
                    arguments.json.write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
