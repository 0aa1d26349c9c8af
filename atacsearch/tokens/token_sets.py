"""Token sets of many items in one pair of arrays, in memory and in Parquet.

A token set holds the ids of the universe regions that an item (a cell or a BED file) overlaps. Readers and
`Universe.tokenize` make them, the encoder turns each into a vector, shards store them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..arrow import number_array, text_array
from ..errors import InputError
from ..genome.intervals import concat_ranges

if TYPE_CHECKING:
    import pyarrow as pa
    import scipy.sparse

DIGEST_KEY = b"atacsearch.universe_digest"
_ENCODING: dict[str, Any] = {
    "compression": "zstd",
    "use_dictionary": False,
    "column_encoding": {"tokens.list.element": "DELTA_BINARY_PACKED"},
}


@dataclass(frozen=True)
class TokenSets:
    """Sets of token ids, one after another.

    Attributes:
        offsets: [n_sets + 1] int64; set i is `tokens[offsets[i]:offsets[i + 1]]`.
        tokens: [n_tokens] uint32, ids in `0..V-1` (and `V`, unk, under `parity="gtars"`).
        names: [n_sets] str, the name of each item.
        universe_digest: digest of the universe that the ids refer to; None where it is not known.
    """

    offsets: npt.NDArray[np.int64]
    tokens: npt.NDArray[np.uint32]
    names: tuple[str, ...]
    universe_digest: str | None = None

    def __post_init__(self) -> None:
        if len(self.offsets) != len(self.names) + 1:
            raise ValueError(f"{len(self.offsets)} offsets do not fit {len(self.names)} names")

    @classmethod
    def from_lists(
        cls,
        lists: Iterable[Sequence[int] | npt.NDArray[np.integer]],
        names: Sequence[str] | None = None,
        universe_digest: str | None = None,
    ) -> TokenSets:
        """Take token ids as they are: order and duplicates are kept.

        Example:
            >>> sets = TokenSets.from_lists([[3, 7], [], [7]])
            >>> len(sets), sets.lengths.tolist(), sets[0].tolist()
            (3, [2, 0, 1], [3, 7])
        """
        arrays = [np.asarray(x, dtype=np.uint32) for x in lists]
        offsets = np.zeros(len(arrays) + 1, np.int64)
        np.cumsum([len(a) for a in arrays], out=offsets[1:])
        tokens = np.concatenate(arrays) if arrays else np.empty(0, np.uint32)
        labels = tuple(names) if names is not None else tuple(str(i) for i in range(len(arrays)))
        return cls(offsets, tokens, labels, universe_digest)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, i: int) -> npt.NDArray[np.uint32]:
        return self.tokens[self.offsets[i] : self.offsets[i + 1]]

    def __iter__(self) -> Iterator[npt.NDArray[np.uint32]]:
        return (self[i] for i in range(len(self)))

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """[n_sets] int64 number of tokens of each set."""
        return np.diff(self.offsets)

    def take(self, rows: npt.NDArray[Any] | Sequence[int]) -> TokenSets:
        """The sets at `rows` (positions or a boolean mask), in that order."""
        rows = np.asarray(rows)
        if rows.dtype == bool:
            rows = np.flatnonzero(rows)
        rows = rows.astype(np.int64)
        offsets = np.zeros(len(rows) + 1, np.int64)
        np.cumsum(self.lengths[rows], out=offsets[1:])
        picked = concat_ranges(self.offsets[rows], self.offsets[rows + 1])
        return TokenSets(
            offsets, self.tokens[picked], tuple(self.names[i] for i in rows), self.universe_digest
        )

    @staticmethod
    def concat(parts: Sequence[TokenSets]) -> TokenSets:
        """All sets of `parts`, in order. Raises `InputError` where their universes differ."""
        digests = {p.universe_digest for p in parts}
        if len(digests) > 1:
            raise InputError(
                f"token sets of different universes cannot be joined: {sorted(map(str, digests))}"
            )
        shifts = np.cumsum([0] + [len(p.tokens) for p in parts])
        offsets = np.concatenate(
            [np.zeros(1, np.int64)] + [p.offsets[1:] + s for p, s in zip(parts, shifts, strict=False)]
        )
        tokens = np.concatenate([p.tokens for p in parts]) if parts else np.empty(0, np.uint32)
        names = tuple(n for p in parts for n in p.names)
        return TokenSets(offsets, tokens, names, digests.pop() if digests else None)

    def to_csr(self, n_regions: int) -> scipy.sparse.csr_matrix:
        """A scipy CSR matrix [n_sets, n_regions] float32 of ones (duplicates add up)."""
        from scipy.sparse import csr_matrix

        ones = np.ones(len(self.tokens), np.float32)
        return csr_matrix((ones, self.tokens.astype(np.int64), self.offsets), (len(self), n_regions))

    def to_arrow(self) -> pa.Table:
        """An Arrow table with the columns `id` (string) and `tokens` (list<uint32>)."""
        import pyarrow as pa

        if len(self.tokens) > np.iinfo(np.int32).max:
            raise InputError(
                f"{len(self.tokens):,} tokens are too many for one table; write the sets in parts"
            )
        lists = pa.ListArray.from_arrays(
            number_array(self.offsets.astype(np.int32)), number_array(self.tokens)
        )
        table = pa.table({"id": text_array(self.names), "tokens": lists})
        meta = {DIGEST_KEY: self.universe_digest.encode()} if self.universe_digest else {}
        return table.replace_schema_metadata(meta)

    def to_parquet(self, path: str | Path) -> None:
        """Write `id, tokens`, with the universe digest in the Parquet metadata."""
        write_sets([self], path)

    @classmethod
    def from_arrow(cls, table: pa.Table) -> TokenSets:
        """Read back what `to_arrow` made."""
        import pyarrow as pa

        digest = (table.schema.metadata or {}).get(DIGEST_KEY)
        column = table["tokens"].combine_chunks().cast(pa.large_list(pa.uint32()))
        if isinstance(column, pa.ChunkedArray):
            column = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
        offsets = np.asarray(column.offsets, np.int64)
        tokens = np.asarray(column.values, np.uint32)[offsets[0] : offsets[-1]]
        names = tuple(table["id"].to_pylist())
        return cls(offsets - offsets[0], tokens, names, digest.decode() if digest else None)

    @classmethod
    def from_parquet(cls, path: str | Path) -> TokenSets:
        """Read a file that `to_parquet` or `atacsearch tokenize` wrote."""
        import pyarrow.parquet as pq

        return cls.from_arrow(pq.read_table(path))


def write_sets(parts: Iterable[TokenSets], path: str | Path) -> tuple[int, int, int]:
    """Write sets that come in parts to one Parquet file: `id, tokens`, a row group a part.

    Ascending ids are kept as differences in few bits: on cells of a few thousand tokens about a third of the
    bytes and of the time that dictionaries and zstd took.

    Args:
        parts: at least one; all of one universe.
        path: the file.

    Returns:
        Numbers of sets, tokens and empty sets.

    Raises:
        InputError: the universes of the parts differ.
    """
    import pyarrow.parquet as pq

    n_sets = n_tokens = n_empty = 0
    writer = None
    with ExitStack() as stack:
        handle = stack.enter_context(open(path, "wb"))  # given a path, a failed write would remove the file
        for sets in parts:
            table = sets.to_arrow()
            if writer is None:
                writer = stack.enter_context(pq.ParquetWriter(handle, table.schema, **_ENCODING))
            elif not table.schema.equals(writer.schema, check_metadata=True):
                raise InputError("token sets of different universes cannot be written to one file")
            writer.write_table(table)
            n_sets, n_tokens = n_sets + len(sets), n_tokens + len(sets.tokens)
            n_empty += int(np.count_nonzero(sets.lengths == 0))
        if writer is None:
            raise InputError(f"{path}: there are no token sets to write")
    return n_sets, n_tokens, n_empty
