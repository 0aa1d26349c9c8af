"""Several vectors of a BED file through the command line: train bulk, index, annotate, search, embed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from bulk_world import files, universe, write_manifest
from calling import Run

from atacsearch.index import open_index

LABELS = "cell_type,assay,target"


@pytest.fixture(scope="module")
def bulk(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a trained model, an index of the training files, and new files."""
    folder = tmp_path_factory.mktemp("bulk")
    universe().save(folder / "universe.bed.gz")
    old, _ = write_manifest(folder / "old", 0), write_manifest(folder / "new", 1)
    answer = run(
        "train",
        "bulk",
        old,
        "--label",
        LABELS,
        "--universe",
        folder / "universe.bed.gz",
        "-o",
        folder / "model",
    )
    assert answer.code == 0, answer.err
    assert "those with the same labels together" in answer.err
    assert run("index", "create", folder / "index", "--model", folder / "model").code == 0
    added = run("index", "add-beds", folder / "index", old)
    assert added.code == 0, added.err
    return folder


def right(run: Run, index: Path, manifest: Path, label: str) -> float:
    """Share of the files that annotate names as the manifest does, by the nearest file."""
    answer = run("annotate", manifest, "--index", index, "--label", label, "-k", 1, "--format", "tsv")
    assert answer.code == 0, answer.err
    truth = files(1)[1][label]
    return float(np.mean([row["label"] == t for row, t in zip(answer.rows(), truth, strict=True)]))


def test_annotate_uses_the_vector_of_the_label(run: Run, bulk: Path) -> None:
    status = json.loads(run("index", "status", bulk / "index", "--format", "json").out)
    assert set(status["collections"]["bedfiles"]["points"].values()) == {30}
    assert right(run, bulk / "index", bulk / "new" / "files.tsv", "cell_type") > 0.85
    assert right(run, bulk / "index", bulk / "new" / "files.tsv", "target") == 1.0
    both = run(
        "annotate",
        bulk / "new" / "files.tsv",
        "--index",
        bulk / "index",
        "--label",
        "cell_type",
        "--label",
        "target",
    )
    assert "by the vector cell_type" in both.err
    assert "by the vector target" in both.err


def test_an_index_without_the_vector_falls_back_to_general(run: Run, bulk: Path) -> None:
    answer = run(
        "train", "bulk", bulk / "old" / "files.tsv", "--label", "target", "--model", bulk / "model", "-o",
        bulk / "less",
    )  # fmt: skip
    assert answer.code == 0, answer.err
    assert run("index", "create", bulk / "less.index", "--model", bulk / "less").code == 0
    assert run("index", "add-beds", bulk / "less.index", bulk / "old" / "files.tsv").code == 0
    general = right(run, bulk / "less.index", bulk / "new" / "files.tsv", "cell_type")
    named = right(run, bulk / "index", bulk / "new" / "files.tsv", "cell_type")
    assert named > general
    said = run("annotate", bulk / "new" / "files.tsv", "--index", bulk / "less.index", "--label", "cell_type")
    assert "by the vector general" in said.err


def test_search_and_embed_by_vector(run: Run, bulk: Path) -> None:
    query, index = bulk / "new" / "0.bed", bulk / "index"
    wanted = [bulk / "old" / "files.tsv"]
    found = {}
    for name in ("general", "cell_type"):
        answer = run("search", "beds", query, "--index", index, "-k", 5, "--vector", name, "--format", "tsv")
        assert answer.code == 0, answer.err
        found[name] = [(row["cell_type"], row["target"]) for row in answer.rows()]
        table = bulk / f"{name}.parquet"
        made = run("embed", *wanted, "--model", bulk / "model", "--vector", name, "-o", table)
        assert made.code == 0, made.err
        vectors = np.stack(pq.read_table(table)["vector"].to_numpy(zero_copy_only=False))
        stored = open_index(index)._session.snapshot()
        assert vectors.shape == (30, stored.info.vectors[name])
        ids = stored.all_ids("bedfiles")
        np.testing.assert_allclose(vectors, stored.vectors("bedfiles", ids, name), rtol=1e-4, atol=1e-4)
    assert sum(target == "TF0" for _, target in found["general"]) >= 4
    assert sum(line == "line 0" for line, _ in found["cell_type"]) >= 4
    by_id = run("search", "beds", ids[3], "--index", index, "--vector", "target", "--format", "tsv", "-k", 4)
    assert by_id.code == 0, by_id.err
    assert {row["target"] for row in by_id.rows()} == {"TF3"}
    wrong = run("search", "beds", query, "--index", index, "--vector", "tissue")
    assert wrong.code == 2
    assert "no vector 'tissue'" in wrong.err
    wrong = run("embed", query, "--model", bulk / "model", "--vector", "tissue", "-o", bulk / "x.parquet")
    assert wrong.code == 2
    assert "general, cell_type, assay, target" in wrong.err


def test_replacing_verifying_and_repairing_keep_every_vector(run: Run, bulk: Path) -> None:
    index = shutil.copytree(bulk / "index", bulk / "copy.index")
    assert run("index", "add-beds", index, bulk / "new" / "0.bed", bulk / "new" / "7.bed").code == 0
    assert run("index", "add-beds", index, bulk / "old" / "files.tsv", "--replace").code == 0
    verified = run("index", "verify", index)
    assert verified.code == 0, verified.out + verified.err
    shutil.rmtree(index / "vectors")
    assert run("index", "verify", index).code != 0
    repaired = run("index", "repair", index)
    assert repaired.code == 0, repaired.err
    assert run("index", "verify", index).code == 0
    with open_index(index) as client:
        snapshot = client._session.snapshot()
        assert {n: snapshot.points("bedfiles", n) for n in snapshot.info.vectors} == dict.fromkeys(
            ["general", "cell_type", "assay", "target"], 32
        )


def test_a_dry_run_writes_nothing(run: Run, bulk: Path) -> None:
    out = bulk / "dry"
    answer = run(
        "train", "bulk", bulk / "old" / "files.tsv", "--label", LABELS, "--universe", bulk / "universe.bed.gz",
        "-o", out, "--dry-run",
    )  # fmt: skip
    assert answer.code == 0, answer.err
    assert "expected" in answer.err
    assert not out.exists()
