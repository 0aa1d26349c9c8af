"""What travels through the store: batches and sources in, neighbours and columns out.

Plain frozen records; `manifest.py` writes those of them that describe a generation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..spelling import did_you_mean
from ..tokens.token_sets import TokenSets

if TYPE_CHECKING:
    import pyarrow as pa

KINDS = ("cells", "bedfiles", "regions")
ONE = {"cells": "cell", "bedfiles": "BED file", "regions": "region"}
ColumnKind = Literal["text", "number", "bool", "empty"]


def check_kind(kind: str) -> str:
    """`kind`, or `InputError` where the index has no such collection."""
    if kind not in KINDS:
        raise InputError(
            f"unknown collection {kind!r}; an index has {', '.join(KINDS)}{did_you_mean(kind, KINDS)}"
        )
    return kind


@dataclass(frozen=True)
class Source:
    """Where items came from: one input file, manifest or derivation.

    Attributes:
        id: what deletion and replacement go by; stable for one input.
        name: how messages name it (the path as the user gave it).
        digest: sha256 of the content, None where there is no file.
        genome: assembly name, None where unknown.
        counting: "fragment" or "insertion" for fragment files, else None.
    """

    id: str
    name: str
    digest: str | None = None
    genome: str | None = None
    counting: str | None = None


@dataclass(frozen=True)
class Batch:
    """Encoded items of one source.

    Attributes:
        ids: [n] id of each item, unique in its collection over the whole index.
        items: [n] the item's name as the user knows it.
        labels: Arrow table of n rows with any label columns; None for no labels.
        sets: n token sets; None where items have none.
        vectors: per vector name [n, d] float, raw (not normalised); a zero row is an empty item.
    """

    ids: Sequence[str]
    items: Sequence[str]
    labels: pa.Table | None
    sets: TokenSets | None
    vectors: Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Column:
    """A column of a collection's metadata.

    Attributes:
        name: as users write it in `--where` and `--label`.
        kind: "text", "number", "bool", or "empty" where no row has a value.
        dtype: Arrow type of the stored values: "string", "int64", "double" or "bool".
        n_distinct: number of distinct values.
        indexed: whether filters on it are served (payload index).
        label: whether it came with the items; False for `n_tokens` and `source_id`.
    """

    name: str
    kind: ColumnKind
    dtype: str
    n_distinct: int
    indexed: bool
    label: bool = True


@dataclass(frozen=True)
class Neighbours:
    """The nearest points of each query, nearest first.

    Attributes:
        ids: [n_queries] lists of at most k ids.
        distance: [n_queries, k] float32 cosine distance (0 same direction, 2 opposite), NaN-padded.
    """

    ids: list[list[str]]
    distance: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class IndexInfo:
    """What `index.json` says; fixed when the index is created.

    Attributes:
        format_version: of the folder layout.
        index_id: random, names the collections on a server.
        genome: assembly of everything inside, None where unknown.
        universe_digest: of the universe whose tokens the sets hold.
        model_digest: of the model that made the vectors.
        vectors: vector name -> dimension.
        dtype: "float32" or "float16", of vectors in shards and in Qdrant.
        counting: "fragment" or "insertion", None where not fixed.
        url: of the Qdrant server, None for vectors in the folder.
        created: ISO time.
    """

    format_version: int
    index_id: str
    genome: str | None
    universe_digest: str
    model_digest: str
    vectors: dict[str, int]
    dtype: str = "float32"
    counting: str | None = None
    url: str | None = None
    created: str = ""
    extra: dict[str, Any] = field(default_factory=dict)
