"""`--labels`: a table joined to items by name."""

from __future__ import annotations

import gzip
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from atacsearch.errors import InputError
from atacsearch.query.ingest.labels import join_labels, read_labels
from atacsearch.tokens.token_sets import TokenSets


def items() -> Any:
    names = ("AAA-1", "CCC-1", "GGG-1")
    return SimpleNamespace(
        ids=tuple(f"pbmc#{n}" for n in names),
        sets=TokenSets.from_lists([[1]] * 3, names),
        labels=pa.table({"cell_type": ["B", "NK", None], "n": [1, 2, 3]}),
    )


def joined(tmp_path: Path, text: str, name: str = "labels.tsv") -> tuple[dict[str, list[Any]], int]:
    path = tmp_path / name
    path.write_text(text)
    table, n = join_labels(items(), read_labels(path))
    return table.to_pydict(), n


def test_adds_and_replaces_by_name(tmp_path: Path) -> None:
    table, n = joined(tmp_path, "cell_type\tbarcode\tdonor\nT\tCCC-1\td1\n\tAAA-1\td2\nx\tTTT-1\td3\n")
    assert n == 2
    assert table == {"cell_type": [None, "T", None], "n": [1, 2, 3], "donor": ["d2", "d1", None]}


def test_an_index_id_names_an_item_too(tmp_path: Path) -> None:
    table, n = joined(tmp_path, "id\tcell_type\npbmc#GGG-1\tT\n")
    assert (table["cell_type"], n) == (["B", "NK", "T"], 1)


def test_first_column_crlf_bom_csv_and_gzip(tmp_path: Path) -> None:
    table, _ = joined(tmp_path, '\ufeffcell,kind\r\nAAA-1,"a, b"\r\n', "labels.csv")
    assert table["kind"] == ["a, b", None, None]
    with gzip.open(tmp_path / "l.tsv.gz", "wt") as handle:
        handle.write("item\tk\nAAA-1\t7\n")
    assert join_labels(items(), read_labels(tmp_path / "l.tsv.gz"))[0]["k"].to_pylist() == [7, None, None]


def test_numbers_stay_numbers_and_zero_padded_names_stay_text(tmp_path: Path) -> None:
    table, _ = joined(tmp_path, "item\ti\tf\tcluster\nAAA-1\t3\t0.5\t01\nCCC-1\t4\t2\t02\n")
    assert (table["i"], table["f"], table["cluster"]) == ([3, 4, None], [0.5, 2.0, None], ["01", "02", None])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("barcode\nAAA-1\n", "has one column"),
        ("barcode\tk\nAAA-1\n", "line 2: 1 fields, the header has 2"),
        ("barcode\tk\nAAA-1\tx\nAAA-1\ty\n", "line 3: 'AAA-1' is named before"),
    ],
)
def test_bad_tables(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        joined(tmp_path, text)


def test_missing_and_binary_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_labels(tmp_path / "no.tsv")
    (tmp_path / "b.tsv").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(InputError, match="cannot be read as text"):
        read_labels(tmp_path / "b.tsv")
