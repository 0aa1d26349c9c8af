"""Scores of the retrieval benchmark, by hand and against bedtools."""

import shutil
import subprocess

import numpy as np
import pytest

from bench.regions.retrieval_scores import (
    agreement,
    base_pair_jaccard,
    interval,
    merged_regions,
    reciprocal_ranks,
    relevance,
    retrieved,
)


def test_recall_and_average_precision_by_hand():
    score = np.array([[9, 5, 4, 3], [1, 9, 1, 1], [1, 2, 9, 3], [0, 0, 0, 0]], float)
    right = np.zeros((4, 4), bool)
    right[0, [1, 3]] = right[2, 0] = True
    found = retrieved(score, right)
    assert found[0].tolist() == pytest.approx([1, (1 + 2 / 3) / 2])
    assert found[2].tolist() == pytest.approx([1, 1 / 3])
    assert np.isnan(found[[1, 3]]).all()


def test_right_answers_share_a_label_that_is_there():
    columns = {
        "cell_type_kind": np.array(["cell line", "cell line", "tissue", "tissue"]),
        "cell_type": np.array(["A", "A", "A", "A"]),
        "target": np.array(["", "", "X", "X"]),
        "assay": np.array(["a", "b", "a", "b"]),
    }
    tasks = relevance(columns)
    assert [tuple(map(int, pair)) for pair in np.argwhere(tasks["cell line"])] == [(0, 1), (1, 0)]
    assert [tuple(map(int, pair)) for pair in np.argwhere(tasks["target"])] == [(2, 3), (3, 2)]
    assert tasks["assay"].sum() == 4


def test_fused_ranks_agreement_and_intervals():
    rng = np.random.default_rng(0)
    score = rng.random((12, 12))
    assert agreement(score, score) == pytest.approx((1, 1))
    assert agreement(score, -score)[0] == pytest.approx(-1)
    fused = reciprocal_ranks(score, score)
    assert fused[0, np.argmax(np.where(np.arange(12) == 0, -1, score[0]))] == pytest.approx(2 / 61)
    mean, low, high = interval(np.array([0.1, 0.2, np.nan, 0.3]))
    assert mean == pytest.approx(0.2)
    assert low < mean < high


def test_base_pair_jaccard_is_that_of_bedtools(tmp_path):
    bedtools = shutil.which("bedtools")
    if bedtools is None:
        pytest.skip("bedtools is not installed")
    rng = np.random.default_rng(1)
    paths = []
    for i in range(3):
        rows = [(f"chr{c}", int(s), int(s + w)) for c in (1, 2) for s, w in rng.integers(1, 3000, (80, 2))]
        rows.append(("chr1", 5000 + 100 * i, 5100 + 100 * i))  # bookended with the next file's
        paths.append(tmp_path / f"{i}.bed")
        paths[-1].write_text("".join(f"{c}\t{s}\t{e}\n" for c, s, e in sorted(rows)))
    ours = base_pair_jaccard(merged_regions(paths))
    for i, j in ((0, 1), (0, 2), (1, 2)):
        done = subprocess.run(
            [bedtools, "jaccard", "-a", paths[i], "-b", paths[j]], capture_output=True, text=True, check=True
        )
        assert ours[i, j] == pytest.approx(float(done.stdout.splitlines()[1].split("\t")[2]), abs=1e-5)
