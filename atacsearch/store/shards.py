"""Parquet shards: the truth of an index, from which metadata and vectors can always be rebuilt.

Columns: id, item, source_id, n_tokens, the labels, tokens list<uint32>, vector_<name> fixed_size_list.
A shard is written under a temporary name, synced and renamed; its checksum is in the manifest.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..arrow import numbers_of
from ..errors import InputError
from ..genome.intervals import concat_ranges, sorted_unique
from ..tokens.token_sets import TokenSets
from .atomic import put_in_place, remove, sha256_of, temporary
from .columns import VECTOR_PREFIX, cast_table, payload_key, payload_values
from .manifest import ShardEntry
from .types import Batch, IndexInfo, Source

if TYPE_CHECKING:
    import pyarrow as pa

META_KEY = b"atacsearch.shard"
ROWS_PER_GROUP = 8_192  # one row group is what reading a single vector costs
CELL_TOKENS = 2_048  # items of more tokens on average, BED files, get groups of so many tokens as follows
TOKENS_PER_GROUP = 1 << 20
ROWS_READ = 4_096  # items whose tokens are read at a time
_NAMESPACE = uuid.UUID("6f0f6c0e-6a53-5b52-9a3e-3d2f6b1f7a10")


def file_stem(source_id: str) -> str:
    """A file name for any source id: itself where it is plain, else shortened with a checksum."""
    if re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,79}", source_id):
        return source_id
    plain = re.sub(r"[^A-Za-z0-9._-]+", "_", source_id).strip("._") or "source"
    return f"{plain[-60:]}-{sha256(source_id.encode()).hexdigest()[:8]}"


def point_id(kind: str, source_id: str, item_id: str, model_digest: str) -> uuid.UUID:
    """The id of a point: uuid5 over kind, source id, item and model digest."""
    return uuid.uuid5(_NAMESPACE, "\x1f".join((kind, source_id, item_id, model_digest)))


def shard_table(
    batch: Batch, labels: pa.Table, source: Source, info: IndexInfo
) -> tuple[pa.Table, dict[str, int]]:
    """The Arrow table of a batch and its number of points per vector name.

    Raises:
        InputError: a vector holds NaN or infinity.
    """
    import pyarrow as pa

    n = len(batch.ids)
    sets = batch.sets
    offsets = sets.offsets if sets is not None else np.zeros(n + 1, np.int64)
    tokens = sets.tokens if sets is not None else np.empty(0, np.uint32)
    columns: dict[str, pa.Array] = {
        "id": pa.array(batch.ids, pa.string()),
        "item": pa.array(batch.items, pa.string()),
        "source_id": pa.array([source.id] * n, pa.string()),
        "n_tokens": pa.array(np.diff(offsets), pa.int64()),
    }
    columns.update({name: labels[name] for name in labels.column_names})
    lists = pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(tokens, pa.uint32()))
    columns["tokens"] = lists.cast(pa.list_(pa.uint32()))
    dtype = np.float16 if info.dtype == "float16" else np.float32
    points: dict[str, int] = {}
    for name in info.vectors:
        if name not in batch.vectors:
            continue
        values = np.ascontiguousarray(batch.vectors[name], np.float32).astype(dtype)
        bad = np.flatnonzero(~np.isfinite(values).all(1))
        if len(bad):
            raise InputError(
                f"{source.name}: the vector {name!r} of {batch.items[bad[0]]!r} is not finite "
                f"({len(bad)} of {n} items); vectors must be finite {info.dtype} numbers"
            )
        points[name] = int(values.any(1).sum())
        flat = pa.array(values.reshape(-1))
        columns[VECTOR_PREFIX + name] = pa.FixedSizeListArray.from_arrays(flat, values.shape[1])
    return pa.table(columns), points


def write_shard(
    index: Path,
    table: pa.Table,
    points: dict[str, int],
    *,
    number: int,
    kind: str,
    source: Source,
    info: IndexInfo,
    added: str,
) -> ShardEntry:
    """Write one shard durably and describe it."""
    import pyarrow.parquet as pq

    meta = {
        "number": number,
        "kind": kind,
        "source": asdict(source),
        "points": points,
        "added": added,
        "universe_digest": info.universe_digest,
        "model_digest": info.model_digest,
    }
    file = f"shards/{kind}/{file_stem(source.id)}-{number}.parquet"
    path = index / file
    path.parent.mkdir(parents=True, exist_ok=True)
    made = temporary(path)
    try:
        pq.write_table(
            table.replace_schema_metadata({META_KEY: json.dumps(meta).encode()}),
            made,
            compression="zstd",
            row_group_size=rows_per_group(table),
            # floats compress better, and are read faster, with their bytes sorted by significance
            use_byte_stream_split=[f"{VECTOR_PREFIX}{name}.list.element" for name in points],
            use_dictionary=[
                c for c in table.column_names if not c.startswith(VECTOR_PREFIX) and c != "tokens"
            ],
        )
        digest, size = sha256_of(made), made.stat().st_size
        put_in_place(made, path)
    except BaseException:
        remove(made)
        raise
    return ShardEntry(number, kind, file, source, table.num_rows, points, size, digest, added)


def rows_per_group(table: pa.Table) -> int:
    """Rows of a row group: fewer for BED files, of which one group would else be hundreds of millions of tokens."""
    mean = float(np.mean(numbers_of(table["n_tokens"]))) if table.num_rows else 0.0
    return ROWS_PER_GROUP if mean <= CELL_TOKENS else max(16, int(TOKENS_PER_GROUP // mean))


def read_entry(index: Path, path: Path) -> ShardEntry:
    """Describe a shard from its own footer, for repair without a manifest.

    Raises:
        InputError: not a readable shard.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        footer = pq.read_metadata(path)
        meta = json.loads(footer.metadata[META_KEY])
        return ShardEntry(
            meta["number"],
            meta["kind"],
            str(path.relative_to(index)),
            Source(**meta["source"]),
            footer.num_rows,
            meta["points"],
            path.stat().st_size,
            sha256_of(path),
            meta["added"],
        )
    except (OSError, KeyError, TypeError, ValueError, pa.ArrowException) as error:
        raise InputError(f"{path} is not a readable shard ({error})") from error


