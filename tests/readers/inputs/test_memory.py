"""Inputs in memory: what a file may not hold, and what messages say of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from tiny_world import regions, write_h5ad

from atacsearch.errors import GenomeError, InputError
from atacsearch.readers.inputs.memory import as_inputs, open_any
from atacsearch.readers.options import ReadOptions
from atacsearch.tokens.token_sets import TokenSets
from atacsearch.tokens.universe import Universe

UNIVERSE = Universe(regions(), genome="hg38")
BED = pd.DataFrame({"chrom": "chr1", "start": [1_010_000, 1_000_000], "end": [1_010_500, 1_000_500]})


def tokens_of(x: Any, options: ReadOptions | None = None) -> list[list[int]]:
    """Tokens of the items of an input."""
    (items,) = open_any(x, UNIVERSE, options or ReadOptions())
    return [tokens.tolist() for tokens in items.sets]


@pytest.fixture
def adata(tmp_path: Path) -> ad.AnnData:
    return ad.read_h5ad(write_h5ad(tmp_path / "cells.h5ad", 1, 4))


def test_columns_that_no_file_holds_are_no_hindrance(adata: ad.AnnData) -> None:
    expected = tokens_of(adata)
    adata.obs["nested"] = [{"a": 1}] * 4
    adata.obs["mixed"] = [1, "a"] * 2
    adata.obs["day"] = pd.date_range("2020", periods=4)
    adata.obs[5] = 1
    adata.obs["_index"] = 1
    adata.obs.index.name = "cell_type"
    adata.var["nested"] = [[1]] * adata.n_vars
    (items,) = open_any(adata, UNIVERSE, ReadOptions())
    assert [tokens.tolist() for tokens in items.sets] == expected
    assert items.labels["cell_type"].to_pylist() == ["B", "NK", "B", "NK"]
    assert adata.obs.columns[-1] == "_index"  # it is left as it was


def test_messages_do_not_name_the_temporary_file(adata: ad.AnnData) -> None:
    with pytest.raises(InputError, match=r"^AnnData: X holds negative values"):
        tokens_of(ad.AnnData(-adata.X, var=adata.var))
    adata.uns["genome"] = "mm10"
    with pytest.raises(GenomeError, match=r"^AnnData: is mm10"):
        tokens_of(adata)
    with pytest.raises(InputError, match=r"^table of intervals: holds 2 lines, none of them a region"):
        tokens_of(BED.assign(start=-1))


@pytest.mark.parametrize(
    "table",
    [
        BED.assign(thing=[1, "a"]),
        BED.assign(thing=[object(), object()]),
        BED.rename(columns={"chrom": "#chrom"}),
        BED.astype({"chrom": "category", "start": float}),
        pa.Table.from_pandas(BED),
    ],
)
def test_tables_that_are_read(table: Any) -> None:
    assert tokens_of(table) == [[0, 1]]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (BED.assign(start=BED.start + 0.5), "table: column start: expected int64"),
        (BED.assign(start="x"), "table: column start: expected int64"),
        (BED.assign(chrom="a\tb"), "table: a chromosome or barcode cannot be written"),
        (pd.concat([BED, BED], axis=1), "each once"),
        (BED[:0], "table: has no rows"),
        (BED.set_index("chrom"), "has the columns start, end; expected chrom"),
    ],
)
def test_tables_that_are_refused(table: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        tokens_of(table)


def test_a_sample_tells_two_of_one_kind_apart() -> None:
    sets = TokenSets(np.array([0, 1]), np.array([3], np.uint32), ("a",), UNIVERSE.digest)
    for x, name in ((BED, "table of intervals"), (sets, "TokenSets")):
        sources = [open_any(x, UNIVERSE, ReadOptions(sample=sample))[0].source for sample in (None, "one")]
        assert sources == [name, f"{name} one"]


def test_several_inputs_in_any_row() -> None:
    names = ["a.bed", "b.bed"]
    for several in (names, tuple(names), np.array(names), pd.Series(names), iter(names)):
        assert as_inputs(several) == ("a.bed", "b.bed")  # type: ignore[arg-type]
    assert len(as_inputs(BED)) == 1
