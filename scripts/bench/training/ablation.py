"""What each step of training adds: labels by nearest neighbours and agreement of clusters, step after step.

    python scripts/bench/training/ablation.py --json docs/results/records/ablation.json --page docs/results/ablation.md
    python scripts/bench/training/ablation.py --quick --only forebrain          a minute, on few cells
    python scripts/bench/training/ablation.py --cached --json J --page P        print what is there

A line of a data set has a reference with labels and a query without. Every step is trained on the reference alone
and names the query's cells by their 15 nearest reference cells; clusters are k-means with as many clusters as there
are types. Then batch correction, scored on cells that no step was trained on. Finished rows are kept (--folder), so
that a run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the folder of `bench`

from atacsearch.cache import cache_folder
from atacsearch.model.heads.class_head import ClassHead
from atacsearch.training.class_head.train import train_class_head
from atacsearch.training.loops.batch_correction import BatchSettings, split_cells, train_batch
from atacsearch.training.loops.metric_learning import CelltypeSettings, train_celltype
from atacsearch.training.loops.pretraining import PretrainSettings, pretrain
from atacsearch.training.metrics.mixing import mixing
from atacsearch.training.metrics.neighbours import nearest, svd_vectors
from atacsearch.training.recipes.inputs import Training, prepare
from atacsearch.training.recipes.options import RunOptions
from atacsearch.training.trainer.vectors import embed_sets
from atacsearch.training.trainer.warm_start import warm_start
from bench.accuracy.cells.clusters import kmeans
from bench.accuracy.shared.scores import agreement, score
from bench.common.cache import Cache, key_of, source_digest
from bench.common.datasets import DATASETS, Cells, Fold
from bench.common.folds import LABEL, write_fold
from bench.common.measuring import machine
from bench.common.messages import note
from bench.common.paths import shared_data
from bench.training.ablation_page import page

SVD, UNTRAINED = "TF-IDF + SVD, static", "encoder, warm start, untrained"
PRETRAINED: dict[str, dict[str, Any]] = {
    "pretrained as published (from noise, plain mean)": {"warm": False, "pooling": "mean", "anchor": 0.0},
    "warm start + replaced tokens, no anchor": {"anchor": 0.0},
    "warm start + replaced tokens, anchor (default)": {},
    "  + replacements as frequent as the regions": {"replacement": "frequency"},
    "  + contrast of two halves": {"contrastive": 0.1},
}
TUNED = ("head", "proxy", "triplet", "contrastive")
STEPS = (SVD, UNTRAINED, *PRETRAINED, *(f"warm start, fine-tuned: {loss}" for loss in TUNED))
BATCH_SETS = ("forebrain", "granja")
HELD = (
    0.4  # share of the cells that batch correction is not trained on: half chooses the epoch, half is scored
)


@dataclass(frozen=True)
class Extent:
    """How much is trained, so that a table can be had on little time.

    Attributes:
        cells: of reference and of query at the most, drawn from the seed.
        epochs: of pretraining.
        tuning: epochs of fine-tuning losses and of batch correction.
        max_tokens: of one cell in one step.
    """

    cells: int = 100_000
    epochs: int = 5
    tuning: int = 8
    max_tokens: int = 256


def cut(fold: Fold, most: int, seed: int) -> Fold:
    """The fold, with at most `most` cells on either side."""
    rng = np.random.default_rng([seed, 11])
    return Fold(fold.name, *(np.sort(rng.permutation(r)[:most]) for r in (fold.reference, fold.query)))


def vectors_of(step: str, work: Training, truth: Any, extent: Extent, seed: int) -> tuple[Any, Any]:
    """Vectors of the reference and of the query after a step; only the fine-tuned steps look at `truth`."""
    model, sets, query = work.model, work.sets, work.unlabelled
    assert query is not None
    if step == SVD:
        return svd_vectors(sets, query, model.config.n_regions, seed=seed)
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch)
        if step in PRETRAINED:
            how = {"epochs": extent.epochs, "max_tokens": extent.max_tokens, "seed": seed, **PRETRAINED[step]}
            pretrain(model, sets, out, PretrainSettings(**how), device="cpu")
        else:
            warm_start(model, sets, seed=seed)
        loss = step.rpartition(": ")[2]
        if loss == "head":
            train_class_head(model, LABEL, sets, truth, out, seed=seed, device="cpu")
            head = model.heads[LABEL]
            assert isinstance(head, ClassHead)
            return head.vectors(sets, embed_sets(model, sets)), head.vectors(query, embed_sets(model, query))
        if loss in TUNED:
            how = {"epochs": extent.tuning, "max_tokens": extent.max_tokens, "seed": seed, "loss": loss}
            train_celltype(model, sets, truth, out, CelltypeSettings(**how), device="cpu")
    return embed_sets(model, sets), embed_sets(model, query)


def figures(step: str, known: Any, asked: Any, truth: Any, hidden: Any, seed: int) -> dict[str, Any]:
    """Scores of the query's cells; clusters of all cells too where the step has seen no label."""
    from sklearn.preprocessing import normalize

    calls = nearest(known, truth, asked)
    row: dict[str, Any] = {k: round(v, 4) for k, v in score(hidden.tolist(), calls.tolist()).items()}
    parts = {"query": (normalize(asked), hidden)}
    if ": " not in step:
        parts["all"] = (normalize(np.vstack([known, asked])), np.concatenate([truth, hidden]))
    for name, (vectors, labels) in parts.items():
        found = agreement(labels.tolist(), kmeans(vectors, len(np.unique(labels)), seed))
        row |= {f"{measure}_{name}": round(value, 4) for measure, value in found.items()}
    return row


