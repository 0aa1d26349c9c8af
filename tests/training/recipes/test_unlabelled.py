"""Unlabelled inputs: they shape what is learned without labels, and no label of theirs is looked at."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix

from atacsearch.model.checkpoints.checkpoint import load_model
from atacsearch.training.loops.metric_learning import CelltypeSettings
from atacsearch.training.recipes.celltype import celltype_files
from atacsearch.training.recipes.inputs import prepare
from atacsearch.training.recipes.options import CelltypeOptions
from atacsearch.training.trainer.state import read_log

SETTINGS = CelltypeSettings(loss="proxy", epochs=1, min_steps=2, batch_size=16)


def write_cells(path: Path, first_region: int, n_regions: int, seed: int, label: str = "cell_type") -> Path:
    """40 cells of two types over regions `first_region..`, a third of them open, as an h5ad."""
    rng = np.random.default_rng(seed)
    counts = csr_matrix((rng.random((40, n_regions)) < 0.3).astype(np.float32))
    names = [
        f"chr1:{1000 * i + 1000}-{1000 * i + 1500}" for i in range(first_region, first_region + n_regions)
    ]
    obs = pd.DataFrame({label: ["a", "b"] * 20}, index=[f"{path.stem}{i}" for i in range(40)])
    anndata.AnnData(counts, obs=obs, var=pd.DataFrame(index=names), uns={"genome": "hg38"}).write_h5ad(path)
    return path


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    return write_cells(tmp_path / "ref.h5ad", 0, 60, 0), write_cells(tmp_path / "query.h5ad", 30, 60, 1)


def test_a_universe_is_made_from_both(files: tuple[Path, Path]) -> None:
    reference, query = files
    work = prepare([reference], CelltypeOptions(), unlabelled=[query])
    assert len(work.model.universe) == 90
    assert work.unlabelled is not None
    assert (len(work.sets), len(work.unlabelled), len(work.all_sets)) == (40, 40, 80)
    assert len(prepare([reference], CelltypeOptions()).model.universe) == 60


def test_unlabelled_cells_join_the_warm_start_and_no_labelled_loss(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    reference, query = files
    kept = {}
    for name, more in (("alone", []), ("both", [query])):
        options = CelltypeOptions(unlabelled=tuple(more))
        summary = celltype_files(
            [reference], "cell_type", tmp_path / name, options, settings=SETTINGS
        ).summary
        assert summary["cells"] == 40
        weights = load_model(tmp_path / name).pool_weights
        assert weights is not None
        kept[name] = weights
    # Regions that the reference alone never shows have weights of their own now.
    assert len(kept["alone"]) == 60 + 7
    assert float(kept["both"][60:90].min()) > 1e-3


def test_unlabelled_cells_join_the_pretraining(files: tuple[Path, Path], tmp_path: Path) -> None:
    reference, query = files
    celltype_files(
        [reference],
        "cell_type",
        tmp_path / "m",
        CelltypeOptions(unlabelled=(query,), pretrain_epochs=1),
        settings=SETTINGS,
    )
    assert load_model(tmp_path / "m").own["pretraining"]["sets"] == 80 - 4  # four are held out
    assert read_log(tmp_path / "m" / "pretraining")


def test_labels_of_unlabelled_inputs_do_not_matter(files: tuple[Path, Path], tmp_path: Path) -> None:
    reference, query = files
    (tmp_path / "again").mkdir()
    other = write_cells(tmp_path / "again" / "query.h5ad", 30, 60, 1, label="something_else")
    digests = []
    for i, more in enumerate((query, other)):
        options = CelltypeOptions(unlabelled=(more,))
        celltype_files([reference], "cell_type", tmp_path / str(i), options, settings=SETTINGS)
        digests.append(load_model(tmp_path / str(i)).digest)
    assert digests[0] == digests[1]
