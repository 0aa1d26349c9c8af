"""Training commands on awkward input: what is there stays, what cannot be said is not, errors are one line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import anndata as ad
import numpy as np
import pytest
from calling import Run
from safetensors.numpy import load_file
from tiny_world import World

from atacsearch.model.checkpoints.checkpoint import OWN_TENSORS, load_model
from atacsearch.training.recipes.pretrain import MADE


@pytest.fixture
def odd(world: World, tmp_path: Path) -> Path:
    """The reference with columns that are hard to train on."""
    cells = ad.read_h5ad(world.reference)
    n = cells.n_obs
    cells.obs["each"] = [f"e{i}" for i in range(n)]
    cells.obs["general"] = cells.obs["cell_type"].astype(str)
    cells.obs["apart"] = [f"d{t}" for t in cells.obs["cell_type"]]
    cells.obs["gaps"] = [None if i % 4 == 0 else f"g{i % 3}" for i in range(n)]
    cells.obs["rare"] = [
        "rare" if d == "d0" and i % 2 else t
        for i, (t, d) in enumerate(zip(cells.obs["cell_type"], cells.obs["donor"], strict=True))
    ]
    path = tmp_path / "odd.h5ad"
    cells.write_h5ad(path)
    return path


def train(run: Run, world: World, data: Path, out: Path, *more: object, kind: str = "celltype"):  # type: ignore[no-untyped-def]
    return run("train", kind, data, "--universe", world.universe, "--genome", "hg38", "-o", out, *more)


def test_a_folder_of_other_things_is_left_alone(run: Run, world: World, tmp_path: Path) -> None:
    out = tmp_path / "mine"
    (out / "tokens").mkdir(parents=True)
    (out / "tokens" / "notes.txt").write_text("keep")
    (out / "README.md").write_text("mine")
    words = ("--epochs", 1, "--size", "tiny")
    answer = train(run, world, world.reference, out, *words, kind="pretrain")
    assert answer.code == 2
    assert "holds other files" in answer.err
    (tmp_path / "model").mkdir()
    shutil.copytree(out / "tokens", tmp_path / "model" / "tokens")
    (tmp_path / "model" / "config.json").write_text("{}")  # a broken model may be written over
    again = train(run, world, world.reference, tmp_path / "model", *words, kind="pretrain")
    assert again.code == 0, again.err
    assert (tmp_path / "model" / "tokens" / "notes.txt").read_text() == "keep"
    assert (out / "README.md").read_text() == "mine"
    assert not [p for p in (tmp_path / "model").iterdir() if p.name.startswith(".")]


def test_a_run_that_was_killed_while_reading_can_be_repeated(run: Run, world: World, tmp_path: Path) -> None:
    (tmp_path / "m" / MADE).mkdir(parents=True)
    (tmp_path / "m" / MADE / "0.parquet").write_bytes(b"half")
    words = ("--epochs", 1, "--size", "tiny")
    answer = train(run, world, world.reference, tmp_path / "m", *words, kind="pretrain")
    assert answer.code == 0, answer.err
    assert not (tmp_path / "m" / MADE).exists()


def test_a_model_over_another_one_keeps_nothing_of_it(run: Run, world: World, tmp_path: Path) -> None:
    out = tmp_path / "m"
    assert train(run, world, world.reference, out, "--label", "cell_type").code == 0
    assert (out / OWN_TENSORS).exists()
    (out / "training.png").write_bytes(b"old")
    words = ("--pooling", "mean", "--size", "tiny", "--epochs", 1)
    answer = train(run, world, world.reference, out, *words, kind="pretrain")
    assert answer.code == 0, answer.err
    model = load_model(out)
    assert model.pool_weights is None
    assert model.heads == {}
    assert model.digest == json.loads((out / "atacsearch.json").read_text())["model_digest"]
    assert (out / "training.png").read_bytes() != b"old"
    assert (out / "model.safetensors").stat().st_mode & 0o777 == (out / "config.json").stat().st_mode & 0o777


def test_a_save_that_broke_off_is_no_model(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load_model(world.model)
    out = model.save(tmp_path / "m")

    def broken(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("atacsearch.model.checkpoints.checkpoint.Model._save_universe", broken)
    with pytest.raises(OSError, match="no space"):
        model.save(out)
    with pytest.raises(Exception, match=r"no config\.json"):
        load_model(out)


def test_heads_go_with_the_encoder_that_they_were_fitted_on(run: Run, world: World, tmp_path: Path) -> None:
    base, out = tmp_path / "base", tmp_path / "next"
    assert train(run, world, world.reference, base, "--label", "cell_type").code == 0
    answer = run(
        "train", "celltype", world.reference, "--label", "donor", "--model", base,
        "--loss", "proxy", "--epochs", 1, "-o", out,
    )  # fmt: skip
    assert answer.code == 0, answer.err
    assert load_model(out).heads == {}
    assert set(load_model(base).heads) == {"cell_type"}


def test_nothing_to_hold_out_is_said(run: Run, world: World, odd: Path, tmp_path: Path) -> None:
    for label, batch in (("cell_type", "apart"), ("each", None)):
        more = ["--batch", batch] if batch else []
        answer = train(run, world, odd, tmp_path / label, "--label", label, *more)
        assert answer.code == 0, answer.err
        assert "nothing could be held out" in answer.err
    refused = train(run, world, odd, tmp_path / "p", "--label", "each", "--loss", "proxy")
    assert refused.code == 2
    assert "every label has one item" in refused.err


def test_a_label_of_the_held_out_group_alone_is_trained(
    run: Run, world: World, odd: Path, tmp_path: Path
) -> None:
    words = ("--label", "rare", "--batch", "donor", "--loss", "proxy", "--epochs", 1)
    answer = train(run, world, odd, tmp_path / "m", *words)
    assert answer.code == 0, answer.err


def test_items_without_a_group_are_no_group(run: Run, world: World, odd: Path, tmp_path: Path) -> None:
    answer = train(run, world, odd, tmp_path / "m", "--label", "cell_type", "--batch", "gaps")
    assert answer.code == 0, answer.err
    assert "of 3 groups; 15 items without a group train every head" in answer.err
    calibration = load_model(tmp_path / "m").heads["cell_type"].calibration  # type: ignore[union-attr]
    assert calibration is not None
    assert calibration.held_out.groups == ("g0", "g1", "g2")
    words = ("--label", "cell_type", "--batch", "gaps", "--loss", "proxy", "--epochs", 1)
    proxy = train(run, world, odd, tmp_path / "p", *words)
    assert "the whole group 'g" in proxy.err


def test_files_of_one_label_are_held_out_one_by_one(run: Run, world: World, tmp_path: Path) -> None:
    lines = ["file\ttarget"]
    for number in range(12):
        half = range(40 + number) if number % 2 == 0 else range(120, 160 + number)
        lines.append(f"{world.bed(f'one{number}.bed', half)}\t{'B' if number % 2 == 0 else 'NK'}")
    manifest = tmp_path / "files.tsv"
    manifest.write_text("\n".join(lines) + "\n")
    answer = train(run, world, manifest, tmp_path / "m", "--label", "target", kind="bulk")
    assert answer.code == 0, answer.err
    assert "random files of every value" in answer.err
    assert "1.000 of held-out files" in answer.err


def test_a_class_a_file_is_not_measured(run: Run, world: World, tmp_path: Path) -> None:
    lines = ["file\ttarget"]
    lines += [f"{world.bed(f'own{i}.bed', range(10 * i, 10 * i + 30))}\tt{i}" for i in range(6)]
    manifest = tmp_path / "files.tsv"
    manifest.write_text("\n".join(lines) + "\n")
    answer = train(run, world, manifest, tmp_path / "m", "--label", "target", kind="bulk")
    assert answer.code == 0, answer.err
    assert "no file could be held out" in answer.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--label", "general"), "the name of the vector without labels"),
        (("--label", "cell_type", "--seed", -1), "--seed"),
        (("--label", "cell_type", "--loss", "proxy", "--lr", -1), "--lr"),
        (("--label", "cell_type", "--genome", "mm10"), "is a universe of hg38"),
    ],
)
def test_wrong_options_get_one_line(
    run: Run, world: World, odd: Path, tmp_path: Path, words: tuple[object, ...], message: str
) -> None:
    answer = train(run, world, odd, tmp_path / "m", *words)
    assert answer.code == 2
    assert message in answer.err
    assert not (tmp_path / "m").exists()


def test_unlabelled_items_without_regions_do_not_join(run: Run, world: World, tmp_path: Path) -> None:
    cells = ad.read_h5ad(world.query)
    cells.X = cells.X * 0
    cells.write_h5ad(tmp_path / "empty.h5ad")
    words = ("--label", "cell_type", "--seed", 3)
    assert train(run, world, world.reference, tmp_path / "a", *words).code == 0
    joined = train(
        run, world, world.reference, tmp_path / "b", *words, "--unlabelled", tmp_path / "empty.h5ad"
    )
    assert joined.code == 0, joined.err
    assert "unlabelled items have no region of the universe" in joined.err
    assert load_model(tmp_path / "a").digest == load_model(tmp_path / "b").digest
    assert np.isfinite(load_file(tmp_path / "b" / "model.safetensors").popitem()[1]).all()


@pytest.mark.parametrize("more", [(), ("--dry-run",)])
def test_cells_without_a_region_of_the_universe_are_told_so(
    run: Run, world: World, tmp_path: Path, more: tuple[str, ...]
) -> None:
    cells = ad.read_h5ad(world.reference)
    cells.X = cells.X * 0
    cells.write_h5ad(tmp_path / "empty.h5ad")
    answer = train(run, world, tmp_path / "empty.h5ad", tmp_path / "out", "--label", "cell_type", *more)
    assert answer.code == 2
    assert "at least 2 labels" in answer.err
    assert "Traceback" not in answer.err
