import subprocess
import sys

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from atacsearch.arrow import number_array, text_array


@settings(deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]))))
def test_text_as_pyarrow_makes_it(values):
    assert text_array(values).equals(pa.array(values, pa.string()))


def test_numbers_as_pyarrow_makes_them():
    for values in (np.arange(9, dtype=np.uint32)[::2], np.array([]), np.array([1.5, np.nan]), [3, 4]):
        assert number_array(values).to_pylist().__repr__() == pa.array(values).to_pylist().__repr__()
        assert number_array(values).type == pa.array(values).type


def test_tokenising_a_bed_file_imports_nothing_heavy(tmp_path):
    (tmp_path / "u.bed").write_text("chr1\t5\t9\nchr1\t20\t29\n")
    (tmp_path / "x.bed").write_text("chr1\t7\t8\n")
    code = """
import sys
from atacsearch.cli.root import cli
cli(sys.argv[1:], standalone_mode=False)
print(sorted({"torch", "pandas", "pyranges", "anndata", "sklearn", "scipy", "numba"} & set(sys.modules)))
"""
    parts = ["tokenize", "x.bed", "--universe", "u.bed", "-o", "o.parquet"]
    for _ in range(2):  # the first run may have to compile
        done = subprocess.run(
            [sys.executable, "-c", code, *parts], cwd=tmp_path, capture_output=True, text=True, check=True
        )
    assert done.stdout == "[]\n"
