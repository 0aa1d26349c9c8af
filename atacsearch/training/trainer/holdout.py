"""Which items training uses, and which of them it holds out: a whole group where there are enough, else a sample."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ...tokens.token_sets import TokenSets

NO_GROUP = ""  # of an item whose donor, library or collection nobody stated: it trains, and is never held out
MIN_GROUPS = 3  # with two groups, holding one out would cost half of the reference


def groups_at(groups: Sequence[str | None], rows: npt.NDArray[np.int64]) -> npt.NDArray[np.str_]:
    """[m] group of each of these rows, `NO_GROUP` where it has none."""
    return np.array(
        [NO_GROUP if groups[int(i)] is None else str(groups[int(i)]) for i in rows], dtype=np.str_
    )


def labelled_rows(
    sets: TokenSets, labels: Sequence[str | None], batches: Sequence[str | None] | None
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.str_], npt.NDArray[np.int64], npt.NDArray[np.str_] | None]:
    """The items that labelled training uses: those with a label and a token.

    Returns:
        [m] their rows; [K] the labels that there are, sorted; [m] the code of each item's label; [m] its batch
        (`NO_GROUP` where it has none), or None without `batches`.
    """
    rows = np.flatnonzero(
        [label is not None and n > 0 for label, n in zip(labels, sets.lengths, strict=True)]
    )
    classes, codes = np.unique(np.array([str(labels[int(i)]) for i in rows]), return_inverse=True)
    groups = None if batches is None else groups_at(batches, rows)
    return rows, classes, codes.astype(np.int64), groups


def names_of(groups: npt.NDArray[Any] | None) -> list[str]:
    """The groups that there are, sorted."""
    return [] if groups is None else [str(name) for name in np.unique(groups) if name != NO_GROUP]


def dealt_by_class(names: npt.NDArray[Any], folds: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """[n] fold of each row, every class dealt out at random, folds of equal size."""
    fold = np.zeros(len(names), np.int64)
    at = 0
    for name in np.unique(names):
        rows = rng.permutation(np.flatnonzero(names == name))
        fold[rows] = (np.arange(len(rows)) + at) % folds
        at += len(rows)
    return fold


def hold_out(
    codes: npt.NDArray[np.int64], groups: npt.NDArray[Any] | None, share: float, seed: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], str]:
    """Split rows into training and held-out ones.

    Args:
        codes: [n] class of each row.
        groups: [n] donor, library or replicate of each row, `NO_GROUP` where it has none, or None.
        share: wanted share of held-out rows.
        seed: of the draw.

    Returns:
        Training rows, held-out rows, and a sentence that says how they were chosen. A class never loses its
        last training row; a held-out row always belongs to a class that is trained.

    Raises:
        InputError: every class has one row.
    """
    rng = np.random.default_rng(seed)
    names = names_of(groups)
    if groups is not None and len(names) >= MIN_GROUPS:
        sizes = np.array([np.count_nonzero(groups == name) for name in names])
        name = names[int(np.argmin(np.abs(sizes - share * len(codes))))]
        held = np.flatnonzero(groups == name)
        trained = np.unique(codes[groups != name])
        held = held[np.isin(codes[held], trained)]
        if len(held):
            return np.setdiff1d(np.arange(len(codes)), held), held, f"the whole group '{name}'"
    if np.bincount(codes).max() < 2:
        raise InputError(
            "every label has one item, so none can be held out; --loss head, the default, can do without"
        )
    picked: list[npt.NDArray[np.int64]] = []
    for code in np.unique(codes):
        rows = rng.permutation(np.flatnonzero(codes == code))
        picked.append(rows[: min(round(share * len(rows)), len(rows) - 1)].astype(np.int64))
    held = np.sort(np.concatenate(picked)).astype(np.int64)
    if not len(held):  # classes too small for the share: one row of the largest
        held = np.flatnonzero(codes == np.bincount(codes).argmax())[-1:]
    train = np.setdiff1d(np.arange(len(codes)), held)
    why = "one group only" if len(names) < 2 else "fewer than three groups"
    return train, held, f"a random tenth of every class ({why})" if share == 0.1 else f"random cells ({why})"
