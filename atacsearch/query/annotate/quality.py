"""Items with too few open regions to be named: `low_quality`.

The limit is that of the reference itself, as single-cell workflows set it (McCarthy et al. 2017,
doi:10.1093/bioinformatics/btw777: outliers by the median absolute deviation of log counts), and never below a floor:
an item is `low_quality` where its number of open regions is below

    max(FLOOR, exp(median - max(MADS * 1.4826 * MAD, ln 2))),   median and MAD of ln(open regions) over the reference

so an item with half of the reference's median is never one, be the reference ever so even. Where the reference is of
another kind than the query (cells named by BED files) only the floor counts, since the two numbers have nothing to do
with each other. An item without any region of the universe stays `unknown`: it has no call at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from ...store.index.snapshot import Snapshot
    from ..session import Session

LOW_QUALITY = "low_quality"
FLOOR = 10  # open regions; below it no call is more than a guess
MADS = 3.0
SAMPLE = 2000  # reference items whose depth is looked at
_NORMAL = 1.4826  # MAD of a normal distribution times this is its standard deviation


def depth_limit(lengths: npt.NDArray[np.integer]) -> float:
    """The number of open regions below which an item is of low quality.

    Args:
        lengths: [n] open regions of reference items; empty ones are left out.

    Example:
        >>> round(depth_limit(np.array([1500, 2000, 2500, 0])))
        741
        >>> depth_limit(np.array([], int))
        10.0
    """
    some = np.asarray(lengths)[np.asarray(lengths) > 0]
    if not len(some):
        return float(FLOOR)
    log = np.log(some)
    middle = np.median(log)
    spread = _NORMAL * np.median(np.abs(log - middle))
    return max(float(FLOOR), float(np.exp(middle - max(MADS * spread, np.log(2)))))


def is_low_quality(lengths: npt.NDArray[np.integer], limit: float) -> npt.NDArray[np.bool_]:
    """[n] whether items have some, but too few open regions."""
    lengths = np.asarray(lengths)
    return (lengths > 0) & (lengths < limit)


def reference_limit(session: Session, snapshot: Snapshot, kind: str, same_kind: bool) -> float:
    """`depth_limit` of a collection, from a seeded sample of its items; kept in memory for the generation.

    Args:
        session: keeps it.
        snapshot: the generation.
        kind: collection that votes.
        same_kind: whether the query's items are of that collection.
    """
    if not same_kind:
        return float(FLOOR)
    key: Any = ("depth", snapshot.generation, kind)
    if key not in session.fitted:
        ids = sampled(snapshot.all_ids(kind), SAMPLE)
        session.fitted[key] = depth_limit(snapshot.rows(kind, ids, ["n_tokens"])["n_tokens"].to_numpy())
    return float(session.fitted[key])


def sampled(ids: list[str], n: int, seed: int = 0) -> list[str]:
    """At most n of the ids, drawn with a seed from their sorted order."""
    ids = sorted(ids)
    if len(ids) <= n:
        return ids
    rows = np.random.default_rng(seed).choice(len(ids), n, replace=False)
    return [ids[i] for i in np.sort(rows)]
