"""How far the answers of `annotate` can be trusted: calibration, label sets, the unknown, on held-out data.

    scripts/bench/trust/calibration.py                          every line and every type that is left out
    scripts/bench/trust/calibration.py --only forebrain --part calibration
    scripts/bench/trust/calibration.py --cached --json docs/results/records/calibration.json
        --page docs/results/calibration.md

Rows are kept (--folder), so that a stopped run goes on where it was. Calibration goes through the commands (train
celltype, index, annotate); what is left out is scored with the same class head and calibration without an index.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the folder of `bench`

from atacsearch.index import open_index
from atacsearch.model.heads.calibration import softmax
from atacsearch.model.heads.label_head import unit
from atacsearch.model.heads.measures import (
    area_under_risk_coverage,
    brier_score,
    calibration_error,
    log_loss,
)
from atacsearch.query.annotate.annotate import transfer
from atacsearch.query.annotate.calls import LabelCalls
from atacsearch.query.annotate.options import AnnotateOptions
from atacsearch.query.inputs import read_for
from atacsearch.readers.options import ReadOptions
from atacsearch.tokens.tfidf import inverse_document_frequency, tfidf
from atacsearch.tokens.token_sets import TokenSets
from atacsearch.training.class_head.cross_fit import calibrated, cross_fit, folds_of
from atacsearch.training.class_head.fit import fit_head
from atacsearch.training.trainer.warm_start import svd_table
from bench.common.commands import command
from bench.common.datasets import DATASETS, Cells, Fold
from bench.common.folds import LABEL, write_fold
from bench.common.measuring import machine
from bench.common.messages import note
from bench.common.paths import shared_data
from bench.trust.calibration_page import page

COVERAGE = 0.9
RESAMPLES = 500
MOST_QUERIES = 3000
OURS, VOTES = "atacsearch", "share of 15 votes, TF-IDF + SVD"
LOGISTIC = {
    "TF-IDF + logistic, one temperature": None,
    "TF-IDF + balanced logistic, one temperature": "balanced",
}

# Types that are relatives in each data set; a type is near where another of its lineage stays in the reference.
LINEAGES = {
    "forebrain": {"excitatory neurons": ("EX1", "EX2", "EX3"), "inhibitory neurons": ("IN1", "IN2")},
    "granja": {
        "B lineage": ("B", "Pre.B", "CLP.2"),
        "monocytes": ("CD14.Mono.1", "CD14.Mono.2"),
        "T and NK": ("CD4.M", "CD4.N1", "CD4.N2", "CD8.CM", "CD8.EM", "CD8.N", "NK"),
        "progenitors": ("HSC", "CMP.LMPP", "GMP", "CLP.1"),
    },
    "pbmc": {
        "B cells": ("memory B", "naive B", "Plasma"),
        "monocytes and dendritic cells": ("CD14+ Monocytes", "FCGR3A+ Monocytes", "cDCs"),
        "T and NK": (
            "CD4 memory T",
            "CD4 naive T",
            "CD8 activated T",
            "CD8 naive T",
            "MAIT",
            "NK",
        ),
    },
}


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="forebrain,granja,mop,pbmc", help="data sets, separated by commas")
    parser.add_argument("--part", choices=("calibration", "unknown"), action="append", help="both by default")
    parser.add_argument("--folder", type=Path, required=True, help="where rows are kept")
    parser.add_argument("--cached", action="store_true", help="run nothing")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--page", type=Path)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    store = arguments.folder / "calibration.jsonl"
    rows: dict[str, dict[str, Any]] = {}
    if store.exists():
        rows = {r["key"]: r for r in map(json.loads, store.read_text().splitlines())}
    for key, make in _tasks(arguments):
        if key not in rows and not arguments.cached:
            note(key)
            rows[key] = {"key": key, **make()}
            with open(store, "a") as file:
                file.write(json.dumps(rows[key]) + "\n")
    record = {"benchmark": "calibration", **machine(), "rows": list(rows.values())}
    text = page(record)
    print(text)
    if arguments.json:
        arguments.json.write_text(json.dumps(record, indent=1) + "\n")
    if arguments.page:
        arguments.page.write_text(text)


def _tasks(arguments: argparse.Namespace) -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
    """Key of each row, and what makes it."""
    parts = arguments.part or ["calibration", "unknown"]
    for name in arguments.only.split(","):
        dataset = DATASETS[name]
        cells = dataset.read(shared_data(), arguments.folder)
        for line in dataset.lines(name, cells):
            # One fold of those that are within a library stands for all: the others take as long.
            for fold in line.folds[:1] if "fold" in line.title else line.folds:
                key = f"{line.key}, {fold.name}"
                about = {"dataset": name, "split": dataset.split, "labels": dataset.labels}
                about |= {"line": line.title, "fold": fold.name}
                if "calibration" in parts:
                    yield f"calibration: {key}", partial(_calibration_task, about, cells, fold)
                if "unknown" in parts and name in LINEAGES and fold is line.folds[0]:
                    for title, types in _left_out(name, cells, fold):
                        make = partial(_unknown_task, about, cells, fold, title, types)
                        yield f"unknown: {key}, without {title}", make


def _calibration_task(about: dict[str, str], cells: Cells, fold: Fold) -> dict[str, Any]:
    return {"part": "calibration", **about, **calibration_row(cells, fold)}


def _unknown_task(
    about: dict[str, str], cells: Cells, fold: Fold, title: str, types: tuple[str, ...]
) -> dict[str, Any]:
    near = _is_near(about["dataset"], types, cells, fold)
    return {"part": "unknown", **about, "without": title, "near": near, **unknown_row(cells, fold, types)}


def _left_out(name: str, cells: Cells, fold: Fold) -> list[tuple[str, tuple[str, ...]]]:
    there = set(cells.labels[fold.reference]) & set(cells.labels[fold.query])
    types = [(t, (t,)) for t in sorted(there) if (cells.labels[fold.query] == t).sum() >= 10]
    return types + [(f"all {title}", types_) for title, types_ in LINEAGES[name].items()]


def _is_near(name: str, left_out: tuple[str, ...], cells: Cells, fold: Fold) -> bool:
    stays = set(cells.labels[fold.reference]) - set(left_out)
    return any(set(group) & set(left_out) and set(group) & stays for group in LINEAGES[name].values())


def _measures(p: Any, truth: Any) -> dict[str, Any]:
    called = p.argmax(1)
    confidence, right = p.max(1), called == truth
    rng = np.random.default_rng(0)
    draws = [rng.integers(0, len(truth), len(truth)) for _ in range(RESAMPLES)]
    errors = [calibration_error(confidence[i], right[i]) for i in draws]
    parts = np.array_split(np.argsort(confidence, kind="stable"), 10)
    return {
        "accuracy": float(right.mean()),
        "ece": calibration_error(confidence, right),
        "ece_interval": [float(q) for q in np.quantile(errors, [0.025, 0.975])],
        "brier": brier_score(p, truth),
        "log_loss": log_loss(p, truth),
        "aurc": area_under_risk_coverage(confidence, right),
        "curve": [[float(confidence[i].mean()), float(right[i].mean())] for i in parts if len(i)],
    }


def _annotated(cells: Cells, fold: Fold) -> tuple[LabelCalls, str]:
    """The calls of a model and index that the commands make of the reference, and what is said of them."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        files = write_fold(cells, fold, folder)
        words: list[Any] = ["train", "celltype", files.reference, "--label", LABEL, "-o", folder / "model"]
        words += [] if files.batch is None else ["--batch", files.batch]
        words += [] if files.universe is None else ["--universe", files.universe]
        words += [] if files.genome is None else ["--genome", files.genome]
        command(*words)
        command("index", "create", folder / "index", "--model", folder / "model")
        genome = [] if files.genome is None else ["--genome", files.genome]
        command("index", "add-cells", folder / "index", files.reference, *genome)
        messages: list[str] = []
        with open_index(folder / "index", notify=messages.append) as index:
            session = index._session
            items = read_for(session, [files.query], ReadOptions(genome=files.genome))
            found = transfer(session, items, [LABEL], AnnotateOptions()).calls[0]
    return found, messages[-1]


