"""The DuckDB file of a generation: one table a collection, the shards and the sources.

Built once while publishing, under a temporary name, and opened read-only ever after, by any number of
processes. All SQL is in `sql/`; tables with label columns are made from Arrow tables.
"""

from __future__ import annotations

import math
import shutil
import tempfile
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ...arrow import number_array, numbers_of, text_array
from ...errors import InputError
from ...genome.intervals import concat_ranges
from ..columns import BUILT_IN, MAX_TEXT_VALUES, column_kind
from ..manifest import ShardEntry
from ..types import KINDS, Column, check_kind
from .sql_files import migrations, query
from .where import COMPARE, BoundCondition, BoundWhere

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

FILE = "metadata.duckdb"
HIDDEN = ("_shard", "_row", "_pos")
FEW = 50  # times as many items as ids asked for: these may be found by their hash, without reading all ids
HASHED_AFTER = 3  # times that rows were asked for by id, after which a hash of every id is kept in memory
HELD_AFTER = 6  # times after which all columns are kept
HELD_ITEMS = 5_000_000  # no more than so many: some 200 bytes each


def _connect(path: Path, read_only: bool) -> duckdb.DuckDBPyConnection:
    import duckdb

    # a temporary folder of its own: the index may be on a read-only disk
    return duckdb.connect(str(path), read_only=read_only, config={"temp_directory": tempfile.gettempdir()})


def empty_items() -> pa.Table:
    """An Arrow table of no items, with the columns that every collection has."""
    import pyarrow as pa

    text, number = pa.string(), pa.int64()
    types = {
        "id": text,
        "item": text,
        "source_id": text,
        "n_tokens": number,
        "_shard": number,
        "_row": number,
    }
    return pa.table({name: pa.array([], kind) for name, kind in types.items()})


@dataclass(frozen=True)
class Incoming:
    """Metadata rows of new shards of one collection.

    Attributes:
        schema: Arrow table of no rows with all their columns.
        tables: the rows, a shard at a time, so that many shards never lie in memory together.
    """

    schema: pa.Table
    tables: Iterable[pa.Table] = ()


def build_metadata(
    path: Path, shards: Sequence[ShardEntry], incoming: Mapping[str, Incoming], previous: Path | None
) -> dict[str, dict[str, Column]]:
    """Write the DuckDB file of a new generation.

    Where the columns stay as they are, the file of the generation before is copied (about 30 bytes an item) and
    rows are deleted and added; else all rows are written anew.

    Args:
        path: file to make.
        shards: all live shards.
        incoming: per collection, the metadata rows of shards that `previous` lacks.
        previous: file of the generation before; None to build from `incoming` alone.

    Returns:
        Per collection, its columns; `indexed` says which may be filtered.
    """
    old = _connect(previous, read_only=True) if previous is not None else None
    try:
        copied = old is not None and all(_fits(old, kind, incoming) for kind in KINDS)
        if copied:
            assert previous is not None
            shutil.copyfile(previous, path)
        con = _connect(path, read_only=False)
        try:
            _write(con, shards, incoming, None if copied else old, copied)
            columns = {kind: _describe(con, kind) for kind in KINDS}
            con.execute("CHECKPOINT")
        finally:
            con.close()
    finally:
        if old is not None:
            old.close()
    return columns


def _fits(old: duckdb.DuckDBPyConnection, kind: str, incoming: Mapping[str, Incoming]) -> bool:
    """Whether new rows have no columns but those of the generation before, each of the same type."""
    if kind not in incoming:
        return True
    have = old.table(kind).limit(0).to_arrow_table().schema
    fields = incoming[kind].schema.schema
    return all(f.name in have.names and have.field(f.name).type == f.type for f in fields)


