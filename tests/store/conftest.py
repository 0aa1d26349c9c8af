"""Small random indexes for the tests of the store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from random_items import CREATE, make_batch

from atacsearch.store.index.folder import IndexFolder
from atacsearch.store.types import Batch


@pytest.fixture
def batch() -> Callable[..., Batch]:
    return make_batch


@pytest.fixture
def new_index(tmp_path: Path) -> Iterator[Callable[..., IndexFolder]]:
    made: list[IndexFolder] = []

    def make(name: str = "my.index", **options: Any) -> IndexFolder:
        made.append(IndexFolder.create(tmp_path / name, **{**CREATE, **options}))
        return made[-1]

    yield make
    for index in made:
        index.close()