def calibration_row(cells: Cells, fold: Fold) -> dict[str, Any]:
    """Ours through the commands, and two simple ways, on one fold."""
    found, message = _annotated(cells, fold)
    truth = np.array([found.classes.index(x) if x in found.classes else -1 for x in cells.labels[fold.query]])
    here = (truth >= 0) & found.filled
    sets = [set(x) for x in found.sets(COVERAGE)]
    held = np.array([t >= 0 and found.classes[t] in s for t, s in zip(truth, sets, strict=True)])
    size = np.array([len(x) for x in sets])
    unknown = np.array(found.status) == "unknown"
    classes = np.array(found.classes)
    by_class = {
        str(name): {"n": int(rows.sum()), **_mean(covered=held[rows], size=size[rows])}
        for code, name in enumerate(classes)
        if (rows := truth == code).any()
    }
    groups = {}
    if cells.batches is not None:
        batches = cells.batches[fold.query]
        for name in np.unique(batches):
            rows = here & (batches == name)
            measured = _measures(found.probabilities[rows], truth[rows])
            del measured["curve"]
            means = _mean(covered=held[rows], size=size[rows], false_unknown=unknown[rows])
            groups[str(name)] = {**measured, **means}
    calibration = found.calibration
    assert calibration is not None
    n_groups, few = len(calibration.held_out.groups), calibration.few_groups()
    trusted = n_groups >= 3 and not few
    not_known = here & unknown
    return {
        "n": int(here.sum()),
        "n_new_types": int((truth < 0).sum()),
        "held_out": {"n": len(calibration.held_out), "groups": n_groups, "trusted": trusted, "few": few},
        "said": message,
        "methods": {
            OURS: _measures(found.probabilities[here], truth[here]),
            **_simple(cells, fold, classes, truth, here),
        },
        "coverage": {"asked": COVERAGE, **_mean(measured=held[here], size=size[here]), "by_class": by_class},
        **_mean(false_unknown=unknown[here]),
        "unknown_right": float((found.best == truth)[not_known].mean()) if not_known.any() else None,
        "groups": groups,
    }


