"""Names that the examples in docstrings use: an index of a small made world, in a folder of its own."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent
WITH_INDEX = ("index.py", "questions.py", "api", "model")  # modules whose examples open an index or its model


@pytest.fixture(scope="session")
def example_world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the tiny world, and in it `demo.index` of its cells, six BED files and their regions."""
    sys.path.insert(0, str(ROOT / "tests" / "helpers"))
    from tiny_index import build_index
    from tiny_world import build_world, write_fragments

    folder = tmp_path_factory.mktemp("examples")
    world = build_world(folder)
    write_fragments(folder / "fragments.tsv.gz", 3, 4)
    here = os.getcwd()
    os.chdir(folder)
    try:
        build_index(world, Path("demo.index"), relative=True)
    finally:
        os.chdir(here)
    return folder


@pytest.fixture(autouse=True)
def example_index(request: pytest.FixtureRequest, doctest_namespace: dict[str, Any]) -> Iterator[None]:
    """`index` and the working folder of an example of the public index; nothing for other tests."""
    if not isinstance(request.node, pytest.DoctestItem) or not _opens_an_index(request.node):
        yield
        return
    folder: Path = request.getfixturevalue("example_world")
    import atacsearch as ats

    here = os.getcwd()
    os.chdir(folder)
    try:
        with ats.open_index("demo.index", device="cpu") as index:
            doctest_namespace.update(index=index, ats=ats)
            yield
    finally:
        os.chdir(here)


def _opens_an_index(node: pytest.Item) -> bool:
    place = Path(str(node.path)).relative_to(ROOT)
    return place.parts[0] == "atacsearch" and place.parts[1] in WITH_INDEX
