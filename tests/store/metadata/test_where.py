"""The --where language: what it reads, what it refuses and what it says then."""

from __future__ import annotations

import pyarrow as pa
import pytest

from atacsearch.errors import InputError
from atacsearch.store.metadata.where import Condition, bind_where, parse_where, to_mask
from atacsearch.store.types import Column

COLUMNS = {
    "cell_type": Column("cell_type", "text", "string", 3, True),
    "depth": Column("depth", "number", "int64", 90, True),
    "doublet": Column("doublet", "bool", "bool", 2, True),
    "barcode": Column("barcode", "text", "string", 20_000, False),
    "note": Column("note", "empty", "string", 0, False),
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("assay=ATAC-seq", [Condition("assay", "=", ("ATAC-seq",))]),
        ("a = b and c!=d", [Condition("a", "=", ("b",)), Condition("c", "!=", ("d",))]),
        ("n>=1e3 AND n<-2", [Condition("n", ">=", ("1e3",)), Condition("n", "<", ("-2",))]),
        ("n<=1 and m>0", [Condition("n", "<=", ("1",)), Condition("m", ">", ("0",))]),
        ("t in (a, 'b c',\"d\")", [Condition("t", "in", ("a", "b c", "d"))]),
        ("t IN(CD4+)", [Condition("t", "in", ("CD4+",))]),
        ('"cell type"="B \\"x\\" cell"', [Condition("cell type", "=", ('B "x" cell',))]),
        ("x='and' and y=in", [Condition("x", "=", ("and",)), Condition("y", "=", ("in",))]),
        ("x==1", [Condition("x", "=", ("1",))]),
        ("region=chr1:1-2/a", [Condition("region", "=", ("chr1:1-2/a",))]),
        ("a=b!", [Condition("a", "=", ("b!",))]),
        ("a=''", [Condition("a", "=", ("",))]),
    ],
)
def test_reads(text: str, expected: list[Condition]) -> None:
    assert list(parse_where(text).conditions) == expected


def test_repeated_filters_are_anded() -> None:
    assert parse_where(["a=1", "b=2 and c=3"]) == parse_where("a=1 and b=2 and c=3")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "expected a column name, found the end"),
        ("a", "expected one of ="),
        ("a=", "expected a value, found the end"),
        ("a=CD14+ monocyte", "put values with spaces in quotes"),
        ("a=b and", "expected a column name"),
        ("a like b", "expected one of ="),
        ("a in b", "'(' after in"),
        ("a in (b", "',' or ')'"),
        ("a in ()", "expected a value"),
        ("a='b", "quote not closed"),
        ("=b", "expected a column name"),
        ("a=b or c=d", "expected 'and'"),
    ],
)
def test_refuses(text: str, says: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_where(text)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("celltype=B", "no column 'celltype'; columns that can be filtered: cell_type, depth, doublet"),
        (
            "barcode=x",
            "has 20,000 distinct values and has no payload index; columns that can be filtered: cell",
        ),
        ("note=x", "'note' holds no value"),
        ("depth>deep", "'depth' is numeric, 'deep' is not a number"),
        ("depth=nan", "not a number"),
        ("cell_type<B", "not numeric"),
        ("doublet=maybe", "true or false"),
    ],
)
def test_refuses_what_no_column_can_answer(text: str, says: str) -> None:
    with pytest.raises(InputError) as caught:
        bind_where(parse_where(text), COLUMNS, "cells")
    assert says in str(caught.value)


def test_column_names_match_without_case() -> None:
    assert bind_where(parse_where("Cell_Type=B"), COLUMNS, "cells").conditions[0].column == "cell_type"


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("cell_type=B", [0, 3]),
        ("cell_type!=B", [1]),  # row 2 has no cell type and matches nothing
        ("cell_type in (T, X)", [1]),
        ("depth>2", [2]),
        ("depth!=1", [1, 2]),
        ("depth in (1, 3)", [0, 2]),
        ("doublet=yes", [0, 2]),
        ("doublet!=true", [1]),
        ("doublet in (true, false)", [0, 1, 2]),
        ("cell_type=B and depth>=1", [0]),
    ],
)
def test_mask_and_null(text: str, rows: list[int]) -> None:
    table = pa.table(
        {
            "cell_type": ["B", "T", None, "B"],
            "depth": [1, 2, 3, None],
            "doublet": [True, False, True, None],
        }
    )
    mask = to_mask(bind_where(parse_where(text), COLUMNS, "cells"), table)
    assert mask.nonzero()[0].tolist() == rows
