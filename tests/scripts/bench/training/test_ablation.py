"""The ablation runs its steps, keeps its rows and makes a page; intervals of ARI are those of resampled cells."""

from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.metrics import adjusted_rand_score

from bench.accuracy.cells.clusters import resampled_ari
from bench.common import datasets
from bench.common.cache import Cache
from bench.training import ablation, ablation_page

EXTENT = ablation.Extent(cells=40, epochs=1, tuning=1, max_tokens=32)


def drawn_cells(n):
    """Three types in two replicates; each type has regions of its own."""
    rng = np.random.default_rng(0)
    kinds = np.arange(n) % 3
    odds = np.where(np.arange(60) // 20 == kinds[:, None], 0.4, 0.05)
    batches = np.array([f"rep{i}" for i in np.arange(n) // 3 % 2])
    regions = [f"chr1:{1000 * i}-{1000 * i + 500}" for i in range(60)]
    matrix = datasets.binary(sp.csr_matrix(rng.random((n, 60)) < odds))
    return datasets.Cells(
        matrix, np.arange(n).astype(str), np.array(list("abc"))[kinds], regions, "hg38", batches
    )


def options(**changed):
    return SimpleNamespace(**{"lines": 1, "seeds": 1, "steps": "", "cached": False, **changed})


def test_steps_are_kept_and_shown(tmp_path, monkeypatch):
    found = datasets.Dataset(lambda data, folder: drawn_cells(120), datasets.by_batch, "drawn", "cross")
    monkeypatch.setitem(ablation.DATASETS, "drawn", found)
    cells = drawn_cells(120)
    cache = Cache(tmp_path)
    steps = options(steps="static,untrained,anchor (default),head")
    rows = ablation.run_steps("drawn", cells, cache, EXTENT, steps)
    assert [r["step"] for r in rows] == [s for s in ablation.STEPS if s.rpartition(": ")[2] == "head"
                                         or "anchor (default)" in s or s in ablation.STEPS[:2]]  # fmt: skip
    assert all(r["cells"] == 40 and r["query_cells"] == 40 for r in rows)
    assert min(r["accuracy"] for r in rows) > 0.6
    assert "ari_all" not in rows[-1]  # it has seen labels of the reference
    assert ablation.run_steps("drawn", cells, cache, EXTENT, options(cached=True)) == rows
    batch = ablation.run_batch("drawn", cells, cache, EXTENT, options())
    assert [r["method"] for r in batch if r["method"] != "Harmony"] == [
        "warm start", "without labels", "with labels",
    ]  # fmt: skip
    assert all(0 <= r["kbet"] <= 1 for r in batch)
    record = {"date": "today", "cores": 2, "processor": "p", "clusters": []}
    text = ablation_page.page({**record, "steps": rows, "batch": batch})
    assert "| drawn | rep0 → rep1 | 40 / 40 | encoder, warm start, untrained |" in text
    assert "kBET within labels" in text


def test_the_interval_of_ari_is_that_of_drawn_cells():
    rng = np.random.default_rng(0)
    truth = np.repeat(["a", "b", "c"], 100)
    clusters = [str(x) for x in np.where(rng.random(300) < 0.8, np.repeat([0, 1, 2], 100), 0)]
    draws = resampled_ari(truth, [clusters, clusters], resamples=50, seed=4)
    rows = np.random.default_rng(4).integers(300, size=300)
    expected = adjusted_rand_score(truth[rows], np.array(clusters)[rows])
    assert draws[0] == pytest.approx(expected)
    assert np.ptp(draws) > 0.02