def _write(
    con: duckdb.DuckDBPyConnection,
    shards: Sequence[ShardEntry],
    incoming: Mapping[str, Incoming],
    old: duckdb.DuckDBPyConnection | None,
    copied: bool,
) -> None:
    """Bring the tables of a new file, or of a copy, to what the live shards hold."""
    import pyarrow as pa

    if copied:
        con.execute(query("clear_shards"))
    else:
        for version, name, text in migrations():
            con.execute(text)
            con.execute(query("record_migration"), {"version": version, "name": name})
    con.register("incoming", _shard_rows(shards))
    con.execute(query("insert_shards"))
    con.unregister("incoming")
    if copied:
        con.execute(query("drop_rows"))
    for kind in KINDS:
        new = incoming.get(kind, Incoming(empty_items()))
        if not copied:
            schemas = [old.table(kind).limit(0).to_arrow_table()] if old is not None else []
            # of a column with two types the wider one holds both
            columns = pa.concat_tables([empty_items(), *schemas, new.schema], promote_options="permissive")
            con.register("incoming", columns)
            con.table("incoming").create(kind)
            con.unregister("incoming")
            if old is not None:
                # streamed, so that a large collection never lies in memory as a whole
                live = {"kind": kind, "live": [s.number for s in shards]}
                con.register("incoming", _reader(old.sql(query("all_rows"), params=live)))
                con.sql(query("conform"), params={"kind": kind}).insert_into(kind)
                con.unregister("incoming")
        for table in new.tables:
            con.register("incoming", table)
            con.sql(query("conform"), params={"kind": kind}).insert_into(kind)
            con.unregister("incoming")


def _column(name: str) -> duckdb.Expression:
    """A column by its name, whatever characters that has."""
    import duckdb

    return duckdb.ColumnExpression(name)


def _reader(relation: duckdb.DuckDBPyRelation) -> pa.RecordBatchReader:
    """The rows of a relation as an Arrow stream; the method has another name before DuckDB 1.5."""
    name = "to_arrow_reader" if hasattr(relation, "to_arrow_reader") else "fetch_arrow_reader"
    return getattr(relation, name)()


def _shard_rows(shards: Sequence[ShardEntry]) -> pa.Table:
    import pyarrow as pa

    text, number = pa.string(), pa.int64()
    columns: list[tuple[str, pa.DataType, list[Any]]] = [
        ("number", number, [s.number for s in shards]),
        ("kind", text, [s.kind for s in shards]),
        ("file", text, [s.file for s in shards]),
        ("source_id", text, [s.source.id for s in shards]),
        ("source_name", text, [s.source.name for s in shards]),
        ("source_digest", text, [s.source.digest for s in shards]),
        ("genome", text, [s.source.genome for s in shards]),
        ("counting", text, [s.source.counting for s in shards]),
        ("n_rows", number, [s.rows for s in shards]),
        ("n_points", number, [s.n_points for s in shards]),
        ("n_bytes", number, [s.bytes for s in shards]),
        ("sha256", text, [s.sha256 for s in shards]),
        ("added", text, [s.added for s in shards]),
    ]
    return pa.table({name: pa.array(values, kind) for name, kind, values in columns})


def _describe(con: duckdb.DuckDBPyConnection, kind: str) -> dict[str, Column]:
    """The columns of a collection that users see, with their number of distinct values."""
    counts = con.execute(query("count_distinct"), {"kind": kind}).fetchall()[0]
    dtypes = {"VARCHAR": "string", "BIGINT": "int64", "DOUBLE": "double", "BOOLEAN": "bool"}
    types = dict(zip(con.table(kind).columns, con.table(kind).dtypes, strict=True))
    seen = [name for name in types if name not in ("id", "item", *HIDDEN)]
    columns: dict[str, Column] = {}
    for name, n in zip(seen, counts, strict=True):
        dtype = dtypes.get(str(types[name]), "string")
        family = column_kind(dtype) if n else "empty"
        indexed = n > 0 and (family != "text" or n <= MAX_TEXT_VALUES or name in BUILT_IN)
        columns[name] = Column(name, family, dtype, int(n), indexed, label=name not in BUILT_IN)
    return columns


def _expression(condition: BoundCondition) -> duckdb.Expression:
    """A condition in DuckDB's own terms; null meets none, and neither does a number that is not finite."""
    import duckdb

    column = _column(condition.column)
    values = [duckdb.ConstantExpression(v) for v in condition.values]
    found = column.isin(*values) if condition.op == "in" else COMPARE[condition.op](column, values[0])
    if condition.kind == "number":
        infinite = [duckdb.ConstantExpression(v) for v in (math.inf, -math.inf, math.nan)]
        found = found & column.isnotin(*infinite)
    return found


