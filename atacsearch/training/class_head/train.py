"""Training a class head on labelled cells: `train celltype` with the loss `head`, its default.

The encoder stays as unlabelled training left it; the head makes a second vector, named after the label column,
by which that label is transferred. It is fitted on all cells, and before that once a fold, without the groups of
that fold: from those scores come its calibration and the figures of the model card.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypedDict

import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ...model.checkpoints.checkpoint import GENERAL, Model
from ...model.device import choose_device
from ...model.heads.calibration import Calibration
from ...tokens.tfidf import inverse_document_frequency
from ...tokens.token_sets import TokenSets
from ..metrics.comparison import OUR_METHOD, SIMPLE_METHOD
from ..metrics.neighbours import scores
from ..trainer.holdout import labelled_rows, names_of
from ..trainer.progress import Progress
from ..trainer.state import RunFolder, fingerprint
from ..trainer.vectors import embed_sets
from .cross_fit import CrossFit, calibrated, cross_fit
from .fit import VIEWS, fit_head


class HeadSummary(TypedDict):
    """What training a class head did.

    Attributes:
        cells, cells_held_out: cells with a label, and those of them that a head without their fold has scored.
        held_out: how folds were made, in words.
        weights_of_views: weight of each view in the head.
        classes: the labels.
        held_out_accuracy: share of held-out cells that are named right; None without any.
        figures: method -> accuracy and macro-F1 on the held-out cells; empty without any.
    """

    cells: int
    cells_held_out: int
    held_out: str
    weights_of_views: dict[str, float]
    classes: list[str]
    held_out_accuracy: float | None
    figures: dict[str, dict[str, float]]


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
) -> HeadSummary:
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
        What was done.

    Raises:
        InputError: fewer than two classes; a label called as the encoder's own vector.
    """
    if label == GENERAL:
        raise InputError(f"--label {label}: the name of the vector without labels; rename the column")
    rows, classes, codes, groups = labelled_rows(sets, labels, batches)
    if len(classes) < 2:
        raise InputError(f"cell-type training needs at least 2 labels, got {classes.tolist()}")
    cells, names = sets.take(rows), classes[codes]
    about = {"task": "class head", "label": label, "seed": seed, "classes": classes.tolist()}
    # It keeps no state of its own, since all of it takes some minutes.
    run = RunFolder(out, fingerprint(about, cells), restart=restart)
    run.log(event="start", cells=len(cells), classes=len(classes))

    general = _encoded(model, cells, device, _steps_of("encoding", progress))
    everyone = cells if unlabelled is None else TokenSets.concat([cells, unlabelled])
    idf = inverse_document_frequency(everyone, model.config.n_regions)
    held = cross_fit(
        cells,
        general,
        names,
        groups,
        idf=idf,
        unlabelled=unlabelled,
        fresh=fresh,
        seed=seed,
        done=_steps_of("held-out folds", progress),
    )
    column = batch_column if len(names_of(groups)) > 1 else ""
    weights, calibration = calibrated(held, classes, names, cells.lengths, groups, column)
    figures = _figures(held, weights, calibration, classes, names)
    if figures:
        run.log(event="held out", **{f"held_out_{k}": v for k, v in figures[OUR_METHOD].items()})
    head = fit_head(cells, general, names, idf=idf, unlabelled=unlabelled, weights=weights, seed=seed)
    model.heads[label] = replace(head, kind=kind, calibration=calibration)
    _steps_of("class head", progress)(1, 2)
    summary = _summary(cells, held, weights, classes, figures)
    model.own["celltype"] = {"loss": "head", "seed": seed, **summary}
    model.save(out)
    run.log(event="done", **summary)
    run.finish()
    return summary


def _encoded(
    model: Model, cells: TokenSets, device: str, progress: Callable[[int, int], None]
) -> npt.NDArray[np.float32]:
    """[n, d] the encoder's vectors; the network is on the CPU afterwards."""
    model.module.to(choose_device(device))
    vectors = embed_sets(model, cells, progress=progress)
    model.module.to("cpu")
    return vectors


def _steps_of(stage: str, progress: Progress | None) -> Callable[[int, int], None]:
    """A function that reports the number of the step and of all steps of one stage."""

    def done(step: int, steps: int) -> None:
        if progress is not None:
            progress({"stage": stage, "epoch": 0, "step": step, "steps": steps})

    return done


def _summary(
    cells: TokenSets,
    held: CrossFit,
    weights: npt.NDArray[np.float64],
    classes: npt.NDArray[np.str_],
    figures: dict[str, dict[str, float]],
) -> HeadSummary:
    """What was done; a view is named by what it sees and how strongly it is regularised."""
    return {
        "cells": len(cells),
        "cells_held_out": len(held.rows),
        "held_out": held.how,
        "weights_of_views": {
            f"{view.source}{view.rank or ''}, C={view.strength:g}": round(float(weight), 3)
            for view, weight in zip(VIEWS, weights, strict=True)
        },
        "classes": classes.tolist(),
        "held_out_accuracy": figures[OUR_METHOD]["accuracy"] if figures else None,
        "figures": figures,
    }


def _figures(
    held: CrossFit,
    weights: npt.NDArray[np.float64],
    calibration: Calibration | None,
    classes: npt.NDArray[np.str_],
    names: npt.NDArray[np.str_],
) -> dict[str, dict[str, float]]:
    """Accuracy and macro-F1 of both methods on the held-out cells; nothing without any."""
    if not len(held.rows):
        return {}
    called = held.scores(weights).argmax(1) if calibration is None else calibration.held_out.called
    return {
        OUR_METHOD: scores(names[held.rows], classes[called]),
        SIMPLE_METHOD: scores(names[held.rows], held.simple.astype(str)),
    }
