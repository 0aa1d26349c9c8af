"""Arrow arrays without `pyarrow.array`, which imports pandas (a third of a second) whatever it is given."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np


def number_array(values: Any, valid: Any = None) -> Any:
    """An Arrow array of numbers, over the same memory where it is contiguous; null where not `valid` ([n] bool).

    Example:
        >>> number_array([3, 4]).to_pylist(), number_array([3, 4], [True, False]).to_pylist()
        ([3, 4], [3, None])
    """
    import pyarrow as pa

    column = np.ascontiguousarray(values)
    bits = None if valid is None else pa.py_buffer(np.packbits(np.asarray(valid, bool), bitorder="little"))
    return pa.Array.from_buffers(pa.from_numpy_dtype(column.dtype), len(column), [bits, pa.py_buffer(column)])


def text_array(values: Sequence[str]) -> Any:
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
