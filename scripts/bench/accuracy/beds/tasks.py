"""Tasks on bulk BED files: which label is asked, of which files, and which other files may answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]
Columns = Mapping[str, npt.NDArray[np.str_]]
FOLDS = 10
FAMILIES = {"ATAC-seq": "accessibility", "DNase-seq": "accessibility"}


@dataclass(frozen=True)
class Task:
    """A question.

    Attributes:
        name: in tables.
        label: column of the answer.
        among: column to values: files that are asked and that may answer; empty for all.
        must_differ: columns: a file that has the same values in all of them as the asked one may not answer, and is
            never trained on with it left out. Empty for a plain leave-one-out.
    """

    name: str
    label: str
    among: Mapping[str, Sequence[str]]
    must_differ: tuple[str, ...] = ()

    def files(self, columns: Columns) -> npt.NDArray[np.int64]:
        """Rows that have the label and belong to the task."""
        there = columns[self.label] != ""
        for column, values in self.among.items():
            there = there & np.isin(columns[column], list(values))
        return np.flatnonzero(there)

    def where(self) -> list[str]:
        """Conditions of the same meaning for `annotate --where`."""
        return [f"{column} in ({', '.join(map(_quoted, values))})" for column, values in self.among.items()]

    def groups(self, columns: Columns) -> npt.NDArray[np.str_]:
        """[n] what is left out together: the values of `must_differ`, else the file itself."""
        if not self.must_differ:
            return np.arange(len(columns[self.label])).astype(str)
        return joined(columns, self.must_differ)


CELL_LINE = {"cell_type_kind": ("cell line",)}
TISSUE = {"collection": ("svmil_tissue_assay",), "cell_type_kind": ("tissue", "primary cell")}
TASKS = (
    Task("assay family", "assay_family", {}),
    Task("histone mark", "target", {"assay": ("Histone ChIP-seq",)}),
    Task("TF target, other cell lines only", "target", {"assay": ("TF ChIP-seq",)}, ("cell_type",)),
    Task("cell line, other targets only", "cell_type", CELL_LINE, ("assay", "target")),
    Task("cell line", "cell_type", CELL_LINE),
    Task("tissue, other assays only", "cell_type", TISSUE, ("assay", "target")),
)


def joined(columns: Columns, names: Sequence[str]) -> npt.NDArray[np.str_]:
    """[n] the values of several columns as one word."""
    return np.array(["|".join(values) for values in zip(*(columns[n] for n in names), strict=True)])


def with_families(columns: Columns) -> dict[str, npt.NDArray[np.str_]]:
    """The columns, and `assay_family`: ATAC and DNase are one, where there is a column `assay`."""
    out = dict(columns)
    if "assay" in out and "assay_family" not in out:
        out["assay_family"] = np.array([FAMILIES.get(a, a) for a in out["assay"]])
    return out


def allowed(groups: npt.NDArray[Any], rows: npt.NDArray[np.int64], also_different: Any = None) -> Mask:
    """[n, n] over `rows`: whether the file of the column may answer for that of the row.

    Args:
        groups: [all] what is left out together.
        rows: the task's files.
        also_different: [all] another grouping, such as the collection, that must differ too; or None.
    """
    group = groups[rows]
    out = np.asarray(group[:, None] != group[None, :])
    if also_different is not None:
        other = also_different[rows]
        out &= other[:, None] != other[None, :]
    out &= ~np.eye(len(rows), dtype=bool)
    return out


def answerable(labels: npt.NDArray[np.str_], may: Mask) -> Mask:
    """[n] whether some file that may answer has the right label."""
    return np.asarray(((labels[:, None] == labels[None, :]) & may).any(1))


def folds(
    labels: npt.NDArray[np.str_], groups: npt.NDArray[Any], n: int = FOLDS
) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """At most `n` folds of whole groups: training and left-out rows; the same each time."""
    import warnings

    from sklearn.model_selection import GroupKFold, KFold, StratifiedKFold

    names = np.unique(groups)
    if len(names) < len(groups):
        yield from GroupKFold(min(n, len(names))).split(labels, labels, groups)
        return
    most = int(np.unique(labels, return_counts=True)[1].max())
    if most < 2:
        yield from KFold(min(n, len(labels)), shuffle=True, random_state=0).split(labels)
        return
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The least populated class")
        yield from StratifiedKFold(min(n, most), shuffle=True, random_state=0).split(labels, labels)


def _quoted(value: str) -> str:
    return f"'{value}'" if " " in value else value
