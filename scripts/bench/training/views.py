"""What a class head is made of: each view alone, their sum, the head that held-out items weighed; and the SVD behind.

    python scripts/bench/training/views.py --json docs/results/records/views.json --page docs/results/views.md
    python scripts/bench/training/views.py --only forebrain             a minute

One fold of each line of `quality`, reference alone and with the query's cells in the components. Nothing is kept on
disk: heads are fitted as `train celltype` fits them, without index and commands. The singular value decomposition of
each reference is compared with scikit-learn's randomised one, both against ARPACK's exact one.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse.linalg import svds
from sklearn.decomposition import TruncatedSVD
from sklearn.metrics import f1_score

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the folder of `bench`

from atacsearch.cache import cache_folder
from atacsearch.model.heads.label_head import unit
from atacsearch.tokens.tfidf import inverse_document_frequency, tfidf
from atacsearch.tokens.token_sets import TokenSets
from atacsearch.training.class_head.cross_fit import calibrated, cross_fit
from atacsearch.training.class_head.fit import DEFAULT_WEIGHTS, VIEWS, components_of, fit_head, fitted_views
from atacsearch.training.linear.svd import truncated_svd
from atacsearch.training.metrics.neighbours import nearest
from atacsearch.training.trainer.warm_start import RANK, svd_table
from bench.common.datasets import DATASETS, Cells, Fold
from bench.common.markdown import markdown_table
from bench.common.measuring import machine
from bench.common.messages import note
from bench.common.paths import shared_data

SETS = "forebrain,granja,cellmix,pbmc,mop,heart"
OLD_RANK, OLD_ROUNDS = 50, 10  # of the embedding before: scikit-learn's, as many power iterations
NAMES = [f"{v.source}{f' {v.rank}' if v.rank else ''}, C = {v.strength:g}" for v in VIEWS]
SUM, HEAD = "sum, usual weights", "sum, weights and biases of held-out items"
BEFORE, NOW = (
    f"15 neighbours, {OLD_RANK} components, power iterations",
    f"15 neighbours, {RANK} components, exact",
)


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default=SETS, help="data sets, separated by commas")
    parser.add_argument("--folder", type=Path, default=cache_folder() / "quality", help="where data are kept")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--page", type=Path)
    asked = parser.parse_args()
    rows, decompositions = [], []
    for name in asked.only.split(","):
        cells = DATASETS[name].read(shared_data(), asked.folder)
        for line in DATASETS[name].lines(name, cells):
            title = f"{line.key}, {line.folds[0].name}"
            note(title)
            decompositions.append({"line": title, **decomposition(cells, line.folds[0])})
            for joined in (False, True):
                rows.append({"line": title, "joined": joined, **views_of(cells, line.folds[0], joined)})
    record = {"benchmark": "views", **machine(), "rows": rows, "svd": decompositions}
    text = page(record)
    print(text)
    if asked.json:
        asked.json.write_text(json.dumps(record, indent=1) + "\n")
    if asked.page:
        asked.page.write_text(text)


def sets_of(cells: Cells, rows: Any) -> TokenSets:
    """Token sets of some cells."""
    part = cells.matrix[rows].tocsr()
    part.sort_indices()
    return TokenSets(
        part.indptr.astype(np.int64), part.indices.astype(np.uint32), tuple(cells.ids[rows].tolist())
    )


def decomposition(cells: Cells, fold: Fold) -> dict[str, Any]:
    """Seconds, and the share of the exact components' squares that is missed."""
    sets = sets_of(cells, fold.reference)
    matrix = tfidf(sets, inverse_document_frequency(sets, cells.matrix.shape[1]))
    began = time.perf_counter()
    exact = svds(matrix.astype(np.float64), OLD_RANK + 1, random_state=0)[1]
    out: dict[str, Any] = {"cells": matrix.shape[0], "regions": matrix.shape[1]}
    out["ARPACK, exact"] = {"seconds": time.perf_counter() - began, "missed": 0.0}
    ways: dict[str, Callable[[], npt.NDArray[np.floating[Any]]]] = {
        f"scikit-learn, {OLD_ROUNDS} power iterations": lambda: (
            TruncatedSVD(OLD_RANK + 1, n_iter=OLD_ROUNDS, random_state=0).fit(matrix).singular_values_
        ),
        "ours, block Lanczos": lambda: truncated_svd(matrix, OLD_RANK + 1)[0],
    }
    for name, call in ways.items():
        began = time.perf_counter()
        values = call()
        missed = 1 - float(np.square(values).sum() / np.square(exact).sum())
        out[name] = {"seconds": time.perf_counter() - began, "missed": missed}
    return out


