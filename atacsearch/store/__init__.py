"""The index on disk: Parquet shards as the truth, DuckDB metadata and Qdrant vectors built from them.

Token sets, labels and vectors flow in through `Index.writer()`, neighbours and rows flow out of
`Index.snapshot()`. Nothing heavy is imported here; names resolve on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .filters import Where, parse_where
    from .index import Index
    from .snapshot import Snapshot
    from .types import Batch, Column, IndexInfo, Neighbours, Source
    from .writer import Writer

_HOMES = {
    "Batch": "types",
    "Column": "types",
    "IndexInfo": "types",
    "Neighbours": "types",
    "Source": "types",
    "Index": "index",
    "Snapshot": "snapshot",
    "Writer": "writer",
    "Where": "filters",
    "parse_where": "filters",
}

__all__ = [
    "Batch",
    "Column",
    "Index",
    "IndexInfo",
    "Neighbours",
    "Snapshot",
    "Source",
    "Where",
    "Writer",
    "parse_where",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
