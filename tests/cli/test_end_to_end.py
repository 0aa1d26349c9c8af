"""From raw data to answers on a tiny world, through the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from calling import Run
from tiny_world import FIRST, STEP, World, write_fragments, write_h5ad

from atacsearch.tokens.token_sets import TokenSets

ROOT = Path(__file__).parents[2]
COLUMNS = ["item", "label", "confidence", "margin", "nearest_distance", "status"]


def test_calibrate_fits_confidence_anew(run: Run, world: World, built: Path) -> None:
    answer = run("index", "calibrate", built, "--label", "cell_type", "--group", "donor", "--format", "tsv")
    assert answer.code == 0, answer.err
    (row,) = answer.rows()
    assert (row["label"], row["group"], row["groups"]) == ("cell_type", "donor", "3")
    assert 0 <= float(row["calibration_error"]) <= 1
    for words, said in (
        (("--label", "nothing"), "no such column"),
        (("--label", "cell_type", "--group", "site"), "no such column"),
    ):
        refused = run("index", "calibrate", built, *words)
        assert refused.code == 2
        assert said in refused.err


def test_annotate_names_the_clusters_of_the_input_too(run: Run, world: World, built: Path) -> None:
    words = ("annotate", world.query, "--index", built, "--label", "cell_type", "--format", "tsv")
    answer = run(*words, "--clusters", "donor")
    assert answer.code == 0, answer.err
    rows = answer.rows()
    assert list(rows[0]) == [*COLUMNS, "cluster_label", "cluster_share"]
    assert {r["cluster_label"] for r in rows} <= {"B", "NK"}
    assert all(0 < float(r["cluster_share"]) <= 1 for r in rows)
    refused = run(*words, "--clusters", "leiden")
    assert refused.code == 2
    assert "--clusters leiden: the input has no such column" in refused.err


def test_annotate_gives_one_row_an_item_in_order(run: Run, world: World, built: Path) -> None:
    answer = run("annotate", world.query, "--index", built, "--label", "cell_type", "--format", "tsv")
    assert answer.code == 0, answer.err
    assert answer.out.splitlines()[0].split("\t") == COLUMNS
    rows = answer.rows()
    assert [r["item"] for r in rows] == [f"s2-{i}" for i in range(20)]
    for number, row in enumerate(rows):
        if number == 4:
            assert row == dict(zip(COLUMNS, ["s2-4", "", "0", "0", "", "unknown"], strict=True))
        else:
            assert row["label"] == ("B" if number % 2 == 0 else "NK")
    assert "items have their donor in common with reference items" in answer.err
    assert "Encoding on cpu float32" in answer.err
    assert "% of the peaks overlap the universe" in answer.err


def test_annotate_bed_files_with_several_labels(run: Run, world: World, built: Path) -> None:
    bed = world.bed("query.bed", range(5, 45))
    answer = run(
        "annotate",
        bed,
        "--index",
        built,
        "--label",
        "cell_type",
        "--label",
        "assay",
        "-k",
        3,
        "--format",
        "tsv",
    )
    assert answer.code == 0, answer.err
    assert [(r["item"], r["label_name"], r["label"]) for r in answer.rows()] == [
        (str(bed), "cell_type", "B"),
        (str(bed), "assay", "ATAC-seq"),
    ]


def test_annotate_cells_by_bed_files(run: Run, world: World, built: Path) -> None:
    answer = run(
        "annotate",
        world.query,
        "--index",
        built,
        "--label",
        "cell_type",
        "--reference",
        "beds",
        "-k",
        1,
        "--format",
        "tsv",
    )
    assert answer.code == 0, answer.err
    assert [r["label"] for r in answer.rows()][:4] == ["B", "NK", "B", "NK"]


def test_the_reference_does_not_vote_for_itself(run: Run, world: World, built: Path) -> None:
    answer = run("annotate", world.reference, "--index", built, "--label", "cell_type", "--format", "json")
    assert answer.code == 0, answer.err
    assert all(row["nearest_distance"] > 0 for row in json.loads(answer.out))


def test_search_cells_by_file_item_id_region_and_gene(run: Run, world: World, built: Path) -> None:
    asked = run(
        "search", "cells", world.query, "--item", "s2-1", "--index", built, "-k", 3, "--format", "tsv"
    )
    assert asked.code == 0, asked.err
    assert [(r["query"], r["rank"], r["cell_type"]) for r in asked.rows()] == [
        ("s2-1", str(i), "NK") for i in (1, 2, 3)
    ]
    own = asked.rows()[0]["id"]
    by_id = run(
        "search", "cells", own, "--index", built, "-k", 2, "--columns", "cell_type", "--format", "tsv"
    )
    assert [r["query"] for r in by_id.rows()] == [own, own]
    assert own not in [r["id"] for r in by_id.rows()]
    assert list(by_id.rows()[0]) == ["query", "rank", "id", "distance", "cell_type"]
    region = f"chr1:{FIRST + 1}-{FIRST + STEP:,}"
    by_region = run("search", "cells", region, "--index", built, "-k", 1, "--format", "tsv")
    assert by_region.code == 0, by_region.err
    row = by_region.rows()[0]
    assert (row["query_chrom"], row["query_start"], row["query_end"]) == (
        "chr1",
        str(FIRST),
        str(FIRST + STEP),
    )
    assert row["cell_type"] == "B"
    by_gene = run("search", "cells", "GENE1", "--index", built, "-k", 1, "--format", "tsv")
    assert by_gene.code == 0, by_gene.err
    assert by_gene.rows()[0]["cell_type"] == "B"


def test_search_beds_with_a_filter(run: Run, world: World, built: Path) -> None:
    bed = world.bed("query.bed", range(5, 45))
    answer = run(
        "search",
        "beds",
        bed,
        "--index",
        built,
        "-k",
        9,
        "--where",
        "cell_type=NK and assay=ATAC-seq",
        "--format",
        "tsv",
    )
    assert answer.code == 0, answer.err
    assert sorted(r["id"] for r in answer.rows()) == ["f1.bed", "f3.bed"]


def test_a_filter_that_nothing_meets_is_said(run: Run, world: World, built: Path) -> None:
    answer = run(
        "search", "cells", world.query, "--index", built, "--where", "cell_type=Z", "--format", "tsv"
    )
    assert (answer.code, len(answer.out.splitlines())) == (0, 1)
    assert "none of the cells meets --where cell_type=Z" in answer.err


def test_search_regions_in_context(run: Run, world: World, built: Path) -> None:
    region = f"chr1:{FIRST + 1}-{FIRST + 500}"
    answer = run("search", "regions", region, "--index", built, "-k", 5, "--context", "B", "--format", "tsv")
    assert answer.code == 0, answer.err
    rows = answer.rows()
    assert {r["query"] for r in rows} == {f"{region}@B"}
    assert not any(r["id"].startswith(region) for r in rows), "the region itself is no answer"
    assert len(rows) == 5
    assert rows[0]["gene"] in ("GENE1", "GENE2")
    only = run(
        "search", "regions", region, "--index", built, "--where", "context=NK", "-k", 3, "--format", "tsv"
    )
    assert {r["context"] for r in only.rows()} == {"NK"}


def test_a_region_s_vector_is_the_plain_mean_over_its_items(world: World, built: Path) -> None:
    from atacsearch.index import open_index

    client = open_index(built, device="cpu")
    snapshot = client._session.snapshot()
    table = snapshot.table("regions", ["id", "context", "chrom", "start", "n_items"]).to_pylist()
    wanted = next(r for r in table if r["context"] == "NK" and r["n_items"] > 3)
    token = next(
        t for t in range(400) if client._session.universe.region(t)[:2] == (wanted["chrom"], wanted["start"])
    )
    vectors = []
    for kind in ("cells", "bedfiles"):
        labels = snapshot.table(kind, ["cell_type"])["cell_type"].to_pylist()
        ids = [i for i, v in zip(snapshot.all_ids(kind), labels, strict=True) if v == "NK"]
        sets = snapshot.tokens(kind, ids)
        for one, contextual in zip(sets, client._session.encoder.encode_regions(sets), strict=True):
            vectors += [contextual[j] for j in np.flatnonzero(one == token)]
    assert len(vectors) == wanted["n_items"]
    stored = snapshot.vectors("regions", [wanted["id"]])[0]
    np.testing.assert_allclose(stored, np.mean(vectors, axis=0), rtol=1e-4, atol=1e-5)


def test_adding_again_changes_nothing(run: Run, world: World, index: Path) -> None:
    before = json.loads(run("index", "status", index, "--format", "json").out)
    for arguments in (
        ("add-cells", index, world.reference),
        ("add-beds", index, world.folder / "manifest.tsv"),
        ("add-regions", index),
    ):
        answer = run("index", *arguments)
        assert answer.code == 0, answer.err
        assert "already indexed" in answer.err or "up to date" in answer.err
    after = json.loads(run("index", "status", index, "--format", "json").out)
    assert after["generation"] == before["generation"]
    assert after["collections"] == before["collections"]


def test_replace_labels_and_regions_that_follow(run: Run, world: World, index: Path) -> None:
    labels = world.folder / "labels.tsv"
    labels.write_text(
        "item\tcell_type\tlineage\n" + "".join(f"s1-{i}\tT\tlymphoid\n" for i in range(0, 60, 2))
    )
    answer = run("index", "add-cells", index, world.reference, "--replace", "--labels", labels)
    assert answer.code == 0, answer.err
    assert "labels for 30 of 60 items" in answer.err
    status = json.loads(run("index", "status", index, "--format", "json").out)
    assert status["collections"]["cells"]["items"] == 60
    rows = run("annotate", world.query, "--index", index, "--label", "lineage", "--format", "tsv").rows()
    assert {r["label"] for r in rows} == {"lymphoid", ""}
    again = run("index", "add-regions", index)
    assert again.code == 0, again.err
    assert "T: " in again.err
    assert run("index", "verify", index).code == 0


def test_changed_content_needs_replace(run: Run, world: World, index: Path, tmp_path: Path) -> None:
    path = write_h5ad(tmp_path / "cells.h5ad", 5, 10)
    assert run("index", "add-cells", index, path).code == 0
    write_h5ad(path, 6, 12)
    refused = run("index", "add-cells", index, path)
    assert refused.code == 2
    assert "--replace" in refused.err
    assert run("index", "add-cells", index, path, "--replace").code == 0
    status = json.loads(run("index", "status", index, "--format", "json").out)
    assert status["collections"]["cells"]["items"] == 72


def test_fragments_from_file_to_answer(run: Run, world: World, index: Path) -> None:
    fragments = write_fragments(world.folder / "fragments.tsv.gz", 9, 8)
    answer = run(
        "annotate",
        fragments,
        "--index",
        index,
        "--label",
        "cell_type",
        "--min-fragments",
        10,
        "--format",
        "tsv",
    )
    assert answer.code == 0, answer.err
    assert {r["item"]: r["label"] for r in answer.rows()} == {
        f"BC{i:04d}-1": "B" if i % 2 == 0 else "NK" for i in range(8)
    }
    added = run("index", "add-cells", index, fragments, "--min-fragments", 10, "--sample", "lib1")
    assert added.code == 0, added.err
    assert run("search", "cells", "lib1#BC0003-1", "--index", index, "-k", 1).code == 0


def test_tokenize_and_embed(run: Run, world: World, tmp_path: Path) -> None:
    answer = run("tokenize", world.query, "--universe", world.universe, "-o", tmp_path / "t.parquet")
    assert answer.code == 0, answer.err
    sets = TokenSets.from_parquet(tmp_path / "t.parquet")
    assert (sets.names[0], len(sets), len(sets[4])) == ("s2-0", 20, 0)
    answer = run("embed", world.query, "--model", world.model, "-o", tmp_path / "v.parquet")
    assert answer.code == 0, answer.err
    table = pq.read_table(tmp_path / "v.parquet")
    assert table.column_names == ["id", "vector"]
    assert table["id"].to_pylist() == list(sets.names)
    assert not np.any(table["vector"][4].as_py())
    short = run(
        "embed", world.query, "--model", world.model, "--dtype", "bfloat16", "-o", tmp_path / "b.parquet"
    )
    assert short.code == 0, short.err
    assert "bfloat16" in short.err
    rough = np.array(pq.read_table(tmp_path / "b.parquet")["vector"].to_pylist())
    exact = np.array(table["vector"].to_pylist())
    assert 0 < np.abs(rough - exact).max() <= 2e-2 * np.abs(exact).max()
    answer = run(
        "embed", world.query, "--model", world.model, "--level", "region", "-o", tmp_path / "r.parquet"
    )
    assert answer.code == 0, answer.err
    regions = pq.read_table(tmp_path / "r.parquet")
    assert regions.column_names == ["id", "chrom", "start", "end", "vector"]
    assert regions.num_rows == len(sets.tokens)
    first = np.array(regions["vector"].slice(0, len(sets[0])).to_pylist())
    np.testing.assert_allclose(first.mean(0), table["vector"][0].as_py(), rtol=1e-4, atol=1e-5)


def test_universe_build_and_info(run: Run, world: World, tmp_path: Path) -> None:
    out = tmp_path / "u.bed.gz"
    answer = run("universe", "build", world.reference, "--genome", "hg38", "-o", out)
    assert answer.code == 0, answer.err
    info = json.loads(run("universe", "info", out, "--format", "json").out)
    assert info["genome"] == "hg38"
    assert 0 < info["n_regions"] <= 400


def test_status_and_verify(run: Run, built: Path) -> None:
    status = run("index", "status", built)
    assert status.code == 0
    assert "collections.cells.items" in status.out
    answer = run("index", "verify", built)
    assert (answer.code, answer.out) == (0, "")


def test_repair_rebuilds(run: Run, world: World, index: Path) -> None:
    for part in (index / "vectors").rglob("*"):
        if part.is_file():
            part.write_bytes(b"")
    assert run("index", "verify", index).code == 1
    answer = run("index", "repair", index)
    assert answer.code == 0, answer.err
    assert run("index", "verify", index).code == 0


def test_parquet_and_files_by_suffix(run: Run, world: World, built: Path, tmp_path: Path) -> None:
    for name in ("calls.parquet", "calls.tsv", "calls.json"):
        out = tmp_path / name
        answer = run("annotate", world.query, "--index", built, "--label", "cell_type", "-o", out)
        assert (answer.code, answer.out) == (0, ""), answer.err
        assert out.stat().st_size
    assert pq.read_table(tmp_path / "calls.parquet").column_names == COLUMNS


def test_the_installed_entry_point(world: World, built: Path) -> None:
    """In a process of its own: data on stdout, messages on stderr, warnings of libraries nowhere."""
    code = "from atacsearch.cli import main; main()"
    arguments = [
        "annotate",
        str(world.query),
        "--index",
        str(built),
        "--label",
        "cell_type",
        "--format",
        "tsv",
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "default"}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 21
    assert "Warning" not in done.stderr


@pytest.mark.parametrize("reader", ["head -1", "true"])
def test_a_closed_pipe_is_no_error(world: World, built: Path, reader: str) -> None:
    command = f"{sys.executable} -c 'from atacsearch.cli import main; main()' index status {built} | {reader}"
    done = subprocess.run(
        command,
        shell=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert "Traceback" not in done.stderr
    assert "Error" not in done.stderr
