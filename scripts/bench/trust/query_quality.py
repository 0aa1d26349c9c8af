"""Quality of the query: what doublets, thin cells and marker genes do to calls.

For each data set a model is trained on one part (`train celltype`, defaults) and indexed; the cells of another part
ask.

- doublets: unions of query cells of two types, AUROC against the query's cells; beside the score, the share of
  simulated doublets among the 30 nearest neighbours in the model's vectors (as Scrublet and DoubletFinder count it) and
  the number of open regions alone; the rate of cells called doublets at the limit, which 2 % of the reference exceed.
- thin: a random half, quarter or tenth of each query cell's open regions: accuracy and statuses.
- depth: Spearman correlation of a query cell's number of open regions with the mean of its 15 nearest neighbours, over
  all cells and within types; also in the vector of the label, and with the median of its type in the reference, which
  is what types that differ in depth give by themselves.
- markers (PBMC): verdicts on true labels and on labels of another lineage.

    python scripts/bench/trust/query_quality.py --genes TSS.hg38.bed.gz [--json docs/results/records/query_quality.json]
        [--work FOLDER] [--datasets ...]
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the folder of `bench`

from atacsearch.genome.genes import GeneAnnotation
from atacsearch.index import open_index
from atacsearch.query.annotate.annotate import report, transfer
from atacsearch.query.annotate.doublets import pairs_of_types, reference_doublets, unions
from atacsearch.query.annotate.markers import marker_regions, verdicts
from atacsearch.query.annotate.options import AnnotateOptions
from atacsearch.query.annotate.quality import reference_limit, sampled
from atacsearch.query.inputs import read_for
from atacsearch.query.session import VECTOR, Session
from atacsearch.readers.options import ReadOptions
from atacsearch.tokens.token_sets import TokenSets
from bench.common.commands import command
from bench.common.datasets import DATASETS
from bench.common.folds import LABEL, write_fold
from bench.common.measuring import machine
from bench.common.paths import shared_data

MOST = 3000  # query cells; of more, a part is drawn
THINNED = (1.0, 0.5, 0.25, 0.1)
SIMULATED = 1000  # doublets of the reference that are embedded for the neighbours' share
NEAR = 30
# Markers from textbooks; most of T cells and monocytes lie outside of the regions that the small PBMC file covers.
LINEAGES = {
    "B": (["naive B", "memory B"], ["MS4A1", "CD79A", "CD79B", "PAX5", "BANK1", "CD22", "EBF1", "BLK"]),
    "T": (
        ["CD4 naive T", "CD4 memory T", "CD8 naive T", "CD8 activated T", "MAIT"],
        ["CD3D", "CD3E", "CD3G", "IL7R", "CD2", "BCL11B", "TSHZ2", "LEF1"],
    ),
    "NK": (["NK"], ["NKG7", "GNLY", "KLRD1", "NCAM1", "PRF1", "GZMB", "FGFBP2", "CLIC3"]),
    "monocyte": (
        ["CD14+ Monocytes", "FCGR3A+ Monocytes"],
        ["LYZ", "CD14", "S100A8", "S100A9", "CSF1R", "IL1B", "CXCL8", "MS4A7"],
    ),
}


def world(name: str, folder: Path) -> tuple[Any, npt.NDArray[np.str_]]:
    """An index of one part of a data set, the items of the other one, and their labels."""
    cells = DATASETS[name].read(shared_data(), folder)
    fold = DATASETS[name].lines(name, cells)[0].folds[0]
    fold = dataclasses.replace(fold, query=sample(fold.query, MOST))
    files = write_fold(cells, fold, folder)
    model, index = folder / "model", folder / "index"
    if not (index / "CURRENT").exists():
        words: list[object] = ["train", "celltype", files.reference, "--label", LABEL, "-o", model]
        command(*words, *([] if files.universe is None else ["--universe", files.universe]))
        command("index", "create", index, "--model", model)
        command("index", "add-cells", index, files.reference)
    session = open_index(index, device="cpu")._session
    return (session, read_for(session, [files.query], ReadOptions())[0]), cells.labels[fold.query]


def sample(rows: npt.NDArray[Any], most: int) -> npt.NDArray[Any]:
    """At most this many of the rows, in order."""
    if len(rows) <= most:
        return rows
    return np.sort(np.random.default_rng(0).choice(rows, most, replace=False))


def auroc(scores: npt.NDArray[Any], truth: npt.NDArray[Any]) -> float:
    """Area under the ROC curve."""
    from sklearn.metrics import roc_auc_score

    return round(float(roc_auc_score(truth, scores)), 3)


def doublets(session: Session, sets: TokenSets, truth: npt.NDArray[np.str_]) -> dict[str, Any]:
    """How well doublets of query cells are told from query cells."""
    snapshot = session.snapshot()
    found = reference_doublets(session, snapshot, "cells", LABEL)
    filled = np.flatnonzero(sets.lengths > 0)
    alone, types = sets.take(filled), truth[filled]
    made = unions(alone, pairs_of_types(types.tolist(), max(len(alone) // 10, 200), seed=7))
    both = TokenSets.concat([alone, made])
    is_double = np.repeat([0, 1], [len(alone), len(made)])
    scores = found.scores(both)
    flat = dataclasses.replace(found, weights=found.weights * np.array([1, 1, 0, 1]))
    rows = np.concatenate(
        [sample(np.arange(len(alone)), SIMULATED), len(alone) + sample(np.arange(len(made)), 300)]
    )
    return {
        "cells": len(alone),
        "doublets": len(made),
        "auroc": auroc(scores, is_double),
        "auroc_within_reference": round(found.auroc, 3),
        "auroc_without_depth": auroc(flat.scores(both), is_double),
        "auroc_depth_alone": auroc(both.lengths, is_double),
        "auroc_neighbours": auroc(neighbour_share(session, both.take(rows)), is_double[rows]),
        "false_rate": round(float(np.mean(scores[is_double == 0] > found.limit)), 3),
        "found_rate": round(float(np.mean(scores[is_double == 1] > found.limit)), 3),
    }


def neighbour_share(session: Session, sets: TokenSets) -> npt.NDArray[np.float64]:
    """Share of simulated doublets of the reference among the nearest of as many reference cells and doublets."""
    snapshot = session.snapshot()
    ids = sampled(snapshot.all_ids("cells"), SIMULATED)
    labels = [str(v) for v in snapshot.rows("cells", ids, [LABEL])[LABEL].to_pylist()]
    reference = snapshot.tokens("cells", ids)
    made = session.encode(unions(reference, pairs_of_types(labels, len(ids))))
    points = np.concatenate([snapshot.vectors("cells", ids, VECTOR), made])
    points, asked = (
        x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-9) for x in (points, session.encode(sets))
    )
    near = np.argsort(-(asked @ points.T), axis=1)[:, :NEAR]
    return np.asarray((near >= len(ids)).mean(1))


def thin(sets: TokenSets, share: float, seed: int = 0) -> TokenSets:
    """Each set with each of its tokens kept at this rate."""
    kept = np.random.default_rng(seed).random(len(sets.tokens)) < share
    lengths = np.add.reduceat(np.append(kept, False), sets.offsets[:-1]) if len(sets) else np.empty(0)
    lengths = np.where(sets.lengths > 0, lengths, 0)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return TokenSets(offsets, sets.tokens[kept], sets.names, sets.universe_digest)


def thinned(session: Session, items: Any, truth: npt.NDArray[np.str_]) -> list[dict[str, Any]]:
    """Accuracy, statuses and neighbours of thinned cells."""
    rows = []
    for share in THINNED:
        sets = items.sets if share == 1 else thin(items.sets, share)
        options = AnnotateOptions(doublets=True)
        found = transfer(session, [dataclasses.replace(items, sets=sets)], [LABEL], options)
        table = report(session, found, options).table
        right = np.array([a == b for a, b in zip(table["label"].to_pylist(), truth, strict=True)])
        status = np.array(table["status"].to_pylist())
        filled = np.flatnonzero(sets.lengths > 0)
        depth = neighbour_depth(session, found.vectors[filled], VECTOR)
        asked = sets.lengths[filled]
        rows.append(
            {
                "kept": share,
                "median_regions": float(np.median(sets.lengths)),
                "accuracy": round(float(right.mean()), 3),
                **{
                    s: round(float(np.mean(status == s)), 3)
                    for s in ("assigned", "unknown", "low_quality", "doublet")
                },
                "accuracy_assigned": round(float(right[status == "assigned"].mean()), 3)
                if np.any(status == "assigned")
                else None,
                **correlations(asked, depth, truth[filled], ""),
                "neighbour_median_regions": float(np.median(depth)),
            }
        )
        print(json.dumps(rows[-1]), flush=True)
    return rows


def neighbour_depth(session: Session, vectors: npt.NDArray[np.float32], name: str) -> npt.NDArray[np.float64]:
    """[q] mean number of open regions of the 15 nearest reference cells."""
    snapshot = session.snapshot()
    table = snapshot.table("cells", ["id", "n_tokens"])
    known = dict(zip(table["id"].to_pylist(), table["n_tokens"].to_pylist(), strict=True))
    found = snapshot.knn("cells", vectors, 15, name=name)
    return np.array([np.mean([known[i] for i in one]) for one in found.ids])


def correlations(
    asked: npt.NDArray[Any], depth: npt.NDArray[Any], types: npt.NDArray[np.str_], suffix: str
) -> dict[str, float]:
    """Spearman of two numbers over all cells, and its mean within types of 20 cells and more."""
    from scipy.stats import spearmanr

    large = [t for t in np.unique(types) if np.sum(types == t) >= 20]
    within = [spearmanr(asked[types == t], depth[types == t]).statistic for t in large]
    sizes = [np.sum(types == t) for t in large]
    return {
        f"spearman{suffix}": round(float(spearmanr(asked, depth).statistic), 3),
        f"spearman_within_types{suffix}": round(float(np.average(within, weights=sizes)), 3),
    }


def depth_by_label(session: Session, sets: TokenSets, truth: npt.NDArray[np.str_]) -> dict[str, float]:
    """The correlation of depths in the label's own vector, and of a cell with the median of its type."""
    from scipy.stats import spearmanr

    snapshot = session.snapshot()
    filled = np.flatnonzero(sets.lengths > 0)
    asked, types = sets.lengths[filled], truth[filled]
    vectors = session.encode(sets.take(filled), name=LABEL)
    out = correlations(asked, neighbour_depth(session, vectors, LABEL), types, "_label_vector")
    table = snapshot.table("cells", [LABEL, "n_tokens"])
    labels, depth = (np.array(table[c].to_pylist()) for c in (LABEL, "n_tokens"))
    middle = {t: np.median(depth[labels == t]) for t in np.unique(labels)}
    known = np.isin(types, labels)
    medians = [middle[t] for t in types[known]]
    return {**out, "spearman_type_medians": round(float(spearmanr(asked[known], medians).statistic), 3)}


