"""Cells and BED files into an index: read, label, encode, store, publish.

A source is one file or manifest, known by the sha256 of its content: adding it again changes nothing, so an
interrupted run is resumed by running it again.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from .inputs import read_for
from .labels import Labels, join_labels, read_labels
from .session import VECTOR, Progress, Session, no_progress

if TYPE_CHECKING:
    from ..readers.inputs import Items, ReadOptions

BATCH = 8192  # items encoded and handed to the store at once
COMMANDS = {"cells": "add-cells", "bedfiles": "add-beds"}
_WORDS = {"cells": "cells", "bedfiles": "BED files"}


@dataclass(frozen=True)
class Added:
    """What an addition did.

    Attributes:
        added: source name -> number of its items that were added.
        skipped: sources that were indexed already.
        n_empty: items without a region of the universe; they are kept but never found.
    """

    added: dict[str, int]
    skipped: tuple[str, ...]
    n_empty: int


def add_items(
    session: Session,
    kind: str,
    inputs: Sequence[str | Path],
    *,
    options: ReadOptions | None = None,
    labels: str | Path | None = None,
    replace: bool = False,
    progress: Progress = no_progress,
) -> Added:
    """Add the items of files to a collection. Nothing is visible before all of it is.

    Args:
        session: the open index.
        kind: `cells` or `bedfiles`.
        inputs: files or manifests.
        options: how they are read.
        labels: a TSV of label columns by item, added to the items' own or replacing them.
        replace: replace sources that are indexed already, by content or by path, instead of skipping them.
        progress: called with the number of items encoded.

    Returns:
        What was added and what was there before.

    Raises:
        InputError: an input cannot be read, is of the other kind, or holds an id that another source has.
        LockedError: another process writes to this index.
    """
    from ..readers.inputs import ReadOptions
    from ..store.types import Source

    table = None if labels is None else read_labels(labels)
    with session.index.writer() as writer:  # taken first, so that a second writer is told before any work
        found = read_for(session, inputs, options or ReadOptions())
        _check_kind(found, kind)
        known = list(session.snapshot().sources(kind))
        added: dict[str, int] = {}
        skipped: list[str] = []
        n_empty = n_labelled = 0
        for items in found:
            name = str(Path(items.source).resolve())
            same = [s for s in known if s.digest == items.content_digest]
            older = [s for s in known if s.name == name and s not in same]
            if (same or older) and not replace:
                _refuse_changed(name, older)
                session.say(f"{items.source}: already indexed, skipped (--replace adds it anew)")
                skipped.append(items.source)
                continue
            for source in [*same, *older]:
                writer.delete_source(kind, source.id)
            source = Source(
                id=_source_id(items),
                name=name,
                digest=items.content_digest,
                genome=items.genome,
                counting=items.counting,
            )
            columns, named = _label_table(items, table)
            n_labelled += named
            n_empty += int((items.sets.lengths == 0).sum())
            _write(session, writer, kind, items, columns, source, progress)
            added[items.source] = len(items.ids)
        if table is not None and added and not n_labelled:
            raise InputError(_nothing_matches(table, found))
        if added:
            writer.publish()
    if table is not None and added:
        session.say(f"{table.path}: labels for {n_labelled:,} of {sum(added.values()):,} items")
    return Added(added, tuple(skipped), n_empty)


def _check_kind(found: Sequence[Items], kind: str) -> None:
    for items in found:
        if items.kind != kind:
            other = COMMANDS[items.kind]
            raise InputError(
                f"{items.source}: holds {_WORDS[items.kind]}; add it with `atacsearch index {other}`"
            )


def _refuse_changed(name: str, older: Sequence[Any]) -> None:
    if older:
        raise InputError(
            f"{name}: was indexed before with other content (sha256 {older[0].digest[:12]}); "
            "--replace puts the new content in its place"
        )


def _source_id(items: Items) -> str:
    stem = re.sub(r"[^A-Za-z0-9]+", "-", Path(items.source).name.split(".")[0]).strip("-")[:40] or "source"
    return f"{stem}-{items.content_digest[:12]}"


def _label_table(items: Items, labels: Labels | None) -> tuple[Any, int]:
    return (items.labels, 0) if labels is None else join_labels(items, labels)


def _nothing_matches(labels: Labels, found: Sequence[Items]) -> str:
    theirs = ", ".join(list(labels.values)[:2])
    ours = ", ".join(name for items in found for name in items.sets.names[:2])
    return (
        f"{labels.path}: column {labels.id_column!r} ({theirs} ...) names none of the items ({ours} ...); "
        "expected the items' names or their index ids"
    )


def _write(
    session: Session, writer: Any, kind: str, items: Items, columns: Any, source: Any, progress: Progress
) -> None:
    from ..store.types import Batch

    for first in range(0, len(items.ids), BATCH):
        rows = np.arange(first, min(first + BATCH, len(items.ids)))
        sets = items.sets.take(rows)
        vectors = session.encode(sets, progress)
        batch = Batch(
            ids=items.ids[first : first + BATCH],
            items=sets.names,
            labels=columns.slice(first, BATCH),
            sets=sets,
            vectors={VECTOR: vectors},
        )
        writer.add(kind, batch, source)