def run_steps(
    name: str, cells: Cells, cache: Cache, extent: Extent, options: argparse.Namespace
) -> list[Any]:
    """Rows of the lines of one data set."""
    rows = []
    for line in DATASETS[name].lines(name, cells)[: options.lines]:
        for seed in range(options.seeds):
            fold = cut(line.folds[0], extent.cells, seed)
            split = [cells.digest, fold.reference.tolist(), fold.query.tolist()]
            for step in STEPS:
                if options.steps and not any(
                    part.lower() in step.lower() for part in options.steps.split(",")
                ):
                    continue
                key = key_of(
                    "ablation", split, step, asdict(extent), seed, source_digest(("training", "model"))
                )
                row = cache.get(key)
                if row is None and not options.cached:
                    note(f"{line.key}, seed {seed}: {step.strip()}")
                    began = time.perf_counter()
                    with tempfile.TemporaryDirectory() as scratch:
                        files = write_fold(cells, fold, Path(scratch))
                        work = prepare(
                            [files.reference],
                            RunOptions(universe=files.universe, seed=seed),
                            unlabelled=[files.query],
                            discriminator=True,
                            seed=seed,
                        )
                    truth, hidden = cells.labels[fold.reference], cells.labels[fold.query]
                    known, asked = vectors_of(step, work, truth, extent, seed)
                    row = figures(step, known, asked, truth, hidden, seed)
                    row |= {"dataset": name, "line": line.title, "step": step, "seed": seed}
                    row["seconds"] = round(time.perf_counter() - began, 1)
                    row = cache.put(key, row)
                if row is not None:
                    sizes = {"cells": len(fold.reference), "query_cells": len(fold.query)}
                    rows.append({**row, **sizes, "extent": asdict(extent)})
    return rows


def run_batch(
    name: str, cells: Cells, cache: Cache, extent: Extent, options: argparse.Namespace
) -> list[Any]:
    """Batch correction with and without labels and beside Harmony, scored on cells that no step was trained on."""
    rows = []
    for seed in range(options.seeds):
        drawn = np.sort(np.random.default_rng([seed, 12]).permutation(len(cells.ids))[: extent.cells])
        key = key_of(
            "batch", cells.digest, drawn.tolist(), asdict(extent), seed, source_digest(("training", "model"))
        )
        for way in ("without labels", "with labels"):
            row = cache.get(key + way)
            if row is None and not options.cached:
                note(f"{name}, batch correction {way}, seed {seed}")
                for made in _correct(name, cells, drawn, way, extent, seed):
                    cache.put(key + made["method"], made)
                row = cache.get(key + way)
            found = [cache.get(key + made) for made in _METHODS[way]]
            rows += [{**made, "extent": asdict(extent)} for made in found if made is not None]
    return rows


_METHODS = {"without labels": ("warm start", "without labels", "Harmony"), "with labels": ("with labels",)}


