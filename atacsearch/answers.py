"""Answers: what a question returns, a frozen object around one Arrow table.

An answer has its columns as attributes, can be made into pandas or Arrow, and shows itself as a table in a notebook.
Which columns there are is decided where the table is made, in `query/`; the command line prints it by `tables.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

SHOWN_ROWS = 10  # of a table in a notebook or a terminal


@dataclass(frozen=True, repr=False)
class Answer:
    """Rows of an answer.

    Attributes:
        table: a `pyarrow.Table`, one row a result, in the order of the answer.
        terminal_columns: columns that a terminal shows; None for all.

    Example:
        >>> import pyarrow as pa
        >>> answer = Answer(pa.table({"item": ["a", "b"], "confidence": [0.9, 0.4]}))
        >>> answer.confidence.tolist(), len(answer)
        ([0.9, 0.4], 2)
    """

    table: pa.Table
    terminal_columns: tuple[str, ...] | None = field(default=None, kw_only=True)

    def to_arrow(self) -> pa.Table:
        """The rows as a `pyarrow.Table`."""
        return self.table

    def to_pandas(self) -> pd.DataFrame:
        """The rows as a `pandas.DataFrame`."""
        return self.table.to_pandas()

    def for_terminal(self) -> pa.Table:
        """The rows with the columns that fit a terminal."""
        return self.table if self.terminal_columns is None else self.table.select(self.terminal_columns)

    @property
    def columns(self) -> list[str]:
        """Names of the columns."""
        return list(self.table.column_names)

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        """[n] values of a column: numbers, or objects with None where a value is missing."""
        if name not in self.table.column_names:
            raise KeyError(f"no column {name!r}; there are: {', '.join(self.columns)}")
        column = self.table[name]
        if column.null_count or column.type in _texts():
            return np.array(column.to_pylist(), dtype=object)
        return np.asarray(column.to_numpy())

    def __getattr__(self, name: str) -> npt.NDArray[Any]:
        if name.startswith("_") or name == "table":
            raise AttributeError(name)
        try:
            return self[name]
        except KeyError as error:
            raise AttributeError(f"{type(self).__name__} has {error.args[0]}") from None

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *(c for c in self.columns if c.isidentifier())})

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """The rows as dicts, in order."""
        return iter(self.table.to_pylist())

    def __repr__(self) -> str:
        shown = self.for_terminal().slice(0, SHOWN_ROWS).to_pandas().to_string(index=False)
        more = f"\n... {len(self) - SHOWN_ROWS:,} more" if len(self) > SHOWN_ROWS else ""
        return f"{type(self).__name__}: {len(self):,} rows\n{shown}{more}"

    def _repr_html_(self) -> str:
        rows = self.for_terminal().slice(0, SHOWN_ROWS).to_pandas().to_html(index=False, border=0)
        more = f"<p>{len(self) - SHOWN_ROWS:,} more rows</p>" if len(self) > SHOWN_ROWS else ""
        return f"<p><b>{type(self).__name__}</b>: {len(self):,} rows</p>{rows}{more}"


@dataclass(frozen=True, repr=False)
class Hits(Answer):
    """What a search found: `query, rank, id, distance` and label columns, nearest first."""


@dataclass(frozen=True, repr=False)
class Overlaps(Answer):
    """Who has a region: `query`, its BED interval, `collection, by, value, n_open, n_all, fraction, n_regions`."""


@dataclass(frozen=True, repr=False)
class Differences(Answer):
    """Regions that set two sides apart: BED6, counts, fractions, odds ratio, p and q, largest difference first."""


@dataclass(frozen=True, repr=False)
class Calls(Answer):
    """What label transfer called: `item, label, confidence, margin, nearest_distance, status`, one row an item.

    Attributes:
        labels: label columns, in the order asked.
        vectors: [n, d] float32 general vectors of the items; zeros for items without regions.
        classes: for each label the values that could be called.
        reference: collection that named the items, `cells` or `bedfiles`.
        settings: the options that made the calls.
    """

    labels: tuple[str, ...]
    vectors: npt.NDArray[np.float32] = field(compare=False)
    classes: Mapping[str, tuple[str, ...]]
    reference: str
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class Explanation:
    """Why an item got its label.

    Attributes:
        call: its call, one row.
        voters: its voters, nearest first: `rank, id, label, source, distance, weight, shared, jaccard, regions`.
        regions: the regions that they share with it: BED interval, nearest gene, IDF, voters, score.
    """

    call: Calls
    voters: Answer
    regions: Answer


def _texts() -> tuple[pa.DataType, ...]:
    import pyarrow as pa

    return pa.string(), pa.large_string()
