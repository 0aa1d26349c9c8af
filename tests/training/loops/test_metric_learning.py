"""Training: it learns what is there to learn, resumes to the same weights, and says what it cannot do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from typed_cells import V, cells, fresh

from atacsearch.errors import InputError
from atacsearch.model.checkpoints.checkpoint import Model, load_model
from atacsearch.model.encoding.encoder import Encoder
from atacsearch.model.heads.label_head import unit
from atacsearch.tokens.tfidf import inverse_document_frequency, tfidf
from atacsearch.tokens.token_sets import TokenSets
from atacsearch.training.loops.metric_learning import CelltypeSettings, train_celltype
from atacsearch.training.loops.pretraining import PretrainSettings, pretrain
from atacsearch.training.recipes.celltype import celltype_files
from atacsearch.training.recipes.options import CelltypeOptions
from atacsearch.training.trainer.batches import mix, subsample
from atacsearch.training.trainer.holdout import hold_out
from atacsearch.training.trainer.losses import replace_tokens, triplet_loss
from atacsearch.training.trainer.state import STATE, read_log
from atacsearch.training.trainer.warm_start import DEEP, DEEP_RANK, RANK, default_rank, warm_start


def separation(model: Model, sets: TokenSets, labels: list[str | None]) -> float:
    """Mean cosine within types minus mean cosine between types."""
    vectors = Encoder(model, device="cpu").encode(sets)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = vectors @ vectors.T
    same = np.equal.outer(np.array(labels), np.array(labels))
    return float(cosines[same].mean() - cosines[~same].mean())


@pytest.mark.parametrize("loss", ["proxy", "triplet", "contrastive"])
def test_celltype_training_separates_new_cells(tmp_path: Path, loss: str) -> None:
    sets, labels = cells(90)
    new, new_labels = cells(seed=1)
    model = fresh()
    before = separation(model, new, new_labels)
    settings = CelltypeSettings(loss=loss, epochs=15, batch_size=16, patience=15)
    summary = train_celltype(model, sets, labels, tmp_path, settings)
    assert separation(model, new, new_labels) > before + 0.1
    assert summary["classes"] == ["type 0", "type 1", "type 2"]
    assert "one group only" in summary["held_out"]
    saved = load_model(tmp_path)
    assert saved.digest == model.digest
    assert not (tmp_path / STATE).exists()
    epochs = [r for r in read_log(tmp_path) if r["event"] == "epoch"]
    assert [r["epoch"] for r in epochs] == list(range(len(epochs)))


def test_pretraining_learns_which_tokens_belong(tmp_path: Path) -> None:
    sets, _ = cells(120, own=22)
    model = fresh(discriminator=True)
    pretrain(model, sets, tmp_path, PretrainSettings(epochs=30, lr=5e-3, warm=True, anchor=0))
    epochs = [r for r in read_log(tmp_path) if r["event"] == "epoch"]
    assert epochs[-1]["loss"] < epochs[0]["loss"] - 0.03
    # Saying "nothing was replaced" of every token is right for 55 % of them.
    assert epochs[-1]["token_accuracy"] > 0.58
    assert load_model(tmp_path).architecture == "AtacformerForReplacedTokenDetection"


class Killed(Exception):
    """Stands for a killed process."""


@pytest.mark.parametrize("task", ["pretrain", "celltype"])
def test_a_killed_run_ends_with_the_weights_of_one_that_was_not(tmp_path: Path, task: str) -> None:
    sets, labels = cells()

    def run(out: Path, kill: bool) -> Model:
        def watch(record: dict[str, object]) -> None:
            if kill and record["epoch"] == 2 and "step" in record:
                raise Killed

        if task == "pretrain":
            model = fresh(discriminator=True)
            pretrain(model, sets, out, PretrainSettings(epochs=4), progress=watch)
        else:
            model = fresh()
            warm_start(model, sets, rank=8)
            train_celltype(
                model,
                sets,
                labels,
                out,
                CelltypeSettings(loss="proxy", epochs=4, batch_size=16),
                progress=watch,
            )
        return model

    whole = run(tmp_path / "whole", kill=False)
    with pytest.raises(Killed):
        run(tmp_path / "cut", kill=True)
    assert (tmp_path / "cut" / STATE).exists()
    resumed = run(tmp_path / "cut", kill=False)
    assert resumed.digest == whole.digest
    assert len(read_log(tmp_path / "cut")) == len(read_log(tmp_path / "whole"))


def test_an_unfinished_run_with_other_settings_is_refused(tmp_path: Path) -> None:
    sets, labels = cells()

    def stop(record: dict[str, object]) -> None:
        if record["epoch"] == 1:
            raise Killed

    with pytest.raises(Killed):
        train_celltype(
            fresh(), sets, labels, tmp_path, CelltypeSettings(loss="proxy", epochs=3), progress=stop
        )
    with pytest.raises(InputError, match="--restart"):
        train_celltype(fresh(), sets, labels, tmp_path, CelltypeSettings(loss="proxy", epochs=2))
    train_celltype(fresh(), sets, labels, tmp_path, CelltypeSettings(loss="proxy", epochs=2), restart=True)


def test_digest_is_that_of_the_trained_weights(tmp_path: Path) -> None:
    sets, labels = cells()
    model = fresh()
    untrained = model.digest
    train_celltype(model, sets, labels, tmp_path, CelltypeSettings(loss="proxy", epochs=1))
    assert model.digest != untrained
    assert load_model(tmp_path).digest == model.digest


def test_warm_start_is_the_svd_embedding() -> None:
    """The untrained network gives, to rounding, what a dense SVD gives, up to length."""
    sets, labels = cells(60)
    warm = fresh()
    told = warm_start(warm, sets, rank=2)  # three types: what comes after is noise
    assert told["rank"] == 2
    x = tfidf(sets, inverse_document_frequency(sets, V)).toarray().astype(np.float64)
    left, values, _ = np.linalg.svd(x)
    expected = left[:, 1:3] * np.sqrt(values[1:3])
    ours = Encoder(warm, device="cpu").encode(sets).astype(np.float64)
    cosines = [unit(vectors) @ unit(vectors).T for vectors in (ours, expected)]
    assert np.abs(cosines[0] - cosines[1]).max() < 5e-3
    assert separation(warm, sets, labels) > separation(fresh(), sets, labels) + 0.1
    assert warm.pool_weights is not None
    assert bool((warm.pool_weights > 0).all())


def test_cells_without_label_or_tokens_are_left_out(tmp_path: Path) -> None:
    sets, labels = cells(30)
    sets = TokenSets.concat([sets, TokenSets.from_lists([[], [1, 2, 3]])])
    summary = train_celltype(
        fresh(), sets, [*labels, "type 0", None], tmp_path, CelltypeSettings(loss="proxy", epochs=1)
    )
    assert summary["cells"] == 30


def test_too_little_to_train_on(tmp_path: Path) -> None:
    sets, _ = cells(10)
    with pytest.raises(InputError, match="at least 2 labels"):
        train_celltype(fresh(), sets, ["a"] * 10, tmp_path, CelltypeSettings(loss="proxy"))
    with pytest.raises(InputError, match="at least 2 sets"):
        pretrain(fresh(discriminator=True), TokenSets.from_lists([[1], []]), tmp_path)
    with pytest.raises(InputError, match="not one of proxy, triplet, contrastive"):
        train_celltype(fresh(), sets, ["a", "b"] * 5, tmp_path, CelltypeSettings(loss="hinge"))


def test_replaced_tokens() -> None:
    tokens = torch.arange(10_000) % V
    replaced, target = replace_tokens(tokens, V, 0.45, torch.Generator().manual_seed(0))
    assert torch.equal((replaced != tokens).float(), target)
    assert abs(float(target.mean()) - 0.45 * (1 - 1 / V)) < 0.02


def test_triplets_need_a_positive_and_a_negative() -> None:
    vectors = torch.randn(4, 3)
    generator = torch.Generator().manual_seed(0)
    assert float(triplet_loss(vectors, torch.tensor([0, 0, 0, 0]), generator)) == 0.0
    assert float(triplet_loss(vectors, torch.tensor([0, 1, 2, 3]), generator)) == 0.0
    assert float(triplet_loss(vectors, torch.tensor([0, 0, 1, 1]), generator)) > 0.0


def test_subsample_takes_parts_without_repeats() -> None:
    sets, _ = cells(20)
    rng = np.random.default_rng(0)
    batch = subsample(sets, np.arange(20), rng, most=12, keep=(0.2, 0.9))
    assert batch.packing.lengths == sorted(batch.packing.lengths)
    for row, part in zip(batch.rows, torch.split(batch.tokens, batch.packing.lengths), strict=True):
        assert len(set(part.tolist())) == len(part) <= 12
        assert set(part.tolist()) <= set(sets[row].tolist())


def test_mixed_sets_hold_tokens_of_both_parents_in_their_shares() -> None:
    sets = TokenSets.from_lists([np.arange(100), np.arange(100, 200)])
    batch = mix(
        sets, np.array([0, 0]), np.array([1, 0]), np.array([0.75, 0.1]), np.random.default_rng(0), most=500,
        keep=(1.0, 1.0),
    )  # fmt: skip
    parts = dict(zip(batch.rows.tolist(), torch.split(batch.tokens, batch.packing.lengths), strict=True))
    assert int((parts[0] < 100).sum()) == 75
    assert int((parts[0] >= 100).sum()) == 25
    assert parts[1].tolist() == list(range(100))


def test_hold_out_takes_a_whole_group_where_it_can() -> None:
    codes = np.array([0, 1] * 15)
    groups = np.repeat(["a", "b", "c"], 10)
    train, held, how = hold_out(codes, groups, 0.1, 0)
    assert set(groups[held]) in ({"a"}, {"b"}, {"c"})
    assert not set(groups[held]) & set(groups[train])
    assert "whole group" in how
    train, held, how = hold_out(codes, None, 0.1, 0)
    assert sorted([*train, *held]) == list(range(30))
    assert "random" in how
    few = np.array([0, 0, 1])
    train, held, how = hold_out(few, None, 0.1, 0)
    assert len(held) == 1
    assert set(few[train].tolist()) == {0, 1}


def test_a_label_column_without_values_is_told_from_an_absent_one(tmp_path: Path) -> None:
    (tmp_path / "a.bed").write_text("chr1\t1000\t1500\n")
    (tmp_path / "b.bed").write_text("chr1\t1200\t1700\n")
    manifest = tmp_path / "m.tsv"
    manifest.write_text("file\tassay\na.bed\t\nb.bed\t\n")
    with pytest.raises(InputError, match="the label column 'assay' holds no value"):
        celltype_files([manifest], "assay", tmp_path / "m", CelltypeOptions())
    with pytest.raises(InputError, match="no label column 'target'; columns: "):
        celltype_files([manifest], "target", tmp_path / "m", CelltypeOptions())


def test_deep_sets_keep_more_components() -> None:
    shallow = TokenSets.from_lists([[1, 2, 3]] * 4)
    deep = TokenSets.from_lists([list(range(DEEP + 1))] * 2)
    assert default_rank(shallow) == RANK
    assert default_rank(deep) == DEEP_RANK
