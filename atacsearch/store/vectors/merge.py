"""One answer made of the answers of several parts."""

from __future__ import annotations

from collections.abc import Sequence

from .base import Hits


def merge_hits(answers: Sequence[Hits], n: int, k: int) -> Hits:
    """The k best of each query over the answers of several parts; ties by id."""
    merged: Hits = []
    for i in range(n):
        hits = [hit for answer in answers for hit in answer[i]]
        merged.append(sorted(hits, key=lambda hit: (-hit[1], hit[0]))[:k])
    return merged
