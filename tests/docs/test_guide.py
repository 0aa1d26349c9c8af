"""Each guide is run: its commands work in the order given, and print what the guide says."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from guide_runner import blocks, run_page
from guide_world import build_guide_world

GUIDES = sorted((Path(__file__).resolve().parents[2] / "docs" / "guide").glob("*.md"))
NUMBER = re.compile(r"-?\d+\.\d+(?:e-?\d+)?")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small files that guides speak of, drawn once."""
    folder = tmp_path_factory.mktemp("files")
    build_guide_world(folder)
    return folder


def same(said: str, printed: str) -> bool:
    """Whether two texts agree: words exactly, decimal numbers to 2 % or 0.01, whatever the width of columns."""
    a, b = NUMBER.split(" ".join(said.split())), NUMBER.split(" ".join(printed.split()))
    x, y = (list(map(float, NUMBER.findall(text))) for text in (said, printed))
    return a == b and y == pytest.approx(x, rel=0.02, abs=0.01)


def test_numbers_may_differ_a_little_and_words_may_not() -> None:
    assert same("B 0.997  assigned", "B 0.999 assigned")
    assert not same("B 0.90 assigned", "B 0.80 assigned")
    assert not same("B 0.997 assigned", "B 0.997 unknown")


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.stem)
def test_a_guide_does_what_it_says(
    guide: Path, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "files"
    shutil.copytree(files, folder)
    monkeypatch.chdir(folder)
    page = guide.read_text()
    answers = run_page(page)
    assert answers or not any(block.marks == "bash run" for block in blocks(page))
    for block, printed in answers:
        assert same(block.text, printed), (
            f"{guide.name} says\n{block.text}\nand the commands print\n{printed}"
        )
