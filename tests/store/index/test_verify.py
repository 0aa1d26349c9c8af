"""Verification finds what was damaged; repair rebuilds everything but the truth itself."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from random_items import CREATE, DIM, make_batch, source

from atacsearch.errors import InputError
from atacsearch.store.atomic import copy_tree
from atacsearch.store.index.folder import IndexFolder
from atacsearch.store.index.repair import repair_index
from atacsearch.store.index.verify import verify_index
from atacsearch.store.metadata import sql_files as sqlfiles
from atacsearch.store.metadata.database import Metadata, build_metadata
from atacsearch.store.metadata.sql_files import migrations, query, sql_folder

QUERY = np.ones((3, DIM), np.float32)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("original") / "my.index"
    with IndexFolder.create(path, **CREATE) as made, made.writer() as writer:
        writer.add("cells", make_batch(40), source("a"))
        writer.publish()
        writer.add("cells", make_batch(20, 1, "b", extra=list(range(20))), source("b"))
        writer.add("bedfiles", make_batch(7, 2, "c"), source("c"))
    return path


@pytest.fixture
def index(original: Path, tmp_path: Path) -> Iterator[IndexFolder]:
    copy_tree(original, tmp_path / "my.index")
    with IndexFolder.open(tmp_path / "my.index") as copy:
        yield copy


def answers(index: IndexFolder) -> list[list[str]]:
    snap = index.snapshot()
    return snap.knn("cells", QUERY, 9, "depth>110", engine="qdrant", exact=True).ids


def folder(index: IndexFolder) -> Path:
    return index.path / "generations" / "2"


def damage_metadata(index: IndexFolder) -> None:
    (folder(index) / "metadata.duckdb").write_bytes(b"no database")


def lose_metadata(index: IndexFolder) -> None:
    (folder(index) / "metadata.duckdb").unlink()


def stale_metadata(index: IndexFolder) -> None:
    shutil.copy(index.path / "generations" / "1" / "metadata.duckdb", folder(index) / "metadata.duckdb")


def lose_manifest(index: IndexFolder) -> None:
    (folder(index) / "manifest.json").unlink()


def damage_manifest(index: IndexFolder) -> None:
    (folder(index) / "manifest.json").write_text('{"generation"')


def lose_current(index: IndexFolder) -> None:
    (index.path / "CURRENT").unlink()


def lose_vectors(index: IndexFolder) -> None:
    shutil.rmtree(index.path / "vectors")


def damage_vectors(index: IndexFolder) -> None:
    for path in (index.path / "vectors" / "cells" / "part-2").rglob("*"):
        if path.is_file() and path.stat().st_size < 1_000_000:
            path.write_bytes(b"\0" * 10)


def swap_vectors(index: IndexFolder) -> None:
    """Vectors of other shards, as if a part had been put back from an old copy."""
    manifest = folder(index) / "manifest.json"
    record = json.loads(manifest.read_text())
    for part in record["parts"]:
        if part["kind"] == "cells":
            part["shards"] = {n: s for n, s in part["shards"].items() if s == "a"}
    manifest.write_text(json.dumps(record))


@pytest.mark.parametrize(
    ("harm", "finds"),
    [
        (damage_metadata, "cannot be read"),
        (lose_metadata, "metadata"),
        (stale_metadata, "metadata: 40 cells, the shards hold 60"),
        (lose_manifest, None),
        (damage_manifest, None),
        (lose_current, None),
        (lose_vectors, "are gone"),
        (damage_vectors, "vectors"),
        (swap_vectors, "no part holds shards/cells/b-2.parquet"),
    ],
)
def test_harm_is_found_and_repaired(
    index: IndexFolder, harm: Callable[[IndexFolder], None], finds: str | None
) -> None:
    expected = answers(index)
    rows = index.snapshot().table("cells")
    index.close()
    harm(index)
    if finds is None:
        with pytest.raises(InputError, match="index repair"):
            verify_index(index)
    else:
        problems = verify_index(index).problems
        assert any(finds in line for line in problems), problems
    index.close()
    report = repair_index(index)
    assert report.ok, report.problems
    assert (report.shards, report.rows) == (3, 67)
    assert verify_index(index).ok
    assert answers(index) == expected
    assert index.snapshot().table("cells").equals(rows)
    with index.writer() as writer:
        assert writer.sources("bedfiles") == {"c": None}


def test_damaged_shard_is_named_and_left_out_on_request(index: IndexFolder) -> None:
    path = index.path / "shards" / "cells" / "a-1.parquet"
    content = bytearray(path.read_bytes())
    content[200] ^= 1
    path.write_bytes(content)
    assert any("a-1.parquet (of a.h5ad) differs from its checksum" in p for p in verify_index(index).problems)
    with pytest.raises(InputError, match=r"1 shards .* damaged.*a-1\.parquet .*--drop-damaged"):
        repair_index(index)
    report = repair_index(index, drop_damaged=True)
    assert report.ok
    assert "left out" in report.notes[0]
    assert index.snapshot().count("cells") == 20


def test_shards_can_be_read_by_anything(index: IndexFolder) -> None:
    table = pq.read_table(index.path / "shards" / "cells" / "b-2.parquet")
    assert table.column_names == [
        "id",
        "item",
        "source_id",
        "n_tokens",
        "cell_type",
        "depth",
        "tss.score",
        "doublet",
        "extra",
        "tokens",
        "vector_general",
    ]
    assert str(table.schema.field("tokens").type) == "list<element: uint32>"
    assert table.schema.field("vector_general").type.list_size == DIM


def test_migrations_are_recorded_and_newer_ones_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [m[0] for m in migrations()] == list(range(1, len(migrations()) + 1))
    path = tmp_path / "generations" / "1" / "metadata.duckdb"
    path.parent.mkdir(parents=True)
    build_metadata(path, [], {}, None)
    opened = Metadata(path)
    assert opened.count("cells") == 0
    opened.close()
    monkeypatch.setattr("atacsearch.store.metadata.database.migrations", lambda: ((0, "000_nothing", ""),))
    with pytest.raises(InputError, match=r"schema 1, this version reads 0; install a newer atacsearch"):
        Metadata(path)
    monkeypatch.setattr("atacsearch.store.metadata.database.migrations", lambda: ((2, "002_more", ""),))
    with pytest.raises(InputError, match=r"schema 1, this version reads 2; run: atacsearch index repair"):
        Metadata(path)


def test_sql_is_found_beside_the_package_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = query("count_rows")
    package = tmp_path / "atacsearch"
    shutil.copytree(sql_folder(), package / "sql")
    monkeypatch.setattr(sqlfiles, "_PACKAGE", package)
    sql_folder.cache_clear()
    try:
        assert sql_folder() == package / "sql"
        assert (sql_folder() / "queries" / "count_rows.sql").read_text() == text
    finally:
        sql_folder.cache_clear()