def _mean(**columns: npt.NDArray[Any]) -> dict[str, float]:
    return {name: float(values.mean()) for name, values in columns.items()}


def _sets(cells: Cells, rows: Any) -> TokenSets:
    part = cells.matrix[rows].tocsr()
    part.sort_indices()
    return TokenSets.from_lists(
        [part.indices[a:b].tolist() for a, b in zip(part.indptr[:-1], part.indptr[1:], strict=True)]
    )


def _simple(cells: Cells, fold: Fold, classes: Any, truth: Any, here: Any) -> dict[str, Any]:
    """Votes without calibration, and a logistic regression whose temperature was fitted on folds."""
    from sklearn.neighbors import KNeighborsClassifier

    from atacsearch.training.metrics.neighbours import svd_vectors

    reference, query = _sets(cells, fold.reference), _sets(cells, fold.query)
    names = cells.labels[fold.reference]
    codes = np.searchsorted(classes, names)
    v = cells.matrix.shape[1]
    old, new = svd_vectors(reference, query, v)
    votes = KNeighborsClassifier(15, metric="cosine", algorithm="brute").fit(old, codes).predict_proba(new)
    found = {VOTES: _measures(votes[here], truth[here])}
    groups = None if cells.batches is None else cells.batches[fold.reference]
    part, _ = folds_of(names, groups, np.random.default_rng(0))
    for name, weight in LOGISTIC.items():
        p = _logistic(reference, query, codes, len(classes), part, v, weight)
        found[name] = _measures(p[here], truth[here])
    return found


def _logistic(
    reference: TokenSets, query: TokenSets, codes: Any, n_classes: int, part: Any, v: int, weight: str | None
) -> npt.NDArray[np.floating[Any]]:
    """[n, K] probabilities of the query by a regression on TF-IDF rows, its temperature fitted on folds."""
    idf = inverse_document_frequency(reference, v)
    x, xq = tfidf(reference, idf), tfidf(query, idf)
    out = np.full((len(codes), n_classes), -30.0)

    def fitted(rows: Any) -> LogisticRegression:
        model = LogisticRegression(C=10.0, max_iter=300, tol=1e-3, class_weight=weight)
        return model.fit(x[rows], codes[rows])

    for i in range(part.max() + 1):
        if len(np.unique(codes[part != i])) < 2:
            continue
        model = fitted(part != i)
        out[np.ix_(np.flatnonzero(part == i), model.classes_)] = model.decision_function(x[part == i])
    good = out[np.arange(len(codes)), codes] > -30
    powers = np.exp(np.linspace(-2, 2, 81))
    losses = [log_loss(softmax(p * out[good]), codes[good]) for p in powers]
    scores = fitted(np.ones(len(codes), bool)).decision_function(xq)
    return softmax(powers[int(np.argmin(losses))] * scores)


def unknown_row(cells: Cells, fold: Fold, left_out: tuple[str, ...]) -> dict[str, Any]:
    """AUROC of three scores that tell cells of types which the reference lacks from all others."""
    rng = np.random.default_rng(0)
    names = cells.labels
    reference = fold.reference[~np.isin(names[fold.reference], left_out)]
    query = fold.query[np.isin(names[fold.query], [*np.unique(names[reference]), *left_out])]
    if len(query) > MOST_QUERIES:
        query = np.sort(rng.choice(query, MOST_QUERIES, replace=False))
    new = np.isin(names[query], left_out)
    v = cells.matrix.shape[1]
    sets, asked = _sets(cells, reference), _sets(cells, query)
    table, _ = svd_table(sets, v)
    general = [unit(np.asarray(s.to_csr(v) @ table)) for s in (sets, asked)]
    idf = inverse_document_frequency(sets, v)
    groups = None if cells.batches is None else cells.batches[reference]
    held = cross_fit(sets, general[0], names[reference], groups, idf=idf, fresh=True)
    kinds = np.unique(names[reference])
    weights, calibration = calibrated(held, kinds, names[reference], sets.lengths, groups)
    head = fit_head(sets, general[0], names[reference], idf=idf, weights=weights)
    assert calibration is not None
    scores = head.scores(asked, general[1])
    p = calibration.probabilities(scores)
    novelty = calibration.novelty(scores, asked.lengths, encoder=head.encoder_scores(general[1]))
    nearest = np.concatenate(
        [(1 - block @ general[0].T).min(1) for block in np.array_split(general[1], 1 + len(query) // 500)]
    )
    unknown = novelty > calibration.novelty_limit()
    return {
        "n_new": int(new.sum()),
        "auroc": {
            OURS: float(roc_auc_score(new, novelty)),
            "1 - max p": float(roc_auc_score(new, 1 - p.max(1))),
            "nearest distance": float(roc_auc_score(new, nearest)),
        },
        "found": float(unknown[new].mean()),
        "false_unknown": float(unknown[~new].mean()),
    }


if __name__ == "__main__":
    main()
