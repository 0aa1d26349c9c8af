"""Small random indexes for the tests of the store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from random_items import CREATE, make_batch

from atacsearch.store.index.index import Index
from atacsearch.store.types import Batch


@pytest.fixture
def batch() -> Callable[..., Batch]:
    return make_batch


@pytest.fixture
def new_index(tmp_path: Path) -> Iterator[Callable[..., Index]]:
    made: list[Index] = []

    def make(name: str = "my.index", **options: Any) -> Index:
        made.append(Index.create(tmp_path / name, **{**CREATE, **options}))
        return made[-1]

    yield make
    for index in made:
        index.close()
