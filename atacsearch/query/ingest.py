"""Cells and BED files into an index: read, label, encode, store, publish.

A source is one file or manifest, known by the sha256 of its content: adding it again changes nothing, so an
interrupted run is resumed by running it again.
"""

from __future__ import annotations

import re
import time
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
    from ..store.writer import Writer

BATCH = 8192  # items encoded and handed to the store at once
PUBLISH_SECONDS = 60
PUBLISH_SOURCES = 100
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
    """Add the items of files to a collection.

    All inputs are read and checked before anything is stored. Whole sources become visible together, every minute
    or hundred sources and at the end.

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

    table = None if labels is None else read_labels(labels)
    with session.index.writer() as writer:  # taken first, so that a second writer is told before any work
        found = read_for(session, inputs, options or ReadOptions())
        _check_kind(found, kind)
        known = [s for s in session.snapshot().sources().to_pylist() if s["kind"] == kind]
        new: list[Items] = []
        skipped: list[str] = []
        for items in found:
            older = _older(items, known)
            if older and not replace:
                _refuse_changed(items, older)
                session.say(f"{items.source}: already indexed, skipped (--replace adds it anew)")
                skipped.append(items.source)
            else:
                new.append(items)
        joined = [_label_table(items, table) for items in new]
        n_labelled = sum(named for _, named in joined)
        if table is not None and new:
            if not n_labelled:
                raise InputError(_nothing_matches(table, new))
            session.say(f"{table.path}: labels for {n_labelled:,} of {sum(len(x.ids) for x in new):,} items")
        published = time.monotonic()
        for number, (items, (columns, _)) in enumerate(zip(new, joined, strict=True), 1):
            for source in _older(items, known):
                writer.delete_source(kind, source["source_id"])
            _write(session, writer, kind, items, columns, progress)
            if number % PUBLISH_SOURCES == 0 or time.monotonic() - published > PUBLISH_SECONDS:
                writer.publish()
                published = time.monotonic()
        writer.publish()
        for note in writer.notes:
            session.say(note)
    n_empty = sum(int((items.sets.lengths == 0).sum()) for items in new)
    return Added({items.source: len(items.ids) for items in new}, tuple(skipped), n_empty)


def _check_kind(found: Sequence[Items], kind: str) -> None:
    for items in found:
        if items.kind != kind:
            other = COMMANDS[items.kind]
            raise InputError(
                f"{items.source}: holds {_WORDS[items.kind]}; add it with `atacsearch index {other}`"
            )


def _name(items: Items) -> str:
    return str(Path(items.source).resolve())


def _older(items: Items, known: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Indexed sources with the same content or the same path."""
    return [s for s in known if s["digest"] == items.content_digest or s["name"] == _name(items)]


def _refuse_changed(items: Items, older: Sequence[dict[str, Any]]) -> None:
    if all(s["digest"] != items.content_digest for s in older):
        raise InputError(
            f"{items.source}: was indexed before with other content (sha256 {older[0]['digest'][:12]}, now "
            f"{items.content_digest[:12]}); --replace puts the new content in its place"
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
    session: Session, writer: Writer, kind: str, items: Items, columns: Any, progress: Progress
) -> None:
    from ..store.types import Batch, Source

    source = Source(_source_id(items), _name(items), items.content_digest, items.genome, items.counting)
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
