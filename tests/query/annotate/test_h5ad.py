"""Calls written back into a copy of the input h5ad."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy.sparse import csr_matrix

from atacsearch.answers import Calls
from atacsearch.errors import InputError
from atacsearch.query.annotate.h5ad import Record, annotate_in_place, check_target, write_annotated

NAMES = ["a", "b", "c"]


def write_input(path: Path, **more: Any) -> Path:
    obs = pd.DataFrame({"donor": ["d1", "d2", "d1"]}, index=NAMES)
    data = ad.AnnData(csr_matrix(np.eye(3, 5, dtype=np.float32)), obs=obs, **more)
    data.layers["counts"] = data.X.copy()
    data.write_h5ad(path)
    return path


VECTORS = np.arange(6, dtype=np.float32).reshape(3, 2)


def calls_of(table: pa.Table, labels: tuple[str, ...] = ("cell_type",)) -> Calls:
    return Calls(table, labels=labels, vectors=VECTORS, classes={}, reference="cells", settings={})


def calls() -> Calls:
    return calls_of(
        pa.table(
            {
                "item": NAMES,
                "label": pa.array(["B", "NK", None]),
                "confidence": [0.9, 0.4, 0.0],
                "margin": [0.8, 0.1, 0.0],
                "nearest_distance": pa.array([0.1, 0.2, None], pa.float64()),
                "status": ["assigned", "unknown", "unknown"],
                "set": [["B"], ["NK", "T"], []],
            }
        )
    )


def record(terms: dict[str, dict[str, str]] | None = None, **about: Any) -> Record:
    return Record(about, terms or {})


def test_a_copy_with_columns_vectors_and_record(tmp_path: Path) -> None:
    source = write_input(tmp_path / "in.h5ad", uns={"genome": "hg38"})
    before = hashlib.sha256(source.read_bytes()).hexdigest()
    about = {"model": "abc", "generation": 3, "labels": ["cell_type"], "nothing": None, "settings": {"k": 15}}
    terms = {"cell_type": {"B": "CL:0000236", "NK": "CL:0000623"}}
    assert write_annotated(source, tmp_path / "out.h5ad", calls(), record(terms, **about)) == []
    out = ad.read_h5ad(tmp_path / "out.h5ad")
    assert out.obs["donor"].tolist() == ["d1", "d2", "d1"]
    assert out.obs["atacsearch_cell_type"].tolist() == ["B", "unknown", "unknown"]
    assert out.obs["atacsearch_cell_type_best"].tolist()[:2] == ["B", "NK"]
    assert out.obs["atacsearch_cell_type_best"].isna().tolist() == [False, False, True]
    assert out.obs["atacsearch_cell_type_confidence"].tolist() == [0.9, 0.4, 0.0]
    assert out.obs["atacsearch_cell_type_status"].tolist() == ["assigned", "unknown", "unknown"]
    assert out.obs["atacsearch_cell_type_ontology_term_id"].isna().tolist() == [False, True, True]
    assert out.obs["atacsearch_cell_type_set"].tolist() == ["B", "NK|T", ""]
    assert np.isnan(out.obs["atacsearch_cell_type_nearest_distance"].iloc[2])
    assert np.array_equal(out.obsm["X_atacsearch"], VECTORS)
    assert out.uns["genome"] == "hg38"
    assert out.uns["atacsearch"]["generation"] == 3
    assert list(out.uns["atacsearch"]["labels"]) == ["cell_type"]
    assert out.uns["atacsearch"]["settings"]["k"] == 15
    assert (out.layers["counts"] != out.X).nnz == 0
    assert hashlib.sha256(source.read_bytes()).hexdigest() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.h5ad", "out.h5ad"]


def test_annotating_twice_replaces_and_says_so(tmp_path: Path) -> None:
    source = write_input(tmp_path / "in.h5ad")
    write_annotated(source, tmp_path / "one.h5ad", calls(), record(k=1))
    (note,) = write_annotated(tmp_path / "one.h5ad", tmp_path / "two.h5ad", calls(), record(k=2))
    assert "obs['atacsearch_cell_type']" in note
    assert "uns['atacsearch']" in note
    out = ad.read_h5ad(tmp_path / "two.h5ad")
    assert out.uns["atacsearch"]["k"] == 2
    assert out.obs.columns.is_unique


def test_several_labels_have_columns_each(tmp_path: Path) -> None:
    table = pa.table(
        {
            "item": [n for n in NAMES for _ in range(2)],
            "label_name": ["cell_type", "donor"] * 3,
            "label": ["B", "d1", "NK", "d2", "B", None],
            "confidence": [1.0] * 6,
            "status": ["assigned"] * 5 + ["unknown"],
        }
    )
    source = write_input(tmp_path / "in.h5ad")
    write_annotated(source, tmp_path / "out.h5ad", calls_of(table, ("cell_type", "donor")), record())
    obs = ad.read_h5ad(tmp_path / "out.h5ad").obs
    assert obs["atacsearch_cell_type"].tolist() == ["B", "NK", "B"]
    assert obs["atacsearch_donor"].tolist() == ["d1", "d2", "unknown"]


def test_the_input_is_never_written_to(tmp_path: Path) -> None:
    source = write_input(tmp_path / "in.h5ad")
    link = tmp_path / "link.h5ad"
    link.symlink_to(source)
    for target in (source, link):
        with pytest.raises(InputError, match="never written to"):
            write_annotated(source, target, calls(), record())
    with pytest.raises(InputError, match=r"one input h5ad.*a\.bed"):
        check_target(["a.bed"], tmp_path / "out.h5ad")
    with pytest.raises(InputError, match="one input h5ad"):
        check_target([source, source], tmp_path / "out.h5ad")


def test_a_failure_leaves_nothing_behind(tmp_path: Path) -> None:
    source = write_input(tmp_path / "in.h5ad")
    other = calls_of(calls().table.set_column(0, "item", pa.array(["a", "c", "b"])))
    with pytest.raises(InputError, match="did the file change"):
        write_annotated(source, tmp_path / "out.h5ad", other, record())
    with pytest.raises(Exception, match="bad"):
        write_annotated(source, tmp_path / "out.h5ad", calls(), record(bad=object))
    assert [p.name for p in tmp_path.iterdir()] == ["in.h5ad"]


def test_read_only_and_old_files(tmp_path: Path) -> None:
    source = write_input(tmp_path / "in.h5ad")
    with h5py.File(source, "r+") as handle:  # obs as anndata before 0.7 wrote it, no obsm, no uns
        del handle["obs"]
        handle["obs"] = np.array([(b"a", 1), (b"b", 2), (b"c", 3)], [("index", "S1"), ("n", "i4")])
        for group in ("obsm", "uns"):
            handle.pop(group, None)
    source.chmod(0o444)
    write_annotated(source, tmp_path / "out.h5ad", calls(), record(k=1))
    out = ad.read_h5ad(tmp_path / "out.h5ad")
    assert out.obs["n"].tolist() == [1, 2, 3]
    assert out.obs["atacsearch_cell_type"].tolist() == ["B", "unknown", "unknown"]
    assert out.obsm["X_atacsearch"].shape == (3, 2)


def test_an_anndata_in_memory_gets_what_a_file_gets(tmp_path: Path) -> None:
    source = write_input(tmp_path / "in.h5ad", uns={"genome": "hg38"})
    terms = {"cell_type": {"B": "CL:0000236"}}
    write_annotated(source, tmp_path / "out.h5ad", calls(), record(terms, k=1))
    file, memory = ad.read_h5ad(tmp_path / "out.h5ad"), ad.read_h5ad(source)
    assert annotate_in_place(memory, calls(), record(terms, k=1)) == []
    pd.testing.assert_frame_equal(memory.obs, file.obs)
    assert np.array_equal(memory.obsm["X_atacsearch"], file.obsm["X_atacsearch"])
    assert memory.uns["atacsearch"] == file.uns["atacsearch"]
    (note,) = annotate_in_place(memory, calls(), record(k=2))
    assert "obs['atacsearch_cell_type']" in note
    memory.obs_names = ["a", "c", "b"]
    with pytest.raises(InputError, match="not those that were annotated"):
        annotate_in_place(memory, calls(), record())