class Metadata:
    """Read access to one generation's DuckDB file. Safe to use from several threads.

    Args:
        path: the file.

    Raises:
        InputError: the file cannot be read, or was written by a newer version.
    """

    def __init__(self, path: Path) -> None:
        import duckdb

        if not path.exists():
            raise FileNotFoundError(path)
        try:
            self._con = _connect(path, read_only=True)
            version = self._con.execute(query("schema_version")).fetchall()[0][0]
        except duckdb.Error as error:
            raise InputError(
                f"{path} cannot be read ({str(error).splitlines()[0]}); run: "
                f"atacsearch index repair {path.parents[2]}"
            ) from error
        newest = migrations()[-1][0]
        if version != newest:
            self._con.close()
            remedy = "run: atacsearch index repair" if version < newest else "install a newer atacsearch"
            raise InputError(f"{path} has metadata schema {version}, this version reads {newest}; {remedy}")
        self._local = threading.local()
        self._counts: dict[str, int] = {}
        self._places: dict[str, tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]] = {}
        self._times: dict[str, int] = {}
        self._held: dict[str, tuple[npt.NDArray[np.int64], pa.Table]] = {}

    def close(self) -> None:
        """Let go of the file."""
        self._con.close()

    def _cursor(self) -> duckdb.DuckDBPyConnection:
        if not hasattr(self._local, "cursor"):
            self._local.cursor = self._con.cursor()
        cursor: duckdb.DuckDBPyConnection = self._local.cursor
        return cursor

    def _table(self, name: str, **params: object) -> pa.Table:
        return self._cursor().sql(query(name), params=params).to_arrow_table()

    def _joined(self, name: str, ids: Sequence[str], **params: object) -> pa.Table:
        """Result of a query that joins `wanted(pos, id)`."""
        import pyarrow as pa

        cursor = self._cursor()
        cursor.register(
            "wanted",
            pa.table({"pos": number_array(np.arange(len(ids))), "id": text_array(ids)}),
        )
        try:
            return cursor.sql(query(name), params=params).to_arrow_table()
        finally:
            cursor.unregister("wanted")

    def count(self, kind: str) -> int:
        """Number of items; counted once, since the file never changes."""
        if kind not in self._counts:
            rows = self._cursor().execute(query("count_rows"), {"kind": kind}).fetchall()
            self._counts[kind] = int(rows[0][0])
        return self._counts[kind]

    def ids(self, kind: str) -> list[str]:
        """All ids, in order of shard and row."""
        return list(self._table("ordered_ids", kind=kind)["id"].to_pylist())

    def rows(self, kind: str, ids: Sequence[str], columns: Sequence[str] | None = None) -> pa.Table:
        """All columns of the given ids, or those named, in the order of `ids`.

        Raises:
            InputError: an id is not in the index.
        """
        chosen = None if columns is None else [*dict.fromkeys(("_pos", *columns))]
        return self._found(kind, ids, self._joined_rows(kind, ids, chosen))

    def places(self, kind: str, ids: Sequence[str]) -> pa.Table:
        """Columns `_shard` and `_row` of the given ids, in that order.

        Raises:
            InputError: an id is not in the index.
        """
        return self._found(kind, ids, self._joined_rows(kind, ids, ["_pos", "_shard", "_row"]))

    def _joined_rows(self, kind: str, ids: Sequence[str], columns: Sequence[str] | None) -> pa.Table:
        """Rows of the ids that are there, with their `_pos` in `ids`."""
        import pyarrow as pa
        import pyarrow.compute as pc

        self._times[kind] = self._times.get(kind, 0) + 1
        if len(ids) * FEW > self.count(kind) or self._times[kind] <= HASHED_AFTER:
            table = self._joined("rows_of_ids", ids, kind=kind)
            return table if columns is None else table.select(list(columns))
        pos, place = self._find_places(kind, ids)
        asked = pa.array(ids, pa.string()).take(pa.array(pos))
        held = self._hold(kind)
        if held is not None:
            rows, table = held
            if columns is not None:
                table = table.select([c for c in dict.fromkeys((*columns, "id")) if c != "_pos"])
            table = table.take(pa.array(np.searchsorted(rows, place)))
            table = table.add_column(0, "_pos", pa.array(pos)).filter(pc.equal(table["id"], asked))
            return table if columns is None else table.select(list(columns))
        wanted = pa.table({"pos": pos, "id": asked, "place": place})
        cursor = self._cursor()
        cursor.register("wanted", wanted)
        try:
            found = cursor.sql(query("rows_at").format(items=check_kind(kind)))
            if columns is not None:
                found = found.select(*map(_column, dict.fromkeys((*columns, "_id", "id"))))
            table = found.to_arrow_table()
        finally:
            cursor.unregister("wanted")
        table = table.filter(pc.equal(table["_id"], table["id"]))  # two ids may have one hash
        return table.drop_columns(["_id"]) if columns is None else table.select(list(columns))

    def _hold(self, kind: str) -> tuple[npt.NDArray[np.int64], pa.Table] | None:
        """Row numbers and all columns in memory, once rows have been asked for often; the file never changes.

        A join on a hundred rows reads a block of every column for each, 10 to 20 ms of a million items; this
        costs one reading of all, half a second, which a single question must not pay.
        """
        if kind not in self._held and self._times[kind] > HELD_AFTER and self.count(kind) <= HELD_ITEMS:
            found = self._cursor().sql(query("held_rows").format(items=check_kind(kind))).to_arrow_table()
            self._held[kind] = numbers_of(found["_place"]), found.drop_columns(["_place"]).combine_chunks()
        return self._held.get(kind)

    def _find_places(
        self, kind: str, ids: Sequence[str]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Positions in `ids` and row numbers of a table where these ids may be: all whose hash agrees.

        16 bytes an item are kept from the first call on.
        """
        if kind not in self._places:
            table = self._cursor().sql(query("hashes_of_ids").format(items=check_kind(kind))).to_arrow_table()
            hashes = numbers_of(table["hash"])
            order = np.argsort(hashes)
            self._places[kind] = hashes[order], numbers_of(table["place"])[order]
        hashes, places = self._places[kind]
        asked = numbers_of(self._joined("hashes_of_wanted", ids)["hash"])
        first, last = np.searchsorted(hashes, asked), np.searchsorted(hashes, asked, side="right")
        return np.repeat(np.arange(len(ids)), last - first), places[concat_ranges(first, last)]

    def _found(self, kind: str, ids: Sequence[str], table: pa.Table) -> pa.Table:
        if table.num_rows != len(ids):
            seen = set(table["_pos"].to_pylist())
            missing = [i for pos, i in enumerate(ids) if pos not in seen]
            raise InputError(
                f"{missing[0]!r} is not among the {kind} of this index ({len(missing)} ids unknown)"
            )
        return table.drop_columns(["_pos"])

    def taken(self, kind: str, ids: Sequence[str], dropped: Sequence[int]) -> list[tuple[str, str]]:
        """Up to five of `ids` that live in shards other than `dropped`, each with its source's name."""
        table = self._joined("taken_ids", ids, kind=kind, dropped=list(dropped))
        return list(zip(table["id"].to_pylist(), table["source_name"].to_pylist(), strict=True))

    def find(self, kind: str, text: str) -> list[tuple[str, str]]:
        """Up to six (id, item) whose id or item is `text`."""
        return list(self._cursor().execute(query("find_item"), {"kind": kind, "text": text}).fetchall())

    def duplicates(self, kind: str) -> list[str]:
        """Up to five ids that occur twice, which must never be."""
        return list(self._table("duplicate_ids", kind=kind)["id"].to_pylist())

    def table(self, kind: str, columns: Sequence[str] | None = None) -> pa.Table:
        """All rows, in order of shard and row; the given columns, or every one."""
        if columns is None:
            return self._table("ordered_rows", kind=kind)
        return self._table("chosen_rows", kind=kind, columns=list(columns)).select(list(columns))

    def matching(self, kind: str, where: BoundWhere) -> pa.ChunkedArray:
        """Ids of the items that meet a filter, as an Arrow column in no order."""
        found = self._cursor().table(check_kind(kind))
        for condition in where.conditions:
            found = found.filter(_expression(condition))
        return found.select(_column("id")).to_arrow_table()["id"]

    def sources(self) -> pa.Table:
        """Arrow table of all sources, with their number of items."""
        return self._table("all_sources")
