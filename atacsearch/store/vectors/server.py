"""ServerStore: vectors on a Qdrant server, one physical collection a kind behind an alias.

Adding appends to the physical collection: points carry the generation that published them and readers ask
for theirs or older, so nobody sees half a publish. What cannot be appended (a replaced item has the id of the
one it replaces; a column changed its type; half of it is deleted) makes a new physical collection, and the
alias moves in one call.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import AtacsearchError, InputError
from ..columns import payload_key
from ..manifest import Part, ShardEntry, count_points
from ..metadata.where import to_client
from ..shards import read_points
from ..types import KINDS, IndexInfo
from .base import Collection, Hits, Query, StoredPoint
from .merge import merge_hits
from .parts import columns_inside, is_stale

if TYPE_CHECKING:
    from qdrant_client import QdrantClient

MEMORY = ":memory:"
API_KEY = "QDRANT_API_KEY"
UPSERT = 256
QUERIES_A_CALL = 64
BULK = 20_000  # from this many new points on, the graph is built once, after loading

# qdrant-client's in-process mode forgets everything with its client, so one client a process and index
_memory_clients: dict[str, QdrantClient] = {}


def connect(info: IndexInfo) -> QdrantClient:
    """A client for the server of an index.

    Raises:
        InputError: the URL is not one, or nobody answers there.
    """
    from qdrant_client import QdrantClient

    if info.url == MEMORY:
        if info.index_id not in _memory_clients:
            _memory_clients[info.index_id] = QdrantClient(MEMORY)
        return _memory_clients[info.index_id]
    try:
        client = QdrantClient(url=info.url, api_key=os.environ.get(API_KEY), prefer_grpc=True, timeout=120)
        client.get_collections()
    except Exception as error:
        detail = " ".join(str(error).split())[:200]
        raise InputError(
            f"no Qdrant server answers at {info.url} ({detail}); check the URL, and {API_KEY} in the "
            "environment where the server asks for a key"
        ) from error
    return client


class ServerStore:
    """Vector store on a Qdrant server.

    Args:
        index: the index folder, which holds the shards and the metadata.
        info: of the index; its `url` names the server.
        client: a connected qdrant-client; None to connect to `info.url`.
    """

    def __init__(self, index: Path, info: IndexInfo, client: QdrantClient | None = None) -> None:
        self._index = index
        self._info = info
        self._client = client if client is not None else connect(info)
        self._local = (
            hasattr(self._client, "_client") and type(self._client._client).__name__ == "QdrantLocal"
        )

    def alias(self, kind: str) -> str:
        """Name under which the current generation of a collection is found on the server."""
        return f"atacsearch-{self._info.index_id[:12]}-{kind}"

    # -- publishing ---------------------------------------------------------------------------------

    def publish(
        self, collection: Collection, parts: Sequence[Part], live: Sequence[ShardEntry]
    ) -> list[Part]:
        """Append new shards to the physical collection, or load a new one where that is not possible."""
        alive = {s.number for s in live if s.n_points}
        if not alive:
            return []
        part = parts[0] if parts else None
        if part is None or not self._exists(part.name) or self._must_rebuild(collection, part, live):
            return [self._load(collection, None, live)]
        fresh = [s for s in live if s.number not in part.shards and s.n_points]
        return [self._load(collection, part, fresh)] if fresh else [part]

    def _must_rebuild(self, collection: Collection, part: Part, live: Sequence[ShardEntry]) -> bool:
        numbers = {s.number for s in live}
        dead_sources = {source for number, source in part.shards.items() if number not in numbers}
        fresh = {s.source.id for s in live if s.number not in part.shards}
        left = count_points(s for s in live if s.number in part.shards)
        return bool(dead_sources & fresh) or 2 * left < part.points or is_stale(part, collection)

    def _load(self, collection: Collection, part: Part | None, shards: Sequence[ShardEntry]) -> Part:
        from qdrant_client import models

        name = part.name if part else f"{self.alias(collection.kind)}-{collection.generation}"
        bulk = count_points(shards) >= BULK and part is None
        inside = columns_inside(collection, shards)
        try:
            if part is None:
                self._create(name, bulk)
            self._index_payload(name, inside, part)
            for entry in shards:
                for batch in read_points(
                    self._index, entry, collection.payload, collection.types, self._info, UPSERT
                ):
                    for payload in batch.payloads:
                        payload["_gen"] = collection.generation
                    points = [
                        models.PointStruct(id=i, vector=dict(v), payload=p)
                        for i, v, p in zip(batch.ids, batch.vectors, batch.payloads, strict=True)
                    ]
                    self._client.upsert(name, points, wait=True)
            if bulk:
                self._client.update_collection(
                    name, optimizers_config=models.OptimizersConfigDiff(indexing_threshold=10_000)
                )
        except AtacsearchError:
            raise
        except Exception as error:
            if part is None:
                self._client.delete_collection(name)
            detail = " ".join(str(error).split())[:200]
            raise AtacsearchError(
                f"the Qdrant server at {self._info.url} failed while {collection.kind} were loaded "
                f"({detail}); the index stays as last published"
            ) from error
        numbers = {**(part.shards if part else {}), **{s.number: s.source.id for s in shards}}
        points_in = (part.points if part else 0) + count_points(shards)
        columns = {**inside, **(part.columns if part else {})}
        return Part(name, collection.kind, numbers, points_in, columns, collection.generation)

    def _create(self, name: str, bulk: bool) -> None:
        from qdrant_client import models

        if self._exists(name):  # of a writer that was killed before publishing
            self._client.delete_collection(name)
        half = self._info.dtype == "float16" and not self._local  # which keeps full precision in any case
        datatype = models.Datatype.FLOAT16 if half else models.Datatype.FLOAT32
        self._client.create_collection(
            name,
            vectors_config={
                v: models.VectorParams(size=d, distance=models.Distance.COSINE, datatype=datatype)
                for v, d in self._info.vectors.items()
            },
            hnsw_config=models.HnswConfigDiff(m=16, ef_construct=100),
            # 0 puts off the graph until all points are there
            optimizers_config=models.OptimizersConfigDiff(indexing_threshold=0 if bulk else 10_000),
        )

    def _index_payload(self, name: str, inside: dict[str, str], part: Part | None) -> None:
        from qdrant_client import models

        if self._local:  # where payload indexes have no effect
            return
        schemas = {
            "text": models.PayloadSchemaType.KEYWORD,
            "number": models.PayloadSchemaType.FLOAT,
            "bool": models.PayloadSchemaType.KEYWORD,
        }
        wanted = {payload_key(c): schemas[f] for c, f in inside.items() if f != "unindexed"}
        if part is None:
            wanted.update(_shard=models.PayloadSchemaType.INTEGER, _gen=models.PayloadSchemaType.INTEGER)
        else:
            have = {payload_key(c) for c, family in part.columns.items() if family != "unindexed"}
            wanted = {key: schema for key, schema in wanted.items() if key not in have}
        for key, schema in wanted.items():
            self._client.create_payload_index(name, key, field_schema=schema, wait=True)

    def _exists(self, name: str) -> bool:
        return bool(self._client.collection_exists(name))

    def activate(self, kind: str, parts: Sequence[Part]) -> None:
        """Move the alias to the current physical collection, in one call."""
        from qdrant_client import models

        alias = self.alias(kind)
        now = {a.alias_name: a.collection_name for a in self._client.get_aliases().aliases}.get(alias)
        wanted = parts[0].name if parts else None
        if now == wanted:
            return
        changes: list[Any] = []
        if now is not None:
            changes.append(models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=alias)))
        if wanted is not None:
            create = models.CreateAlias(collection_name=wanted, alias_name=alias)
            changes.append(models.CreateAliasOperation(create_alias=create))
        self._client.update_collection_aliases(change_aliases_operations=changes)

    def clean(self, keep: Iterable[Part], current: Sequence[Part], generation: int) -> None:
        """Drop physical collections that no kept generation names, and points of an unfinished publish."""
        from qdrant_client import models

        wanted = {p.name for p in keep}
        prefixes = tuple(f"{self.alias(kind)}-" for kind in KINDS)
        for description in self._client.get_collections().collections:
            if description.name.startswith(prefixes) and description.name not in wanted:
                self._client.delete_collection(description.name)
        for part in current:
            unfinished = models.FieldCondition(key="_gen", range=models.Range(gt=generation))
            if self._exists(part.name):
                selector = models.FilterSelector(filter=models.Filter(must=[unfinished]))
                self._client.delete(part.name, selector, wait=True)
            self.activate(part.kind, [p for p in current if p.kind == part.kind])

    # -- searching ----------------------------------------------------------------------------------

    def search(self, kind: str, parts: Sequence[Part], live: set[int], query: Query) -> Hits:
        """Ask the physical collection of this generation."""
        from qdrant_client import models

        answers: list[Hits] = []
        for part in parts:
            must = to_client(query.where)
            must.append(models.FieldCondition(key="_gen", range=models.Range(lte=part.generation)))
            must_not: list[Any] = []
            dead = [n for n in part.shards if n not in live]
            if dead:
                must_not.append(models.FieldCondition(key="_shard", match=models.MatchAny(any=dead)))
            if query.not_points:
                must_not.append(models.HasIdCondition(has_id=list(query.not_points)))
            # the in-process mode is always exact and warns of parameters
            params = None if self._local else models.SearchParams(exact=query.exact)
            hits: Hits = []
            for start in range(0, len(query.vectors), QUERIES_A_CALL):
                requests = []
                for i, vector in enumerate(query.vectors[start : start + QUERIES_A_CALL].tolist()):
                    source = query.not_sources[start + i] if query.not_sources is not None else None
                    own = []
                    if source is not None:
                        match = models.MatchValue(value=source)
                        own.append(models.FieldCondition(key="source_id", match=match))
                    requests.append(
                        models.QueryRequest(
                            query=vector,
                            using=query.name,
                            filter=models.Filter(must=must, must_not=[*must_not, *own]),
                            limit=query.k,
                            params=params,
                            with_payload=["id"],
                        )
                    )
                try:
                    responses = self._client.query_batch_points(part.name, requests)
                except Exception as error:
                    detail = " ".join(str(error).split())[:200]
                    raise AtacsearchError(
                        f"the Qdrant server at {self._info.url} cannot search {part.name} ({detail}); where "
                        f"the collection is gone: atacsearch index repair {self._index}"
                    ) from error
                hits += [[((p.payload or {})["id"], p.score) for p in r.points] for r in responses]
            answers.append(hits)
        return merge_hits(answers, len(query.vectors), query.k)

    def keep_open(self, parts: Iterable[Part]) -> None:
        """Nothing to do: the server holds what is open."""

    def scroll(self, part: Part) -> Iterator[StoredPoint]:
        """All published points of a part."""
        offset: Any = None
        while True:
            records, offset = self._client.scroll(
                part.name, limit=1_000, offset=offset, with_payload=True, with_vectors=True
            )
            for record in records:
                named = record.vector if isinstance(record.vector, dict) else {}
                vectors = {n: np.asarray(v, np.float32) for n, v in named.items()}
                yield StoredPoint(str(record.id), record.payload or {}, vectors)
            if offset is None:
                return

    def size(self, part: Part) -> int:
        """Not known for a server."""
        return 0

    def close(self) -> None:
        """Close the connection."""
        if self._info.url != MEMORY:
            self._client.close()
