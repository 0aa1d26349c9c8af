"""EmbeddedStore: vectors in the index folder, in immutable qdrant-edge parts that are searched in process.

A part is made in a temporary folder (payload indexes, points, optimise, close), then renamed. It has no
write-ahead log, since the Parquet shards are the log, and so it can be opened by any number of processes.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import AtacsearchError
from ..atomic import (
    check_space,
    copy_tree,
    disk_errors,
    put_in_place,
    read_ahead,
    remove,
    size_of,
    temporary,
)
from ..columns import payload_key
from ..manifest import Part, ShardEntry, count_points
from ..metadata.where import BoundWhere, matches, to_edge
from ..shards import read_points
from ..types import KINDS, IndexInfo
from .base import Collection, Hits, Query, StoredPoint
from .merge import merge_hits
from .parts import columns_inside, plan_parts

if TYPE_CHECKING:
    import qdrant_edge as qe

QUERIES_A_CALL = 1_000
LINKS = 24  # of a point in the graph
BUILD_CANDIDATES = 128  # looked at for the links of a point
# Looked at by a query: so many, and one more for each POINTS_A_CANDIDATE points of a part above EASY_POINTS.
CANDIDATES = 350
EASY_POINTS = 100_000
POINTS_A_CANDIDATE = 600
OVERSAMPLING = 3.0  # times k candidates are compared again with the float16 vectors behind the int8 ones
# Links within each value of each payload column would cost more than the graph itself (a publish of 100,000 x 128
# with five columns took 371 s with them and 81 s without); filtered walks look two links ahead instead (ACORN,
# arXiv:2403.04871).
PAYLOAD_LINKS = 0
FILTERED_CANDIDATES = 256
# A filter that this share of the points meets is applied to longer answers instead of inside the walk.
COMMON = 0.3
SHARES_KEPT = 1_000
NOT_WRITABLE = ("Permission denied", "Read-only file system", "No space left")
FULL_SCAN = 10_000  # kB of vectors below which no graph is worth its links
# Bytes of float32 vectors from which a part holds int8 in memory and float16 behind it; large enough for the
# float16 vectors to get a graph.
QUANTISED = 24_000_000


class PartUnavailableError(AtacsearchError):
    """A part cannot be opened here; the exact scan over Parquet still can answer."""


class EmbeddedStore:
    """Vector store in the folder of an index.

    Args:
        index: the index folder.
        info: of the index.
    """

    def __init__(self, index: Path, info: IndexInfo) -> None:
        self._index = index
        self._info = info
        self._open: dict[str, qe.EdgeShard] = {}
        self._shares: dict[tuple[str, BoundWhere], float] = {}
        self._lock = threading.Lock()
        self._copies: tempfile.TemporaryDirectory[str] | None = None
        self._unread: list[Path] = []  # parts whose files have not been read ahead

    def _folder(self, kind: str, name: str) -> Path:
        return self._index / "vectors" / kind / name

    def publish(
        self, collection: Collection, parts: Sequence[Part], live: Sequence[ShardEntry]
    ) -> list[Part]:
        """Keep what fits of `parts` and build one new part of the rest; see `plan_parts`."""
        kept, groups = plan_parts(collection, parts, live)
        for number, shards in enumerate(groups):
            name = f"part-{collection.generation}" + (f"-{number}" if number else "")
            kept.append(self._build(collection, shards, name))
        return kept

    def _build(self, collection: Collection, shards: Sequence[ShardEntry], name: str) -> Part:
        import qdrant_edge as qe

        path = self._folder(collection.kind, name)
        made = temporary(path)
        doing = f"building vectors of the {collection.kind}"
        n = count_points(shards)
        # raw vectors once while filling, twice while optimising, links and payload: measured below 3x
        check_space(self._index, n * (12 * sum(self._info.vectors.values()) + 600) + 8_000_000, doing)
        remove(path)  # of a writer that was killed after renaming it and before publishing
        # mapped, not read: twelve indexes of 500,000 points in memory took 4 s of every opening, mapped 0.4 s
        mapped = qe.Memory.Cold
        schemas: dict[str, Any] = {
            "text": qe.KeywordIndexParams(memory=mapped),
            "number": qe.FloatIndexParams(memory=mapped),
            "bool": qe.KeywordIndexParams(memory=mapped),
        }
        shard_number = qe.IntegerIndexParams(lookup=True, range=False, memory=mapped)
        inside = columns_inside(collection, shards)
        try:
            with disk_errors(self._index, doing):
                made.mkdir(parents=True)
                shard = qe.EdgeShard.create(str(made), self._config(n))
                try:
                    shard.update(qe.UpdateOperation.create_field_index("_shard", shard_number))
                    for column, family in inside.items():
                        if family != "unindexed":
                            key = payload_key(column)
                            shard.update(qe.UpdateOperation.create_field_index(key, schemas[family]))
                    points = 0
                    for entry in shards:
                        for batch in read_points(
                            self._index, entry, collection.payload, collection.types, self._info
                        ):
                            rows: Any = zip(batch.ids, batch.vectors, batch.payloads, strict=True)
                            shard.update(qe.UpdateOperation.upsert_points([qe.Point(*row) for row in rows]))
                            points += len(batch.ids)
                    shard.optimize()
                    shard.flush()
                finally:
                    shard.close()
                put_in_place(made, path)
        except BaseException:
            remove(made)
            raise
        numbers = {s.number: s.source.id for s in shards}
        return Part(name, collection.kind, numbers, points, inside, collection.generation)

    def _config(self, points: int) -> qe.EdgeConfig:
        """How a part of so many points is stored."""
        import qdrant_edge as qe

        vectors = {}
        for name, dim in self._info.vectors.items():
            large = 4 * points * dim >= QUANTISED
            half = large or self._info.dtype == "float16"
            vectors[name] = qe.EdgeVectorParams(
                dim,
                qe.Distance.Cosine,
                datatype=qe.VectorStorageDatatype.Float16 if half else qe.VectorStorageDatatype.Float32,
                quantization_config=(
                    qe.ScalarQuantizationConfig(qe.ScalarType.Int8, memory=qe.Memory.Pinned)
                    if large
                    else None
                ),
                memory=qe.Memory.Cold if large else None,
            )
        graph = qe.HnswIndexConfig(LINKS, BUILD_CANDIDATES, FULL_SCAN, payload_m=PAYLOAD_LINKS)
        optimizers = qe.EdgeOptimizersConfig(indexing_threshold=FULL_SCAN)
        return qe.EdgeConfig(vectors=vectors, hnsw_config=graph, optimizers=optimizers, wal_enabled=False)

    def activate(self, kind: str, parts: Sequence[Part]) -> None:
        """Nothing to do: the manifest names the parts."""

    def clean(self, keep: Iterable[Part], current: Sequence[Part], generation: int) -> None:
        """Remove folders of parts that no kept generation names."""
        wanted = {(p.kind, p.name) for p in keep}
        for kind in KINDS:
            folder = self._index / "vectors" / kind
            for path in folder.iterdir() if folder.is_dir() else ():
                if (kind, path.name) not in wanted:
                    self._forget(kind, path.name)
                    remove(path)

    def _forget(self, kind: str, name: str) -> None:
        with self._lock:
            shard = self._open.pop(f"{kind}/{name}", None)
        if shard is not None:
            shard.close()

    def _shard(self, part: Part) -> qe.EdgeShard:
        """The opened part; opened once and kept."""
        key = f"{part.kind}/{part.name}"
        with self._lock:
            if key not in self._open:
                self._open[key] = self._load(part)
            return self._open[key]

    def _load(self, part: Part) -> qe.EdgeShard:
        import qdrant_edge as qe

        path = self._folder(part.kind, part.name)
        if not path.is_dir():
            raise PartUnavailableError(
                f"the vectors {path} are gone; run: atacsearch index repair {self._index}"
            )
        try:
            if not os.access(path, os.W_OK):
                # opening maps files for writing: on a read-only disk a copy is opened instead
                path = self._copy(path, f"{part.kind}-{part.name}")
            shard = qe.EdgeShard.load(str(path))
            self._unread.append(path)
            return shard
        except OSError as error:
            raise PartUnavailableError(
                f"cannot copy the vectors {path} to {tempfile.gettempdir()}: {error}"
            ) from error
        except Exception as error:
            if any(sign in str(error) for sign in NOT_WRITABLE):
                return self._load_copy(path, f"{part.kind}-{part.name}", error)
            raise PartUnavailableError(
                f"cannot open the vectors {path} ({error}); run: atacsearch index repair {self._index}"
            ) from error

    def _load_copy(self, path: Path, name: str, reason: Exception) -> qe.EdgeShard:
        import qdrant_edge as qe

        try:
            return qe.EdgeShard.load(str(self._copy(path, name)))
        except Exception as error:
            raise PartUnavailableError(
                f"cannot open the vectors {path} ({reason}), nor a copy: {error}"
            ) from error

    def _copy(self, path: Path, name: str) -> Path:
        if self._copies is None:
            self._copies = tempfile.TemporaryDirectory(prefix="atacsearch-", ignore_cleanup_errors=True)
        target = Path(self._copies.name, name)
        copy_tree(path, target)
        return target

    def search(self, kind: str, parts: Sequence[Part], live: set[int], query: Query) -> Hits:
        """Query each part and merge the best k."""
        answers = [self._search_part(part, live, query) for part in parts if self._may_match(part, query)]
        unread, self._unread = self._unread, []
        for path in unread:  # after the first answer, which it would delay; a process that ends does not wait
            threading.Thread(target=read_ahead, args=(path,), daemon=True).start()
        return merge_hits(answers, len(query.vectors), query.k)

    @staticmethod
    def _may_match(part: Part, query: Query) -> bool:
        """False where the part lacks a column of the filter: null matches nothing."""
        return all(c.column in part.columns for c in (query.where.conditions if query.where else ()))

    def _search_part(self, part: Part, live: set[int], query: Query) -> Hits:
        import qdrant_edge as qe

        shard = self._shard(part)
        must = to_edge(query.where)
        must_not: list[Any] = []
        dead = [n for n in part.shards if n not in live]
        if dead:
            must_not.append(qe.FieldCondition("_shard", match=qe.MatchAny(dead)))
        if query.not_points:
            must_not.append(qe.HasIdCondition(set(query.not_points)))
        filters: dict[str | None, qe.Filter | None] = {}

        def filter_of(source: str | None) -> qe.Filter | None:
            if source not in filters:
                own = (
                    [qe.FieldCondition("source_id", match=qe.MatchValue(source))]
                    if source is not None
                    else []
                )
                some = bool(must or must_not or own)
                filters[source] = (
                    qe.Filter(must=must or None, must_not=[*must_not, *own] or None) if some else None
                )
            return filters[source]

        sources = query.not_sources
        chosen = [filter_of(sources[i] if sources is not None else None) for i in range(len(query.vectors))]
        where = query.where
        if where is None or query.exact or must_not or sources is not None:
            return self._query_part(part, query, range(len(query.vectors)), chosen, query.k, [])
        share = self._share(part, shard, where, filter_of(None))
        longer = ceil(1.3 * query.k / max(share, COMMON)) + 16
        if share < COMMON or longer > CANDIDATES / OVERSAMPLING:
            return self._query_part(part, query, range(len(query.vectors)), chosen, query.k, [])
        # the walk through a graph of which half is forbidden finds less, and slower, than a longer answer holds
        keys = [payload_key(c.column) for c in where.conditions]
        unfiltered = [None] * len(query.vectors)
        found = self._query_part(part, query, range(len(query.vectors)), unfiltered, longer, keys, where)
        short = [i for i, some in enumerate(found) if len(some) < query.k]
        for i, some in zip(short, self._query_part(part, query, short, chosen, query.k, []), strict=True):
            found[i] = some
        return [some[: query.k] for some in found]

    def _share(
        self, part: Part, shard: qe.EdgeShard, where: BoundWhere, translated: qe.Filter | None
    ) -> float:
        """About which share of a part's points meets a filter."""
        import qdrant_edge as qe

        key = (f"{part.kind}/{part.name}", where)
        if key not in self._shares:
            if len(self._shares) >= SHARES_KEPT:
                self._shares.clear()
            self._shares[key] = shard.count(qe.CountRequest(False, translated)) / max(part.points, 1)
        return self._shares[key]

    def _query_part(
        self,
        part: Part,
        query: Query,
        which: Sequence[int],
        filters: Sequence[qe.Filter | None],
        limit: int,
        keys: Sequence[str],
        where: BoundWhere | None = None,
    ) -> Hits:
        """Ask a part some of the queries; with `where`, answers that do not meet it are left out.

        Args:
            part: the part.
            query: the batch.
            which: which of its vectors.
            filters: filter of each query of the batch, by its number.
            limit: answers wanted.
            keys: payload keys that `where` needs.
            where: filter to apply to the answers.
        """
        import qdrant_edge as qe

        shard = self._shard(part)
        again = qe.QuantizationSearchParams(ignore=query.exact, rescore=True, oversampling=OVERSAMPLING)
        candidates = CANDIDATES + max(part.points - EASY_POINTS, 0) // POINTS_A_CANDIDATE
        plain = qe.SearchParams(candidates, exact=query.exact, quantization=again)
        acorn = qe.AcornSearchParams(enable=True, max_selectivity=1.0)
        filtered = qe.SearchParams(FILTERED_CANDIDATES, quantization=again, acorn=acorn)
        hits: Hits = []
        for start in range(0, len(which), QUERIES_A_CALL):
            some = list(which[start : start + QUERIES_A_CALL])
            requests = [
                qe.QueryRequest(
                    limit=limit,
                    query=qe.Query.Nearest(vector, using=query.name),
                    filter=filters[i],
                    params=plain if query.exact or filters[i] is None else filtered,
                    with_payload=["id", *keys],
                    with_vector=False,
                )
                for i, vector in zip(some, query.vectors[some].tolist(), strict=True)
            ]
            for answer in shard.query_batch(qe.QueryBatchRequest(requests)):
                found = ((hit.payload or {}, hit.score) for hit in answer)
                hits.append([(p["id"], score) for p, score in found if where is None or matches(where, p)])
        return hits

    def keep_open(self, parts: Iterable[Part]) -> None:
        """Close parts that no snapshot uses any more."""
        wanted = {f"{p.kind}/{p.name}" for p in parts}
        with self._lock:
            going = [self._open.pop(key) for key in list(self._open) if key not in wanted]
        for shard in going:
            shard.close()

    def scroll(self, part: Part) -> Iterator[StoredPoint]:
        """All points of a part."""
        import qdrant_edge as qe

        shard = self._shard(part)
        offset: Any = None
        while True:
            records, offset = shard.scroll(
                qe.ScrollRequest(offset=offset, limit=2_000, with_payload=True, with_vector=True)
            )
            for record in records:
                named = record.vector if isinstance(record.vector, dict) else {}
                vectors = {n: np.asarray(v, np.float32) for n, v in named.items()}
                yield StoredPoint(str(record.id), record.payload or {}, vectors)
            if offset is None:
                return

    def size(self, part: Part) -> int:
        """Bytes on disk."""
        path = self._folder(part.kind, part.name)
        return size_of(path) if path.is_dir() else 0

    def close(self) -> None:
        """Close all parts and remove copies of them."""
        with self._lock:
            shards, self._open = list(self._open.values()), {}
        for shard in shards:
            shard.close()
        if self._copies is not None:
            self._copies.cleanup()
            self._copies = None
