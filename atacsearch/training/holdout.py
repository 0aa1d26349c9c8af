"""Which cells early stopping looks at: a whole group where there are enough, else a stratified sample."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

MIN_GROUPS = 3  # with two groups, holding one out would cost half of the reference


def hold_out(
    codes: npt.NDArray[np.int64], groups: npt.NDArray[Any] | None, share: float, seed: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], str]:
    """Split rows into training and held-out ones.

    Args:
        codes: [n] class of each row.
        groups: [n] donor, library or replicate of each row, or None.
        share: wanted share of held-out rows.
        seed: of the draw.

    Returns:
        Training rows, held-out rows, and a sentence that says how they were chosen. A class never loses its
        last training row; a held-out row always belongs to a class that is trained.
    """
    rng = np.random.default_rng(seed)
    if groups is not None:
        names, sizes = np.unique(groups, return_counts=True)
        if len(names) >= MIN_GROUPS:
            name = names[np.argmin(np.abs(sizes - share * len(codes)))]
            held = np.flatnonzero(groups == name)
            trained = np.unique(codes[groups != name])
            held = held[np.isin(codes[held], trained)]
            if len(held):
                return np.flatnonzero(groups != name), held, f"the whole group '{name}'"
    picked: list[npt.NDArray[np.int64]] = []
    for code in np.unique(codes):
        rows = rng.permutation(np.flatnonzero(codes == code))
        picked.append(rows[: min(round(share * len(rows)), len(rows) - 1)].astype(np.int64))
    held = np.sort(np.concatenate(picked)).astype(np.int64)
    if not len(held):  # classes too small for the share: one row of the largest
        held = np.flatnonzero(codes == np.bincount(codes).argmax())[-1:]
    train = np.setdiff1d(np.arange(len(codes)), held)
    why = "one group only" if groups is None or len(set(groups.tolist())) < 2 else "fewer than three groups"
    return train, held, f"a random tenth of every class ({why})" if share == 0.1 else f"random cells ({why})"
