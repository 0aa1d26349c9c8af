"""What label transfer found: calibrated probabilities of every class for every item, and the table made of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ...model.heads.calibration import FALSE_UNKNOWN, Calibration
from ...tokens.token_sets import TokenSets

if TYPE_CHECKING:
    import pyarrow as pa

Floats = npt.NDArray[np.floating[Any]]

ASSIGNED, UNKNOWN = "assigned", "unknown"
LEAST_SURE = 0.5  # without a calibration an item is unknown below this
FARTHEST = (
    0.9  # or where its nearest voter is further away than this: unrelated vectors are 1 from each other
)


@dataclass(frozen=True)
class LabelCalls:
    """The calls on one label.

    Attributes:
        label: the label column.
        by: what named the items, `head` or `neighbours`.
        classes: K values of the label.
        probabilities: [n, K] float64, rows adding up to 1; zeros for items without regions.
        nearest_distance: [n] cosine distance to the nearest voter; NaN where there is none.
        novelty: [n] how unlike the called class; NaN where nothing says.
        calibration: what made the probabilities; None where too few items were there to fit one.
        false_unknown: share of items like the reference that may be called unknown.
        least_sure: items whose confidence is lower are unknown.
    """

    label: str
    by: str
    classes: tuple[str, ...]
    probabilities: Floats
    nearest_distance: Floats
    novelty: Floats
    calibration: Calibration | None
    false_unknown: float = FALSE_UNKNOWN
    least_sure: float = 0.0

    @property
    def filled(self) -> npt.NDArray[np.bool_]:
        """[n] items that have a call."""
        return np.asarray(self.probabilities.any(1))

    @property
    def best(self) -> npt.NDArray[np.int64]:
        """[n] code of the most probable class; of equal ones the first by name; -1 without a call."""
        return np.where(self.filled, np.round(self.probabilities, 9).argmax(1), -1)

    @property
    def names(self) -> list[str | None]:
        """[n] best call of each item, None without one."""
        return [self.classes[i] if i >= 0 else None for i in self.best]

    @property
    def confidence(self) -> Floats:
        """[n] probability of the best call."""
        return np.asarray(self.probabilities.max(1, initial=0.0))

    @property
    def margin(self) -> Floats:
        """[n] confidence less the probability of the second class."""
        if len(self.classes) < 2:
            return self.confidence
        two = np.sort(self.probabilities, axis=1)[:, -2:]
        return np.asarray(two[:, 1] - two[:, 0])

    @property
    def limit(self) -> float:
        """Novelty above which an item is unknown; infinity where nothing says."""
        return np.inf if self.calibration is None else self.calibration.novelty_limit(self.false_unknown)

    @property
    def status(self) -> list[str]:
        """[n] `assigned` or `unknown`."""
        least = max(self.least_sure, LEAST_SURE if self.calibration is None else 0.0)
        known = self.filled & (self.confidence >= least) & ~(self.novelty > self.limit)
        if self.calibration is None and self.by == "neighbours":
            known &= ~(self.nearest_distance > FARTHEST)
        return [ASSIGNED if k else UNKNOWN for k in known]

    def sets(self, coverage: float) -> list[list[str]]:
        """[n] labels that together hold the truth at this rate, most probable first; never empty for a call.

        Raises:
            ValueError: without a calibration there are none.
        """
        if self.calibration is None:
            raise ValueError(f"{self.label}: no calibration, so no label sets")
        limit = self.calibration.set_limit(coverage)
        found: list[list[str]] = []
        for row, best in zip(self.probabilities, self.best, strict=True):
            if best < 0:
                found.append([])
                continue
            order = np.argsort(-row, kind="stable")
            inside = [int(i) for i in order if row[i] >= limit and row[i] > 0]
            found.append([self.classes[i] for i in inside or [int(best)]])
        return found

    def trust(self) -> str:
        """What the confidence was fitted on, in words."""
        if len(self.classes) < 2:
            only = f"{self.classes[0]} is the only answer, so confidence says nothing"
            return only if self.calibration is None else f"{only}; `unknown` is what is unlike it"
        if self.calibration is None:
            return "confidence is uncalibrated: too few reference items to fit it"
        held = self.calibration.held_out
        n = f"{len(held):,} held-out items"
        if len(held.groups) < 2:
            return f"confidence is uncalibrated beyond this reference: fitted on {n} of one group"
        few = self.calibration.few_groups()
        said = f"confidence was fitted on {n} of {len(held.groups)} groups ({held.column})"
        if not few:
            return f"{said}, each of which was left out in turn"
        shown = ", ".join(few[:4]) + (f" and {len(few) - 4} more" if len(few) > 4 else "")
        return f"{said}; it is uncalibrated for labels of fewer than 3 groups: {shown}"


@dataclass(frozen=True)
class Transfer:
    """Everything that one annotation found.

    Attributes:
        kind: collection of the items, `cells` or `bedfiles`.
        items: [n] the items as the user knows them.
        ids: [n] what their ids in an index would be.
        token_sets: [n] their regions.
        vectors: [n, d] float32 general vectors.
        calls: one for each label.
        reference: collection that named them.
    """

    kind: str
    items: tuple[str, ...]
    ids: tuple[str, ...]
    token_sets: TokenSets
    vectors: npt.NDArray[np.float32]
    calls: tuple[LabelCalls, ...]
    reference: str

    def table(self, coverage: float | None = None, statuses: Sequence[str | None] | None = None) -> pa.Table:
        """The calls as a `pyarrow.Table`, one row per item in input order; with several labels one per item and label.

        Args:
            coverage: adds a column `label_set`, see `LabelCalls.sets`.
            statuses: [n] other values of `status`, None where it stays.
        """
        import pyarrow as pa

        n, m = len(self.items), len(self.calls)
        order = np.arange(n * m).reshape(m, n).T.ravel()  # item by item

        def column(parts: Sequence[Iterable[Any]], kind: pa.DataType) -> pa.Array:
            return pa.array([x for part in parts for x in part], kind).take(pa.array(order))

        found: dict[str, Any] = {"item": column([self.items] * m, pa.string())}
        if m > 1:
            found["label_name"] = column([[c.label] * n for c in self.calls], pa.string())
        status = [
            [other or own for own, other in zip(c.status, statuses or [None] * n, strict=True)]
            for c in self.calls
        ]
        nearest = [[None if np.isnan(d) else float(d) for d in c.nearest_distance] for c in self.calls]
        found |= {
            "label": column([c.names for c in self.calls], pa.string()),
            "confidence": column([c.confidence for c in self.calls], pa.float64()),
            "margin": column([c.margin for c in self.calls], pa.float64()),
            "nearest_distance": column(nearest, pa.float64()),
            "status": column(status, pa.string()),
        }
        if coverage is not None:
            sets = [[";".join(labels) for labels in c.sets(coverage)] for c in self.calls]
            found["label_set"] = column(sets, pa.string())
        return pa.table(found)
