"""Label columns: `obs` of an AnnData, or text of a manifest, to an Arrow table. Empty values become null."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..arrow import text_array

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

LabelValue = str | int | float | bool

_WHOLE = re.compile(r"-?(0|[1-9]\d{0,17})")
_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?")


def obs_table(obs: pd.DataFrame) -> pa.Table:
    """An `obs` data frame as an Arrow table: categories as strings, numbers and bool kept, the rest as text.

    Empty strings, NaN and NaT become null.
    """
    import pyarrow as pa

    columns = {str(name): _column(obs.iloc[:, i]) for i, name in enumerate(obs.columns)}
    return pa.table(columns) if columns else empty_table(len(obs))


def empty_table(n: int) -> pa.Table:
    """An Arrow table of n rows without columns."""
    import pyarrow as pa

    return pa.table({"": pa.nulls(n)}).select([])


def text_column(values: Sequence[str | None], *, keep_text: bool = False) -> pa.Array:
    """An Arrow column of text: numbers where all values are (`01` stays text), empty is null."""
    import pyarrow as pa

    clean = [None if v is None or not v.strip() else v.strip() for v in values]
    filled = [v for v in clean if v is not None]
    if filled and not keep_text:
        if all(_WHOLE.fullmatch(v) for v in filled):
            return pa.array([None if v is None else int(v) for v in clean], pa.int64())
        if all(_NUMBER.fullmatch(v) for v in filled):
            return pa.array([None if v is None else float(v) for v in clean], pa.float64())
    return pa.array(clean, pa.string())


def with_constants(table: pa.Table, values: Mapping[str, LabelValue | None]) -> pa.Table:
    """The table with columns of one value each; None adds none, and columns that it already has stay."""
    import pyarrow as pa

    for name, value in values.items():
        if name not in table.column_names and value is not None:
            if isinstance(value, str):
                column = text_array([value] * table.num_rows)
            else:
                column = pa.repeat(pa.scalar(value), table.num_rows)
            table = table.append_column(name, column)
    return table


def _column(series: pd.Series) -> pa.Array:
    import pandas as pd
    import pyarrow as pa

    if isinstance(series.dtype, pd.CategoricalDtype):
        categories = [_text(v) for v in series.cat.categories]
        codes = pa.array(series.cat.codes.to_numpy(), mask=(series.cat.codes < 0).to_numpy())
        return pa.array(categories, pa.string()).take(codes)
    if pd.api.types.is_bool_dtype(series.dtype):
        return pa.array(series.to_list(), pa.bool_(), from_pandas=True)
    if pd.api.types.is_numeric_dtype(series.dtype):
        values = (
            series.to_numpy(dtype=None if isinstance(series.dtype, np.dtype) else np.float64, na_value=np.nan)
            if not isinstance(series.dtype, np.dtype)
            else series.to_numpy()
        )
        if values.dtype.kind == "f":
            return pa.array(values.astype(np.float64), mask=np.isnan(values))
        return pa.array(values)
    return pa.array([_text(v) for v in series.tolist()], pa.string())


def _text(value: object) -> str | None:
    import pandas as pd

    if value is None or (pd.api.types.is_scalar(value) and pd.isna(value)):
        return None
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return text if text.strip() else None