def read_metadata_rows(index: Path, entry: ShardEntry, types: Mapping[str, str]) -> pa.Table:
    """All columns of a shard but tokens and vectors, typed as `types` says, with `_shard` and `_row`."""
    import pyarrow.parquet as pq

    file = pq.ParquetFile(index / entry.file)
    names = [n for n in file.schema_arrow.names if n != "tokens" and not n.startswith(VECTOR_PREFIX)]
    return add_places(cast_table(file.read(columns=names).replace_schema_metadata(None), types), entry.number)


def read_metadata_schema(index: Path, entries: Sequence[ShardEntry], types: Mapping[str, str]) -> pa.Table:
    """A table of no rows with all columns that `read_metadata_rows` gives for these shards."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    tables = []
    for entry in entries:
        fields = [
            f
            for f in pq.read_schema(index / entry.file)
            if f.name != "tokens" and not f.name.startswith(VECTOR_PREFIX)
        ]
        tables.append(cast_table(pa.schema(fields).empty_table(), types))
    return add_places(pa.concat_tables(tables, promote_options="permissive"), 0)


def add_places(table: pa.Table, number: int) -> pa.Table:
    """Append the columns `_shard` and `_row` that lead from metadata back to the shard."""
    import pyarrow as pa

    rows = pa.array(np.arange(table.num_rows), pa.int64())
    shard = pa.array(np.full(table.num_rows, number), pa.int64())
    return table.append_column("_shard", shard).append_column("_row", rows)


def matrix_of(column: pa.Array | pa.ChunkedArray) -> npt.NDArray[Any]:
    """[n, d] values of a fixed_size_list column."""
    import pyarrow as pa

    if isinstance(column, pa.ChunkedArray):
        parts = [matrix_of(chunk) for chunk in column.chunks]
        return np.concatenate(parts) if parts else np.empty((0, column.type.list_size), np.float32)
    return numbers_of(column.flatten()).reshape(len(column), column.type.list_size)


def read_vectors(
    index: Path, entry: ShardEntry, name: str, rows: npt.NDArray[np.int64] | None = None
) -> npt.NDArray[np.float32] | None:
    """[n, d] float32 raw vectors of a shard, of `rows` only where given; None where it has no such vector."""
    column = VECTOR_PREFIX + name
    if name not in entry.points:
        return None
    table, rows = _read_groups(index / entry.file, column, rows)
    values = matrix_of(table[column]).astype(np.float32, copy=False)
    return values if rows is None else values[rows]


def read_tokens(index: Path, entry: ShardEntry, rows: npt.NDArray[np.int64]) -> list[npt.NDArray[np.uint32]]:
    """Token ids of the given rows of a shard."""
    import pyarrow as pa

    table, rows_in = _read_groups(index / entry.file, "tokens", rows)
    lists = pa.concat_arrays([c.cast(pa.large_list(pa.uint32())) for c in table["tokens"].chunks])
    offsets, tokens = numbers_of(lists.offsets).astype(np.int64), numbers_of(lists.values)
    assert rows_in is not None
    return [tokens[offsets[r] : offsets[r + 1]] for r in rows_in]


def open_regions(index: Path, shards: Sequence[ShardEntry], n_regions: int) -> npt.NDArray[np.bool_]:
    """Mark the regions that at least one item of these shards holds.

    Reads the shards one after another, and no further once every region was seen.

    Args:
        index: the index folder.
        shards: of one collection.
        n_regions: size V of the universe.

    Returns:
        [V] bool.
    """
    import pyarrow.parquet as pq

    seen = np.zeros(n_regions, bool)
    for entry in shards:
        with pq.ParquetFile(index / entry.file) as file:
            for batch in file.iter_batches(ROWS_READ, columns=["tokens"]):
                tokens = numbers_of(batch.column(0).flatten())
                seen[tokens[tokens < n_regions]] = True
                if seen.all():
                    return seen
    return seen


def _read_groups(
    path: Path, column: str, rows: npt.NDArray[np.int64] | None
) -> tuple[pa.Table, npt.NDArray[np.int64] | None]:
    """One column of the row groups that hold `rows`, and the rows' places in it."""
    import pyarrow.parquet as pq

    file = pq.ParquetFile(path)
    if rows is None:
        return file.read(columns=[column]), None
    sizes = np.array([file.metadata.row_group(g).num_rows for g in range(file.num_row_groups)], np.int64)
    starts = np.cumsum(sizes) - sizes
    group = np.searchsorted(starts, rows, side="right") - 1
    needed = sorted_unique(group)
    new_start = np.zeros(len(sizes), np.int64)
    new_start[needed] = np.cumsum(sizes[needed]) - sizes[needed]
    return file.read_row_groups(needed.tolist(), columns=[column]), rows - starts[group] + new_start[group]


