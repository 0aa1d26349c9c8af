"""Tables of results as text or files: aligned for reading, TSV, JSON or Parquet.

Results are Arrow tables inside; this is the one place where they take a form. A missing value is an empty
field in a table and in TSV, `null` in JSON and Parquet.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from .errors import InputError
from .files import to_file

_ESCAPES = str.maketrans({"\t": "\\t", "\n": "\\n", "\r": "\\r"})


def write_table(table: Any, format: str, path: Path | None = None, stream: TextIO | None = None) -> None:
    """Write `table` (a `pyarrow.Table`) as `table`, `tsv`, `json` or `parquet`.

    A file is written under a temporary name and renamed, so that a half-written one is never left behind.

    Args:
        table: the rows.
        format: one of `table`, `tsv`, `json`, `parquet`.
        path: the file; None writes to `stream`.
        stream: text stream, stdout by default.

    Raises:
        InputError: for Parquet without a file, or an unknown format.
    """
    if format not in ("table", "tsv", "json", "parquet"):
        raise InputError(f"format {format!r} is not known: table, tsv, json or parquet")
    if path is None:
        if format == "parquet":
            raise InputError("Parquet is binary and is not written to stdout: name a file")
        _write_text(table, format, stream or sys.stdout)
        return
    to_file(path, lambda temporary: _write_file(table, format, temporary))


def _write_file(table: Any, format: str, path: Path) -> None:
    if format == "parquet":
        import pyarrow.parquet as pq

        with path.open("wb") as handle:  # given a path, a failed write would remove what is there
            pq.write_table(table, handle, compression="zstd")
    else:
        with path.open("w", encoding="utf-8") as handle:
            _write_text(table, format, handle)


def write_record(
    record: dict[str, Any], format: str, path: Path | None = None, stream: TextIO | None = None
) -> None:
    """Write the properties of one thing: one a line as `table`, one object as JSON, else one row.

    Args:
        record: names and values. But in JSON, names of nested dicts are joined by dots, sequences by `; `.
        format: one of `table`, `tsv`, `json`, `parquet`.
        path: the file; None writes to `stream`.
        stream: text stream, stdout by default.
    """
    import pyarrow as pa

    if format == "json":
        text = json.dumps(record, indent=1, ensure_ascii=False) + "\n"
        if path is None:
            (stream or sys.stdout).write(text)
        else:
            to_file(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
        return
    flat = dict(_flat(record))
    if format == "table":
        values = ["" if v is None else f"{v:,}" if type(v) in (int, float) else str(v) for v in flat.values()]
        table = pa.table({"property": list(flat), "value": values})
    else:
        table = pa.table({k: [v] for k, v in flat.items()})
    write_table(table, format, path, stream)


def _flat(record: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in record.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", "; ".join(map(str, value)) if isinstance(value, list | tuple) else value


def _write_text(table: Any, format: str, stream: TextIO) -> None:
    if format == "json":
        stream.write(json.dumps(list(records(table)), indent=1, ensure_ascii=False) + "\n")
    elif format == "tsv":
        stream.write("\t".join(map(_tsv_field, table.column_names)) + "\n")
        for row in _rows(table, "{:.6g}"):
            stream.write("\t".join(map(_tsv_field, row)) + "\n")
    else:
        stream.writelines(line + "\n" for line in aligned(table))


def records(table: Any) -> Iterator[dict[str, Any]]:
    """The rows as dicts that JSON can hold: NaN becomes None."""
    for row in table.to_pylist():
        yield {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}


def aligned(table: Any) -> list[str]:
    """The lines of a table for reading: numbers flush right, everything else flush left.

    Example:
        >>> import pyarrow as pa
        >>> print("\\n".join(aligned(pa.table({"item": ["a", "bc"], "n": [10, 2]}))))
        item   n
        ----  --
        a     10
        bc     2
    """
    import pyarrow as pa

    right = [pa.types.is_integer(f.type) or pa.types.is_floating(f.type) for f in table.schema]
    rows = [[field.translate(_ESCAPES) for field in row] for row in _rows(table, "{:.4g}")]
    widths = [max(map(len, column)) for column in zip(table.column_names, *rows, strict=True)]

    def line(fields: list[str]) -> str:
        cells = (
            f.rjust(w) if flush else f.ljust(w) for f, w, flush in zip(fields, widths, right, strict=True)
        )
        return "  ".join(cells).rstrip()

    return [line(list(table.column_names)), line(["-" * w for w in widths]), *map(line, rows)]


def _rows(table: Any, number: str) -> Iterator[list[str]]:
    columns = [[_text(v, number) for v in column.to_pylist()] for column in table.columns]
    return (list(row) for row in zip(*columns, strict=True))


def _text(value: Any, number: str) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        # Whole numbers are counts or ids that a gap in their column made decimal: no digit of them is rounded away.
        whole = value.is_integer() and 1e5 <= abs(value) < 2**53
        return str(int(value)) if whole else number.format(value)
    return str(value)


def _tsv_field(text: str) -> str:
    return text.translate(_ESCAPES)
