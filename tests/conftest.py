"""Fixtures for all tests: where the real shared data lie, if they are here."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data_dir():
    """The folder of real data: `ATACSEARCH_DATA`, else `shared/data` beside the checkout; skips without it."""
    named = os.environ.get("ATACSEARCH_DATA")
    folder = Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data"
    if not (folder / "annotation").is_dir():
        pytest.skip(f"no shared data at {folder}")
    return folder
