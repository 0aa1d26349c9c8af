"""Calibrations of an index: for each label column, fitted when items are published and kept with their generation.

A generation's file lies in `INDEX/calibration/`; it can always be made again from the generation. Labels that a
class head of the model transfers bring the calibration of their training, the others get one from the reference's own
items (`neighbourhood.py`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...answers import Answer
from ...errors import InputError
from ...model.heads.calibration import Calibration
from ...spelling import did_you_mean
from .neighbourhood import K, Neighbourhood, fit_neighbourhood
from .reference import ORIGIN, OURS, Reference, reference_of, sampled
from .sample_groups import COLUMNS, group_column, named, plain

if TYPE_CHECKING:
    from ...store.index.snapshot import Snapshot
    from ..session import Session

FOLDER = "calibration"
FACTS = "neighbourhoods"
MOST_CLASSES = 500
MOST_VOTERS = 20_000  # items that vote while the calibration is fitted; of more, a part is drawn
MOST_ASKED = 2_000
MOST_COLUMNS = 40
KEPT = 2  # generations whose calibrations are kept


def calibrate(
    session: Session, kind: str, labels: Sequence[str] | None = None, group: str | None = None
) -> dict[str, Neighbourhood]:
    """Fit and keep the calibrations of a collection.

    Args:
        session: the open index.
        kind: `cells` or `bedfiles`.
        labels: label columns; by default all text columns of 2 to 500 values.
        group: column of the groups that are held out; by default found by its name (`sample_groups.COLUMNS`).

    Returns:
        What was fitted, by label.

    Raises:
        InputError: the collection is empty; a label or group column that does not exist.
    """
    snapshot = session.snapshot()
    if not snapshot.count(kind):
        words = {"cells": "cells", "bedfiles": "BED files"}
        raise InputError(f"the index holds no {words.get(kind, kind)}, so there is no confidence to fit")
    if group is not None:
        group = _group_named(snapshot, kind, group)
    stored = {} if labels is None else read_calibrations(session.index.path, snapshot.generation, kind)
    fitted = {}
    asked = [name for name in worth_fitting(snapshot, kind) if name != group] if labels is None else labels
    for label in asked:
        reference = reference_of(session, snapshot, kind, label)
        if 2 <= len(reference.classes) <= MOST_CLASSES:
            fitted[label] = fit(session, snapshot, reference, group)
        else:
            session.notify(
                f"{label}: {len(reference.classes)} values; confidence is fitted for 2 to {MOST_CLASSES}"
            )
    if fitted:
        write_calibrations(session.index.path, snapshot.generation, kind, stored | fitted)
        for key in [k for k in session.fitted if k[0] == snapshot.generation]:
            del session.fitted[key]
    return fitted


def worth_fitting(snapshot: Snapshot, kind: str) -> list[str]:
    """Text columns of 2 to 500 values, at most `MOST_COLUMNS` of them."""
    names = []
    for name, column in snapshot.columns(kind).items():
        if column.kind != "text" or name.startswith(OURS) or name.endswith(ORIGIN):
            continue
        values = snapshot.table(kind, [name])[name]
        n = len(values.drop_null().unique())
        if 2 <= n <= min(MOST_CLASSES, max(2, (len(values) - values.null_count) // 2)):
            names.append(name)
    return names[:MOST_COLUMNS]


def _group_named(snapshot: Snapshot, kind: str, group: str) -> str:
    """The label column of this name, in any case. Raises `InputError` where there is none."""
    columns = {name.casefold(): name for name in snapshot.columns(kind)}
    if group.casefold() not in columns:
        raise InputError(
            f"--group {group}: no such column; there are: {', '.join(columns.values())}"
            f"{did_you_mean(group, columns.values())}"
        )
    return columns[group.casefold()]


def neighbourhood_of(
    session: Session, snapshot: Snapshot, reference: Reference, k: int | None = None
) -> Neighbourhood:
    """The neighbourhood of a label: as stored with the generation, else fitted now and kept in memory.

    Args:
        session: the open index.
        snapshot: its generation.
        reference: who votes on the label.
        k: neighbours that vote, for which width and confidence must then have been fitted; None for any number.
    """
    key = (snapshot.generation, *reference.key, k)
    if key not in session.fitted:
        stored = None
        if not reference.narrowed:
            found = read_calibrations(session.index.path, snapshot.generation, reference.kind)
            stored = found.get(reference.label)
            if stored is not None and not (_fits(stored, reference) and k in (None, stored.k)):
                stored = None
        session.fitted[key] = stored or fit(session, snapshot, reference, k=k or K)
    found_now: Neighbourhood = session.fitted[key]
    return found_now


def _fits(stored: Neighbourhood, reference: Reference) -> bool:
    classes = reference.classes if stored.calibration is None else stored.calibration.classes
    return stored.vector == reference.vector and classes == reference.classes


def fit(
    session: Session, snapshot: Snapshot, reference: Reference, group: str | None = None, k: int = K
) -> Neighbourhood:
    """Fit the neighbourhood of a label on a sample of its voters.

    Args:
        session: the open index.
        snapshot: its generation.
        reference: who votes on the label.
        group: column of the groups; found by its name where None.
        k: neighbours that vote.
    """
    ids, codes = sampled(reference, MOST_VOTERS)
    vectors = snapshot.vectors(reference.kind, ids, reference.vector)
    filled = np.flatnonzero(np.any(vectors != 0, axis=1))
    labels = [reference.classes[codes[i]] for i in filled]
    ids = [ids[i] for i in filled]
    if len(ids) < 2:
        return Neighbourhood(k, 0.1, None, reference.vector)
    known = [
        name
        for name in snapshot.columns(reference.kind)
        if name != reference.label and (name == group if group is not None else plain(name) in COLUMNS)
    ]
    rows = snapshot.rows(reference.kind, ids, [*known, "n_tokens"])
    columns = {name: [named(v) for v in rows[name].to_pylist()] for name in known}
    column = group_column(labels, columns, group)
    if group is not None and column is None:
        session.notify(
            f"{reference.label}: {group} has no two groups that share labels; items are held out one by one"
        )
    groups, asked = None, np.arange(len(ids))
    if column is not None:
        # An item without a group votes, but says nothing of another group, so it does not ask.
        asked = np.flatnonzero([v is not None for v in columns[column]])
        groups = [v if v is not None else f"\0{i}" for i, v in enumerate(columns[column])]
    if len(asked) > MOST_ASKED:
        asked = np.sort(np.random.default_rng(1).choice(asked, MOST_ASKED, replace=False))
    found = fit_neighbourhood(
        vectors[filled],
        labels,
        rows["n_tokens"].to_numpy(),
        groups,
        column or "",
        asked=asked,
        classes=reference.classes,
        k=k,
    )
    return replace(found, vector=reference.vector)


@dataclass(frozen=True, repr=False)
class Fitted(Answer):
    """On what the confidence of each label was fitted, and how well it holds there.

    `label, width` (of the kernel, in cosine distance)`, items, groups, group` (the column)`, accuracy,
    calibration_error` (expected, 0 to 1), one row a label.
    """


def summary(found: dict[str, Neighbourhood]) -> Fitted:
    """One row a label: on what its confidence was fitted, and how well it holds there."""
    import pyarrow as pa

    from ...model.heads.measures import calibration_error

    rows = []
    for label, near in found.items():
        row: dict[str, Any] = {"label": label, "width": near.width, "items": 0, "groups": 0, "group": ""}
        row |= {"accuracy": None, "calibration_error": None}
        if near.calibration is not None:
            held = near.calibration.held_out
            row |= {"items": len(held), "groups": len(held.groups), "group": held.column}
            row |= {
                "accuracy": float(held.right.mean()),
                "calibration_error": calibration_error(held.confidence, held.right),
            }
        rows.append(row)
    return Fitted(pa.Table.from_pylist(rows))


def _file(index: Path, generation: int, kind: str) -> Path:
    return Path(index) / FOLDER / f"{kind}-{generation}.safetensors"


def write_calibrations(index: Path, generation: int, kind: str, found: dict[str, Neighbourhood]) -> None:
    """Keep calibrations of a generation, and those of the generation before."""
    from safetensors.numpy import save_file

    from ...store.atomic import fsync_path, temporary

    arrays: dict[str, Any] = {"empty": np.zeros(1, np.int8)}
    facts: dict[str, Any] = {}
    for label, near in found.items():
        facts[label] = {"k": near.k, "width": near.width, "vector": near.vector}
        if near.calibration is not None:
            facts[label]["calibration"] = near.calibration.facts()
            arrays |= {f"{label}/{name}": value for name, value in near.calibration.arrays().items()}
    path = _file(index, generation, kind)
    path.parent.mkdir(exist_ok=True)
    made = temporary(path)
    save_file(arrays, made, metadata={FACTS: json.dumps(facts)})
    fsync_path(made)
    made.replace(path)
    numbers = sorted(
        (int(p.stem.rpartition("-")[2]) for p in path.parent.glob(f"{kind}-*.safetensors")), reverse=True
    )
    for old in numbers[KEPT:]:
        _file(index, old, kind).unlink(missing_ok=True)


def read_calibrations(index: Path, generation: int, kind: str) -> dict[str, Neighbourhood]:
    """Calibrations of a generation; none where there is no file or it cannot be read (it is made again)."""
    from safetensors import SafetensorError, safe_open

    path = _file(index, generation, kind)
    found = {}
    try:
        with safe_open(path, "np") as file:
            facts = json.loads(file.metadata()[FACTS])
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
        for label, own in facts.items():
            calibration = None
            if "calibration" in own:
                prefix = f"{label}/"
                mine = {n.removeprefix(prefix): a for n, a in arrays.items() if n.startswith(prefix)}
                calibration = Calibration.of(mine, own["calibration"])
            found[label] = Neighbourhood(int(own["k"]), float(own["width"]), calibration, own["vector"])
    except (FileNotFoundError, SafetensorError, KeyError, TypeError, ValueError):
        return {}
    return found
