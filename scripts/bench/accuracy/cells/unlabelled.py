"""Vectors of cells from a model that has seen no label."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench.common.commands import command
from bench.common.datasets import Cells, Fold
from bench.common.folds import write_fold


def vectors_without_labels(cells: Cells, way: str, seed: int) -> npt.NDArray[np.float32]:
    """[n, d] vectors of all cells from a model that has seen no label.

    Args:
        cells: the cells.
        way: `warm start` (a fresh model of `train celltype`, before training) or `pretrained` (`train pretrain`
            with its defaults).
        seed: of the model.
    """
    from atacsearch.model.checkpoints.checkpoint import load_model
    from atacsearch.model.encoding.encoder import Encoder
    from atacsearch.training.recipes.inputs import prepare
    from atacsearch.training.recipes.options import RunOptions
    from atacsearch.training.trainer.warm_start import warm_start

    everyone = np.arange(len(cells.ids))
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        source = write_fold(cells, Fold("all", everyone, everyone[:1]), folder).query.with_name(
            "reference.h5ad"
        )
        work = prepare([source], RunOptions(universe=cells.universe, seed=seed))
        if way == "warm start":
            warm_start(work.model, work.sets, seed=seed)
            model = work.model
        else:
            words = [] if cells.universe is None else ["--universe", cells.universe]
            command("train", "pretrain", source, "--seed", seed, "-o", folder / "model", *words)
            model = load_model(folder / "model")
        return Encoder(model).encode(work.sets)
