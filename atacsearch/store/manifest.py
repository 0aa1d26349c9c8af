"""The manifest of a generation: which shards live, which vector parts serve them, which columns there are.

`generations/<n>/manifest.json` is written once; `CURRENT` names the generation that readers open.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path

from ..errors import InputError
from .types import KINDS, Column, IndexInfo, Source

FORMAT_VERSION = 1


@dataclass(frozen=True)
class ShardEntry:
    """One immutable Parquet file of items of one source.

    Attributes:
        number: unique and rising over the life of the index; orders items.
        kind: collection.
        file: path relative to the index folder.
        source: where the items came from.
        rows: items in the file.
        points: items with a vector, per vector name.
        bytes: size of the file.
        sha256: checksum of the file.
        added: ISO time.
    """

    number: int
    kind: str
    file: str
    source: Source
    rows: int
    points: dict[str, int]
    bytes: int
    sha256: str
    added: str

    @property
    def n_points(self) -> int:
        """Items with at least one vector (the largest count over vector names)."""
        return max(self.points.values(), default=0)


@dataclass(frozen=True)
class Part:
    """A searchable piece of a collection: a qdrant-edge folder, or a collection on a server.

    Attributes:
        name: folder or server collection.
        kind: collection of the index.
        shards: number -> source id of the shards inside.
        points: points inside, dead ones included.
        columns: payload columns inside -> filter family ("text", "number", "bool"), or "unindexed".
        generation: the newest generation whose points are inside.
    """

    name: str
    kind: str
    shards: dict[int, str]
    points: int
    columns: dict[str, str]
    generation: int


@dataclass(frozen=True)
class Manifest:
    """Everything a reader needs to know about one generation."""

    generation: int
    created: str
    shards: tuple[ShardEntry, ...] = ()
    parts: tuple[Part, ...] = ()
    columns: dict[str, dict[str, Column]] = field(default_factory=dict)
    next_number: int = 1

    def shards_of(self, kind: str) -> tuple[ShardEntry, ...]:
        """Live shards of a collection, in order of their number."""
        return tuple(s for s in self.shards if s.kind == kind)

    def parts_of(self, kind: str) -> tuple[Part, ...]:
        """Vector parts of a collection."""
        return tuple(p for p in self.parts if p.kind == kind)

    def tombstones(self) -> dict[str, list[int]]:
        """Part name -> shards inside it that have been deleted."""
        live = {s.number for s in self.shards}
        dead = {p.name: sorted(set(p.shards) - live) for p in self.parts}
        return {name: numbers for name, numbers in dead.items() if numbers}

    def to_json(self) -> str:
        """The text of `manifest.json`."""
        record = asdict(self)
        record["tombstones"] = self.tombstones()
        return json.dumps({"format_version": FORMAT_VERSION, **record}, indent=1)

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """Read back what `to_json` wrote."""
        record = json.loads(text)
        shards = tuple(ShardEntry(**{**s, "source": Source(**s["source"])}) for s in record["shards"])
        parts = tuple(
            Part(**{**p, "shards": {int(n): source for n, source in p["shards"].items()}})
            for p in record["parts"]
        )
        columns = {
            kind: {name: Column(**column) for name, column in named.items()}
            for kind, named in record["columns"].items()
        }
        return cls(record["generation"], record["created"], shards, parts, columns, record["next_number"])


def now() -> str:
    """The time, as manifests write it."""
    return datetime.now().astimezone().isoformat(timespec="seconds")


def generation_folder(index: Path, generation: int) -> Path:
    """Folder of one generation."""
    return index / "generations" / str(generation)


def read_current(index: Path) -> int:
    """The generation that `CURRENT` names.

    Raises:
        InputError: the file is missing or damaged.
    """
    try:
        return int((index / "CURRENT").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{index / 'CURRENT'} does not name a generation ({error}); run: atacsearch index repair {index}"
        ) from error


def read_manifest(index: Path, generation: int) -> Manifest:
    """The manifest of a generation.

    Raises:
        FileNotFoundError: the generation is gone.
        InputError: the file is damaged.
    """
    path = generation_folder(index, generation) / "manifest.json"
    text = path.read_text(encoding="utf-8")
    try:
        return Manifest.from_json(text)
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is damaged ({error}); run: atacsearch index repair {index}") from error


def read_info(index: Path) -> IndexInfo:
    """What `index.json` says.

    Raises:
        InputError: no index there, a damaged file, or a newer format.
    """
    path = index / "index.json"
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        info = IndexInfo(**record)
    except FileNotFoundError as error:
        raise InputError(
            f"{index} is not an index (no index.json in it); make one with: "
            f"atacsearch index create {index} --model MODEL"
        ) from error
    except NotADirectoryError as error:
        raise InputError(f"{index} is a file; an index is a folder") from error
    except (ValueError, TypeError) as error:
        raise InputError(f"{path} is damaged ({error}); put back a copy of it") from error
    if info.format_version > FORMAT_VERSION:
        raise InputError(
            f"{index} has format {info.format_version}, this version of atacsearch reads up to "
            f"{FORMAT_VERSION}; install a newer atacsearch"
        )
    return info


def info_json(info: IndexInfo) -> str:
    """The text of `index.json`."""
    return json.dumps(asdict(info), indent=1)


def count_points(shards: Iterable[ShardEntry]) -> int:
    """Points of all given shards."""
    return sum(s.n_points for s in shards)


def empty_columns() -> dict[str, dict[str, Column]]:
    """No columns, for each collection."""
    return {kind: {} for kind in KINDS}


def merged_columns(old: Mapping[str, Column], types: Mapping[str, str]) -> dict[str, str]:
    """Column -> Arrow type over what is known and what comes in; columns without any value are left out."""
    known = {name: c.dtype for name, c in old.items() if c.label and c.kind != "empty"}
    return {**known, **types}
