"""What a head for a coarse label looks at besides regions: whether they lie in runs, and the means of finer kinds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from atacsearch.genome.intervals import Intervals
from atacsearch.model.heads.files import heads_digest, load_heads, save_heads
from atacsearch.model.heads.label_head import PlainHead, unit
from atacsearch.model.heads.token_runs import Runs, followed, log_odds
from atacsearch.tokens.token_sets import TokenSets
from atacsearch.tokens.universe import Universe
from atacsearch.training.bulk.fit import fit_plain, kinds_of
from atacsearch.training.bulk.labels import LabelTable
from atacsearch.training.bulk.space import fit_space
from atacsearch.training.bulk.train import BulkSettings, sampled

V = 2000
BESIDE = np.arange(V) < V - 1


def world(targets: range, seed: int) -> tuple[TokenSets, LabelTable]:
    """Four files a target, which has 20 places of its own: of each a broad one covers a run of 8, a narrow one one."""
    rng = np.random.default_rng(seed)
    rows, assays, names = [], [], []
    for target in targets:
        places = np.random.default_rng(100 + target).choice(V - 8, 20, replace=False)
        for _ in range(4):
            starts = places[rng.random(20) < 0.7]
            broad = target % 2 == 0
            rows.append(np.unique((starts[:, None] + np.arange(8 if broad else 1)).ravel()).tolist())
            assays.append("broad" if broad else "narrow")
            names.append(f"target {target}")
    return TokenSets.from_lists(rows), LabelTable({"assay": assays, "target": names})


def test_odds_of_runs() -> None:
    regions = Intervals.from_columns(
        ["chr1"] * 3 + ["chr2"] * 2, [0, 500, 3000, 3600, 3900], [400, 900, 3500, 3800, 4000]
    )
    assert followed(Universe(regions)).tolist() == [True, False, False, True, False]
    beside = np.array([True, True, True, False])
    pairs = np.array([0, 1, 9], np.uint32)  # 0 is followed, 1 is not, 9 is a special token
    assert log_odds(pairs, beside) == pytest.approx(0.0)
    assert log_odds(np.array([0, 2], np.uint32), beside) < -4
    assert np.isnan(log_odds(np.array([3], np.uint32), beside))
    runs = Runs.fit(beside, TokenSets.from_lists([[0, 1], [0, 2], [3]]))
    assert runs.of(TokenSets.from_lists([[3], []])).tolist() == [0.0, 0.0]
    again = Runs.from_arrays(runs.arrays())
    assert again is not None
    assert (again.mean, again.spread) == (runs.mean, runs.spread)


def test_runs_tell_the_assay_of_targets_that_were_never_seen(tmp_path: Path) -> None:
    sets, labels = world(range(8), 0)
    new, truth = world(range(8, 16), 1)
    assays, fit = np.array(labels.columns["assay"]), BulkSettings().fit(1.0)
    right = {}
    for beside in (None, BESIDE):
        head = fit_plain(sets, labels, "assay", 1.0, V, fit, beside)
        assert isinstance(head, PlainHead)
        near = (unit(head.vectors(new)) @ unit(head.vectors(sets)).T).argmax(1)
        right[beside is not None] = float((assays[near] == np.array(truth.columns["assay"])).mean())
    assert right[True] >= 0.9 > right[False]
    save_heads({"assay": head}, tmp_path / "heads.safetensors")
    (again,) = load_heads(tmp_path / "heads.safetensors").values()
    np.testing.assert_array_equal(again.vectors(new), head.vectors(new))
    assert heads_digest({"assay": again}) == heads_digest({"assay": head})
    assert not head.vectors(TokenSets.from_lists([[]])).any()


def test_a_coarse_label_keeps_to_the_means_of_finer_kinds() -> None:
    _, labels = world(range(8), 0)
    assert labels.settling("assay") == ["target"]
    assert labels.settling("target") == []
    assert kinds_of(labels, "target") is None
    kinds = kinds_of(labels, "assay")
    assert kinds is not None
    assert len(np.unique(kinds)) == 8
    assert kinds_of(world(range(3), 0)[1], "assay") is None
    x = np.random.default_rng(0).normal(size=(32, 40))
    wanted = labels.codes(["assay"])[0]
    spaces = [
        fit_space(x @ x.T, wanted, None, rank=20, shrink=1.0, weight=1.0, kinds=k) for k in (None, kinds)
    ]
    assert [space.vectors.shape[1] for space in spaces] == [20, 7]
    means = [np.stack([s.vectors[kinds == k].mean(0) for k in range(8)]) for s in spaces]
    np.testing.assert_allclose(means[0] @ means[0].T, means[1] @ means[1].T, atol=1e-9)


def test_a_sample_of_the_universe_holds_every_step_th_region() -> None:
    sets = TokenSets.from_lists([[0, 1, 4, 5, 8, 10], [], [9]])
    thin, size = sampled(sets, 9, 4)
    assert size == 3
    assert [tokens.tolist() for tokens in thin] == [[0, 1, 2], [], []]
    assert sampled(sets, 9, 1)[0] is sets
