"""Region strings are 1-based and inclusive; inside, intervals are 0-based half-open."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atacsearch.errors import InputError
from atacsearch.genome.region_strings import format_region, parse_region


def test_one_based_inclusive() -> None:
    assert parse_region("chr1:1-1") == ("chr1", 0, 1)
    assert parse_region(" chrX:1,000,001-1,000,500 ") == ("chrX", 1_000_000, 1_000_500)
    assert parse_region("GL000194.1:5-9") == ("GL000194.1", 4, 9)


@pytest.mark.parametrize("text", ["GATA1", "pbmc#AAAC-1", "HLA-A", "peaks.bed", "a/b:c", "chr1"])
def test_not_a_region_string(text: str) -> None:
    assert parse_region(text) is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [("chr1:0-5", "first base is 1"), ("chr1:9-5", "ends before"), ("chr1:100", "expected chrom:start-end"),
     ("chr1:100-", "expected"), ("chr1:", "expected")],
)  # fmt: skip
def test_meant_as_one_but_wrong(text: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        parse_region(text)


@given(st.integers(0, 10**9), st.integers(1, 10**6))
def test_round_trip(start: int, width: int) -> None:
    assert parse_region(format_region("chr2", start, start + width)) == ("chr2", start, start + width)
