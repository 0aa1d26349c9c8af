"""Label columns of any input brought to four types, one spelling and one type a column over the whole index.

In: the obs columns of an AnnData file or the columns of a manifest, as Arrow. Out: string, int64, double or
bool columns with empty values as null. Names are matched without regard to case, as DuckDB does.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from .types import Column, ColumnKind

if TYPE_CHECKING:
    import pyarrow as pa

MAX_TEXT_VALUES = 10_000
RESERVED = frozenset({"id", "item", "source_id", "tokens", "n_tokens", "_shard", "_row", "_gen", "_pos"})
VECTOR_PREFIX = "vector_"
BUILT_IN = ("source_id", "n_tokens")


def normalise_labels(labels: pa.Table, known: Iterable[str] = ()) -> tuple[pa.Table, list[str]]:
    """Bring a table of labels to the four types and to the spelling that the index already has.

    Args:
        labels: Arrow table.
        known: column names of the index.

    Returns:
        The table and a note on every column that had to be renamed.
    """
    import pyarrow as pa

    spelling = {name.casefold(): name for name in known}
    arrays: dict[str, pa.Array] = {}
    notes: list[str] = []
    taken: set[str] = set()
    for given in labels.column_names:
        name = given
        if name.casefold() in RESERVED or name.casefold().startswith(VECTOR_PREFIX) or not name:
            name = f"label_{name}"
        name = spelling.get(name.casefold(), name)
        base, n = name, 2
        while name.casefold() in taken:
            name, n = f"{base}_{n}", n + 1
        taken.add(name.casefold())
        if name.casefold() != given.casefold():
            notes.append(f"the label column {given!r} is stored as {name!r}")
        column = labels.column(labels.column_names.index(given))
        arrays[name] = normalise_array(column)
    return pa.table(arrays) if arrays else pa.table({}), notes


def normalise_array(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """One column as string, int64, double or bool; empty text and NaN become null."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
        if isinstance(column, pa.ChunkedArray):
            column = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    kind = column.type
    if pa.types.is_dictionary(kind):
        return normalise_array(column.cast(kind.value_type))
    if pa.types.is_boolean(kind):
        return column
    if pa.types.is_integer(kind):
        try:
            return column.cast(pa.int64())
        except pa.ArrowInvalid:  # uint64 beyond int64
            return column.cast(pa.float64(), safe=False)
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        values = column.cast(pa.float64(), safe=False)
        return pc.if_else(pc.fill_null(pc.is_nan(values), True), pa.scalar(None, pa.float64()), values)
    if pa.types.is_null(kind):
        return pa.nulls(len(column), pa.string())
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_temporal(kind):
        text = column.cast(pa.string())
        return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)
    values = [None if v is None else json.dumps(v, default=str) for v in column.to_pylist()]
    return pa.array(values, pa.string())


def merge_dtype(old: str | None, new: str) -> str:
    """The type that holds both; None stands for a column without any value so far."""
    if old is None or old == new:
        return new
    return "double" if {old, new} == {"int64", "double"} else "string"


def settle_types(table: pa.Table, known: Mapping[str, Column]) -> dict[str, str]:
    """Types of the columns of an incoming table, fitted to what the index has.

    Text that is wholly numeric joins a numeric column; anything else of another type makes the column text.

    Returns:
        Column name -> Arrow type name, for columns of `table` that hold a value.
    """
    import pyarrow as pa

    types: dict[str, str] = {}
    for name in table.column_names:
        column = table[name]
        if column.null_count == len(column):
            continue
        have = known[name].dtype if name in known and known[name].kind != "empty" else None
        new = str(column.type)
        if have in ("int64", "double") and new == "string":
            try:
                column.cast(pa.float64())
                new = "double"
            except pa.ArrowInvalid:
                new = "string"
        types[name] = merge_dtype(have, new)
    return types


def cast_table(table: pa.Table, types: Mapping[str, str]) -> pa.Table:
    """Every column of `table` that `types` names, in that type; columns without any value as empty text."""
    import pyarrow as pa

    targets = {"string": pa.string(), "int64": pa.int64(), "double": pa.float64(), "bool": pa.bool_()}
    arrays = []
    for name in table.column_names:
        column = table[name]
        target = targets.get(types.get(name, ""))
        if name not in RESERVED and column.null_count == len(column):
            column = pa.nulls(len(column), target or pa.string())
        elif target is not None and column.type != target:
            column = column.cast(target)
        arrays.append(column)
    return pa.table(arrays, names=table.column_names)


def column_kind(dtype: str) -> ColumnKind:
    """The filter family of an Arrow type name."""
    return {"string": "text", "bool": "bool"}.get(dtype, "number")  # type: ignore[return-value]


def payload_key(name: str) -> str:
    """The name of a column in Qdrant's payload, where dots and brackets are a path's syntax.

    Example:
        >>> payload_key("cell_type"), payload_key("nucleosome.signal")
        ('cell_type', 'nucleosome-2e-signal')
    """
    return re.sub(r"[^0-9A-Za-z_]", lambda m: f"-{ord(m.group()):x}-", name)


def payload_values(column: pa.ChunkedArray, kind: str) -> list[str | float | None]:
    """Values of a column as Qdrant's payload holds them: text or float; None where there is none.

    Truth values are the texts "true" and "false": qdrant-edge 0.9.0 takes Python's True for the integer 1.
    """
    import math

    values: list[Any] = column.to_pylist()
    if kind == "number":
        return [float(v) if v is not None and math.isfinite(v) else None for v in values]
    if kind == "bool":
        return [None if v is None else bool_text(v) for v in values]
    return values


def bool_text(value: bool) -> str:
    """A truth value as the payload holds it."""
    return "true" if value else "false"
