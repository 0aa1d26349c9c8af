"""Compiled kernels that start fast: numba compiles them once, later processes load the machine code alone.

The first call of a function compiled by numba costs a process about 0.8 s even with numba's cache, for its
import and the tables that it fills. A BED file is read in a hundredth of that. So kernels of this kind are
plain functions over pointers (no arrays, no exceptions, no allocation): numba turns each into a C callback
whose code refers to nothing outside of itself, and llvmlite, which is there in 0.05 s, loads the object file
from the cache folder. Where the cache cannot be written, or holds something else, numba compiles again.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from ..cache import cache_folder
from .types import Int, Numbers

# letters of a signature: what numba calls it, what ctypes calls it, numpy's dtype of an array of it
_TYPES = {
    "u1": ("CPointer(uint8)", "c_void_p", np.dtype(np.uint8)),
    "u4": ("CPointer(uint32)", "c_void_p", np.dtype(np.uint32)),
    "i4": ("CPointer(int32)", "c_void_p", np.dtype(np.int32)),
    "i8": ("CPointer(int64)", "c_void_p", np.dtype(np.int64)),
    "u8": ("CPointer(uint64)", "c_void_p", np.dtype(np.uint64)),
    "n": ("int64", "c_int64", None),
}
_MAGIC = b"atacsearch kernels 1\n"


class Kernels:
    """The compiled functions of one module.

    Args:
        source: `__file__` of the module; a change in it makes new machine code.
        functions: name -> (function, its arguments: `n` for a whole number, `u1`, `u4`, `u8`, `i4`, `i8` for
            an array of such). Every function returns a whole number.
        inlined: functions that these call, copied into them; of these and other modules.

    Example:
        >>> def total(values, n):
        ...     found = 0
        ...     for i in range(n):
        ...         found += values[i]
        ...     return found
        >>> kernels = Kernels(__file__, {"total": (total, "i8 n")})
        >>> kernels("total", np.array([3, 4]), 2)
        7
    """

    def __init__(
        self,
        source: str,
        functions: dict[str, tuple[Callable[..., Any], str]],
        inlined: Sequence[Callable[..., Any]] = (),
    ) -> None:
        self._source = Path(source)
        self._functions = functions
        self._inlined = inlined
        self._dtypes = {name: [_TYPES[a][2] for a in kinds.split()] for name, (_, kinds) in functions.items()}
        self._loaded: dict[str, Any] = {}
        self._alive: list[Any] = []  # what owns the machine code
        self._lock = threading.Lock()

    def __call__(self, name: str, *arguments: Any) -> int:
        """Call a kernel without the GIL; arrays must be contiguous and of the dtype of the signature."""
        call = self._loaded.get(name) or self._load()[name]
        passed = []
        for value, dtype in zip(arguments, self._dtypes[name], strict=True):
            if dtype is None:
                passed.append(value)
                continue
            if value.dtype != dtype or not value.flags.c_contiguous:
                raise TypeError(f"{name}: expected a contiguous array of {dtype}, got {value.dtype}")
            passed.append(value.ctypes.data)
        found: int = call(*passed)
        return found

    def _load(self) -> dict[str, Any]:
        with self._lock:
            if not self._loaded:
                path = self._path()
                self._loaded = (self._from_cache(path) if path else None) or self._compile(path)
        return self._loaded

    def _path(self) -> Path | None:
        """Where the machine code for this source and processor is kept; None without a folder of one's own."""
        import llvmlite  # type: ignore[import-untyped]
        import llvmlite.binding as llvm  # type: ignore[import-untyped]

        folder = cache_folder() / "kernels"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if folder.stat().st_uid != os.getuid() or folder.stat().st_mode & 0o022:
                return None  # others could put code there
            files = {self._source, *(Path(f.__code__.co_filename) for f in self._inlined)}
            text = b"".join(file.read_bytes() for file in (*sorted(files), Path(__file__)))
        except (OSError, RuntimeError):
            return None
        made_for = (llvmlite.__version__, llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten())
        key = hashlib.sha256(text + repr(made_for).encode()).hexdigest()
        return folder / f"{self._source.stem}-{key[:20]}.o"

    def _from_cache(self, path: Path) -> dict[str, Any] | None:
        try:
            data = path.read_bytes()
        except OSError:
            return None
        head, _, body = data.removeprefix(_MAGIC).partition(b"\n")
        if not data.startswith(_MAGIC) or head != hashlib.sha256(body).hexdigest().encode():
            return None
        names, _, code = body.partition(b"\n")
        return self._link(json.loads(names), code)

    def _link(self, symbols: dict[str, str], code: bytes) -> dict[str, Any]:
        """Functions of an object file."""
        import llvmlite.binding as llvm

        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        machine = llvm.Target.from_default_triple().create_target_machine(jit=True)
        engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
        engine.add_object_file(llvm.ObjectFileRef.from_data(code))
        engine.finalize_object()
        self._alive.append(engine)
        return {name: self._callable(name, engine.get_function_address(symbols[name])) for name in symbols}

    def _callable(self, name: str, address: int) -> Any:
        import ctypes

        kinds = [getattr(ctypes, _TYPES[a][1]) for a in self._functions[name][1].split()]
        return ctypes.CFUNCTYPE(ctypes.c_int64, *kinds)(address)

    def _compile(self, path: Path | None) -> dict[str, Any]:
        import llvmlite.binding as llvm
        import numba

        self._bind()
        made: dict[str, Any] = {}
        for name, (function, kinds) in self._functions.items():
            signature = f"int64({', '.join(_TYPES[a][0] for a in kinds.split())})"
            made[name] = numba.cfunc(signature)(function)
        if path is not None:
            modules = [llvm.parse_assembly(one.inspect_llvm()) for one in made.values()]
            whole = modules[0]
            for other in modules[1:]:
                whole.link_in(other)
            foreign = [f.name for f in whole.functions if f.is_declaration]
            if all(name.startswith("llvm.") for name in foreign):  # anything else could not be found again
                machine = llvm.Target.from_default_triple().create_target_machine(
                    cpu=llvm.get_host_cpu_name(),
                    features=llvm.get_host_cpu_features().flatten(),
                    opt=3,
                    reloc="pic",
                    codemodel="jitdefault",
                    jit=True,
                )
                symbols = {name: one.native_name for name, one in made.items()}
                body = json.dumps(symbols).encode() + b"\n" + machine.emit_object(whole)
                _keep(path, _MAGIC + hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
        self._alive.extend(made.values())
        return {name: self._callable(name, one.address) for name, one in made.items()}

    def _bind(self) -> None:
        """Give the functions, by name, the compiled forms of what they call."""
        import numba

        names = {f.__name__: numba.njit(inline="always", error_model="numpy")(f) for f in self._inlined}
        names |= _intrinsics()
        namespaces = [f.__globals__ for f in (*self._inlined, *(f for f, _ in self._functions.values()))]
        for namespace in {id(one): one for one in namespaces}.values():
            namespace.update((name, value) for name, value in names.items() if name in namespace)


def load_u64(buffer: Numbers, at: Int) -> np.uint64:
    """Eight bytes of a `u1` array from any position as one little-endian uint64; for compiled code alone."""
    raise TypeError("load_u64 is for compiled code")


def trailing_zeros(word: np.uint64) -> int:
    """Zero bits below the lowest set bit of a uint64 (64 for zero), as int64; for compiled code alone."""
    raise TypeError("trailing_zeros is for compiled code")


@cache
def _intrinsics() -> dict[str, Any]:
    """What `load_u64` and `trailing_zeros` are while numba compiles."""
    from llvmlite import ir
    from numba.core import types
    from numba.extending import intrinsic

    def load(typingctx: Any, buffer: Any, at: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            place = builder.gep(args[0], [args[1]])
            word = builder.load(builder.bitcast(place, ir.IntType(64).as_pointer()))
            word.align = 1
            return word

        return types.uint64(buffer, types.int64), generate

    def zeros(typingctx: Any, word: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.cttz(args[0], ir.Constant(ir.IntType(1), 0))

        return types.int64(types.uint64), generate

    return {"load_u64": intrinsic(load), "trailing_zeros": intrinsic(zeros)}


def _keep(path: Path, data: bytes) -> None:
    """Write a cache file, if that can be done."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(data)
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
