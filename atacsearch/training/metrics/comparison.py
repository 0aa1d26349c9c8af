"""The model and the simple method on the same held-out items, for the model card."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ...model.checkpoints.checkpoint import Model
from ...tokens.token_sets import TokenSets
from ..trainer.vectors import embed_sets
from .neighbours import nearest, scores, svd_vectors

Rows = npt.NDArray[np.int64]
OUR_METHOD, SIMPLE_METHOD = "this model", "TF-IDF + SVD + kNN"  # as model cards name them
REFERENCE = 20_000  # training items that vote, at the most, so that a card takes seconds


def compare_held_out(
    model: Model, sets: TokenSets, labels: npt.NDArray[Any], train: Rows, held: Rows, seed: int
) -> dict[str, dict[str, float]]:
    """Accuracy and macro-F1 of nearest neighbours on held-out items, with the model's vectors and without.

    Args:
        model: the trained model.
        sets: all labelled sets.
        labels: [n] label of each.
        train: rows that vote; a random part where there are very many.
        held: rows that are scored.
        seed: of draws.

    Returns:
        Method -> accuracy and macro-F1.
    """
    voters = train
    if len(train) > REFERENCE:
        voters = np.sort(np.random.default_rng(seed).choice(train, REFERENCE, replace=False))
    reference, query = sets.take(voters), sets.take(held)
    ours = nearest(embed_sets(model, reference), labels[voters], embed_sets(model, query))
    old, new = svd_vectors(reference, query, model.config.n_regions, seed=seed)
    theirs = nearest(old, labels[voters], new)
    return {
        OUR_METHOD: scores(labels[held], ours),
        SIMPLE_METHOD: scores(labels[held], theirs),
    }
