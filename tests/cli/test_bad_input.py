"""Bad input, end to end: one clear line on stderr, exit code 2, and nothing that was indexed is lost."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import anndata as ad
import numpy as np
import pytest
from calling import Answer, Run
from tiny_world import World, regions, write_fragments, write_h5ad, write_model

from atacsearch.tokens.universe import Universe

ROOT = Path(__file__).parents[2]


def refused(answer: Answer, *words: str) -> None:
    assert answer.code == 2, answer.err
    assert answer.out == ""
    errors = [line for line in answer.err.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1, answer.err
    assert "Traceback" not in answer.err
    for word in words:
        assert word in errors[0], errors[0]


def annotate(run: Run, index: Path, path: Path, *more: object) -> Answer:
    return run("annotate", path, "--index", index, "--label", "cell_type", "--format", "tsv", *more)


def test_a_model_of_another_universe(run: Run, world: World, built: Path, tmp_path: Path) -> None:
    other = write_model(tmp_path / "other", Universe(regions().take(np.arange(400)[::-1]), genome="hg38"))
    refused(annotate(run, built, world.query, "--model", other), "universe", "did not make the index")
    same = write_model(tmp_path / "weights", Universe(regions(), genome="hg38"), seed=7)
    refused(annotate(run, built, world.query, "--model", same), "the model", "did not make the index")
    assert annotate(run, built, world.query, "--model", world.model).code == 0


def test_a_second_writer(run: Run, world: World, index: Path) -> None:
    code = (
        "import sys; from atacsearch.store.index.folder import IndexFolder\n"
        f"with IndexFolder.open({str(index)!r}).writer():\n    print('held', flush=True); sys.stdin.read()"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        path = write_h5ad(world.folder / "more.h5ad", 3, 4)
        refused(run("index", "add-cells", index, path), str(holder.pid))
        assert annotate(run, index, world.query).code == 0, "readers go on"
        holder.communicate("")
    assert run("index", "add-cells", index, path).code == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_read_only_folder(run: Run, world: World, index: Path, tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir()
    locked.chmod(0o555)
    refused(run("index", "create", locked / "i", "--model", world.model), str(locked))
    refused(
        run("tokenize", world.query, "--universe", world.universe, "-o", locked / "t.parquet"), str(locked)
    )
    index.chmod(0o555)
    refused(run("index", "add-cells", index, world.query), str(index))
    index.chmod(0o755)


def test_output_where_nothing_can_be_written(run: Run, world: World, built: Path, tmp_path: Path) -> None:
    gone = tmp_path / "no" / "calls.tsv"
    refused(annotate(run, built, world.query, "-o", gone), str(gone))
    refused(run("tokenize", world.query, "--universe", world.universe, "-o", gone), str(gone))
    refused(run("embed", world.query, "--model", world.model, "-o", gone), str(gone))
    refused(run("index", "create", built, "--model", world.model), "is an index already")


@pytest.mark.parametrize("name", ["calls.csv", "calls.tsv.gz"])
def test_output_in_a_form_that_is_not_written(
    run: Run, world: World, built: Path, tmp_path: Path, name: str
) -> None:
    answer = run("annotate", world.query, "--index", built, "--label", "cell_type", "-o", tmp_path / name)
    assert answer.code == 2
    assert "use .tsv, .json or .parquet" in answer.err
    assert not (tmp_path / name).exists()


def test_another_genome(run: Run, world: World, built: Path) -> None:
    hg19 = write_h5ad(world.folder / "hg19.h5ad", 3, 6, genome="hg19")
    refused(annotate(run, built, hg19), "hg19", "hg38")
    beyond = world.folder / "beyond.bed"
    beyond.write_text("chr1\t1000010\t1000100\nchr1\t248999999\t249250621\n")
    refused(annotate(run, built, beyond), "beyond.bed")


def test_h5ad_without_coordinates(run: Run, world: World, built: Path) -> None:
    path = write_h5ad(world.folder / "nocoord.h5ad", 3, 6)
    data = ad.read_h5ad(path)
    data.var = data.var.drop(columns=["chrom", "start", "end"])
    data.var_names = [f"peak_{i}" for i in range(data.n_vars)]
    data.write_h5ad(path)
    refused(annotate(run, built, path), "nocoord.h5ad")


def test_truncated_empty_and_missing_files(run: Run, world: World, built: Path) -> None:
    whole = write_fragments(world.folder / "cut.tsv.gz", 4, 8)
    whole.write_bytes(whole.read_bytes()[:-40])
    refused(annotate(run, built, whole), "cut.tsv.gz")
    empty = world.folder / "empty.bed"
    empty.write_bytes(b"")
    refused(annotate(run, built, empty), "empty.bed")
    with gzip.open(world.folder / "empty.bed.gz", "wb"):
        pass
    refused(annotate(run, built, world.folder / "empty.bed.gz"), "empty.bed.gz")
    refused(annotate(run, built, world.folder / "absent.bed"), "absent.bed")
    refused(run("annotate", empty, "--index", world.folder / "no.index", "--label", "x"), "no.index")


def test_crlf_headers_and_bad_lines_are_read_counted_and_reported(
    run: Run, world: World, built: Path
) -> None:
    clean = annotate(run, built, world.bed("clean.bed", range(5, 45)))
    crlf = annotate(run, built, world.bed("crlf.bed", range(5, 45), tail="\r\n"))
    assert [r["confidence"] for r in crlf.rows()] == [r["confidence"] for r in clean.rows()]
    dirty = world.folder / "dirty.bed"
    text = world.bed("clean.bed", range(5, 45)).read_text()
    dirty.write_text(
        "track name=x\nbrowser position chr1\n# c\n" + text + "chr1\t90\t80\nchr1\t-5\t80\nchr1\tx\t80\n"
    )
    answer = annotate(run, built, dirty)
    assert answer.code == 0, answer.err
    assert "skipped 3 of" in answer.err
    assert [r["confidence"] for r in answer.rows()] == [r["confidence"] for r in clean.rows()]


def test_wrong_kinds_and_names(run: Run, world: World, built: Path, index: Path) -> None:
    bed = world.bed("query.bed", range(5, 45))
    refused(run("index", "add-cells", index, bed), "add-beds")
    refused(run("index", "add-beds", index, world.query), "add-cells")
    refused(run("annotate", world.query, bed, "--index", built, "--label", "cell_type"), "two calls")
    refused(annotate(run, built, world.query, "--where", "nothing=1"), "nothing")
    refused(annotate(run, built, world.query, "--where", "cell_type=Z"), "every value is missing")
    refused(run("annotate", world.query, "--index", built, "--label", "celltype"), "cell_type, donor")
    refused(run("search", "cells", "NO_SUCH", "--index", built), "NO_SUCH")
    refused(run("search", "cells", world.query, "--item", "nobody", "--index", built), "nobody", "s2-0")
    refused(run("search", "cells", "chr1:5-1", "--index", built), "ends before")
    refused(
        run("search", "cells", "chr1:1-100", "--index", built), "overlaps no region", "chr1:1000001-1000500"
    )
    refused(run("search", "cells", "chrQ:1-100", "--index", built), "no chromosome 'chrQ'")
    refused(run("search", "regions", "GENE1", "--context", "Z", "--index", built), "no such context", "B")
    refused(run("search", "cells", "s2", "--index", built, "--columns", "zz"), "zz")
    refused(run("index", "add-regions", index, "--context-label", "zz"), "zz", "cell_type")


def test_labels_that_name_nothing_leave_the_index_alone(run: Run, world: World, index: Path) -> None:
    path = write_h5ad(world.folder / "three.h5ad", 8, 3)
    labels = world.folder / "wrong.tsv"
    labels.write_text("item\tk\nnobody\t1\n")
    refused(run("index", "add-cells", index, path, "--labels", labels), "names none of the items")
    status = json.loads(run("index", "status", index, "--format", "json").out)
    assert status["collections"]["cells"]["items"] == 60


def test_the_same_ids_from_two_files(run: Run, world: World, index: Path, tmp_path: Path) -> None:
    path = write_h5ad(tmp_path / "reference.h5ad", 1, 58)
    refused(run("index", "add-cells", index, path), "reference#s1-0", "--sample")
    assert run("index", "add-cells", index, path, "--sample", "two").code == 0


def test_sources_before_a_bad_one_stay(run: Run, world: World, index: Path, tmp_path: Path) -> None:
    good = write_h5ad(tmp_path / "good.h5ad", 11, 5)
    clash = write_h5ad(tmp_path / "reference.h5ad", 1, 58)
    answer = run("index", "add-cells", index, good, clash)
    refused(answer, "reference#s1-0")
    assert "1 sources before this one were added" in answer.err
    status = json.loads(run("index", "status", index, "--format", "json").out)
    assert status["collections"]["cells"]["items"] == 65
    again = run("index", "add-cells", index, good, clash, "--sample", "two")
    assert again.code == 0, again.err
    assert "already indexed" in again.err
    assert run("index", "verify", index).code == 0


def test_counting_that_is_not_the_index_s(run: Run, world: World, tmp_path: Path) -> None:
    from atacsearch.model.checkpoints.checkpoint import load_model

    model = load_model(world.model)
    model.own["counting"] = "insertion"
    model.save(tmp_path / "m")
    assert run("index", "create", tmp_path / "i", "--model", tmp_path / "m").code == 0
    fragments = write_fragments(world.folder / "counted.tsv.gz", 9, 4)
    refused(run("index", "add-cells", tmp_path / "i", fragments, "--counting", "fragment"), "insertion")
