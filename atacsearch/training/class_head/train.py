"""Training a class head on labelled cells: `train celltype` with the loss `head`, its default.

The encoder stays as unlabelled training left it; the head makes a second vector, named after the label column,
by which that label is transferred. It is fitted on all cells, and before that once a fold, without the groups of
that fold: from those scores come its calibration and the figures of the model card.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import InputError
from ...model.checkpoints.checkpoint import GENERAL, Model
from ...model.device import choose_device
from ...tokens.tfidf import inverse_document_frequency
from ...tokens.token_sets import TokenSets
from ..metrics.comparison import labelled_rows
from ..metrics.neighbours import scores
from ..trainer.holdout import names_of
from ..trainer.state import RunFolder, fingerprint
from ..trainer.vectors import embed_sets
from .cross_fit import calibrated, cross_fit
from .fit import VIEWS, fit_head

Progress = Callable[[dict[str, Any]], None]
OURS, THEIRS = "this model", "TF-IDF + SVD + kNN"


def train_class_head(
    model: Model,
    label: str,
    sets: TokenSets,
    labels: Sequence[str | None],
    out: str | Path,
    *,
    unlabelled: TokenSets | None = None,
    batches: Sequence[str | None] | None = None,
    batch_column: str = "batch",
    kind: str = "cells",
    fresh: bool = False,
    seed: int = 0,
    device: str = "auto",
    restart: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Give `model` a head for `label` and save it in `out`.

    Args:
        model: a warm-started or pretrained model over the universe of `sets`; it gets the head.
        label: name of the label column, and of the new vector.
        sets: token sets of the cells.
        labels: label of each; cells without one (None) and empty cells are left out.
        out: folder for the checkpoint and `training.jsonl`.
        unlabelled: further sets, which count in the weights of regions.
        batches: donor, library or replicate of each cell; with two or more, whole ones are held out.
        batch_column: the name of their column, kept with the calibration.
        kind: `cells` or `bedfiles`: which items are trained on, and get the vector when they are indexed.
        fresh: whether the model is the warm start of its input and nothing else, see `cross_fit`.
        seed: of draws.
        device: `auto`, `cpu` or `cuda`.
        restart: begin anew where an unfinished run of another kind lies in `out`.
        progress: called with a record after each step.

    Returns:
        What was done: cells, classes, how cells were held out, and the figures of both methods on them.

    Raises:
        InputError: fewer than two classes; a label called as the encoder's own vector.
    """
    if label == GENERAL:
        raise InputError(f"--label {label}: the name of the vector without labels; rename the column")
    rows, codes, groups = labelled_rows(sets, labels, batches)
    classes = np.unique(np.array([str(labels[int(i)]) for i in rows]))
    if len(classes) < 2:
        raise InputError(f"cell-type training needs at least 2 labels, got {classes.tolist()}")
    cells, names = sets.take(rows), classes[codes]
    n_regions = model.config.n_regions
    run = RunFolder(
        out,
        fingerprint({"task": "class head", "label": label, "seed": seed, "classes": classes.tolist()}, cells),
        restart=restart,  # it keeps no state of its own, since all of it takes some minutes
    )
    run.log(event="start", cells=len(cells), classes=len(classes))

    def done(step: int, steps: int, stage: str = "encoding") -> None:
        if progress is not None:
            progress({"stage": stage, "epoch": 0, "step": step, "steps": steps})

    model.module.to(choose_device(device))
    general = embed_sets(model, cells, progress=done)
    model.module.to("cpu")
    idf = inverse_document_frequency(
        cells if unlabelled is None else TokenSets.concat([cells, unlabelled]), n_regions
    )
    held = cross_fit(
        cells,
        general,
        names,
        groups,
        idf=idf,
        unlabelled=unlabelled,
        fresh=fresh,
        seed=seed,
        done=lambda step, steps: done(step, steps, "held-out folds"),
    )
    weights, calibration = calibrated(
        held, classes, names, cells.lengths, groups, batch_column if len(names_of(groups)) > 1 else ""
    )
    called = held.scores(weights).argmax(1) if calibration is None else calibration.held_out.called
    figures = {}
    if len(held.rows):
        figures = {
            OURS: scores(names[held.rows], classes[called]),
            THEIRS: scores(names[held.rows], held.simple.astype(str)),
        }
        run.log(event="held out", **{f"held_out_{k}": v for k, v in figures[OURS].items()})
    head = fit_head(cells, general, names, idf=idf, unlabelled=unlabelled, weights=weights, seed=seed)
    model.heads[label] = replace(head, kind=kind, calibration=calibration)
    done(1, 2, "class head")
    summary = {
        "cells": len(cells),
        "cells_held_out": len(held.rows),
        "held_out": held.how,
        "weights_of_views": {
            f"{view.source}{view.rank or ''}, C={view.strength:g}": round(float(weight), 3)
            for view, weight in zip(VIEWS, weights, strict=True)
        },
        "classes": classes.tolist(),
        "held_out_accuracy": figures[OURS]["accuracy"] if figures else None,
        "figures": figures,
    }
    model.own["celltype"] = {"loss": "head", "seed": seed, **summary}
    model.save(out)
    run.log(event="done", **summary)
    run.finish()
    return summary
