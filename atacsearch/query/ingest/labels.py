"""A table of labels that is joined to items by their name: `--labels TSV`.

Its columns are added to those that the items bring, or replace their values; an empty field is null.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import InputError

if TYPE_CHECKING:
    from ...readers.items import Items

ID_COLUMNS = ("item", "barcode", "id")


@dataclass(frozen=True)
class Labels:
    """Label columns by item.

    Attributes:
        path: the file.
        id_column: the column that names the items.
        columns: the other columns, in file order.
        values: for each name its values, in the order of `columns`; None where a field is empty.
    """

    path: Path
    id_column: str
    columns: tuple[str, ...]
    values: dict[str, tuple[str | None, ...]]


def read_labels(path: str | Path) -> Labels:
    """Read a TSV (or, by its suffix, CSV) with a header; `.gz` is inflated.

    The items are named by the column `item`, `barcode` or `id`, else by the first one.

    Raises:
        InputError: no such file, no label column, a line with too few or too many fields, an item named
            twice.
    """
    path = Path(path)
    comma = path.name.removesuffix(".gz").endswith(".csv")
    try:
        with _open(path) as handle:
            rows = list(csv.reader(handle, delimiter="," if comma else "\t"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; --labels expects a TSV with a header") from None
    except (UnicodeDecodeError, EOFError, gzip.BadGzipFile) as error:
        raise InputError(f"{path}: cannot be read as text ({error}); expected a TSV with a header") from None
    if not rows:
        raise InputError(f"{path}: is empty; expected a TSV with a header, an id column and label columns")
    header = [name.strip() for name in rows[0]]
    id_column = next((name for name in ID_COLUMNS if name in header), header[0])
    at = header.index(id_column)
    others = [i for i, name in enumerate(header) if i != at]
    if not others:
        raise InputError(
            f"{path}: has one column, {id_column!r}; expected label columns beside it, tab-separated"
        )
    values: dict[str, tuple[str | None, ...]] = {}
    for number, row in enumerate(rows[1:], 2):
        if not row:
            continue
        if len(row) != len(header):
            raise InputError(f"{path}, line {number}: {len(row)} fields, the header has {len(header)}")
        name = row[at].strip()
        fields = tuple(row[i].strip() or None for i in others)
        if values.get(name, fields) != fields:
            raise InputError(f"{path}, line {number}: {name!r} is named before with other labels")
        values[name] = fields
    return Labels(path, id_column, tuple(header[i] for i in others), values)


def _open(path: Path) -> Any:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def join_labels(items: Items, labels: Labels) -> tuple[Any, int]:
    """The items' label table with the columns of `labels` added or replaced.

    An item is found by its name as the user knows it or by its index id. What the table says of an item
    replaces the item's own value, an empty field too; items that the table does not name keep what they
    have.

    Returns:
        The `pyarrow.Table` [n items], and how many items the table names.
    """
    from ...readers.labels import text_column

    found = [_of(labels, name, id) for name, id in zip(items.sets.names, items.ids, strict=True)]
    table = items.labels
    for position, column in enumerate(labels.columns):
        old: Sequence[Any] = (
            table[column].to_pylist() if column in table.column_names else [None] * table.num_rows
        )
        new = [o if f is None else f[position] for o, f in zip(old, found, strict=True)]
        merged = text_column([None if v is None else str(v) for v in new])
        if column in table.column_names:
            table = table.set_column(table.column_names.index(column), column, merged)
        else:
            table = table.append_column(column, merged)
    return table, sum(f is not None for f in found)


def _of(labels: Labels, name: str, id: str) -> tuple[str | None, ...] | None:
    found = labels.values.get(id)
    return labels.values.get(name) if found is None else found
