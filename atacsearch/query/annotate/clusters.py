"""Majority calls of the query's own clusters, beside each item's call and never instead of it.

A cluster's label is the class with the largest mean probability over its items, as a vote in which each item counts as
much as it is sure. Calls of single items stay as they are: smoothing them over neighbours within the query made labels
worse on every data set that was tried.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...errors import InputError
from .calls import LabelCalls


def cluster_calls(
    calls: LabelCalls, clusters: Sequence[str | None]
) -> tuple[list[str | None], list[float | None]]:
    """The majority label of each item's cluster, and the share of the cluster's items that are called so.

    Args:
        calls: of n items.
        clusters: [n] cluster of each item; None for none.

    Returns:
        [n] labels and [n] shares of the called items of the cluster; None for items without a cluster, and in clusters
        where no item has a call.
    """
    names = sorted({c for c in clusters if c is not None})
    place = {name: i for i, name in enumerate(names)}
    codes = np.array([-1 if c is None else place[c] for c in clusters])
    labels: list[str | None] = [None] * len(codes)
    shares: list[float | None] = [None] * len(codes)
    for i in range(len(names)):
        rows = np.flatnonzero(codes == i)
        called = rows[calls.filled[rows]]
        if not len(called):
            continue
        best = int(np.round(calls.probabilities[called].mean(0), 9).argmax())
        share = float((calls.best[called] == best).mean())
        for row in rows:
            labels[row], shares[row] = calls.classes[best], share
    return labels, shares


def check_clusters(column: str, values: Sequence[str | None] | None) -> Sequence[str | None]:
    """The query's clusters. Raises `InputError` where no input has the column or all its values are missing."""
    if values is None or all(v is None for v in values):
        raise InputError(f"--clusters {column}: the input has no such column with values (obs of an h5ad)")
    return values
