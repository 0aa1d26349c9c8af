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

from ...errors import InputError
from ..inputs import read_for
from ..session import Progress, Session, no_progress
from .labels import Labels, join_labels, read_labels
from .options import AddOptions

if TYPE_CHECKING:
    from ...readers.inputs.memory import Input
    from ...readers.items import Items
    from ...store.index.writer import Writer

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
    inputs: Sequence[Input],
    options: AddOptions,
    progress: Progress = no_progress,
) -> Added:
    """Add the items of files to a collection.

    Inputs are read and added one after another; whole sources become visible together, every minute or hundred
    sources and at the end. Where one cannot be read, those before it stay added.

    Args:
        session: the open index.
        kind: `cells` or `bedfiles`.
        inputs: files or manifests.
        options: how they are read; a table of labels that is added to the items' own; whether sources that are
            indexed already are replaced instead of skipped.
        progress: called with the number of items encoded.

    Returns:
        What was added and what was there before.

    Raises:
        InputError: an input cannot be read, is of the other kind, or holds an id that another source has.
        LockedError: another process writes to this index.
    """
    table = None if options.labels is None else read_labels(options.labels)
    with session.index.writer() as writer:  # taken first, so that a second writer is told before any work
        adding = _Adding(session, writer, kind, table, options.replace, progress)
        for path in inputs:
            try:
                for items in read_for(session, [path], options.read):
                    adding.add(items)
            except Exception:
                adding.keep_whole_sources()
                raise
        adding.check_labels()
        writer.publish()
        for note in writer.notes:
            session.notify(note)
    return Added(adding.added, tuple(adding.skipped), adding.n_empty)


class _Adding:
    """The state of one addition: what is indexed, what has been added so far."""

    def __init__(
        self,
        session: Session,
        writer: Writer,
        kind: str,
        labels: Labels | None,
        replace: bool,
        progress: Progress,
    ) -> None:
        self.session = session
        self.writer = writer
        self.kind = kind
        self.labels = labels
        self.replace = replace
        self.progress = progress
        self.known = [s for s in session.snapshot().sources().to_pylist() if s["kind"] == kind]
        self.added: dict[str, int] = {}
        self.skipped: list[str] = []
        self.unmatched: Items | None = None
        self.n_empty = self.n_labelled = self.unpublished = 0
        self.published = time.monotonic()
        self.partial: str | None = None

    def add(self, items: Items) -> None:
        """Add one source, unless it is indexed already."""
        _check_kind(items, self.kind)
        older = _older(items, self.known)
        if older and not self.replace:
            _refuse_changed(items, older)
            self.session.notify(f"{items.source}: already indexed, skipped (--replace adds it anew)")
            self.skipped.append(items.source)
            return
        columns = items.labels
        if self.labels is not None:
            columns, named = join_labels(items, self.labels)
            self.n_labelled += named
            self.unmatched = self.unmatched or items
            self.session.notify(
                f"{items.source}: {self.labels.path} has labels for {named:,} of {len(items.ids):,} items"
            )
        for source in older:
            self.writer.delete_source(self.kind, source["source_id"])
        self.partial = _source_id(items)
        _write(self.session, self.writer, self.kind, items, columns, self.progress)
        self.partial = None
        self.added[items.source] = len(items.ids)
        self.n_empty += int((items.sets.lengths == 0).sum())
        self.unpublished += 1
        if self.unpublished >= PUBLISH_SOURCES or time.monotonic() - self.published > PUBLISH_SECONDS:
            self.publish()

    def publish(self) -> None:
        """Make what was added so far visible."""
        self.check_labels()
        self.writer.publish()
        self.published, self.unpublished = time.monotonic(), 0

    def check_labels(self) -> None:
        """Refuse a table of labels that names nothing of what was added."""
        if self.labels is not None and self.unmatched is not None and not self.n_labelled:
            raise InputError(_nothing_matches(self.labels, self.unmatched))

    def keep_whole_sources(self) -> None:
        """After a failure: publish the sources that were added whole, drop the one that was not."""
        if self.partial is not None:
            if self.replace:  # what the broken source was to replace must stay
                self.writer.discard()
                return
            self.writer.delete_source(self.kind, self.partial)
        if self.unpublished and (self.labels is None or self.n_labelled):
            self.writer.publish()
            self.session.notify(f"{len(self.added):,} sources before this one were added")


def _check_kind(items: Items, kind: str) -> None:
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
            + ("" if Path(items.source).exists() else ", a sample of another name keeps both")
        )


def _source_id(items: Items) -> str:
    stem = re.sub(r"[^A-Za-z0-9]+", "-", Path(items.source).name.split(".")[0]).strip("-")[:40] or "source"
    return f"{stem}-{items.content_digest[:12]}"


def _nothing_matches(labels: Labels, items: Items) -> str:
    theirs = ", ".join(list(labels.values)[:2])
    ours = ", ".join(items.sets.names[:2])
    return (
        f"{labels.path}: column {labels.id_column!r} ({theirs} ...) names none of the items ({ours} ...); "
        "expected the items' names or their index ids"
    )


def _write(
    session: Session, writer: Writer, kind: str, items: Items, columns: Any, progress: Progress
) -> None:
    from ...store.types import Batch, Source

    source = Source(_source_id(items), _name(items), items.content_digest, items.genome, items.counting)
    for first in range(0, len(items.ids), BATCH):
        rows = np.arange(first, min(first + BATCH, len(items.ids)))
        sets = items.sets.take(rows)
        vectors = session.encode_as(session.vectors_for(kind), sets, progress)
        batch = Batch(
            ids=items.ids[first : first + BATCH],
            items=sets.names,
            labels=columns.slice(first, len(rows)),
            sets=sets,
            vectors=vectors,
        )
        writer.add(kind, batch, source)
