"""`CellSource`: one file of cells, as a reader is told of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .labels import LabelValue
from .options import SourceKind


@dataclass(frozen=True)
class CellSource:
    """A file or folder of cells that a reader reads.

    Attributes:
        path: where it is.
        kind: its format; `inputs.detect` tells it, readers do not ask.
        name: the path as the user gave it; messages begin with it.
        sample: first part of the cells' ids, `sample#barcode`.
        labels: label column -> the one value of all cells (the row of a manifest).
    """

    path: Path
    kind: SourceKind
    name: str
    sample: str
    labels: Mapping[str, LabelValue] = field(default_factory=dict)

    @property
    def genome(self) -> str | None:
        """The genome that the manifest names; None where it names none."""
        named = self.labels.get("genome")
        return None if named is None else str(named)

    @property
    def constants(self) -> dict[str, LabelValue | None]:
        """Label columns that have one value for all cells: the sample, then the manifest's."""
        return {"sample": self.sample, **self.labels}

    def ids(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Ids of cells in an index, from their names in the file."""
        return tuple(f"{self.sample}#{name}" for name in names)
