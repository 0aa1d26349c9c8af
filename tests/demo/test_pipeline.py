"""The folder, the runner and the split of the demo."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from atacsearch.cli.root import run_in_process
from atacsearch.demo.pbmc import stratified_fifth
from atacsearch.demo.pipeline import MARKER, prepare_folder, sources
from atacsearch.demo.runner import Runner
from atacsearch.errors import AtacsearchError, InputError


def test_a_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="not made by an earlier demo"):
        prepare_folder(tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_a_second_run_replaces_only_its_own(tmp_path: Path) -> None:
    out = tmp_path / "new" / "demo"
    prepare_folder(out)
    assert (out / MARKER).exists()
    (out / "forebrain").mkdir()
    (out / "forebrain" / "calls.tsv").write_text("old")
    (out / "report.html").write_text("old")
    (out / "my-notes.txt").write_text("mine")
    prepare_folder(out)
    assert sorted(p.name for p in out.iterdir()) == [MARKER, "my-notes.txt"]


def test_runner_stops_at_a_command_that_fails(tmp_path: Path) -> None:
    stream = io.StringIO()
    runner = Runner(run_in_process, stream=stream)
    with pytest.raises(AtacsearchError, match="this failed: atacsearch index status"):
        runner.command("x", "look", ["index", "status", tmp_path / "nowhere"])
    assert "    Error: " in stream.getvalue()
    assert runner.stages == []


def test_runner_times_its_own_steps() -> None:
    runner = Runner(run_in_process, stream=io.StringIO())
    with runner.step("x", "think"):
        pass
    assert [(s.title, s.command) for s in runner.stages] == [("think", None)]
    assert runner.with_device(["embed"]) == ["embed"]
    assert Runner(run_in_process, "cpu", stream=io.StringIO()).with_device(["embed"]) == [
        "embed",
        "--device",
        "cpu",
    ]


def test_the_split_takes_a_fifth_of_every_type() -> None:
    truth = {f"a{i}": "B" for i in range(100)} | {f"b{i}": "NK" for i in range(10)} | {"c": "Plasma"}
    chosen = stratified_fifth(truth)
    assert sum(c.startswith("a") for c in chosen) == 20
    assert sum(c.startswith("b") for c in chosen) == 2
    assert chosen == stratified_fifth(dict(reversed(truth.items())))


def test_every_source_has_a_licence_and_a_citation() -> None:
    for source in sources():
        assert "==" in source.package
        assert source.licence
        assert len(source.sha256) == 64
        assert source.citation
