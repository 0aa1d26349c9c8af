"""The DuckDB file of a generation: one table a collection, the shards and the sources.

Built once while publishing, under a temporary name, and opened read-only ever after, by any number of
processes. All SQL is in `sql/`; tables with label columns are made from Arrow tables.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import InputError
from .columns import BUILT_IN, MAX_TEXT_VALUES, column_kind
from .manifest import ShardEntry
from .sqlfiles import migrations, query
from .types import KINDS, Column

FILE = "metadata.duckdb"
HIDDEN = ("_shard", "_row", "_pos")


def _connect(path: Path, read_only: bool) -> Any:
    import duckdb

    # a temporary folder of its own: the index may be on a read-only disk
    return duckdb.connect(str(path), read_only=read_only, config={"temp_directory": tempfile.gettempdir()})


def empty_items() -> Any:
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


def build_metadata(
    path: Path, shards: Sequence[ShardEntry], incoming: Mapping[str, Sequence[Any]], previous: Path | None
) -> dict[str, dict[str, Column]]:
    """Write the DuckDB file of a new generation.

    Args:
        path: file to make.
        shards: all live shards.
        incoming: per collection, the metadata rows of shards that `previous` lacks.
        previous: file of the generation before; None to build from `incoming` alone.

    Returns:
        Per collection, its columns; `indexed` says which may be filtered.
    """
    import pyarrow as pa

    con = _connect(path, read_only=False)
    old = _connect(previous, read_only=True) if previous is not None else None
    try:
        for version, name, text in migrations():
            con.execute(text)
            con.execute(query("record_migration"), {"version": version, "name": name})
        con.register("incoming", _shard_rows(shards))
        con.execute(query("insert_shards"))
        con.unregister("incoming")
        columns: dict[str, dict[str, Column]] = {}
        for kind in KINDS:
            rows = pa.concat_tables([empty_items(), *incoming.get(kind, ())], promote_options="default")
            con.register("incoming", rows)
            if old is not None:
                # streamed, so that a large collection never lies in memory as a whole
                con.register("previous", _reader(old.sql(query("all_rows"), params={"kind": kind})))
            else:
                con.register("previous", empty_items())
            con.sql(query("carry_rows")).create(kind)
            con.unregister("incoming")
            con.unregister("previous")
            columns[kind] = _describe(con, kind)
        con.execute("CHECKPOINT")
    finally:
        con.close()
        if old is not None:
            old.close()
    return columns


def _reader(relation: Any) -> Any:
    """The rows of a relation as an Arrow stream; the method has another name before DuckDB 1.5."""
    name = "to_arrow_reader" if hasattr(relation, "to_arrow_reader") else "fetch_arrow_reader"
    return getattr(relation, name)()


def _shard_rows(shards: Sequence[ShardEntry]) -> Any:
    import pyarrow as pa

    text, number = pa.string(), pa.int64()
    columns: list[tuple[str, Any, list[Any]]] = [
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


def _describe(con: Any, kind: str) -> dict[str, Column]:
    """The columns of a collection that users see, with their number of distinct values."""
    counts = con.execute(query("count_distinct"), {"kind": kind}).fetchall()[0]
    dtypes = {"VARCHAR": "string", "BIGINT": "int64", "DOUBLE": "double", "BOOLEAN": "bool"}
    types = con.table(kind).dtypes
    columns: dict[str, Column] = {}
    for name, kind_of_db, n in zip(con.table(kind).columns, types, counts, strict=True):
        if name in ("id", "item", *HIDDEN):
            continue
        dtype = dtypes.get(str(kind_of_db), "string")
        family = column_kind(dtype) if n else "empty"
        indexed = n > 0 and (family != "text" or n <= MAX_TEXT_VALUES or name in BUILT_IN)
        columns[name] = Column(name, family, dtype, int(n), indexed, label=name not in BUILT_IN)
    return columns


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

    def close(self) -> None:
        """Let go of the file."""
        self._con.close()

    def _cursor(self) -> Any:
        if not hasattr(self._local, "cursor"):
            self._local.cursor = self._con.cursor()
        return self._local.cursor

    def _table(self, name: str, **params: Any) -> Any:
        return self._cursor().sql(query(name), params=params).to_arrow_table()

    def _joined(self, name: str, ids: Sequence[str], **params: Any) -> Any:
        """Result of a query that joins `wanted(pos, id)`."""
        import pyarrow as pa

        cursor = self._cursor()
        cursor.register(
            "wanted",
            pa.table({"pos": pa.array(range(len(ids)), pa.int64()), "id": pa.array(ids, pa.string())}),
        )
        try:
            return cursor.sql(query(name), params=params).to_arrow_table()
        finally:
            cursor.unregister("wanted")

    def count(self, kind: str) -> int:
        """Number of items."""
        return int(self._cursor().execute(query("count_rows"), {"kind": kind}).fetchall()[0][0])

    def ids(self, kind: str) -> list[str]:
        """All ids, in order of shard and row."""
        return list(self._table("ordered_ids", kind=kind)["id"].to_pylist())

    def rows(self, kind: str, ids: Sequence[str]) -> Any:
        """All columns of the given ids, in that order.

        Raises:
            InputError: an id is not in the index.
        """
        return self._found(kind, ids, self._joined("rows_of_ids", ids, kind=kind))

    def places(self, kind: str, ids: Sequence[str]) -> Any:
        """Columns `_shard` and `_row` of the given ids, in that order.

        Raises:
            InputError: an id is not in the index.
        """
        return self._found(kind, ids, self._joined("places_of_ids", ids, kind=kind))

    def _found(self, kind: str, ids: Sequence[str], table: Any) -> Any:
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

    def table(self, kind: str, columns: Sequence[str] | None = None) -> Any:
        """All rows, in order of shard and row; the given columns, or every one."""
        if columns is None:
            return self._table("ordered_rows", kind=kind)
        return self._table("chosen_rows", kind=kind, columns=list(columns)).select(list(columns))

    def sources(self) -> Any:
        """Arrow table of all sources, with their number of items."""
        return self._table("all_sources")
