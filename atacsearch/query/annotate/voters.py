"""The nearest items of a reference that may vote on each query item."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from ...store.index.snapshot import Snapshot
    from ..reference.reference import Reference

Barred = Callable[[int, Sequence[str], npt.NDArray[np.float32]], set[str]]


def voters_of(
    snapshot: Snapshot,
    reference: Reference,
    vectors: npt.NDArray[np.float32],
    k: int,
    barred: Barred,
) -> list[tuple[list[str], npt.NDArray[np.float32]]]:
    """The k nearest labelled reference items of each vector, the item itself left out.

    More neighbours than k are asked for where some carry no label; the number grows fourfold for those items that
    still lack voters, until they have k or the collection ends.

    Args:
        snapshot: the generation to ask.
        reference: who may vote.
        vectors: [q, d] float32, none of them zero.
        k: number of voters.
        barred: `barred(q, ids, distance)` names those of query q's neighbours that must not vote.

    Returns:
        For each vector its voters' ids and distances, nearest first.
    """
    n = snapshot.count(reference.kind)
    found: list[tuple[list[str], npt.NDArray[np.float32]]] = [([], np.empty(0, np.float32))] * len(vectors)
    open_rows = np.arange(len(vectors))
    ask = min(n, int(np.ceil((k + 1) * n / len(reference.codes))) + 1)
    while len(open_rows):
        answer = snapshot.knn(
            reference.kind,
            vectors[open_rows],
            ask,
            where=list(reference.where) or None,
            name=reference.vector,
        )
        unfinished = []
        for row, ids, distance in zip(open_rows, answer.ids, answer.distance, strict=True):
            distance = distance[: len(ids)]
            out = barred(int(row), ids, distance)
            keep = [j for j, i in enumerate(ids) if i in reference.codes and i not in out][:k]
            found[row] = ([ids[j] for j in keep], distance[keep])
            if len(keep) < k and len(ids) == ask < n:
                unfinished.append(row)
        open_rows = np.asarray(unfinished, np.int64)
        ask = min(n, ask * 4)
    return found
