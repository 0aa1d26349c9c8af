"""Label heads of BED files: each vector tells its own label and leaves out what crosses it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from bulk_world import TARGETS, TYPES, Columns, V, files, universe

from atacsearch.errors import InputError
from atacsearch.model.checkpoints.checkpoint import Model, load_model, new_model
from atacsearch.model.config import sized_config
from atacsearch.model.encoding.encoder import Encoder
from atacsearch.model.heads.files import HEADS
from atacsearch.model.heads.label_head import PlainHead, ResidualHead, unit
from atacsearch.tokens.token_sets import TokenSets
from atacsearch.training.bulk.labels import LabelTable
from atacsearch.training.bulk.train import BulkSettings, Choice, fit_choice, folds_of, pick, train_bulk
from atacsearch.training.trainer.state import STATE, read_log
from atacsearch.training.trainer.warm_start import warm_start


def fresh(sets: TokenSets) -> Model:
    model = new_model(sized_config("tiny", V, hidden_size=16, intermediate_size=32), universe())
    warm_start(model, sets)
    return model


def named(model: Model, name: str, columns: Columns, label: str, sets: TokenSets, seed: int = 1) -> float:
    """Share of new files whose nearest training file, by the vector `name`, has their label."""
    new, truth = files(seed)
    encoder = Encoder(model, device="cpu")
    cosines = unit(encoder.encode_as([name], new)[name]) @ unit(encoder.encode_as([name], sets)[name]).T
    found = np.array(columns[label], object)[cosines.argmax(1)]
    return float((found == np.array(truth[label], object)).mean())


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Model, TokenSets, Columns, Path]:
    sets, columns = files()
    model = fresh(sets)
    folder = tmp_path_factory.mktemp("bulk")
    train_bulk(model, sets, columns, folder, BulkSettings(folds=3))
    return model, sets, columns, folder


def test_every_label_is_told_by_its_own_vector(trained: tuple[Model, TokenSets, Columns, Path]) -> None:
    model, sets, columns, _ = trained
    # Files of the same target lie nearest, whatever their cell type.
    assert named(model, "general", columns, "target", sets) == 1.0
    assert named(model, "general", columns, "cell_type", sets) < 0.8
    assert named(model, "cell_type", columns, "cell_type", sets) > 0.85
    assert named(model, "target", columns, "target", sets) == 1.0
    assert named(model, "assay", columns, "assay", sets) == 1.0


def test_saved_heads_give_the_same_vectors(trained: tuple[Model, TokenSets, Columns, Path]) -> None:
    model, sets, _, folder = trained
    again = load_model(folder)
    assert again.digest == model.digest
    assert list(again.vectors) == ["general", "cell_type", "assay", "target"]
    for name in again.vectors:
        one, two = (Encoder(m, device="cpu").encode_as([name], sets)[name] for m in (model, again))
        np.testing.assert_array_equal(one, two)
    again.heads.pop("assay")
    assert again.digest != model.digest
    again.heads.clear()
    again.save(folder.parent / "without")
    assert not (folder.parent / "without" / HEADS).exists()
    assert load_model(folder.parent / "without").vectors == {"general": 16}


def test_the_log_says_what_was_tried_and_chosen(trained: tuple[Model, TokenSets, Columns, Path]) -> None:
    model, _, _, folder = trained
    log = read_log(folder)
    assert [r["event"] for r in log] == ["start", "label", "label", "label", "done"]
    assert "random files" in log[0]["held_out"]
    assert "no --group" in log[0]["held_out"]
    best = log[-1]["labels"]["cell_type"]
    assert best["crossed_by"] == ["assay", "target"]
    tried = {k: v for k, v in log[1].items() if "shrink" in k}
    assert len(tried) == 4
    assert best["held_out_accuracy"] == tried[best["head"]] >= max(tried.values()) - 0.15
    assert isinstance(model.heads["cell_type"], PlainHead | ResidualHead)
    assert not (folder / STATE).exists()


@pytest.mark.parametrize("power", [None, 1.0])
def test_fitted_files_lie_where_the_fit_put_them_and_empty_ones_at_zero(power: float | None) -> None:
    sets, columns = files()
    head = fit_choice(sets, LabelTable(columns), "cell_type", Choice(power, 1.0), V, BulkSettings())
    vectors = head.vectors(sets)
    # Mean zero only where each file is met as it was in the fit: its own counts left out, its kind known.
    assert np.linalg.norm(vectors.mean(0)) < 1e-2 * np.linalg.norm(vectors, axis=1).mean()
    empty = head.vectors(TokenSets.from_lists([[], [V + 1], [3, 4]]))
    assert not empty[:2].any()
    assert empty[2].any()


def test_missing_labels_are_masked_and_a_class_of_one_file_works(tmp_path: Path) -> None:
    sets, columns = files()
    rare = int(np.flatnonzero(np.array(columns["cell_type"]) == TYPES[4])[0])
    kept = [i for i, v in enumerate(columns["cell_type"]) if v != TYPES[4] or i == rare]
    sets, columns = sets.take(np.array(kept)), {k: [v[i] for i in kept] for k, v in columns.items()}
    for i in (1, 8, 9):
        columns["target"][i] = None
    columns["assay"][2] = None
    columns["cell_type"][3] = columns["assay"][3] = columns["target"][3] = None
    model = fresh(sets)
    summary = train_bulk(model, sets, columns, tmp_path, BulkSettings(folds=3))
    assert summary["files"] == len(sets) - 1
    assert summary["labels"]["target"]["files"] == len(sets) - 4
    assert summary["labels"]["cell_type"]["classes"] == len(TYPES)
    new, truth = files(1)
    encoder = Encoder(model, device="cpu")
    cosines = (
        unit(encoder.encode_as(["cell_type"], new)["cell_type"])
        @ unit(encoder.encode_as(["cell_type"], sets)["cell_type"]).T
    )  # [new, old]
    cosines[:, 3] = -1  # no label, no vote
    found = np.array(columns["cell_type"], object)[cosines.argmax(1)]
    of_rare = np.array(truth["cell_type"]) == TYPES[4]
    assert (found[of_rare] == TYPES[4]).mean() >= 0.5


def test_a_killed_run_goes_on_and_ends_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sets, columns = files()
    settings = BulkSettings(folds=3, powers=(1.0,), shrinks=(1.0,))
    whole = fresh(sets)
    train_bulk(whole, sets, columns, tmp_path / "whole", settings)
    calls = 0

    def die(_: object) -> None:
        nonlocal calls
        calls += 1
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_bulk(fresh(sets), sets, columns, tmp_path / "killed", settings, progress=die)
    assert calls == 1
    assert (tmp_path / "killed" / STATE).exists()
    with pytest.raises(InputError, match="--restart"):
        train_bulk(fresh(sets), sets, columns, tmp_path / "killed", BulkSettings(folds=4))
    resumed = fresh(sets)
    train_bulk(resumed, sets, columns, tmp_path / "killed", settings)
    assert resumed.digest == whole.digest


def test_the_first_choice_within_one_standard_error_is_taken() -> None:
    first, second, third = (Choice(power, 1.0) for power in (0.0, 1.0, None))
    assert pick({first: (0.80, 0.03), second: (0.88, 0.03), third: (0.90, 0.03)}) == second
    assert pick({first: (0.89, 0.01), second: (0.88, 0.03), third: (0.90, 0.02)}) == first
    assert pick({first: (0.0, 0.0), second: (0.0, 0.0)}) == first


def test_folds_keep_groups_or_files_with_the_same_labels_together() -> None:
    _, columns = files()
    twice = {k: v + v for k, v in columns.items()}
    fold, how = folds_of(LabelTable(twice), None, 5, 0)
    n = len(columns["target"])
    assert (fold[:n] == fold[n:]).all()
    assert "no --group" in how
    groups = np.array([f"study {i % 4}" for i in range(n)])
    fold, how = folds_of(LabelTable(columns), groups, 5, 0)
    assert all(len(set(fold[groups == g])) == 1 for g in set(groups))
    assert "4 folds of whole groups" in how
    fold, how = folds_of(LabelTable(columns), np.array(["one"] * n), 5, 0)
    assert "fewer than three groups" in how


def test_labels_that_refine_each_other_do_not_cross() -> None:
    table = LabelTable(files()[1])
    assert table.crossing("target") == ["cell_type"]
    assert table.settled_by("target") == ["assay"]
    assert table.crossing("cell_type") == ["assay", "target"]
    assert table.crossing("assay") == ["cell_type"]
    assert len(table.codes(["assay", "target"])[1]) == len(TARGETS)


def test_what_cannot_be_trained_is_said(tmp_path: Path) -> None:
    sets, columns = files()
    with pytest.raises(InputError, match="at least 2 values, got 1"):
        train_bulk(fresh(sets), sets, {"assay": ["TF"] * len(sets)}, tmp_path)
    with pytest.raises(InputError, match="rename the column"):
        train_bulk(fresh(sets), sets, {"general": columns["assay"]}, tmp_path)
    with pytest.raises(InputError, match="no vector 'tissue'"):
        Encoder(fresh(sets), device="cpu").encode_as(["tissue"], sets)
