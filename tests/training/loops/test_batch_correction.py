"""Batch correction: mixing is measured rightly, and the adversary hides a batch while labels are kept."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from scipy.sparse import csr_matrix
from torch import nn

from atacsearch.cli.root import cli
from atacsearch.errors import InputError
from atacsearch.genome.intervals import Intervals
from atacsearch.model.checkpoints.checkpoint import Model, load_model, new_model
from atacsearch.model.config import sized_config
from atacsearch.tokens.token_sets import TokenSets
from atacsearch.tokens.universe import Universe
from atacsearch.training.loops.adversary import adversarial_loss, batch_weights, freeze_but_last
from atacsearch.training.loops.batch_correction import BatchSettings, train_batch
from atacsearch.training.metrics.kbet import accepted
from atacsearch.training.metrics.mixing import evenness, kernel, lisi, mixing
from atacsearch.training.recipes.batch import composition
from atacsearch.training.trainer.warm_start import warm_start

V = 160
SETTINGS = BatchSettings(epochs=3, min_steps=15, batch_size=32, lr=3e-3)


def cells(n: int = 160, seed: int = 0) -> tuple[TokenSets, list[str], list[str]]:
    """Cells of two types in two batches; a batch opens regions of its own, as many as a type does."""
    rng = np.random.default_rng(seed)
    lists, labels, batches = [], [], []
    for i in range(n):
        kind, batch = i % 2, i // 2 % 2
        lists.append(
            np.union1d(
                rng.choice(40, 14, replace=False) + 40 * kind,
                rng.choice(40, 14, replace=False) + 80 + 40 * batch,
            )
        )
        labels.append(f"type {kind}")
        batches.append(f"batch {batch}")
    return TokenSets.from_lists(lists), labels, batches


def started(sets: TokenSets) -> Model:
    starts = np.arange(V) * 1000
    universe = Universe(Intervals.from_columns(["chr1"] * V, starts, starts + 500), genome="hg38")
    model = new_model(sized_config("tiny", V, hidden_size=16, intermediate_size=32), universe)
    warm_start(model, sets, rank=8)
    return model


def test_the_kernel_has_the_perplexity_that_was_asked() -> None:
    distances = np.sort(np.random.default_rng(0).random((20, 90)), axis=1)
    p = kernel(distances, 30.0)
    np.testing.assert_allclose(p.sum(1), 1.0)
    np.testing.assert_allclose(np.exp(-(p * np.log(p)).sum(1)), 30.0, rtol=1e-3)
    assert bool((np.diff(p, axis=1) <= 0).all())


def test_lisi_counts_the_groups_around_a_cell() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(600, 5))
    own = np.arange(100)
    mixed = rng.integers(0, 3, 600)
    index, attainable = lisi(vectors[:100], vectors, mixed, own)
    assert abs(index.mean() - attainable.mean()) < 0.1
    assert attainable.max() < evenness(mixed)
    apart = np.repeat([0, 1, 2], 200)
    far = np.eye(3)[apart] * 50 + rng.normal(size=(600, 3)) * 0.01
    np.testing.assert_allclose(lisi(far[:100], far, apart, own)[0], 1.0, atol=1e-6)


def test_nobody_is_its_own_neighbour() -> None:
    """A lone cell of its group sees none of its group."""
    vectors = np.random.default_rng(0).normal(size=(50, 3))
    codes = np.zeros(50, np.int64)
    codes[7] = 1
    np.testing.assert_allclose(lisi(vectors[7:8], vectors, codes, np.array([7]))[0], 1.0)


def test_mixing_within_labels_does_not_mind_composition() -> None:
    """Batches are mixed within each type, but one has mostly the first type and one the second."""
    rng = np.random.default_rng(0)
    labels = np.repeat(["x", "y"], 300)
    batches = np.where(rng.random(600) < np.where(labels == "x", 0.9, 0.1), "a", "b")
    vectors = np.where(labels[:, None] == "x", 20.0, -20.0) * np.eye(4)[0] + rng.normal(size=(600, 4))
    found = mixing(vectors, batches, labels, rng.permutation(600)[:150])
    assert found["mixed"] < 0.4
    assert found["mixed_within_labels"] > 0.8
    assert found["knn_accuracy"] > 0.99
    assert found["knn_other_batches"] > 0.99
    assert found["clisi"] < 1.05
    assert set(mixing(vectors, batches, None, np.arange(20))) == {"ilisi", "mixed", "kbet"}


def test_kbet_accepts_mixed_neighbourhoods_and_no_others() -> None:
    rng = np.random.default_rng(0)
    vectors, batches, rows = rng.normal(size=(600, 5)), rng.integers(0, 3, 600), np.arange(200)
    assert accepted(vectors, batches, rows) > 0.85  # 0.95 where the neighbours were drawn anew
    vectors[:, 0] += 6.0 * batches
    assert accepted(vectors, batches, rows) < 0.05
    assert accepted(vectors, np.zeros(600), rows) == 1.0


def test_weights_hide_composition_from_the_adversary() -> None:
    batches = np.array([0, 0, 0, 1, 1, 0, 0])
    labels = np.array([0, 0, 0, 0, 1, -1, -1])
    weights = batch_weights(batches, labels)
    assert weights[:3].sum() == pytest.approx(weights[3])
    assert weights[4:].tolist() == [0, 0, 0]  # a label of one batch alone, and no label
    even = batch_weights(batches, None)
    assert even[batches == 0].sum() == pytest.approx(even[batches == 1].sum())


def test_the_gradient_of_the_batch_comes_back_reversed() -> None:
    head = nn.Linear(4, 2)
    codes, weights = torch.tensor([0, 1, 1]), torch.ones(3)
    grads = []
    for strength in (0.0, 0.5, -1.0):
        vectors = torch.randn(3, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
        head.zero_grad()
        adversarial_loss(vectors, head, codes, weights, strength).backward()
        grads.append((vectors.grad, head.weight.grad.clone()))
    assert float(grads[0][0].abs().max()) == 0.0
    torch.testing.assert_close(grads[1][0], -0.5 * grads[2][0])  # strength -1 is the plain gradient
    torch.testing.assert_close(grads[0][1], grads[1][1])


def test_only_the_last_layers_and_norms_train() -> None:
    sets, _, _ = cells(20)
    model = started(sets)
    freeze_but_last(model, 1, table=False)
    trained = {n for n, p in model.module.named_parameters() if p.requires_grad}
    assert not any("embeddings" in n for n in trained)
    assert any("layers.0.linear2" in n for n in trained)


@pytest.mark.parametrize("labelled", [True, False])
def test_the_batch_is_hidden_and_labels_are_kept(tmp_path: Path, labelled: bool) -> None:
    sets, labels, batches = cells()
    model, told = train_batch(
        started(sets), sets, batches, tmp_path, SETTINGS, labels=labels if labelled else None
    )
    assert told["after"]["mixed"] > told["before"]["mixed"] + 0.2
    if labelled:
        assert told["after"]["knn_accuracy"] > 0.9
    saved = load_model(tmp_path)
    assert saved.digest == model.digest
    assert saved.architecture == "AtacformerForUnsupervisedBatchCorrection"
    assert saved.config.num_batches == 2
    assert all(p.requires_grad for p in model.module.parameters())


class Killed(Exception):
    """Stands for a killed process."""


def test_a_killed_run_ends_with_the_same_weights(tmp_path: Path) -> None:
    sets, labels, batches = cells(80)
    settings = BatchSettings(epochs=2, min_steps=2, batch_size=16)

    def run(name: str, kill: bool) -> str:
        def watch(record: dict[str, object]) -> None:
            if kill and record["epoch"] == 1:
                raise Killed

        model, _ = train_batch(
            started(sets), sets, batches, tmp_path / name, settings, labels=labels, progress=watch
        )
        return model.digest

    with pytest.raises(Killed):
        run("cut", kill=True)
    assert run("cut", kill=False) == run("whole", kill=False)


def test_composition() -> None:
    told = composition(["a", "a", "b", "b", None], ["x", "y", "x", "x", "z"])
    assert told == {"distance": 0.5, "alone": ["y"]}


def test_the_command_writes_model_and_card(tmp_path: Path) -> None:
    sets, labels, batches = cells(80)
    names = [f"chr1:{1000 * i + 1000}-{1000 * i + 1500}" for i in range(V)]
    obs = pd.DataFrame({"type": labels, "donor": batches}, index=[f"c{i}" for i in range(80)])
    one = anndata.AnnData(sets.to_csr(V), obs=obs, var=pd.DataFrame(index=names), uns={"genome": "hg38"})
    one.X = csr_matrix(one.X)
    path, out = tmp_path / "r.h5ad", tmp_path / "m"
    one.write_h5ad(path)
    line = [
        "train",
        "batch",
        str(path),
        "--batch",
        "donor",
        "--label",
        "type",
        "--epochs",
        "1",
        "-o",
        str(out),
    ]
    ran = CliRunner().invoke(cli, line, catch_exceptions=False)
    assert ran.exit_code == 0, ran.stderr
    assert "knn accuracy" in ran.stderr
    card = (out / "README.md").read_text()
    for words in ("| before |", "| after |", "iLISI", "total variation", "| r.h5ad |"):
        assert words in card
    one.obs["donor"] = "only"
    one.write_h5ad(path)
    assert "one value only" in CliRunner().invoke(cli, line).stderr


def test_one_batch_is_refused(tmp_path: Path) -> None:
    sets, _, _ = cells(20)
    with pytest.raises(InputError, match="at least 2 batches"):
        train_batch(started(sets), sets, ["a"] * 20, tmp_path)
