"""For all tests: where the real shared data lie, if they are here, and which tests are slow."""

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


def pytest_collection_modifyitems(items):
    """Mark what tests/slow.txt names as slow; an entry without its file is an error, so that the list stays true."""
    here = Path(__file__).parent
    lines = (here / "slow.txt").read_text().splitlines()
    entries = {line for line in lines if line and not line.startswith("#")}
    missing = sorted(entry for entry in entries if not (here / entry.partition("::")[0]).is_file())
    if missing:
        raise pytest.UsageError(f"tests/slow.txt names files that are not there: {', '.join(missing)}")
    for item in items:
        if item.path.is_relative_to(here):
            file = item.path.relative_to(here).as_posix()
            if entries & {file, f"{file}::{getattr(item, 'originalname', None)}"}:
                item.add_marker(pytest.mark.slow)
