"""The tiny world, written once, and an index of its reference."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from calling import Run, call
from tiny_index import build_index
from tiny_world import World, build_world


@pytest.fixture(scope="session")
def run() -> Run:
    """Runs a command; anything but an exit code is a failure of the test."""
    return call


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return build_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="session")
def built(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of the reference cells, six BED files, and regions in context; not to be changed."""
    return build_index(world, tmp_path_factory.mktemp("indexed") / "my.index")


@pytest.fixture
def index(built: Path, tmp_path: Path) -> Path:
    """A copy of the index, to be changed."""
    return Path(shutil.copytree(built, tmp_path / "my.index"))
