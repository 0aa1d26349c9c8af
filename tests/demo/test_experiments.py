"""Both experiments from end to end, through the product's own commands, on small generated data."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import numpy as np
import pytest

from atacsearch.cli.root import run_in_process
from atacsearch.demo.forebrain import run_forebrain
from atacsearch.demo.outcome import Experiment
from atacsearch.demo.pbmc import run_pbmc
from atacsearch.demo.runner import Runner

KINDS = ("MG", "OC", "EX1")


def write_forebrain(path: Path) -> None:
    """120 cells of two replicates; each type opens a third of 90 peaks more often, the first of them near Csf1r."""
    import anndata
    import pandas as pd
    import scipy.sparse as sp

    rng = np.random.default_rng(0)
    kinds = np.array(KINDS, dtype=object)[np.arange(120) % 3]
    p = np.full((120, 90), 0.05)
    for i, kind in enumerate(KINDS):
        p[kinds == kind, 30 * i : 30 * (i + 1)] = 0.6
    starts = 61_108_407 + 10_000 * np.arange(90)
    names = [f"chr18_{s}_{s + 500}" for s in starts]
    cells = [f"p56_rep{1 + i % 2}_{i:04d}" for i in range(120)]
    matrix = sp.csr_matrix((rng.random((120, 90)) < p).astype(np.float32))
    obs = pd.DataFrame({"celltype": kinds.astype(str)}, index=cells)
    anndata.AnnData(matrix, obs=obs, var=pd.DataFrame(index=names)).write_h5ad(path)


def write_pbmc(fragments: Path, labelled: Path) -> None:
    """90 cells, 60 fragments each in one of three groups of sites, and their labels."""
    import anndata
    import pandas as pd

    rng = np.random.default_rng(0)
    kinds = ["memory B", "NK", "CD4 naive T"]
    cells = [f"BARCODE{i:03d}-1" for i in range(90)]
    lines = []
    for i, cell in enumerate(cells):
        sites = np.where(rng.random(60) < 0.85, 20 * (i % 3), 20 * rng.integers(0, 3, 60))
        for site in sites + rng.integers(0, 20, 60):
            start = 1_000_000 + 5_000 * int(site) + int(rng.integers(0, 100))
            lines.append((start, f"chr1\t{start}\t{start + 200}\t{cell}\t1\n"))
    with gzip.open(fragments, "wt") as handle:
        handle.writelines(line for _, line in sorted(lines))
    obs = pd.DataFrame({"celltype": [kinds[i % 3] for i in range(90)]}, index=cells)
    genes = pd.DataFrame(index=["MS4A1"])
    anndata.AnnData(np.zeros((90, 1), np.float32), obs=obs, var=genes).write_h5ad(labelled)


def check(found: Experiment, runner: Runner) -> None:
    assert found.ours.scores.accuracy > 0.8
    assert found.baseline.scores.accuracy > 0.8
    assert [p.title for p in found.panels] == [
        "Reference and query",
        "Reference, true type",
        "Query, true type",
        "Query, transferred type",
    ]
    assert all(count > 0 for panel in found.panels for _, _, count in panel.legend)
    assert all(example.rows for example in found.examples)
    assert all(stage.seconds > 0 for stage in runner.stages)
    said = [stage.command for stage in runner.stages if stage.command]
    assert all(line.startswith("atacsearch ") for line in said)


def test_forebrain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_forebrain(tmp_path / "source.h5ad")
    monkeypatch.chdir(tmp_path)
    runner = Runner(run_in_process, "cpu", stream=io.StringIO())
    found = run_forebrain(runner, tmp_path / "source.h5ad")
    check(found, runner)
    assert found.ours.scores.n == 60
    import anndata

    assert "celltype" not in anndata.read_h5ad("forebrain/query.h5ad").obs


def test_pbmc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_pbmc(tmp_path / "source.tsv.gz", tmp_path / "labels.h5ad")
    monkeypatch.chdir(tmp_path)
    runner = Runner(run_in_process, "cpu", stream=io.StringIO())
    found = run_pbmc(runner, tmp_path / "source.tsv.gz", tmp_path / "labels.h5ad")
    check(found, runner)
    assert found.ours.scores.n == 18
    assert not set(Path("pbmc/query.txt").read_text().split()) & set(
        Path("pbmc/reference.txt").read_text().split()
    )
