"""What `annotate` adds: a copy of the h5ad, quality of the query, doublets, ontology, markers, explanations."""

from __future__ import annotations

import hashlib
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from calling import Run
from scipy.sparse import csr_matrix
from tiny_world import World, cells, of_type, regions, write_h5ad

import atacsearch as ats
from atacsearch.errors import InputError

TERMS = {"B": "CL:0000236", "NK": "CL:0000623"}


@pytest.fixture(scope="module")
def typed(run: Run, world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of 120 cells with a column of Cell Ontology ids, and the genes of the world."""
    folder = tmp_path_factory.mktemp("typed")
    source = write_h5ad(folder / "reference.h5ad", 11, 120)
    data = ad.read_h5ad(source)
    data.obs["cell_type_ontology_term_id"] = data.obs["cell_type"].map(TERMS).astype(str)
    data.write_h5ad(source)
    genes = folder / "genes.bed"
    genes.write_text("chr1\t1000000\t1900000\tBGENE\t0\t+\nchr1\t2100000\t2990000\tNKGENE\t0\t+\n")
    for words in (
        ("index", "create", folder / "my.index", "--model", world.model, "--genes", genes),
        ("index", "add-cells", folder / "my.index", source),
    ):
        answer = run(*words)
        assert answer.code == 0, answer.err
    return folder / "my.index"


def test_an_annotated_copy(run: Run, world: World, typed: Path, tmp_path: Path) -> None:
    before = hashlib.sha256(world.query.read_bytes()).hexdigest()
    out = tmp_path / "annotated.h5ad"
    words = ("annotate", world.query, "--index", typed, "--label", "cell_type", "--label", "donor", "-o", out)
    answer = run(*words)
    assert answer.code == 0, answer.err
    assert answer.out == ""
    data = ad.read_h5ad(out)
    assert data.obs["atacsearch_cell_type_best"].tolist()[:4] == ["B", "NK", "B", "NK"]
    assert data.obs["atacsearch_cell_type"].iloc[4] == "unknown", "the empty cell"
    assert data.obs["atacsearch_cell_type_best"].isna().tolist() == [i == 4 for i in range(20)]
    assert set(data.obs["atacsearch_cell_type_status"]) <= {"assigned", "unknown"}
    some = data.obs["atacsearch_cell_type"] != "unknown"
    ids = data.obs.loc[some, "atacsearch_cell_type"].astype(str).map(TERMS)
    assert ids.tolist() == data.obs.loc[some, "atacsearch_cell_type_ontology_term_id"].tolist()
    assert "atacsearch_donor_confidence" in data.obs
    assert data.obsm["X_atacsearch"].shape[0] == 20
    assert not data.obsm["X_atacsearch"][4].any()
    about = data.uns["atacsearch"]
    assert about["index"] == "my.index"
    assert list(about["labels"]) == ["cell_type", "donor"]
    assert about["version"] == ats.__version__
    assert hashlib.sha256(world.query.read_bytes()).hexdigest() == before
    again = run("annotate", out, *words[2:-1], tmp_path / "twice.h5ad")
    assert again.code == 0, again.err
    assert "replaced what the input has as obs['atacsearch_cell_type']" in again.err


def test_a_copy_needs_one_h5ad_and_another_name(run: Run, world: World, typed: Path, tmp_path: Path) -> None:
    words = ("--index", typed, "--label", "cell_type", "-o")
    answer = run("annotate", world.query, *words, world.query)
    assert answer.code == 2
    assert "never written to" in answer.err
    bed = world.bed("copy.bed", range(30))
    answer = run("annotate", bed, *words, tmp_path / "out.h5ad")
    assert answer.code == 2
    assert "one input h5ad" in answer.err
    assert "Encoding" not in answer.err, "refused before any work"


def test_thin_cells_are_of_low_quality(run: Run, typed: Path, tmp_path: Path) -> None:
    matrix, _ = cells(21, 6)
    matrix = matrix.tolil()
    matrix[2] = 0
    matrix[2, of_type("B")[:5]] = 1
    source = write_cells(tmp_path / "thin.h5ad", csr_matrix(matrix))
    answer = run("annotate", source, "--index", typed, "--label", "cell_type", "--format", "tsv")
    assert answer.code == 0, answer.err
    assert [r["status"] == "low_quality" for r in answer.rows()] == [i == 2 for i in range(6)]
    assert answer.rows()[2]["label"] == "B"
    assert "1 of 6 items have fewer than 16 open regions: low_quality" in answer.err


def write_cells(path: Path, matrix: csr_matrix) -> Path:
    x = regions()
    names = [f"{c}:{s}-{e}" for c, s, e in zip(x.names(), x.start, x.end, strict=True)]
    obs = pd.DataFrame(index=[f"c{i}" for i in range(matrix.shape[0])])
    ad.AnnData(matrix, obs=obs, var=pd.DataFrame(index=names), uns={"genome": "hg38"}).write_h5ad(path)
    return path


def test_doublets_and_ontology(run: Run, typed: Path, tmp_path: Path) -> None:
    matrix, _ = cells(22, 12)
    dense = matrix.toarray()
    dense[0] = np.maximum(dense[0], dense[1])  # a B cell and an NK cell in one droplet
    source = write_cells(tmp_path / "query.h5ad", csr_matrix(dense))
    words = ("annotate", source, "--index", typed, "--label", "cell_type", "--format", "tsv")
    answer = run(*words, "--doublets", "--ontology", "--ontology-confidence", "0.999")
    assert answer.code == 0, answer.err
    rows = answer.rows()
    assert rows[0]["status"] == "doublet"
    assert sum(r["status"] == "doublet" for r in rows) <= 2
    assert float(rows[0]["doublet_score"]) > max(float(r["doublet_score"]) for r in rows[2:])
    assert "Doublets of two values of cell_type" in answer.err
    assert "2 of 2 labels are terms of the Cell Ontology" in answer.err
    assert rows[0]["ontology_label"] == "lymphocyte"
    assert rows[0]["ontology_term_id"] == "CL:0000542"
    assert float(rows[0]["ontology_confidence"]) >= 0.999
    plain = run(*words)
    assert "doublet" not in plain.out


def test_ontology_and_doublets_where_they_cannot_be(run: Run, world: World, built: Path, typed: Path) -> None:
    answer = run("annotate", world.query, "--index", built, "--label", "donor", "--ontology")
    assert answer.code == 2
    assert "donor_ontology_term_id" in answer.err
    bed = world.bed("doublet.bed", range(30))
    answer = run("annotate", bed, "--index", built, "--label", "cell_type", "--doublets")
    assert answer.code == 2
    assert "only cells can be doublets" in answer.err
    answer = run(
        "annotate", bed, "--index", built, "--label", "cell_type", "--ontology", "--ontology-confidence", "2"
    )
    assert answer.code == 2
    assert "--ontology-confidence 2" in answer.err


def test_markers(run: Run, world: World, typed: Path, tmp_path: Path) -> None:
    table = tmp_path / "markers.tsv"
    table.write_text("cell_type\tgene\nB\tBGENE\nNK\tNKGENE\nNK\tNOGENE\n")
    words = (
        "annotate",
        world.query,
        "--index",
        typed,
        "--label",
        "cell_type",
        "--format",
        "tsv",
        "--markers",
    )
    answer = run(*words, table)
    assert answer.code == 0, answer.err
    rows = answer.rows()
    assert {r["markers"] for i, r in enumerate(rows) if i != 4} == {"agree"}
    assert (rows[4]["markers"], rows[4]["marker_score"], rows[4]["marker_best"]) == ("none", "", "")
    assert rows[0]["marker_best"] == "B"
    assert "NOGENE" in answer.err
    table.write_text("cell_type\tgene\nB\tNKGENE\nNK\tBGENE\n")
    turned = run(*words, table)
    assert {r["markers"] for r in turned.rows()} == {"disagree", "none"}
    assert sum(r["markers"] == "disagree" for r in turned.rows()) > 10
    assert "cell_type: together, cells called NK have the markers of B more open" in turned.err
    assert "together" not in answer.err
    assert run(*words, tmp_path / "no.tsv").code == 2


def test_explain(run: Run, world: World, typed: Path, tmp_path: Path) -> None:
    words = ("annotate", world.query, "--index", typed, "--label", "cell_type", "--explain", "s2-0")
    answer = run(*words, "--explain-bed", tmp_path / "why.bed", "--format", "tsv")
    assert answer.code == 0, answer.err
    rows = answer.rows()
    assert rows[0]["label"] == "B"
    assert rows[0]["source"].endswith("reference.h5ad")
    assert {"donor", "distance", "weight", "shared", "jaccard"} <= set(rows[0])
    assert sum(float(r["weight"]) for r in rows) == pytest.approx(1, abs=1e-3)
    assert "BGENE" in rows[0]["regions"]
    assert "s2-0: B" in answer.err
    lines = [line.split("\t") for line in (tmp_path / "why.bed").read_text().splitlines()]
    assert all(len(line) == 8 for line in lines)
    scores = [int(line[4]) for line in lines]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] == 1000
    missing = run(*words[:-1], "nobody")
    assert missing.code == 2
    assert "no such item" in missing.err
    empty = run(*words[:-1], "s2-4")
    assert empty.code == 2
    assert "no region of the universe" in empty.err


def test_python_says_the_same(world: World, typed: Path, tmp_path: Path) -> None:
    index = ats.open_index(typed, device="cpu")
    table = index.annotate(world.query, "cell_type", ontology=True, output=tmp_path / "out.h5ad")
    assert table.ontology_label[0] in ("B cell", "lymphocyte of B lineage", "lymphocyte")
    assert "atacsearch_cell_type_ontology_label" in ad.read_h5ad(tmp_path / "out.h5ad").obs
    why = index.explain(world.query, "cell_type", "s2-1")
    voters, shared = why.voters, why.regions
    assert voters.label[0] == "NK"
    assert list(shared.columns[:3]) == ["chrom", "start", "end"]


def test_a_column_called_as_one_of_the_answer_hides_nothing(run: Run, world: World, tmp_path: Path) -> None:
    cells = ad.read_h5ad(world.reference)
    cells.obs["rank"] = [f"r{i}" for i in range(cells.n_obs)]
    cells.write_h5ad(tmp_path / "ranked.h5ad")
    index = tmp_path / "my.index"
    assert run("index", "create", index, "--model", world.model).code == 0
    assert run("index", "add-cells", index, tmp_path / "ranked.h5ad").code == 0
    words = ("search", "cells", world.query, "--index", index, "-k", 2)
    row = run(*words, "--format", "tsv").rows()[0]
    assert row["rank"] == "1"
    assert row["label_rank"].startswith("r")
    assert "rank" in run(*words).out.splitlines()[0].split()


def test_python_refuses_what_it_does_not_know(typed: Path, world: World) -> None:
    with ats.open_index(typed) as index:
        with pytest.raises(InputError, match="--kind bedfiles: expected one of cells, beds"):
            index.calibrate("bedfiles")
        with pytest.raises(InputError, match="--reference bedfiles: expected one of cells, beds"):
            index.annotate(world.query, "cell_type", reference="bedfiles")
        with pytest.raises(InputError, match="no input"):
            index.annotate([], "cell_type")
        assert "cell_type" in index.search("cells", world.query, columns="cell_type").columns


def test_calibration_by_a_column_leaves_that_column_out(run: Run, index: Path) -> None:
    answer = run("index", "calibrate", index, "--group", "Donor", "--format", "tsv")
    assert answer.code == 0, answer.err
    rows = {r["label"]: r["group"] for r in answer.rows()}
    assert rows["cell_type"] == "donor"
    assert "donor" not in rows
    assert "no such column" in run("index", "calibrate", index, "--group", "colour").err


def test_clusters_are_found_in_any_case_and_before_the_work(
    run: Run, world: World, typed: Path, tmp_path: Path
) -> None:
    cells = ad.read_h5ad(world.query)
    cells.obs["Leiden"] = ["0" if i % 2 else "1" for i in range(cells.n_obs)]
    cells.write_h5ad(tmp_path / "clustered.h5ad")
    words = ("annotate", tmp_path / "clustered.h5ad", "--index", typed, "--label", "cell_type")
    answer = run(*words, "--clusters", "Leiden", "--format", "tsv")
    assert answer.code == 0, answer.err
    assert {r["cluster_label"] for r in answer.rows()} == {"B", "NK"}
    wrong = run(*words, "--clusters", "louvain")
    assert wrong.code == 2
    assert "vote" not in wrong.err


def test_explain_shows_the_status_and_takes_nothing_beside(run: Run, world: World, typed: Path) -> None:
    words = ("annotate", world.query, "--index", typed, "--label", "cell_type", "--explain", "s2-0")
    assert run(*words).code == 0
    refused = run(*words, "--doublets")
    assert refused.code == 2
    assert "leave out" in refused.err
