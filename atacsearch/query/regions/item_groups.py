"""Items of a collection in groups by a label column, restricted by conditions: what counts are taken over."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ...arrow import number_array, numbers_of
from ...store.metadata.where import bind_where, parse_where, to_mask

if TYPE_CHECKING:
    from ...store.index.snapshot import Snapshot


@dataclass(frozen=True)
class Groups:
    """Groups of the items of a collection.

    Attributes:
        names: value of each group, sorted.
        codes: [n_items] int32 group of each item, in the order of `all_ids`; -1 where it has no value.
    """

    names: tuple[str, ...]
    codes: npt.NDArray[np.int32]

    def within(self, keep: npt.NDArray[np.bool_] | None) -> Groups:
        """The same groups of the items that are kept."""
        if keep is None:
            return self
        return Groups(self.names, np.where(keep, self.codes, -1).astype(np.int32))

    @property
    def sizes(self) -> npt.NDArray[np.int64]:
        """[n_groups] int64 items of each."""
        return np.bincount(self.codes[self.codes >= 0], minlength=len(self.names)).astype(np.int64)


_KNOWN: weakref.WeakKeyDictionary[Snapshot, dict[tuple[str, str], Groups]] = weakref.WeakKeyDictionary()


def groups_by(snapshot: Snapshot, kind: str, column: str) -> Groups:
    """The items of a collection by the value of a label column; kept with the snapshot.

    Raises:
        InputError: there is no such column.
    """
    import pyarrow as pa

    known = _KNOWN.setdefault(snapshot, {})
    if (kind, column) not in known:
        values = snapshot.table(kind, [column]).column(0).cast(pa.string()).combine_chunks()
        if isinstance(values, pa.ChunkedArray):
            values = pa.concat_arrays(values.chunks) if values.num_chunks else pa.array([], pa.string())
        encoded = values.dictionary_encode(null_encoding="encode")
        names = encoded.dictionary.to_pylist()
        order = sorted((i for i, name in enumerate(names) if name is not None), key=lambda i: str(names[i]))
        rank = np.full(len(names), -1, np.int32)
        rank[order] = np.arange(len(order))
        known[kind, column] = Groups(tuple(names[i] for i in order), rank[numbers_of(encoded.indices)])
    return known[kind, column]


def one_group(snapshot: Snapshot, kind: str, name: str) -> Groups:
    """All items as one group."""
    return Groups((name,), np.zeros(snapshot.count(kind), np.int32))


def kept_by(snapshot: Snapshot, kind: str, where: Sequence[str]) -> npt.NDArray[np.bool_] | None:
    """[n_items] which items meet the conditions; None where there are none.

    Raises:
        InputError: a condition that cannot be served.
    """
    if not where:
        return None
    bound = bind_where(parse_where(where), snapshot.manifest.columns.get(kind, {}), kind)
    names = list(dict.fromkeys(c.column for c in bound.conditions))
    mask = to_mask(bound, snapshot.table(kind, names))
    return np.asarray(mask, bool)


def has_columns(snapshot: Snapshot, kind: str, where: Sequence[str]) -> bool:
    """Whether a collection has every column that the conditions name."""
    have = {name.casefold() for name in snapshot.filterable(kind)}
    return all(c.column.casefold() in have for c in parse_where(where).conditions)


def numbers_in(snapshot: Snapshot, kind: str, column: str) -> npt.NDArray[np.int64]:
    """[n_items] int64 values of a column of whole numbers without nulls."""
    return numbers_of(snapshot.table(kind, [column])[column]).astype(np.int64)


def repeated(values: npt.NDArray[np.generic], times: npt.NDArray[np.int64]) -> object:
    """An Arrow column of each number as often as `times` says."""
    return number_array(np.repeat(values, times))
