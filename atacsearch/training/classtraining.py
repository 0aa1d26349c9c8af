"""Training a class head on labelled cells: `train celltype` with the loss `head`, its default.

The encoder stays as unlabelled training left it; the head makes a second vector, named after the label column,
by which that label is transferred. It is fitted twice: without the held-out cells, for the figures, then on all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..genome.tokensets import TokenSets
from ..genome.weighting import inverse_document_frequency
from ..model.checkpoint import Model
from ..model.device import choose_device
from .classfit import fit_class_head
from .comparison import REFERENCE, labelled_rows
from .holdout import hold_out
from .neighbours import nearest, scores, svd_vectors
from .state import RunFolder, fingerprint
from .vectors import embed_sets

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
    kind: str = "cells",
    holdout: float = 0.1,
    seed: int = 0,
    device: str = "auto",
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
        batches: donor, library or replicate of each cell; with three or more a whole one is held out.
        kind: `cells` or `bedfiles`: which items are trained on, and get the vector when they are indexed.
        holdout: share of the cells that are held out for the figures.
        seed: of the held-out cells.
        device: `auto`, `cpu` or `cuda`.
        progress: called with a record after each step.

    Returns:
        What was done: cells, classes, how cells were held out, and the figures of both methods on them.

    Raises:
        InputError: fewer than two classes.
    """
    rows, codes, groups = labelled_rows(sets, labels, batches)
    classes = np.unique(np.array([str(labels[int(i)]) for i in rows]))
    if len(classes) < 2:
        raise InputError(f"cell-type training needs at least 2 labels, got {classes.tolist()}")
    cells, names = sets.take(rows), classes[codes]
    n_regions = model.config.n_regions
    train, held, how = hold_out(codes, groups, holdout, seed)
    run = RunFolder(
        out,
        fingerprint({"task": "class head", "label": label, "seed": seed, "classes": classes.tolist()}, cells),
        restart=True,  # there is nothing to resume: all of it takes a minute or so
    )
    run.log(event="start", cells=len(cells), classes=len(classes), held_out=how)

    def done(step: int, steps: int, stage: str = "encoding") -> None:
        if progress is not None:
            progress({"stage": stage, "epoch": 0, "step": step, "steps": steps})

    model.module.to(choose_device(device))
    general = embed_sets(model, cells, progress=done)
    model.module.to("cpu")
    idf = inverse_document_frequency(
        cells if unlabelled is None else TokenSets.concat([cells, unlabelled]), n_regions
    )
    voters = train
    if len(train) > REFERENCE:
        voters = np.sort(np.random.default_rng(seed).choice(train, REFERENCE, replace=False))
    joined = unlabelled is not None
    trial = fit_class_head(
        cells.take(train), general[train], names[train], idf=idf, n_regions=n_regions, joined=joined
    )
    ours = [trial.vectors(cells.take(r), general[r]) for r in (voters, held)]
    theirs = svd_vectors(cells.take(voters), cells.take(held), n_regions, seed=seed)
    figures = {
        method: scores(names[held], nearest(a, names[voters], b))
        for method, (a, b) in {OURS: ours, THEIRS: theirs}.items()
    }
    done(0, 2, "class head")
    run.log(event="held out", **{f"held_out_{k}": v for k, v in figures[OURS].items()})
    head = fit_class_head(cells, general, names, idf=idf, n_regions=n_regions, joined=joined)
    model.heads[label] = replace(head, kind=kind)
    done(1, 2, "class head")
    summary = {
        "cells": len(cells),
        "cells_held_out": len(held),
        "held_out": how,
        "classes": classes.tolist(),
        "held_out_accuracy": figures[OURS]["accuracy"],
        "figures": figures,
    }
    model.own["celltype"] = {"loss": "head", "seed": seed, **summary}
    model.save(out)
    run.log(event="done", **summary)
    run.finish()
    return summary
