"""The four forms of a table, and the one that a terminal gets."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from atacsearch.errors import InputError
from atacsearch.tables import MOST_DRAWN_ROWS, write_record, write_table


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


class Terminal(io.StringIO):
    """Text that says of itself that it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def hits() -> pa.Table:
    return pa.table(
        {
            "id": ["sample1#AAACCCAAGAAACACT-1", "[red]:smile:", None],
            "cell_type": ["CD4 memory T cell of a long name", "b\tc", "NK"],
            "rank": [1, 2, 3],
            "distance": [0.123456, 1e-12, None],
        }
    )


def on_terminal(table: pa.Table, width: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv("COLUMNS", str(width))
    out = Terminal()
    write_table(table, "table", stream=out)
    return out.getvalue().splitlines()


def without_styles(lines: list[str]) -> list[str]:
    return [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in lines]


def test_a_terminal_gets_a_drawn_table_as_wide_as_it_is(
    hits: pa.Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    wide = without_styles(on_terminal(hits, 120, monkeypatch))
    assert len(wide) == 5
    assert wide[0].split() == ["id", "cell_type", "rank", "distance"]
    assert wide[2].endswith("     1    0.1235")
    assert wide[3].startswith("[red]:smile: ")
    assert "b\\tc" in wide[3]
    narrow = without_styles(on_terminal(hits, 50, monkeypatch))
    assert max(map(len, narrow)) <= 50
    whole = "".join("".join(line.split()) for line in narrow)
    assert all(number in whole for number in ("0.1235", "1e-12"))
    assert "".join(line[: narrow[2].index("CD4")].strip() for line in narrow[2:]).startswith(
        "sample1#AAACCCAAGAAACACT-1"
    )


def test_no_colour_ever_reaches_a_terminal_that_asks_for_none(
    hits: pa.Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    assert not re.search(
        r"\x1b\[[0-9;]*(3[0-9]|4[0-9]|9[0-9])", "\n".join(on_terminal(hits, 120, monkeypatch))
    )


def test_a_pipe_gets_every_value_whole_whatever_the_terminal(
    hits: pa.Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert text(hits, "table").splitlines() == [
        "id                          cell_type                         rank  distance",
        "--------------------------  --------------------------------  ----  --------",
        "sample1#AAACCCAAGAAACACT-1  CD4 memory T cell of a long name     1    0.1235",
        "[red]:smile:                b\\tc                                 2     1e-12",
        "                            NK                                   3",
    ]


def test_a_long_table_is_plain_on_a_terminal_too(monkeypatch: pytest.MonkeyPatch) -> None:
    long = pa.table({"item": [f"cell {i} of many" for i in range(MOST_DRAWN_ROWS + 1)]})
    assert on_terminal(long, 10, monkeypatch)[:3] == ["item", "-----------------", "cell 0 of many"]


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
