"""Around a training run: what it would cost, its picture, and the card that says what was made."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from scipy.sparse import csr_matrix

from atacsearch.cli.root import cli
from atacsearch.errors import InputError
from atacsearch.model.checkpoints.checkpoint import load_model
from atacsearch.training.loops.metric_learning import CelltypeSettings
from atacsearch.training.metrics.neighbours import nearest
from atacsearch.training.recipes.celltype import celltype_files
from atacsearch.training.recipes.options import CelltypeOptions
from atacsearch.training.recipes.plan import time_steps
from atacsearch.training.trainer.plot import draw_log
from atacsearch.training.trainer.state import RunFolder, read_log

SETTINGS = CelltypeSettings(loss="proxy", epochs=2, min_steps=4, batch_size=16)


@pytest.fixture
def reference(tmp_path: Path) -> Path:
    """60 cells of two types, each with regions of its own."""
    rng = np.random.default_rng(0)
    open_ = rng.random((60, 80)) < 0.15
    for i in range(60):
        open_[i, 40 * (i % 2) : 40 * (i % 2) + 40] |= rng.random(40) < 0.3
    names = [f"chr1:{1000 * i + 1000}-{1000 * i + 1500}" for i in range(80)]
    obs = pd.DataFrame({"cell_type": ["a", "b"] * 30}, index=[f"c{i}" for i in range(60)])
    path = tmp_path / "ref.h5ad"
    anndata.AnnData(
        csr_matrix(open_.astype(np.float32)), obs=obs, var=pd.DataFrame(index=names), uns={"genome": "hg38"}
    ).write_h5ad(path)
    return path


def test_a_dry_run_says_what_it_would_cost_and_writes_nothing(reference: Path, tmp_path: Path) -> None:
    out = tmp_path / "model"
    before = sorted(tmp_path.iterdir())
    ran = CliRunner().invoke(
        cli,
        ["train", "celltype", str(reference), "--label", "cell_type", "--dry-run", "-o", str(out)],
        catch_exceptions=False,
    )
    assert ran.exit_code == 0
    for word in ("80 regions", "parameters", "60 sets", "memory:", "epochs of", "ms a step", "expected"):
        assert word in ran.stderr
    assert ran.stdout == ""
    assert sorted(tmp_path.iterdir()) == before


def test_steps_are_timed_and_the_run_is_stopped() -> None:
    done = []

    def run(folder: Path, progress: object) -> None:
        assert folder.is_dir()
        for step in range(1000):
            done.append(step)
            progress({"stage": "x", "epoch": 0, "step": step, "steps": 1000})  # type: ignore[operator]

    timing = time_steps(run, most=5)
    assert (timing.stage, timing.steps) == ("x", 1000)
    assert len(done) == timing.timed == 6
    with pytest.raises(ValueError, match="no step"):
        time_steps(lambda folder, progress: None)


def test_the_card_holds_data_split_figures_and_command(reference: Path, tmp_path: Path) -> None:
    out = tmp_path / "first"
    ran = CliRunner().invoke(
        cli,
        [
            "train",
            "celltype",
            str(reference),
            "--label",
            "cell_type",
            "--loss",
            "proxy",
            "--epochs",
            "1",
            "-o",
            str(out),
        ],
        catch_exceptions=False,
    )
    assert ran.exit_code == 0
    card = (out / "README.md").read_text()
    first = load_model(out)
    assert first.digest in card
    assert f"train celltype --label cell_type --output {out} --epochs 1 --loss proxy {reference}" in card
    assert "| ref.h5ad | training | cells | 60 |" in card
    assert "| this model |" in card
    assert "| TF-IDF + SVD + kNN |" in card
    assert "6 of 60 labelled items" in card
    assert (out / "training.png").stat().st_size > 5000
    assert "Goes on from" not in card

    celltype_files(
        [reference], "cell_type", tmp_path / "second", CelltypeOptions(model=out), settings=SETTINGS
    )
    second = load_model(tmp_path / "second")
    celltype_files(
        [reference],
        "cell_type",
        tmp_path / "third",
        CelltypeOptions(model=tmp_path / "second"),
        settings=SETTINGS,
    )
    third = load_model(tmp_path / "third")
    assert [p["digest"] for p in second.own["parents"]] == [first.digest]
    assert [p["digest"] for p in third.own["parents"]] == [second.digest, first.digest]
    assert second.digest in (tmp_path / "third" / "README.md").read_text()


def test_the_figures_are_of_the_cells_that_were_held_out(reference: Path, tmp_path: Path) -> None:
    summary = celltype_files(
        [reference], "cell_type", tmp_path / "m", CelltypeOptions(), settings=SETTINGS
    ).summary
    assert f"{summary['cells_held_out']} of {summary['cells']}" in (tmp_path / "m" / "README.md").read_text()


def test_nearest_neighbours_vote() -> None:
    reference = np.array([[1, 0], [1, 0.1], [0, 1], [0.1, 1], [0, 2]], np.float32)
    labels = np.array(["x", "x", "y", "y", "y"])
    calls = nearest(reference, labels, np.array([[5, 0.1], [0.2, 3]], np.float32), k=2)
    assert calls.tolist() == ["x", "y"]


def test_a_log_without_epochs_has_no_picture(tmp_path: Path) -> None:
    assert draw_log([{"event": "start"}], tmp_path / "p.png") is None
    assert not (tmp_path / "p.png").exists()


def test_what_was_logged_after_the_last_saved_state_is_forgotten(tmp_path: Path) -> None:
    run = RunFolder(tmp_path, "key")
    run.log(event="epoch", epoch=0)
    run.save(epoch=0)
    run.log(event="epoch", epoch=1)
    RunFolder(tmp_path, "key")
    assert [r["epoch"] for r in read_log(tmp_path)] == [0]
    with pytest.raises(InputError, match="--restart"):
        RunFolder(tmp_path, "other")
