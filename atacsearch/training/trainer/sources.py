"""Where training sets come from, chunk by chunk: token files in Parquet, or sets in memory.

A chunk is what is read at one place: a row group of a file. Chunks are read in pieces of some tens of sets,
so memory does not grow with a file, nor with its row groups.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ...tokens.token_sets import DIGEST_KEY, TokenSets

if TYPE_CHECKING:
    import pyarrow as pa

Tokens = npt.NDArray[np.uint32]
PIECE = 64  # sets that are decoded at once
BUFFERED = 1 << 20  # bytes of a column chunk that are read ahead


class Source(Protocol):
    """Sets that belong together: one input of the user's."""

    name: str
    in_memory: bool

    @property
    def n_sets(self) -> int:
        """Number of sets, empty ones included."""
        ...

    @property
    def n_chunks(self) -> int:
        """Number of chunks."""
        ...

    def digest(self) -> str:
        """sha256 (hexadecimal) that tells this content from another."""
        ...

    def read(self, chunk: int) -> Iterator[tuple[int, list[Tokens]]]:
        """The sets of a chunk in pieces, each with the number of its first set within the source."""
        ...


class MemorySource:
    """Sets that lie in memory, as one chunk."""

    in_memory = True
    n_chunks = 1

    def __init__(self, sets: TokenSets, name: str = "sets in memory") -> None:
        self.sets, self.name = sets, name

    @property
    def n_sets(self) -> int:
        """Number of sets."""
        return len(self.sets)

    def digest(self) -> str:
        """sha256 of offsets and tokens."""
        return hashlib.sha256(self.sets.offsets.tobytes() + self.sets.tokens.tobytes()).hexdigest()

    def read(self, chunk: int) -> Iterator[tuple[int, list[Tokens]]]:
        """All sets, in one piece."""
        yield 0, list(self.sets)


class FileSource:
    """A token file as `atacsearch tokenize` writes it: columns `id` and `tokens`.

    Args:
        path: the file.
        universe_digest: the universe that its ids must refer to.
        name: what it is called in messages and cards; the path where None.

    Raises:
        InputError: no such file, no token file, or tokens of another universe.
    """

    in_memory = False

    def __init__(self, path: str | Path, universe_digest: str, name: str | None = None) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self.path, self.name = Path(path), name or str(path)
        if not self.path.is_file():
            raise InputError(f"{path}: no such file")
        try:
            self.metadata = pq.read_metadata(self.path)
        except pa.ArrowInvalid as error:
            raise InputError(
                f"{path}: not a Parquet file ({error}); make one with atacsearch tokenize"
            ) from None
        schema = self.metadata.schema.to_arrow_schema()
        if "tokens" not in schema.names:
            raise InputError(
                f"{path}: no column tokens; expected a file of atacsearch tokenize, got {schema.names}"
            )
        kind = schema.field("tokens").type
        if not (pa.types.is_list(kind) or pa.types.is_large_list(kind)) or not pa.types.is_integer(
            kind.value_type
        ):
            raise InputError(f"{path}: its column tokens is {kind}; expected lists of whole numbers")
        found = (schema.metadata or {}).get(DIGEST_KEY, b"").decode()
        if found and found != universe_digest:
            raise InputError(
                f"{path}: tokens of universe {found[:12]}, but the model's is {universe_digest[:12]}; "
                "tokenize with the universe that training uses"
            )

    @property
    def n_sets(self) -> int:
        """Number of sets."""
        return int(self.metadata.num_rows)

    @property
    def n_tokens(self) -> int:
        """Number of tokens, as the footer counts them: an empty set counts as one."""
        if not self.n_chunks:
            return 0
        names = [
            self.metadata.row_group(0).column(i).path_in_schema for i in range(self.metadata.num_columns)
        ]
        place = next(i for i, name in enumerate(names) if name.split(".")[0] == "tokens")
        return sum(self.metadata.row_group(i).column(place).num_values for i in range(self.n_chunks))

    @property
    def n_chunks(self) -> int:
        """Number of row groups."""
        return int(self.metadata.num_row_groups)

    def digest(self) -> str:
        """sha256 of the file's size and of its footer, where sizes and extremes of all column chunks stand."""
        size = self.path.stat().st_size
        with self.path.open("rb") as f:
            f.seek(size - 8)
            length = int.from_bytes(f.read(4), "little")
            f.seek(size - 8 - length)
            return hashlib.sha256(str(size).encode() + f.read(length)).hexdigest()

    def read(self, chunk: int) -> Iterator[tuple[int, list[Tokens]]]:
        """The sets of a row group, `PIECE` at a time."""
        import pyarrow.parquet as pq

        first = sum(self.metadata.row_group(i).num_rows for i in range(chunk))
        with pq.ParquetFile(self.path, buffer_size=BUFFERED, pre_buffer=False) as file:
            pieces = file.iter_batches(PIECE, row_groups=[chunk], columns=["tokens"], use_threads=False)
            for piece in pieces:
                sets = _arrays(piece.column(0))
                yield first, sets
                first += len(sets)


def _arrays(column: pa.ListArray) -> list[Tokens]:
    """The lists of an Arrow list array, each in memory of its own."""
    offsets = np.asarray(column.offsets)
    tokens = np.asarray(column.values).astype(np.uint32, copy=False)
    return [tokens[a:b].copy() for a, b in pairwise(offsets.tolist())]
