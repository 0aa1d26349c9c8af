"""The four forms of a table."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from atacsearch.errors import InputError
from atacsearch.tables import write_record, write_table


@pytest.fixture
def table() -> pa.Table:
    return pa.table(
        {
            "item": ["a", "b\tc", None],
            "n": pa.array([1, None, 3], pa.int64()),
            "x": [0.123456789, float("nan"), 1e-12],
            "ok": [True, False, None],
        }
    )


def text(table: pa.Table, format: str) -> str:
    out = io.StringIO()
    write_table(table, format, stream=out)
    return out.getvalue()


def test_tsv_escapes_tabs_and_leaves_missing_values_empty(table: pa.Table) -> None:
    assert text(table, "tsv").splitlines() == [
        "item\tn\tx\tok",
        "a\t1\t0.123457\ttrue",
        "b\\tc\t\t\tfalse",
        "\t3\t1e-12\t",
    ]


def test_whole_numbers_that_a_gap_made_decimal_keep_their_digits() -> None:
    values = pa.table({"n": pa.array([1234577.0, None, 12.0, 0.1234567])})
    assert text(values, "tsv").split() == ["n", "1234577", "12", "0.123457"]


def test_json_is_valid_and_has_null_for_nan(table: pa.Table) -> None:
    rows = json.loads(text(table, "json"))
    assert rows[1] == {"item": "b\tc", "n": None, "x": None, "ok": False}


def test_aligned_table_has_one_line_a_row(table: pa.Table) -> None:
    lines = text(table, "table").splitlines()
    assert len(lines) == 5
    assert lines[2].startswith("a     ")


@pytest.mark.parametrize("format", ["table", "tsv", "json"])
def test_empty_table(format: str, table: pa.Table) -> None:
    assert text(table.slice(0, 0), format)


def test_parquet_goes_to_a_file_only(table: pa.Table, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="name a file"):
        text(table, "parquet")
    write_table(table, "parquet", tmp_path / "t.parquet")
    assert pq.read_table(tmp_path / "t.parquet").num_rows == 3
    assert [p.name for p in tmp_path.iterdir()] == ["t.parquet"]


def test_a_file_that_cannot_be_written_is_named(table: pa.Table, tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"out\.tsv") as caught:
        write_table(table, "tsv", tmp_path / "no" / "out.tsv")
    assert caught.value.filename == str(tmp_path / "no" / "out.tsv")


def test_record_is_vertical_as_table_and_one_row_else() -> None:
    out = io.StringIO()
    write_record({"name": "u", "n": 1234, "problems": ("a", "b"), "none": None}, "table", stream=out)
    assert "1,234" in out.getvalue()
    out = io.StringIO()
    write_record({"name": "u", "n": 1234, "problems": ("a", "b"), "none": None}, "json", stream=out)
    assert json.loads(out.getvalue()) == {"name": "u", "n": 1234, "problems": ["a", "b"], "none": None}
