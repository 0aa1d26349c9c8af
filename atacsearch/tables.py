"""Tables of results as text or files: for reading, as TSV, JSON or Parquet.

Results are Arrow tables inside; this is the one place where they take a form. A missing value is an empty
field in a table and in TSV, `null` in JSON and Parquet. A table for reading is drawn by rich on a terminal, as wide
as that is. In a file or a pipe it is plain: every value whole, on one line a row, the same on every machine.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from .errors import InputError
from .files import to_file

if TYPE_CHECKING:
    import pyarrow as pa

_ESCAPES = str.maketrans({"\t": "\\t", "\n": "\\n", "\r": "\\r"})
# rich takes about a millisecond a row, 50 times as long as plain lines; and nobody reads that many.
MOST_DRAWN_ROWS = 1000
LEAST_TEXT_WIDTH = 8  # of a text column on a narrow terminal; below it values are folded, never cut


def write_table(table: pa.Table, format: str, path: Path | None = None, stream: TextIO | None = None) -> None:
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


def _write_file(table: pa.Table, format: str, path: Path) -> None:
    if format == "parquet":
        import pyarrow.parquet as pq

        with path.open("wb") as handle:  # given a path, a failed write would remove what is there
            pq.write_table(table, handle, compression="zstd")
    else:
        with path.open("w", encoding="utf-8") as handle:
            _write_text(table, format, handle)


def write_record(
    record: Mapping[str, object], format: str, path: Path | None = None, stream: TextIO | None = None
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


def _flat(record: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    for key, value in record.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", "; ".join(map(str, value)) if isinstance(value, list | tuple) else value


def _write_text(table: pa.Table, format: str, stream: TextIO) -> None:
    if format == "json":
        stream.write(json.dumps(list(records(table)), indent=1, ensure_ascii=False) + "\n")
    elif format == "tsv":
        stream.write("\t".join(map(_tsv_field, table.column_names)) + "\n")
        for row in _rows(table, "{:.6g}"):
            stream.write("\t".join(map(_tsv_field, row)) + "\n")
    elif stream.isatty() and table.num_rows <= MOST_DRAWN_ROWS:
        _draw(table, stream)
    else:
        stream.writelines(line + "\n" for line in aligned(table))


def records(table: pa.Table) -> Iterator[dict[str, object]]:
    """The rows as dicts that JSON can hold: NaN becomes None."""
    for row in table.to_pylist():
        yield {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}


def aligned(table: pa.Table) -> list[str]:
    """The lines of a table for reading: numbers flush right, everything else flush left.

    Example:
        >>> import pyarrow as pa
        >>> print("\\n".join(aligned(pa.table({"item": ["a", "bc"], "n": [10, 2]}))))
        item   n
        ----  --
        a     10
        bc     2
    """
    numeric = _numeric(table)
    rows = _readable_rows(table)
    widths = [max(map(len, column)) for column in zip(table.column_names, *rows, strict=True)]

    def line(fields: list[str]) -> str:
        cells = (
            f.rjust(w) if right else f.ljust(w) for f, w, right in zip(fields, widths, numeric, strict=True)
        )
        return "  ".join(cells).rstrip()

    return [line(list(table.column_names)), line(["-" * w for w in widths]), *map(line, rows)]


def _draw(table: pa.Table, stream: TextIO) -> None:
    """Draw a table on a terminal, as wide as that is: text is folded where it has no room, numbers never are."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    rows = _readable_rows(table)
    drawn = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for i, (name, number) in enumerate(zip(table.column_names, _numeric(table), strict=True)):
        longest = max((len(row[i]) for row in rows), default=0)
        drawn.add_column(
            name,
            justify="right" if number else "left",
            no_wrap=number,
            overflow="fold",
            min_width=max(longest, len(name)) if number else min(longest, LEAST_TEXT_WIDTH),
        )
    for row in rows:
        drawn.add_row(*row)
    # Values are shown as they are: `[red]` and `:smile:` are no markup. What has no room runs on, uncropped.
    Console(file=stream, markup=False, emoji=False, highlight=False).print(drawn, crop=False)


def _numeric(table: pa.Table) -> list[bool]:
    """Whether each column holds numbers."""
    import pyarrow as pa

    return [pa.types.is_integer(f.type) or pa.types.is_floating(f.type) for f in table.schema]


def _readable_rows(table: pa.Table) -> list[list[str]]:
    """The rows as text of four digits, without tabs and line ends."""
    return [[field.translate(_ESCAPES) for field in row] for row in _rows(table, "{:.4g}")]


def _rows(table: pa.Table, number: str) -> Iterator[list[str]]:
    columns = [[_text(v, number) for v in column.to_pylist()] for column in table.columns]
    return (list(row) for row in zip(*columns, strict=True))


def _text(value: object, number: str) -> str:
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
