"""Repair: metadata, vectors and postings of an index made anew from its shards alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ...errors import InputError
from ..atomic import disk_errors, remove, write_text
from ..lock import WriterLock
from ..manifest import (
    Manifest,
    ShardEntry,
    empty_columns,
    generation_folder,
    now,
    read_current,
    read_manifest,
)
from ..metadata.database import FILE, Metadata, build_metadata
from ..shards import read_entry
from .folder import IndexFolder
from .verify import Verification, shard_problem, verify_index


def repair_index(index: IndexFolder, drop_damaged: bool = False) -> Verification:
    """Make a new generation of the shards alone: metadata, postings and every vector part.

    The shards are those of the current manifest; where that cannot be read, all that lie in the folder.

    Args:
        index: the index.
        drop_damaged: leave out shards that cannot be read or differ from their checksum.

    Returns:
        The verification of the new generation; its notes say what was done.

    Raises:
        InputError: shards are damaged and `drop_damaged` is not set; their sources are named.
        LockedError: somebody is writing.
    """
    index.close()
    with WriterLock(index.path):
        shards, notes = _shards_to_keep(index.path, drop_damaged)
        with disk_errors(index.path, "repairing"):
            _make_openable(index.path)
    with index.writer() as writer:
        generation = writer.rebuild(shards)
    done = f"generation {generation} was built anew from {len(shards)} shards"
    return replace(verify_index(index), generation=generation, notes=(*notes, done))


def _shards_to_keep(index: Path, drop_damaged: bool) -> tuple[list[ShardEntry], list[str]]:
    """The shards to build from, and what was left out or guessed, one line each."""
    notes: list[str] = []
    damaged: list[str] = []
    try:
        listed = list(read_manifest(index, read_current(index)).shards)
    except (OSError, InputError):
        listed, damaged = _shards_in_folder(index)
        notes.append("the manifest could not be read: all shards in the folder were taken")
    sound: list[ShardEntry] = []
    for entry in listed:
        problem = shard_problem(index, entry)
        if problem is None:
            sound.append(entry)
        else:
            damaged.append(problem)
    if damaged and not drop_damaged:
        raise InputError(
            f"{len(damaged)} shards of {index} are damaged and cannot be rebuilt: {damaged[0]}; "
            "repair with --drop-damaged to go on without them"
        )
    return sound, notes + [f"left out: {line}" for line in damaged]


def _shards_in_folder(index: Path) -> tuple[list[ShardEntry], list[str]]:
    """All shards that lie in the folder, and a line for each file that is no readable shard."""
    entries: list[ShardEntry] = []
    damaged: list[str] = []
    for path in sorted((index / "shards").glob("*/*.parquet")):
        if path.name.startswith("."):
            continue
        try:
            entries.append(read_entry(index, path))
        except InputError as error:
            damaged.append(str(error))
    return entries, damaged


def _make_openable(index: Path) -> None:
    """See to it that the current generation opens, if only as an empty one, so that a writer can start."""
    try:
        generation = read_current(index)
        Metadata(generation_folder(index, generation) / FILE).close()
        read_manifest(index, generation)
        return
    except (OSError, InputError):
        folders = [int(p.name) for p in (index / "generations").glob("*") if p.name.isdigit()]
    generation = max(folders, default=0) + 1
    try:
        manifest = read_manifest(index, read_current(index))
    except (OSError, InputError):
        # every shard stays referenced until the rebuilt generation takes over
        shards, _ = _shards_in_folder(index)
        number = max((s.number for s in shards), default=0) + 1
        manifest = Manifest(generation, now(), tuple(shards), (), empty_columns(), number)
    folder = generation_folder(index, generation)
    remove(folder)
    folder.mkdir(parents=True)
    build_metadata(folder / FILE, [], {}, None)
    renumbered = replace(manifest, generation=generation, created=now())
    write_text(folder / "manifest.json", renumbered.to_json())
    write_text(index / "CURRENT", f"{generation}\n")