def markers(session: Session, sets: TokenSets, truth: npt.NDArray[np.str_], genes: Path) -> dict[str, Any]:
    """Verdicts on true labels, and on labels of another lineage."""
    snapshot = session.snapshot()
    wanted = {label: symbols for labels, symbols in LINEAGES.values() for label in labels}
    said: list[str] = []
    reference = snapshot.tokens("cells", sampled(snapshot.all_ids("cells"), 2000))
    classes = sorted({str(v) for v in snapshot.table("cells", [LABEL])[LABEL].to_pylist()})
    regions = marker_regions(
        wanted, GeneAnnotation.from_file(genes), session.universe, reference, classes, said.append
    )
    lineage = {
        label: name for name, (labels, _) in LINEAGES.items() for label in labels if label in regions.types
    }
    rows = np.flatnonzero(np.isin(truth, list(lineage)))
    rng = np.random.default_rng(0)
    others = [rng.choice([t for t in lineage if lineage[t] != lineage[truth[i]]]) for i in rows]
    out: dict[str, Any] = {"said": said, "types": list(regions.types)}
    for name, calls in (("true labels", truth[rows].tolist()), ("labels of another lineage", others)):
        got = np.array([v.says for v in verdicts(sets.take(rows), calls, regions)])
        out[name] = {word: round(float(np.mean(got == word)), 3) for word in ("agree", "disagree", "none")}
        lines = np.array([lineage[c] for c in calls])
        out[name]["by_lineage"] = {
            line: {
                word: round(float(np.mean(got[lines == line] == word)), 3)
                for word in ("agree", "disagree", "none")
            }
            for line in sorted(set(lines))
        }
    out["cells"] = len(rows)
    return out


def main() -> None:
    """Run and write JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--genes", type=Path, required=True, help="TSS table or GTF of hg38, for the markers")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--work", type=Path, help="folder that keeps models and indexes")
    parser.add_argument("--datasets", nargs="+", default=["pbmc", "forebrain", "granja"])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        out: dict[str, Any] = {"benchmark": "query_quality", **machine(), "datasets": {}}
        for name in options.datasets:
            folder = (options.work or Path(temporary)) / name
            folder.mkdir(parents=True, exist_ok=True)
            (session, items), truth = world(name, folder)
            row: dict[str, Any] = {
                "low_quality_below": reference_limit(session, session.snapshot(), "cells", True),
                "doublets": doublets(session, items.sets, truth),
            }
            print(name, json.dumps(row), flush=True)
            row["depth"] = depth_by_label(session, items.sets, truth)
            print(json.dumps(row["depth"]), flush=True)
            row["thinned"] = thinned(session, items, truth)
            if name == "pbmc":
                row["markers"] = markers(session, items.sets, truth, options.genes)
                print(json.dumps(row["markers"]), flush=True)
            out["datasets"][name] = row
            if options.json:
                options.json.write_text(json.dumps(out, indent=1) + "\n")


if __name__ == "__main__":
    main()
