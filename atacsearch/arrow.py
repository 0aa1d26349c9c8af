"""Arrow arrays from and to numpy without `pyarrow.array` and `to_numpy`, which import pandas (a third of a second)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pyarrow as pa


def number_array(values: npt.ArrayLike, valid: npt.ArrayLike | None = None) -> pa.Array:
    """An Arrow array of numbers, over the same memory where it is contiguous; null where not `valid` ([n] bool).

    Example:
        >>> number_array([3, 4]).to_pylist(), number_array([3, 4], [True, False]).to_pylist()
        ([3, 4], [3, None])
    """
    import pyarrow as pa

    column = np.ascontiguousarray(values)
    bits = None if valid is None else pa.py_buffer(np.packbits(np.asarray(valid, bool), bitorder="little"))
    return pa.Array.from_buffers(pa.from_numpy_dtype(column.dtype), len(column), [bits, pa.py_buffer(column)])


def text_array(values: Sequence[str]) -> pa.Array:
    """An Arrow array of strings without nulls.

    Example:
        >>> text_array(["chr1", "", "π"]).to_pylist()
        ['chr1', '', 'π']
    """
    import pyarrow as pa

    encoded = [value.encode() for value in values]
    total = sum(map(len, encoded))
    kind, width = (pa.string(), np.int32) if total < 2**31 else (pa.large_string(), np.int64)
    offsets = np.fromiter(accumulate(map(len, encoded), initial=0), width, len(encoded) + 1)
    return pa.Array.from_buffers(
        kind, len(encoded), [None, pa.py_buffer(offsets), pa.py_buffer(b"".join(encoded))]
    )


_NUMPY_NAMES = {
    "halffloat": "float16",
    "float": "float32",
    "double": "float64",
}  # where Arrow has names of its own


def numbers_of(column: pa.Array | pa.ChunkedArray) -> npt.NDArray[Any]:
    """The numbers of an Arrow column as numpy has them, over the same memory where they are one piece.

    Args:
        column: an array or chunked array of numbers (no booleans) without nulls.

    Raises:
        ValueError: there are nulls.

    Example:
        >>> numbers_of(number_array([3, 4]).slice(1)).tolist()
        [4]
    """
    if column.null_count:
        raise ValueError("the column holds nulls")
    dtype = np.dtype(_NUMPY_NAMES.get(str(column.type), str(column.type)))
    chunks = [c for c in getattr(column, "chunks", [column]) if len(c)]
    parts = [np.frombuffer(c.buffers()[1], dtype, c.offset + len(c))[c.offset :] for c in chunks]
    if len(parts) == 1:
        return parts[0]
    return np.concatenate([np.empty(0, dtype), *parts])
