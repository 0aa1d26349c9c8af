"""`compiled`: numba's njit without GIL and with a cache on disk, also where the cache cannot be written.

numba keeps compiled code beside the source or in the user's cache folder; where neither can be written it
refuses to compile at all. Then a private folder under the temporary directory serves, else compilation
without a cache. Cached code is used while this file and all `*_kernel.py` beside it stay as they were.
"""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numba
from numba.extending import intrinsic

_CONFIG: Any = numba.config


def compiled(function: Callable[..., Any]) -> Any:
    """Compile a function at its first call, without the GIL and with numpy's integer rules."""
    options: dict[str, Any] = {"nogil": True, "boundscheck": False, "error_model": "numpy"}
    try:
        return _watching_all(numba.njit(cache=True, **options)(function))
    except RuntimeError:  # "cannot cache function: no locator available"
        folder = _private_cache()
        if folder is not None:
            _CONFIG.CACHE_DIR = str(folder)
            try:
                return _watching_all(numba.njit(cache=True, **options)(function))
            except RuntimeError:
                _CONFIG.CACHE_DIR = ""
        return numba.njit(cache=False, **options)(function)


def inlined(function: Callable[..., Any]) -> Any:
    """Compile a small function that is copied into its callers."""
    return numba.njit(inline="always", boundscheck=False, error_model="numpy")(function)


def _load_u64(typingctx: Any, buffer: Any, at: Any) -> Any:
    """Eight bytes of a uint8 array from any position as one little-endian uint64, unchecked."""
    from llvmlite import ir  # type: ignore[import-untyped]
    from numba.core import cgutils, types

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, args[0])
        place = cgutils.gep_inbounds(builder, array.data, args[1])
        word = builder.load(builder.bitcast(place, ir.IntType(64).as_pointer()))
        word.align = 1
        return word

    return types.uint64(buffer, types.int64), generate


def _trailing_zeros(typingctx: Any, word: Any) -> Any:
    """Number of zero bits below the lowest set bit of a uint64 (64 for zero), as int64."""
    from llvmlite import ir
    from numba.core import types

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(types.uint64), generate


load_u64: Any = intrinsic(_load_u64)
trailing_zeros: Any = intrinsic(_trailing_zeros)


def _watching_all(dispatcher: Any) -> Any:
    """Have the cache of a function notice changes in any compiled module.

    numba looks at the function's own file alone, and would keep copies of what it calls in other files.
    """
    index = getattr(getattr(dispatcher, "_cache", None), "_cache_file", None)
    if index is not None and hasattr(index, "_source_stamp"):
        index._source_stamp = (index._source_stamp, _stamps())
    return dispatcher


@cache
def _stamps() -> tuple[tuple[str, float, int], ...]:
    """Name, time and size of the modules that hold compiled code."""
    here = Path(__file__)
    found = [(path.name, path.stat()) for path in (here, *here.parent.glob("*_kernel.py")) if path.is_file()]
    return tuple(sorted((name, seen.st_mtime, seen.st_size) for name, seen in found))


def _private_cache() -> Path | None:
    """A folder under the temporary directory that only this user can read or write."""
    folder = Path(tempfile.gettempdir()) / f"atacsearch-numba-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return None
    private = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077
    return folder if private else None