def views_of(cells: Cells, fold: Fold, joined: bool) -> dict[str, Any]:
    """Accuracy and macro-F1 of each view, of sums of them, and of nearest neighbours."""
    sets, query = sets_of(cells, fold.reference), sets_of(cells, fold.query)
    v, names = cells.matrix.shape[1], cells.labels[fold.reference]
    everyone = TokenSets.concat([sets, query]) if joined else sets
    classes, codes = np.unique(names, return_inverse=True)
    truth = cells.labels[fold.query]
    table, _ = svd_table(everyone, v)
    general, asked = (unit(np.asarray(s.to_csr(v) @ table)) for s in (sets, query))
    idf = inverse_document_frequency(everyone, v)
    matrix, rows = tfidf(sets, idf), tfidf(query, idf)
    found, total = {}, np.zeros((len(query), len(classes)))
    fitted = fitted_views(matrix, general, codes, len(classes), components_of(everyone, idf, 0))
    for name, weight, view in zip(NAMES, DEFAULT_WEIGHTS, fitted, strict=True):
        scores = view.scores(rows, asked)
        total += weight * scores
        found[name] = scored(classes[scores.argmax(1)], truth)
    found[SUM] = scored(classes[total.argmax(1)], truth)
    groups = None if cells.batches is None else cells.batches[fold.reference]
    unlabelled = query if joined else None
    held = cross_fit(sets, general, names, groups, idf=idf, unlabelled=unlabelled, fresh=True)
    weights, calibration = calibrated(held, classes, names, sets.lengths, groups)
    assert calibration is not None
    head = fit_head(sets, general, names, idf=idf, unlabelled=unlabelled, weights=weights)
    called = calibration.probabilities(head.scores(query, asked)).argmax(1)
    found[HEAD] = scored(classes[called], truth)
    before = TruncatedSVD(OLD_RANK + 1, n_iter=OLD_ROUNDS, random_state=0).fit(tfidf(everyone, idf))
    axes = before.components_[1:].T / np.sqrt(before.singular_values_[1:])
    found[BEFORE] = scored(nearest(unit(matrix @ axes), names, unit(rows @ axes)), truth)
    found[NOW] = scored(nearest(general, names, asked), truth)
    chosen = dict(zip(NAMES, (round(float(w), 3) for w in weights), strict=True))
    return {"n": len(query), "methods": found, "weights": chosen}


def scored(called: Any, truth: Any) -> list[float]:
    """Accuracy and macro-F1 over the types that the query has."""
    f1 = f1_score(truth, called, average="macro", labels=np.unique(truth))
    return [round(float(np.mean(called == truth)), 4), round(float(f1), 4)]


def page(record: dict[str, Any]) -> str:
    """The page."""
    out = [
        "# What a class head is made of",
        "",
        "**Question.** Which of the six regressions of a class head is needed?",
        "",
        "**Answer.** None alone: no single one is best on more than a few lines, and their weighted sum is "
        "best in the mean of both tables.",
        "",
        f"Made by `scripts/bench/training/views.py`, {record['date']}, {record['cores']} cores of "
        f"{record['processor']}. One fold of each line of [quality](quality.md); accuracy / macro-F1. *Joined*: the "
        "query's cells, without labels, are in the components. Heads are fitted as `train celltype` fits them; views "
        "and usual weights were looked for on these lines.",
    ]
    for joined in (False, True):
        rows = [row for row in record["rows"] if row["joined"] == joined]
        if not rows:
            continue
        methods = list(rows[0]["methods"])
        mean = {m: np.mean([row["methods"][m] for row in rows], axis=0) for m in methods}
        table = [(m, *(_pair(row["methods"][m]) for row in rows), _pair(mean[m])) for m in methods]
        out += ["", "## " + ("The query's cells joined" if joined else "Reference alone"), ""]
        out += [markdown_table(("", *(row["line"] for row in rows), "mean"), table)]
    out += ["", "## Weights of the views", ""]
    out += [
        markdown_table(
            ("line", "joined", *NAMES),
            [
                (row["line"], "yes" if row["joined"] else "", *(f"{row['weights'][n]:.2f}" for n in NAMES))
                for row in record["rows"]
            ]
            + [("usual", "", *(f"{w:.2f}" for w in DEFAULT_WEIGHTS))],
        )
    ]
    out += ["", "## Singular value decomposition", ""]
    out += [
        f"{OLD_RANK + 1} components of the reference: seconds / share of the exact components' squares missed.",
        "",
    ]
    ways = [key for key in record["svd"][0] if key not in ("line", "cells", "regions")]
    out += [
        markdown_table(
            ("line", "cells", "regions", *ways),
            [
                (
                    row["line"],
                    f"{row['cells']:,}",
                    f"{row['regions']:,}",
                    *(f"{row[w]['seconds']:.2f} / {max(row[w]['missed'], 0):.1e}" for w in ways),
                )
                for row in record["svd"]
            ],
        )
    ]
    return "\n".join(out) + "\n"


def _pair(values: Any) -> str:
    return f"{values[0]:.3f} / {values[1]:.3f}"


if __name__ == "__main__":
    main()
