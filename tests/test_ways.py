"""The way of the four questions is short: at most 15 functions receive a question or its options, 3 files twice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_index import build_index
from tiny_world import build_world
from ways import watched

import atacsearch as ats
from atacsearch.query.annotate.options import AnnotateOptions, AnnotateQuery
from atacsearch.query.regions.options import CompareOptions, CompareQuery, OverlapOptions, OverlapQuery
from atacsearch.query.search.options import SearchOptions, SearchQuery
from atacsearch.readers.options import ReadOptions

MOST_STAYS, MOST_RETURNS = 15, 3
KINDS = (
    AnnotateOptions,
    AnnotateQuery,
    CompareOptions,
    CompareQuery,
    OverlapOptions,
    OverlapQuery,
    ReadOptions,
    SearchOptions,
    SearchQuery,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ways")
    build_index(build_world(folder), folder / "my.index")
    return folder


QUESTIONS: dict[str, Callable[[ats.Index, Path], Any]] = {
    "annotate": lambda index, folder: index.annotate(
        folder / "query.h5ad", "cell_type", coverage=0.9, doublets=True
    ),
    "search": lambda index, folder: index.search(
        "cells", folder / "query.h5ad", k=3, rank="fused", group_by="cell_type", text="B"
    ),
    "overlap": lambda index, folder: index.overlap(folder / "f0.bed", by="cell_type"),
    "compare": lambda index, folder: index.compare(folder / "f0.bed", "cell_type=NK", q=1, min_difference=0),
}


@pytest.mark.parametrize("question", sorted(QUESTIONS))
def test_the_way_is_short(question: str, folder: Path) -> None:
    with ats.open_index(folder / "my.index", device="cpu") as index, watched(KINDS) as way:
        answer = QUESTIONS[question](index, folder)
    print(way)
    assert len(answer)
    assert 3 <= len(way.stays) <= MOST_STAYS, str(way)
    assert way.returns <= MOST_RETURNS, str(way)
