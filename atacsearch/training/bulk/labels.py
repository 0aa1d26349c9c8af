"""Labels of BED files: which label refines which, which cross, and what kinds of files they make together.

Two labels cross where neither settles the other: a target is seen in many cell types and a cell type with many
targets. What crosses a label is what its vector must not depend on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Codes = npt.NDArray[np.int64]
SETTLED = 0.95  # share of files from which one label settles another
NOTHING = ""  # how a missing label is written in a joint one


@dataclass(frozen=True)
class LabelTable:
    """Label columns of n files.

    Attributes:
        columns: label -> [n] value or None.
    """

    columns: Mapping[str, Sequence[str | None]]

    def codes(self, labels: Sequence[str]) -> tuple[Codes, list[tuple[str, ...]]]:
        """[n] class of each file by several labels together, -1 where it has none of them; and the classes.

        Of several labels a missing one is a value of its own: files of an assay without targets are a kind.
        """
        rows = list(zip(*(self.columns[name] for name in labels), strict=True))
        keys = [None if all(v is None for v in row) else tuple(v or NOTHING for v in row) for row in rows]
        names = sorted({key for key in keys if key is not None})
        place = {key: i for i, key in enumerate(names)}
        return np.array([-1 if key is None else place[key] for key in keys], np.int64), names

    def take(self, rows: npt.NDArray[np.int64]) -> LabelTable:
        """The table of some files."""
        return LabelTable({name: [values[i] for i in rows] for name, values in self.columns.items()})

    def settles(self, fine: str, coarse: str) -> bool:
        """Whether files that share `fine` nearly always share `coarse`; classes of one file say nothing."""
        a, b = self.codes([fine])[0], self.codes([coarse])[0]
        both = (a >= 0) & (b >= 0)
        agree = total = 0
        for code in np.unique(a[both]):
            values = b[both & (a == code)]
            if len(values) > 1:
                agree, total = agree + int(np.bincount(values).max()), total + len(values)
        return total > 0 and agree >= SETTLED * total

    def settled_by(self, label: str) -> list[str]:
        """Labels that `label` settles, coarsest first."""
        return self._by_size([x for x in self.columns if x != label and self.settles(label, x)])

    def settling(self, label: str) -> list[str]:
        """Labels that settle `label` and are not settled by it: a target settles the assay, coarsest first."""
        return self._by_size(
            [x for x in self.columns if x != label and self.settles(x, label) and not self.settles(label, x)]
        )

    def crossing(self, label: str) -> list[str]:
        """Labels that cross `label`, coarsest first."""
        return self._by_size(
            [
                x
                for x in self.columns
                if x != label and not self.settles(label, x) and not self.settles(x, label)
            ]
        )

    def _by_size(self, labels: list[str]) -> list[str]:
        return sorted(labels, key=lambda name: (len(self.codes([name])[1]), name))
