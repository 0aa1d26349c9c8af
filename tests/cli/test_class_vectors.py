"""From labelled cells to names by a class head, through the commands."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from calling import Run
from tiny_world import World


@pytest.fixture(scope="module")
def model(world: World, run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("class") / "cells.model"
    found = run(
        "train", "celltype", world.reference, "--label", "cell_type", "--unlabelled", world.query, "-o", out
    )
    assert found.code == 0, found.err
    assert "held-out cells named right" in found.err
    return out


def test_cells_get_both_vectors_and_are_named_by_their_own(
    world: World, model: Path, run: Run, tmp_path: Path
) -> None:
    index = tmp_path / "my.index"
    assert run("index", "create", index, "--model", model).code == 0
    assert run("index", "add-cells", index, world.reference).code == 0
    asked = ("annotate", world.query, "--index", index, "--label", "cell_type", "--format", "json")
    found = run(*asked)
    assert found.code == 0, found.err
    assert "was trained on the query's own donor: neighbours name the items" in found.err
    assert "vote by the vector general" in found.err
    refused = run(*asked, "--by", "head")
    assert refused.code == 2
    assert "--same-group" in refused.err
    found = run(*asked, "--same-group")
    assert found.code == 0, found.err
    assert "class head of 2 labels" in found.err
    rows = json.loads(found.out)
    # The nearest distance is that of the general vector, where unlike cells are far.
    assert all(row["nearest_distance"] is None or row["nearest_distance"] >= 0 for row in rows)
    assert {row["label"] for row in rows} <= {"B", "NK", None}
    assert run("index", "verify", index).code == 0
    found = run("search", "cells", world.query, "--index", index, "--vector", "cell_type", "--format", "json")
    assert found.code == 0, found.err
    assert all("distance" in row for row in json.loads(found.out))
    found = run("search", "cells", world.query, "--index", index, "--vector", "tissue")
    assert found.code == 2
    assert "no vector 'tissue'" in found.err


def test_embed_writes_class_probabilities(world: World, model: Path, run: Run, tmp_path: Path) -> None:
    out = tmp_path / "v.parquet"
    found = run("embed", world.query, "--model", model, "--vector", "cell_type", "-o", out)
    assert found.code == 0, found.err
    vectors = pq.read_table(out)["vector"].to_pylist()
    assert all(len(v) == 2 and (abs(sum(v) - 1) < 1e-4 or sum(v) == 0) for v in vectors)


def test_the_card_and_the_dry_run_say_what_the_head_costs_and_gives(
    world: World, model: Path, run: Run, tmp_path: Path
) -> None:
    card = (model / "README.md").read_text()
    assert "TF-IDF + SVD + kNN" in card
    assert "named by a head fitted on the others" in card
    out = tmp_path / "none.model"
    found = run("train", "celltype", world.reference, "--label", "cell_type", "--dry-run", "-o", out)
    assert found.code == 0, found.err
    assert "class head: expected" in found.err
    assert not out.exists()
    found = run("train", "celltype", world.reference, "--label", "cell_type", "--epochs", "2", "-o", out)
    assert "no effect on a head" in found.err


def test_bed_files_that_were_trained_on_get_the_vector_too(world: World, run: Run, tmp_path: Path) -> None:
    rows = ["file\tcell_type\n"]
    for number in range(12):
        name = f"class{number}.bed"
        world.bed(name, range(20 + number, 60 + number) if number % 2 else range(120 + number, 160 + number))
        rows.append(f"{name}\t{'B' if number % 2 else 'NK'}\n")
    manifest = world.folder / "class.tsv"
    manifest.write_text("".join(rows))
    model, index = tmp_path / "beds.model", tmp_path / "my.index"
    found = run("train", "celltype", manifest, "--label", "cell_type", "--genome", "hg38", "-o", model)
    assert found.code == 0, found.err
    assert run("index", "create", index, "--model", model).code == 0
    found = run("index", "add-beds", index, manifest)
    assert found.code == 0, found.err
    found = run("annotate", manifest, "--index", index, "--label", "cell_type", "--format", "json")
    assert "class head of 2 labels" in found.err
    assert [r["label"] for r in json.loads(found.out)] == ["NK", "B"] * 6
