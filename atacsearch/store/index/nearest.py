"""Nearest neighbours in one generation of an index, by whatever is fastest: the vector store, an exact scan of vectors
in memory, or for a large batch of queries a scan of the shards as they pass.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ...spelling import did_you_mean
from ..manifest import Manifest
from ..metadata.database import Metadata
from ..metadata.where import BoundWhere, Where, bind_where, parse_where, to_mask
from ..shards import point_id
from ..types import Column, IndexInfo, Neighbours, check_kind
from ..vectors.base import Hits, Query, VectorStore, normalised
from ..vectors.embedded import PartUnavailableError
from ..vectors.exact import BUDGET, ExactScan, codes_of, worth_scanning
from ..vectors.stream import nearest, worth_streaming

Engine = Literal["auto", "qdrant", "scan"]
Exclude = Collection[str] | Sequence[str | Collection[str] | None] | None
OVERFETCH = 100  # unwanted ids are left out of longer answers up to this number, by a filter beyond it


@dataclass(frozen=True)
class _Request:
    """A batch of queries, each of which has a vector.

    Attributes:
        vectors: [q, d] float32 rows of length 1.
        k: neighbours wanted of each.
        where: filter that all answers match.
        name: which vector.
        banned: per query, the ids that are no answers; None for none.
        sources: per query, a source whose items are no answers, or None; None for no query.
        exact: compare with every point.
    """

    vectors: npt.NDArray[np.float32]
    k: int
    where: BoundWhere | None
    name: str
    banned: list[frozenset[str]] | None
    sources: list[str | None] | None
    exact: bool

    def most_banned(self) -> int:
        """The largest number of ids that are no answers of one query."""
        return max(map(len, self.banned)) if self.banned is not None else 0

    def allowed(self, hits: Hits) -> Hits:
        """At most k hits of each query, without the ids that are no answers of it."""
        if self.banned is not None:
            hits = [[h for h in some if h[0] not in no] for some, no in zip(hits, self.banned, strict=True)]
        return [some[: self.k] for some in hits]


class NearestItems:
    """The part of a snapshot that finds neighbours.

    Args:
        index: the index folder.
        info: of the index.
        manifest: of the generation.
        store: where its vectors are.
        metadata: of the generation.
    """

    def __init__(
        self, index: Path, info: IndexInfo, manifest: Manifest, store: VectorStore, metadata: Metadata
    ) -> None:
        self.index = index
        self.info = info
        self.manifest = manifest
        self._store = store
        self._metadata = metadata
        self._scans: dict[tuple[str, str], ExactScan] = {}
        self._ids: dict[str, list[str]] = {}
        self._masks: dict[tuple[str, BoundWhere], npt.NDArray[np.bool_]] = {}
        self._lock = threading.RLock()

    @property
    def generation(self) -> int:
        """Number of the generation."""
        return self.manifest.generation

    def points(self, kind: str, name: str = "general") -> int:
        """Number of items of a collection that have a vector."""
        check_kind(kind)
        return sum(s.points.get(name, 0) for s in self.manifest.shards_of(kind))

    def all_ids(self, kind: str) -> list[str]:
        """All ids of a collection, in the order of indexing."""
        check_kind(kind)
        with self._lock:
            if kind not in self._ids:
                self._ids[kind] = self._metadata.ids(kind)
            return self._ids[kind]

    def knn(
        self,
        kind: str,
        vectors: npt.NDArray[Any],
        k: int,
        where: Where | str | Sequence[str] | None = None,
        name: str = "general",
        exact: bool = False,
        exclude: Exclude = None,
        *,
        exclude_sources: str | Sequence[str | None] | None = None,
        engine: Engine = "auto",
    ) -> Neighbours:
        """The k nearest items of each query vector, by cosine distance.

        Args:
            kind: collection.
            vectors: [q, d] (or [d]) float, raw; a zero row, an empty query, has no neighbours.
            k: neighbours wanted.
            where: filter, as text or parsed.
            name: vector name.
            exact: compare with every point.
            exclude: ids that are no answers: a set for all queries, or a list with an id, a collection of
                ids or None for each query.
            exclude_sources: source ids whose items are no answers: one for all, or one (or None) for each
                query.
            engine: "qdrant" or "scan" force the vector store or the exact scan in memory; "auto" takes what is
                fastest, which for large batches is a scan of the shards.

        Raises:
            InputError: wrong dimension, unknown vector name, or a filter that cannot be served; a shard that has
                to be read is damaged or gone.
        """
        check_kind(kind)
        queries = self._queries(vectors, name)
        if k < 1:
            raise InputError(f"k must be at least 1, not {k}")
        if isinstance(where, str) or (where is not None and not isinstance(where, Where)):
            where = parse_where(where)
        bound = bind_where(where, self._columns(kind), kind) if where and where.conditions else None
        asked = np.flatnonzero(queries.any(1))
        banned = _banned(exclude, len(queries))
        sources = [exclude_sources] * len(queries) if isinstance(exclude_sources, str) else exclude_sources
        if sources is not None and len(sources) != len(queries):
            raise ValueError(f"{len(sources)} sources to exclude for {len(queries)} queries")
        ids: list[list[str]] = [[] for _ in range(len(queries))]
        distance = np.full((len(queries), k), np.nan, np.float32)
        if len(asked) and self.points(kind, name):
            request = _Request(
                queries[asked],
                k,
                bound,
                name,
                [banned[i] for i in asked.tolist()] if banned is not None else None,
                [sources[i] for i in asked.tolist()] if sources is not None else None,
                exact,
            )
            for i, found in zip(asked, self._answer(kind, request, engine), strict=True):
                ids[i] = [item_id for item_id, _ in found]
                similarity = np.array([score for _, score in found], np.float32)
                distance[i, : len(found)] = np.clip(1 - similarity, 0, 2)
        return Neighbours(ids, distance)

    def _queries(self, vectors: npt.NDArray[Any], name: str) -> npt.NDArray[np.float32]:
        """[q, d] float32 rows of length 1, zero rows for empty queries. Raises `InputError` for unfit vectors."""
        dim = self._dim(name)
        raw = np.atleast_2d(np.asarray(vectors, np.float32))
        if raw.shape[1] != dim:
            raise InputError(
                f"query vectors have {raw.shape[1]} dimensions, the vectors {name!r} of the index {dim}"
            )
        if not np.isfinite(raw).all():
            raise InputError("a query vector is not finite")
        return normalised(raw)

    def _answer(self, kind: str, request: _Request, engine: Engine) -> Hits:
        """The hits of each query, by the engine that is asked for or expected to be fastest."""
        if engine == "auto" and self._streams_now(kind, request):
            return self._stream(kind, request)
        if self._scans_now(kind, request, engine):
            return self._scan(kind, request)
        try:
            return self._search(kind, request)
        except PartUnavailableError:
            if engine == "qdrant":
                raise
            return self._scan(kind, request)

    def _streams_now(self, kind: str, request: _Request) -> bool:
        """Whether the shards are scanned as they pass; unwanted ids are left out of longer answers there."""
        more = request.most_banned()
        if self.info.url is not None or request.sources is not None or more > OVERFETCH:
            return False
        points, dim = self.points(kind, request.name), self.info.vectors[request.name]
        return worth_streaming(points, dim, len(request.vectors), request.k + more)

    def _scans_now(self, kind: str, request: _Request, engine: Engine) -> bool:
        if engine != "auto":
            return engine == "scan"
        if self.info.url is not None:
            return False
        points, dim = self.points(kind, request.name), self.info.vectors[request.name]
        return worth_scanning(points, dim, len(request.vectors)) or (
            request.exact and 4 * points * dim <= BUDGET
        )

    def _scan(self, kind: str, request: _Request) -> Hits:
        """By the exact scan of all vectors in memory."""
        name, banned, sources = request.name, request.banned, request.sources
        with self._lock:
            if (kind, name) not in self._scans:
                shards = self.manifest.shards_of(kind)
                with self._still_there():
                    scan = ExactScan(self.index, shards, name, self.info.vectors[name])
                self._scans[kind, name] = scan
            scan = self._scans[kind, name]
        ids = self.all_ids(kind)
        places = None
        if banned is not None:
            wanted = frozenset().union(*banned)
            row_of = {item_id: row for row, item_id in enumerate(ids) if item_id in wanted}
            places = [np.array(sorted(row_of[i] for i in some if i in row_of), np.int64) for some in banned]
        groups = not_group = None
        if sources is not None:
            groups, codes = codes_of(self._metadata.table(kind, ["source_id"])["source_id"])
            not_group = np.array([codes.get(s, -1) if s is not None else -1 for s in sources], np.int32)
        mask = self._mask(kind, request.where)
        rows, similarity = scan.search(request.vectors, request.k, mask, places, groups, not_group)
        return [
            [(ids[row], float(score)) for row, score in zip(some, scores, strict=True) if row >= 0]
            for some, scores in zip(rows.tolist(), similarity.tolist(), strict=True)
        ]

    def _mask(self, kind: str, where: BoundWhere | None) -> npt.NDArray[np.bool_] | None:
        if where is None:
            return None
        with self._lock:
            if (kind, where) not in self._masks:
                names = list(dict.fromkeys(c.column for c in where.conditions))
                if len(self._masks) >= 32:
                    self._masks.clear()
                self._masks[kind, where] = to_mask(where, self._metadata.table(kind, names))
            return self._masks[kind, where]

    def _stream(self, kind: str, request: _Request) -> Hits:
        """By a scan of the shards as they pass."""
        shards = self.manifest.shards_of(kind)
        mask, ids = self._mask(kind, request.where), self.all_ids(kind)
        k = request.k + request.most_banned()
        with self._still_there():
            hits = nearest(self.index, shards, request.name, request.vectors, k, ids, mask)
        return request.allowed(hits)

    def _search(self, kind: str, request: _Request) -> Hits:
        """By the vector store."""
        not_points: list[str] = []
        more = request.most_banned()
        if request.banned is not None and more > OVERFETCH:
            # a filter holds for all queries, so each gets the few extra that only it must not see
            common = frozenset.intersection(*request.banned)
            more = max(len(some - common) for some in request.banned)
            not_points = self._point_ids(kind, sorted(common))
        live = {s.number for s in self.manifest.shards_of(kind)}
        query = Query(
            request.vectors,
            request.k + more,
            request.name,
            request.where,
            request.exact,
            request.sources,
            not_points,
        )
        return request.allowed(self._store.search(kind, self.manifest.parts_of(kind), live, query))

    def _point_ids(self, kind: str, ids: Sequence[str]) -> list[str]:
        have = set(self.all_ids(kind))
        known = [i for i in ids if i in have]
        sources = self._metadata.rows(kind, known)["source_id"].to_pylist()
        digest = self.info.model_digest
        return [str(point_id(kind, s, i, digest)) for s, i in zip(sources, known, strict=True)]

    def _columns(self, kind: str) -> Mapping[str, Column]:
        return self.manifest.columns.get(check_kind(kind), {})

    def _dim(self, name: str) -> int:
        if name not in self.info.vectors:
            raise InputError(
                f"this index has no vectors {name!r}; it has {', '.join(self.info.vectors)}"
                f"{did_you_mean(name, self.info.vectors)}"
            )
        return self.info.vectors[name]

    @contextmanager
    def _still_there(self) -> Iterator[None]:
        """Say what happened where a shard is gone: two later generations have been published since."""
        try:
            yield
        except FileNotFoundError as error:
            raise InputError(
                f"generation {self.generation} of {self.index} cannot be read any more ({error}); open the index "
                f"again, and where that does not help run: atacsearch index verify {self.index}"
            ) from error


def _banned(exclude: Exclude, n: int) -> list[frozenset[str]] | None:
    """Per query, the ids that are no answers."""
    if not exclude:
        return None
    if isinstance(exclude, str):
        return [frozenset([exclude])] * n
    if isinstance(exclude, (list, tuple)):
        if len(exclude) != n:
            raise ValueError(f"{len(exclude)} exclusions for {n} queries; give a set to exclude ids from all")
        return [frozenset() if e is None else frozenset([e] if isinstance(e, str) else e) for e in exclude]
    return [frozenset(map(str, exclude))] * n
