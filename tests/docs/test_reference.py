"""The reference says what the code says: pages are written anew and compared."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reference")
    words = [sys.executable, str(ROOT / "scripts" / "make_reference.py"), str(folder)]
    subprocess.run(words, check=True, cwd=ROOT)
    return folder


def texts(folder: Path) -> dict[str, str]:
    """Pages by their path below the folder."""
    return {str(path.relative_to(folder)): path.read_text() for path in sorted(folder.rglob("*.md"))}


def test_the_committed_pages_are_what_the_code_says(written: Path) -> None:
    committed, anew = texts(ROOT / "docs" / "reference"), texts(written)
    stale = [name for name in anew if committed.get(name) != anew[name]]
    assert committed.keys() == anew.keys()
    assert not stale, f"run scripts/make_reference.py: {stale}"
