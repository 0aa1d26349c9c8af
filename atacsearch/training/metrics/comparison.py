"""The model and the simple method on the same held-out items, for the model card."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ...model.checkpoints.checkpoint import Model
from ...tokens.token_sets import TokenSets
from ..trainer.holdout import groups_at
from ..trainer.vectors import embed_sets
from .neighbours import nearest, scores, svd_vectors

Rows = npt.NDArray[np.int64]
REFERENCE = 20_000  # training items that vote, at the most, so that a card takes seconds


def labelled_rows(
    sets: TokenSets, labels: Sequence[str | None], batches: Sequence[str | None] | None
) -> tuple[Rows, Rows, npt.NDArray[Any] | None]:
    """The items that labelled training uses, those with a label and a token.

    Returns:
        Their rows, the code of each one's label (in sorted order of labels), and its batch (`holdout.NO_GROUP` where
        it has none) or None.
    """
    rows = np.flatnonzero(
        [label is not None and n > 0 for label, n in zip(labels, sets.lengths, strict=True)]
    )
    _, codes = np.unique(np.array([str(labels[int(i)]) for i in rows]), return_inverse=True)
    groups = None if batches is None else groups_at(batches, rows)
    return rows, codes.astype(np.int64), groups


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
        "this model": scores(labels[held], ours),
        "TF-IDF + SVD + kNN": scores(labels[held], theirs),
    }
