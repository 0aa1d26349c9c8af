"""Kernels that load without numba: what the cache holds, and what happens where it cannot be used."""

import importlib
import subprocess
import sys

import numpy as np
import pytest

from atacsearch.kernels import bed as bed_kernel
from atacsearch.kernels import compiler as native
from atacsearch.kernels import (
    fragment_tables as table_kernel,
)
from atacsearch.kernels import (
    fragments as fragment_kernel,
)
from atacsearch.kernels import intervals as overlap_kernel
from atacsearch.kernels import (
    matrix as matrix_kernel,
)
from atacsearch.kernels import (
    pairs as pair_kernel,
)
from atacsearch.kernels import postings as postings_kernel
from atacsearch.kernels import (
    token_rows as csr,
)
from atacsearch.kernels.compiler import Kernels


def total(values, n):
    found = 0
    for i in range(n):
        found += values[i]
    return found


def kernels():
    return Kernels(__file__, {"total": (total, "i8 n")})


def call(one):
    return one("total", np.array([3, 4]), 2)


MODULES = (
    bed_kernel,
    overlap_kernel,
    matrix_kernel,
    csr,
    fragment_kernel,
    pair_kernel,
    table_kernel,
    postings_kernel,
)


@pytest.mark.parametrize("module", MODULES)
def test_every_kernel_stands_alone_and_so_is_kept(module, tmp_path, monkeypatch):
    monkeypatch.setenv("ATACSEARCH_CACHE", str(tmp_path))
    fresh = Kernels(module.__file__, module.KERNELS._functions, module.KERNELS._inlined)
    fresh._load()
    (kept,) = (tmp_path / "kernels").iterdir()
    again = Kernels(module.__file__, module.KERNELS._functions, module.KERNELS._inlined)
    monkeypatch.setattr(again, "_compile", None)  # it must come from the cache
    assert set(again._load()) == set(module.KERNELS._functions)
    assert kept.read_bytes().startswith(native._MAGIC)


def test_a_later_process_needs_no_numba(tmp_path, monkeypatch):
    monkeypatch.setenv("ATACSEARCH_CACHE", str(tmp_path))
    code = (
        "import sys; from atacsearch.genome.bed_lines import scan_lines; "
        "print(scan_lines(b'chr1\\t1\\t2\\n', []).end.tolist(), 'numba' in sys.modules)"
    )
    said = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout]
    said += [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout]
    assert said == ["[2] True\n", "[2] False\n"]


def test_other_content_in_the_cache_is_replaced(tmp_path, monkeypatch):
    monkeypatch.setenv("ATACSEARCH_CACHE", str(tmp_path))
    assert call(kernels()) == 7
    (kept,) = (tmp_path / "kernels").iterdir()
    sound = kept.read_bytes()
    for broken in (b"", sound[:-1], sound.replace(b"total", b"other"), b"x" + sound):
        kept.write_bytes(broken)
        assert call(kernels()) == 7
        assert kept.read_bytes() != broken
        assert kernels()._from_cache(kept) is not None  # made anew


def test_without_a_cache_folder_it_is_compiled_each_time(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ATACSEARCH_CACHE", str(tmp_path / "file"))
    assert call(kernels()) == 7
    monkeypatch.setenv("ATACSEARCH_CACHE", str(tmp_path))
    (tmp_path / "kernels").mkdir()
    (tmp_path / "kernels").chmod(0o777)  # others could put code there
    assert call(kernels()) == 7
    assert not list((tmp_path / "kernels").iterdir())


def test_arrays_of_another_kind_are_refused():
    one = kernels()
    for wrong in (np.array([1, 2], np.int32), np.arange(8)[::2]):
        with pytest.raises(TypeError, match="expected a contiguous array of int64"):
            one("total", wrong, 2)


def test_a_change_in_what_is_inlined_makes_new_code(tmp_path, monkeypatch):
    monkeypatch.setenv("ATACSEARCH_CACHE", str(tmp_path))
    monkeypatch.syspath_prepend(str(tmp_path))
    user = (
        "from atacsearch.kernels.compiler import Kernels, load_u64, trailing_zeros\nfrom helper_{0} import more\n"
        "def two(text, at):\n    return more(trailing_zeros(load_u64(text, at)))\n"
        "KERNELS = Kernels(__file__, {{'two': (two, 'u1 n')}}, (more,))\n"
    )
    text = np.frombuffer(bytes(3) + b"\x10" + bytes(12), np.uint8)
    for number, change in enumerate((1, 20)):
        (tmp_path / f"helper_{number}.py").write_text(f"def more(x):\n    return x + {change}\n")
        (tmp_path / f"user_{number}.py").write_text(user.format(number))
        module = importlib.import_module(f"user_{number}")
        assert module.KERNELS("two", text, 3) == 4 + change
        assert module.KERNELS("two", text, 1) == 20 + change
    first = importlib.import_module("user_0").KERNELS
    before = first._path()
    (tmp_path / "helper_0.py").write_text("def more(x):\n    return x + 2\n")
    assert first._path() != before