def _correct(
    name: str, cells: Cells, drawn: Any, way: str, extent: Extent, seed: int
) -> list[dict[str, Any]]:
    """One run of the correction; with the first also the vectors before it, and Harmony on these."""
    labels = cells.labels[drawn]
    assert cells.batches is not None
    batches = cells.batches[drawn]
    with tempfile.TemporaryDirectory() as scratch:
        files = write_fold(cells, Fold("all", drawn, drawn[:2]), Path(scratch))
        work = prepare([files.reference], RunOptions(universe=files.universe, seed=seed), discriminator=True)
        warm_start(work.model, work.sets, seed=seed)
        before = embed_sets(work.model, work.sets)
        began = time.perf_counter()
        how = BatchSettings(epochs=extent.tuning, max_tokens=extent.max_tokens, holdout=HELD, seed=seed)
        kept = labels if way == "with labels" else None
        model, _ = train_batch(
            work.model,
            work.sets,
            batches.tolist(),
            Path(scratch) / "out",
            how,
            labels=None if kept is None else kept.tolist(),
            device="cpu",
        )
    found = {way: (embed_sets(model, work.sets), round(time.perf_counter() - began, 1))}
    if way == "without labels":
        found["warm start"] = (before, 0.0)
        corrected = _harmony(before, batches, seed)
        if corrected is not None:
            found["Harmony"] = corrected
    # The cells that neither trained nor chose the epoch. Harmony has seen them, without labels: it knows no others.
    rows = split_cells(np.unique(batches, return_inverse=True)[1], kept, how)[2]
    about = {"dataset": name, "seed": seed, "cells": len(drawn), "batches": len(np.unique(batches))}
    about["scored"] = len(rows)
    return [
        {**about, "method": method, "seconds": spent, **mixing(vectors, batches, labels, rows, seed)}
        for method, (vectors, spent) in found.items()
    ]


def _harmony(vectors: Any, batches: Any, seed: int) -> tuple[Any, float] | None:
    """Harmony (Korsunsky et al. 2019) on the unit vectors of the warm start; None where harmonypy is not there."""
    try:
        import harmonypy
    except ImportError:
        note("no harmonypy: no row of Harmony")
        return None
    import pandas as pd
    from sklearn.decomposition import PCA
    from sklearn.preprocessing import normalize

    began = time.perf_counter()
    few = PCA(min(50, *vectors.shape), random_state=seed).fit_transform(normalize(vectors))
    done = harmonypy.run_harmony(few, pd.DataFrame({"batch": batches}), ["batch"], random_state=seed)
    out = np.asarray(done.Z_corr)
    out = out if len(out) == len(vectors) else out.T
    return out, round(time.perf_counter() - began, 1)


def main() -> None:
    """Parse the command line, run, print and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="forebrain,pbmc,cellmix,granja", help=f"of {','.join(DATASETS)}")
    parser.add_argument("--part", choices=("steps", "batch"), action="append", help="both by default")
    parser.add_argument("--steps", default="", help="parts of the names of steps, separated by commas")
    parser.add_argument("--lines", type=int, default=2, help="lines of a data set at the most")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument(
        "--quick", action="store_true", help="600 cells, one epoch of 128 tokens a cell, one line"
    )
    parser.add_argument("--cells", type=int, help="cells of reference and of query at the most")
    parser.add_argument("--epochs", type=int, help="of pretraining [default: 5]")
    parser.add_argument("--tuning", type=int, help="epochs of fine-tuning and batch correction [default: 8]")
    parser.add_argument("--max-tokens", type=int, help="of one cell in one step [default: 256]")
    parser.add_argument("--folder", type=Path, default=cache_folder() / "quality", help="where rows are kept")
    parser.add_argument("--cached", action="store_true", help="print what is there, run nothing")
    parser.add_argument(
        "--also", type=Path, action="append", default=[], metavar="JSON",
        help="rows of another run, or of `quality --part clusters`, too; repeatable (--only '' runs nothing)",
    )  # fmt: skip
    parser.add_argument("--json", type=Path)
    parser.add_argument("--page", type=Path)
    options = parser.parse_args()
    given = {k: getattr(options, k) for k in ("cells", "epochs", "tuning", "max_tokens")}
    small = {"cells": 600, "epochs": 1, "tuning": 2, "max_tokens": 128} if options.quick else {}
    extent = Extent(**{**small, **{k: v for k, v in given.items() if v is not None}})
    if options.quick:
        options.lines = options.seeds = 1
    cache = Cache(options.folder)
    parts = options.part or ["steps", "batch"]
    steps: list[Any] = []
    batch: list[Any] = []
    for name in filter(None, options.only.split(",")):
        if name not in DATASETS:
            parser.error(f"--only: no data set {name}; there are {', '.join(DATASETS)}")
        cells = DATASETS[name].read(shared_data(), options.folder)
        if "steps" in parts:
            steps += run_steps(name, cells, cache, extent, options)
        if "batch" in parts and name in BATCH_SETS:
            batch += run_batch(name, cells, cache, extent, options)
    record: dict[str, Any] = {
        "benchmark": "ablation",
        **machine(),
        "steps": steps,
        "batch": batch,
        "clusters": [],
    }
    for path in options.also:
        other = json.loads(path.read_text())
        for part in ("steps", "batch", "clusters"):
            record[part] = other.get(part, []) + record[part]
    text = page(record)
    print(text)
    if options.json:
        options.json.write_text(json.dumps(record, indent=1) + "\n")
    if options.page:
        options.page.write_text(text)


if __name__ == "__main__":
    main()
