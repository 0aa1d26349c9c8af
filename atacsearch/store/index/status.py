"""What an index holds, as plain data."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ..types import IndexInfo


@dataclass(frozen=True)
class CollectionStatus:
    """What a collection of an index holds.

    Attributes:
        items: number of items, those without a vector included.
        points: vector name -> number of items that have it.
        sources: number of sources.
        shards: number of shards.
        shard_bytes: size of the shards.
        parts: number of vector parts.
        part_bytes: size of the parts on disk; 0 where a server holds them.
        deleted_shards: number of deleted shards whose points still lie in a part.
        columns: label column -> "text", "number", "bool", or "empty" where no item has a value.
        filters: columns that a filter may use.
    """

    items: int
    points: dict[str, int]
    sources: int
    shards: int
    shard_bytes: int
    parts: int
    part_bytes: int
    deleted_shards: int
    columns: dict[str, str]
    filters: list[str]


@dataclass(frozen=True)
class IndexStatus:
    """What an index holds.

    Attributes:
        path: the index folder.
        info: what was fixed when the index was created.
        generation: number of the current generation.
        published: ISO time when it was published.
        writer: the process that writes right now, in words; None where nobody does.
        bytes: size of the folder on disk.
        collections: "cells", "bedfiles" and "regions" -> what each holds.
    """

    path: str
    info: IndexInfo
    generation: int
    published: str
    writer: str | None
    bytes: int
    collections: dict[str, CollectionStatus]

    def to_dict(self) -> dict[str, Any]:
        """The same as nested dicts and lists, ready for JSON; the fields of `info` lie at the top."""
        return {
            "path": self.path,
            **asdict(self.info),
            "generation": self.generation,
            "published": self.published,
            "writer": self.writer,
            "bytes": self.bytes,
            "collections": {kind: asdict(held) for kind, held in self.collections.items()},
        }
