"""Who may vote: the items of an index with a label that somebody gave them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import InputError
from ...spelling import did_you_mean
from ..session import VECTOR

if TYPE_CHECKING:
    import numpy.typing as npt

    from ...store.index.snapshot import Snapshot
    from ..session import Session

ORIGIN = "_origin"  # `cell_type_origin`: author, ontology-mapped or predicted
PREDICTED = "predicted"
OURS = "atacsearch_"  # columns that `annotate` wrote
FEW = 5  # items of every class that any draw of voters holds, where there are so many


@dataclass(frozen=True)
class Reference:
    """The items of one generation that may vote on one label.

    Attributes:
        kind: collection, `cells` or `bedfiles`.
        label: column whose values are transferred.
        classes: the values, sorted.
        codes: class of every item that may vote, by id.
        where: conditions on the voters.
        vector: name of the vectors that are compared.
        narrowed: whether the voters are fewer than the items that have the label.
    """

    kind: str
    label: str
    classes: tuple[str, ...]
    codes: dict[str, int]
    where: tuple[str, ...] = ()
    vector: str = VECTOR
    narrowed: bool = False

    @property
    def key(self) -> tuple[Any, ...]:
        """What tells this reference from another one of the same generation."""
        return self.kind, self.label, self.where, self.vector, self.classes, len(self.codes)


def reference_of(
    session: Session,
    snapshot: Snapshot,
    kind: str,
    label: str,
    *,
    where: Sequence[str] = (),
    only: Sequence[str] = (),
    without: Sequence[str] = (),
) -> Reference:
    """The voters on a label.

    Args:
        session: the open index.
        snapshot: its generation.
        kind: collection.
        label: column.
        where: conditions that voters must meet.
        only: values that may be answers; all where empty.
        without: values that may not.

    Raises:
        InputError: the column does not exist, was predicted, or has no value left; a value that no item has.
    """
    columns = snapshot.columns(kind)
    _check_label(label, kind, columns)
    values, may = _labels_that_may_vote(session, snapshot, kind, label, where)
    has = np.array([v is not None for v in values])
    _check_values(label, {v for v in values if v is not None}, only, without)
    if only:
        may &= np.array([v is not None and v in set(only) for v in values])
    if without:
        may &= np.array([v is None or v not in set(without) for v in values])
    rows = np.flatnonzero(may & has)
    if not len(rows):
        among = f"the {int(may.sum()):,} {kind} that may vote" if where or only or without else None
        among = among or f"the {len(values):,} {kind}"
        raise InputError(f"--label {label}: every value is missing among {among} of this index")
    classes, codes = np.unique(np.array([str(values[i]) for i in rows]), return_inverse=True)
    ids = snapshot.all_ids(kind)
    # In the vector of a class head unlike items of one class lie together, so neighbours are those of the general one.
    vector = VECTOR if session.is_class_head(label) else session.vector_of(kind, label)
    return Reference(
        kind,
        label,
        tuple(classes.tolist()),
        dict(zip([ids[i] for i in rows], codes.tolist(), strict=True)),
        tuple(where),
        vector,
        len(rows) < int(has.sum()),
    )


def _check_label(label: str, kind: str, columns: Iterable[str]) -> None:
    if label not in columns:
        known = ", ".join(columns) or "none"
        raise InputError(
            f"--label {label}: no such column among the {kind} of this index; there are: {known}"
            f"{did_you_mean(label, columns)}"
        )
    if label.startswith(OURS):
        raise InputError(
            f"--label {label}: these labels were predicted by annotate, and predictions do not vote"
        )


def _labels_that_may_vote(
    session: Session, snapshot: Snapshot, kind: str, label: str, where: Sequence[str]
) -> tuple[list[str | None], npt.NDArray[np.bool_]]:
    """[n] values of a label, and which items meet the conditions and were not predicted."""
    from ...store.metadata.where import bind_where, parse_where, to_mask

    columns = snapshot.columns(kind)
    conditions = (
        bind_where(parse_where(list(where)), snapshot.manifest.columns[kind], kind) if where else None
    )
    filters = [c.column for c in conditions.conditions] if conditions else []
    origin = f"{label}{ORIGIN}" if f"{label}{ORIGIN}" in columns else None
    table = snapshot.table(kind, list(dict.fromkeys([label, *filters, *([origin] if origin else [])])))
    mask = to_mask(conditions, table)
    may = np.ones(table.num_rows, bool) if mask is None else mask.copy()
    if origin is not None:
        predicted = np.array([v == PREDICTED for v in table[origin].to_pylist()])
        if predicted.any():
            session.notify(f"{label}: {int(predicted.sum()):,} predicted labels do not vote")
        may &= ~predicted
    return [None if v is None else str(v) for v in table[label].to_pylist()], may


def _check_values(label: str, known: set[str], only: Sequence[str], without: Sequence[str]) -> None:
    for option, values in (("--only", only), ("--except", without)):
        for value in values:
            if value not in known:
                shown = ", ".join(sorted(known)[:12]) + (" ..." if len(known) > 12 else "")
                raise InputError(
                    f"{option} {value}: no item has this {label}; there are: {shown}{did_you_mean(value, known)}"
                )


def sampled(reference: Reference, most: int, seed: int = 0) -> tuple[list[str], npt.NDArray[np.int64]]:
    """Ids and classes of about this many voters at most, in the order of ids.

    They are drawn evenly, but for the first `FEW` of every class: a rare one must not be lost.
    """
    ids = sorted(reference.codes)
    codes = np.array([reference.codes[i] for i in ids], np.int64)
    if len(ids) > most:
        order = np.random.default_rng(seed).permutation(len(ids))
        place = np.argsort(codes[order], kind="stable")  # by class, in the order of the draw
        first = np.searchsorted(codes[order][place], np.arange(len(reference.classes)))
        rare = np.concatenate([place[at : at + FEW] for at in first])
        rare = rare[np.arange(len(rare)) < most]
        kept = np.zeros(len(ids), bool)
        kept[order[rare]] = True
        kept[order[~kept[order]][: most - int(kept.sum())]] = True
        ids, codes = [ids[i] for i in np.flatnonzero(kept)], codes[kept]
    return ids, codes
