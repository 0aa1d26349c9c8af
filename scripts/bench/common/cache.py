"""Finished rows, kept: a line of JSON and a Parquet file of predictions each, so that a run goes on where it was.

A row's key is the sha256 of all that its result depends on. Appending is one write of one line, so several
runs may fill one folder at once; where two made the same row, the later line counts.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench.common.paths import ROOT

# What the vectors and labels of ours depend on.
SOURCES = ("training", "model", "encode", "query")


def key_of(*parts: Any) -> str:
    """sha256 of a JSON list of the parts."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def source_digest(packages: Sequence[str] = SOURCES) -> str:
    """sha256 of the source files of some packages of atacsearch."""
    sha = hashlib.sha256()
    for package in packages:
        for path in sorted((ROOT / "atacsearch" / package).rglob("*.py")):
            sha.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes())
    return sha.hexdigest()


class Cache:
    """Rows by key in `rows.jsonl` of a folder, predictions in `predictions/KEY.parquet`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "predictions").mkdir(parents=True, exist_ok=True)
        self.rows: dict[str, dict[str, Any]] = {}
        self.path = folder / "rows.jsonl"
        if self.path.exists():
            for line in self.path.read_text().splitlines():
                row = json.loads(line)
                self.rows[row["key"]] = row

    def get(self, key: str) -> dict[str, Any] | None:
        """The row, if it is there, with its predictions where it has some."""
        row = self.rows.get(key)
        return row if row is None or not row["n"] or self._file(key).exists() else None

    def predictions(self, key: str) -> list[str | None]:
        """[n] labels that the method gave, in the order of the query."""
        import pyarrow.parquet as pq

        labels: list[str | None] = pq.read_table(self._file(key))["label"].to_pylist()
        return labels

    def put(self, key: str, row: dict[str, Any], labels: Sequence[str | None] = ()) -> dict[str, Any]:
        """Keep a row: predictions first, so that a row that is there is whole."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        row = {"key": key, "n": len(labels), **row}
        if len(labels):
            table = pa.table({"label": pa.array(list(labels), pa.string())})
            scratch = self._file(key).with_suffix(f".{os.getpid()}")
            pq.write_table(table, scratch, compression="zstd")
            os.replace(scratch, self._file(key))
        with open(self.path, "ab", buffering=0) as file:
            file.write(json.dumps(row).encode() + b"\n")
        self.rows[key] = row
        return row

    def made(
        self, key: str, make: Callable[[], tuple[dict[str, Any], Sequence[str | None]]]
    ) -> dict[str, Any]:
        """The row from the cache, or made now and kept."""
        row = self.get(key)
        if row is None:
            row = self.put(key, *make())
        return row

    def _file(self, key: str) -> Path:
        return self.folder / "predictions" / f"{key}.parquet"