@dataclass(frozen=True)
class PointBatch:
    """Points ready for a vector store.

    Attributes:
        ids: uuid of each point, as text.
        vectors: per point, vector name -> list of floats.
        payloads: per point, payload key -> value; always `id`, `source_id` and `_shard`.
    """

    ids: list[str]
    vectors: list[dict[str, list[float]]]
    payloads: list[dict[str, Any]]


def read_points(
    index: Path,
    entry: ShardEntry,
    columns: Mapping[str, str],
    types: Mapping[str, str],
    info: IndexInfo,
    size: int = 2_000,
) -> Iterator[PointBatch]:
    """The points of a shard, in batches; items whose vectors are all zero are left out.

    Args:
        index: the index folder.
        entry: the shard.
        columns: label columns that go into the payload -> filter family.
        types: column -> Arrow type of the generation.
        info: of the index.
        size: points a batch.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = pq.ParquetFile(index / entry.file)
    names = [n for n in file.schema_arrow.names if n != "tokens"]
    for record in file.iter_batches(size, columns=names):
        table = cast_table(pa.Table.from_batches([record]), types)
        vectors = {n: matrix_of(table[VECTOR_PREFIX + n]).astype(np.float32) for n in entry.points}
        present: dict[str, Any] = {n: v.any(axis=1) for n, v in vectors.items()}
        filled = [row for flags in present.values() for row in np.flatnonzero(flags).tolist()]
        keep = sorted(set(filled))
        if not keep:
            continue
        lists = {n: v.tolist() for n, v in vectors.items()}
        ids = table["id"].to_pylist()
        payloads: list[dict[str, Any]] = [
            {"id": i, "source_id": entry.source.id, "_shard": entry.number} for i in ids
        ]
        for name, kind in columns.items():
            if name in ("source_id",) or name not in table.column_names:
                continue
            key = payload_key(name)
            for payload, value in zip(payloads, payload_values(table[name], kind), strict=True):
                if value is not None:
                    payload[key] = value
        yield PointBatch(
            [str(point_id(entry.kind, entry.source.id, ids[r], info.model_digest)) for r in keep],
            [{n: lists[n][r] for n in lists if present[n][r]} for r in keep],
            [payloads[r] for r in keep],
        )


def join_tokens(
    pieces: Sequence[npt.NDArray[np.uint32]], names: Sequence[str], digest: str | None
) -> TokenSets:
    """Token sets of the given pieces."""
    offsets = np.zeros(len(pieces) + 1, np.int64)
    np.cumsum([len(p) for p in pieces], out=offsets[1:])
    tokens = np.concatenate(pieces) if pieces else np.empty(0, np.uint32)
    return TokenSets(offsets, tokens, tuple(names), digest)


def slice_batch(batch: Batch, start: int, stop: int) -> Batch:
    """Rows `start` to `stop` of a batch."""
    sets = batch.sets
    if sets is not None:
        offsets = sets.offsets[start : stop + 1]
        picked = concat_ranges(offsets[:1], offsets[-1:])
        sets = TokenSets(
            offsets - offsets[0], sets.tokens[picked], sets.names[start:stop], sets.universe_digest
        )
    return Batch(
        batch.ids[start:stop],
        batch.items[start:stop],
        batch.labels.slice(start, stop - start) if batch.labels is not None else None,
        sets,
        {n: v[start:stop] for n, v in batch.vectors.items()},
    )
