"""The calibration benchmark: its measures, what is left out, and a page that holds what was measured."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bench.common.datasets import Cells, Fold
from bench.trust import calibration
from bench.trust.calibration_page import page


@pytest.fixture
def cells() -> Cells:
    """A data set of three types, two of them relatives, in a reference and a query."""
    import scipy.sparse as sp

    rng = np.random.default_rng(0)
    labels = np.array(["IN1", "IN2", "OC"] * 60)
    starts = {"IN1": 0, "IN2": 20, "OC": 60}
    dense = rng.random((180, 100)) < 0.1
    for row, label in enumerate(labels):
        own = slice(starts[label], starts[label] + 40)
        dense[row, own] |= rng.random(40) < 0.5
    matrix = sp.csr_matrix(dense.astype(np.float32))
    ids = np.array([f"c{i}" for i in range(180)])
    return Cells(matrix, ids, labels, [f"chr1:{i * 10}-{i * 10 + 5}" for i in range(100)], "hg38")


def test_a_type_is_near_where_a_relative_stays(cells: Cells) -> None:
    fold = Fold("all", np.arange(120), np.arange(120, 180))
    found = dict(calibration._left_out("forebrain", cells, fold))
    assert found["IN1"] == ("IN1",)
    assert found["all inhibitory neurons"] == ("IN1", "IN2")
    assert calibration._is_near("forebrain", ("IN1",), cells, fold)
    assert not calibration._is_near("forebrain", ("OC",), cells, fold)
    assert not calibration._is_near("forebrain", ("IN1", "IN2"), cells, fold)


def test_a_page_of_what_was_measured(cells: Cells) -> None:
    fold = Fold("all", np.arange(120), np.arange(120, 180))
    about: dict[str, Any] = {
        "dataset": "forebrain",
        "line": "a → b",
        "fold": "all",
        "split": "cross-replicate",
    }
    row = calibration.unknown_row(cells, fold, ("OC",))
    assert row["n_new"] == 20
    assert set(row["auroc"]) == {"atacsearch", "1 - max p", "nearest distance"}
    assert all(0 <= v <= 1 for v in row["auroc"].values())
    rows = [{**about, "key": "k", "part": "unknown", "without": "OC", "near": False, **row}]
    text = page({"rows": rows, "date": "2026-01-01", "cores": 2, "processor": "a processor"})
    assert "| forebrain a → b | OC | 20 |" in text
    assert "(1): mean AUROC" in text


def test_measures_of_probabilities() -> None:
    p = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4]])
    found = calibration._measures(p, np.array([0, 0, 1, 1]))
    assert found["accuracy"] == 0.75
    low, high = found["ece_interval"]
    assert low <= high
    assert len(found["curve"]) == 4
