"""An index of an earlier version opens, verifies and answers as it did; see tests/data/index-v1/make.py."""

from __future__ import annotations

import lzma
import math
import os
import shlex
import tarfile
from pathlib import Path

import pytest
from calling import call

from atacsearch.store.index.folder import IndexFolder
from atacsearch.store.index.verify import verify_index

DATA = Path(__file__).resolve().parents[2] / "data" / "index-v1"
QUESTIONS = dict(
    line.split(": ", 1) for line in (DATA / "questions.txt").read_text().splitlines() if line[0] != "#"
)


def unpack(archive: Path, folder: Path) -> None:
    """Unpack files with holes where they hold zeros: vector parts reserve far more than they use."""
    with lzma.open(archive) as packed, tarfile.open(fileobj=packed, mode="r|") as members:
        for member in members:
            path = folder / member.name
            if member.isdir():
                path.mkdir(parents=True, exist_ok=True)
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            content = members.extractfile(member)
            assert content is not None
            with path.open("wb") as made:
                while chunk := content.read(1 << 16):
                    if any(chunk):
                        made.write(chunk)
                    else:
                        made.seek(len(chunk), os.SEEK_CUR)
                made.truncate(member.size)


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with `my.index` and the files that the questions name."""
    folder = tmp_path_factory.mktemp("old")
    unpack(DATA / "index.tar.xz", folder)
    return folder


def alike(found: str, recorded: str) -> bool:
    """Whether two cells say the same; other processors may round the last digits of a score otherwise."""
    if found == recorded:
        return True
    try:
        return math.isclose(float(found), float(recorded), rel_tol=1e-3, abs_tol=1e-5)
    except ValueError:
        return False


def test_it_verifies(unpacked: Path) -> None:
    with IndexFolder.open(unpacked / "my.index") as index:
        report = verify_index(index)
        assert report.ok, report.problems
        assert (report.generation, report.shards, report.notes) == (3, 3, ())
        counts = {kind: index.snapshot().count(kind) for kind in ("cells", "bedfiles", "regions")}
    assert (counts["cells"], counts["bedfiles"]) == (60, 6)
    assert report.rows == sum(counts.values())


@pytest.mark.parametrize("name", QUESTIONS)
def test_it_answers_as_before(unpacked: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(unpacked)
    answer = call(*shlex.split(QUESTIONS[name]), "--format", "tsv")
    assert answer.code == 0, answer.err
    found = [line.split("\t") for line in answer.out.splitlines()]
    recorded = [line.split("\t") for line in (DATA / f"{name}.tsv").read_text().splitlines()]
    assert [len(row) for row in found] == [len(row) for row in recorded]
    for row, old in zip(found, recorded, strict=True):
        assert all(map(alike, row, old)), (row, old)
