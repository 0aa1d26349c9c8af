"""The index: what goes in comes out, what does not belong is refused, what is replaced is gone."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from random_items import CREATE, DIM, source

from atacsearch.errors import DigestError, GenomeError, InputError
from atacsearch.store.index.folder import IndexFolder
from atacsearch.store.index.verify import verify_index
from atacsearch.store.types import Batch, Source
from atacsearch.tokens.token_sets import TokenSets

Make = Callable[..., IndexFolder]
MakeBatch = Callable[..., Batch]


def test_what_goes_in_comes_out(new_index: Make, batch: MakeBatch) -> None:
    index = new_index()
    given = batch(60)
    given.vectors["general"][3] = 0
    with index.writer() as writer:
        writer.add("cells", given, source("a", genome="hg38", digest="d", counting="fragment"))
        assert writer.publish() == 1
    snap = index.snapshot()
    assert (snap.count("cells"), snap.points("cells"), snap.count("regions")) == (60, 59, 0)
    assert snap.all_ids("cells") == given.ids
    wanted = ["s#c9", "s#c0", "s#c9", "s#c3"]
    rows = snap.rows("cells", wanted)
    assert rows["id"].to_pylist() == wanted
    assert rows["item"].to_pylist() == ["c9", "c0", "c9", "c3"]
    assert rows["source_id"].to_pylist() == ["a"] * 4
    assert rows["n_tokens"].to_pylist() == [given.sets.lengths[i] for i in (9, 0, 9, 3)]
    assert rows["cell_type"].to_pylist() == ["T cell", "B cell", "T cell", None]
    assert rows["doublet"].to_pylist() == [False, False, False, False]
    assert snap.rows("cells", wanted[:1], ["Depth"]).column_names == ["depth"]
    np.testing.assert_array_equal(snap.vectors("cells", wanted), given.vectors["general"][[9, 0, 9, 3]])
    sets = snap.tokens("cells", wanted)
    assert [s.tolist() for s in sets] == [given.sets[i].tolist() for i in (9, 0, 9, 3)]
    assert (sets.universe_digest, list(sets.names)) == ("u" * 64, wanted)
    assert snap.table("cells", ["depth"])["depth"].to_pylist() == given.labels["depth"].to_pylist()
    assert snap.sources().to_pylist()[0]["genome"] == "hg38"
    assert snap.find("cells", "s#c4") == "s#c4"
    assert snap.find("cells", "c4") == "s#c4"
    assert snap.find("cells", "nobody") is None
    assert "s#c3" not in snap.knn("cells", given.vectors["general"][:1], 60).ids[0]


def test_columns_say_what_filters_serve(new_index: Make, batch: MakeBatch) -> None:
    index = new_index()
    n = 10_050
    names = [f"barcode {i}" for i in range(n)]
    given = batch(n, depth=np.arange(n), serial=names, note=[None] * n)
    with index.writer() as writer:
        writer.add("cells", given, source())
    snap = index.snapshot()
    columns = snap.columns("cells")
    assert list(columns) == ["cell_type", "depth", "tss.score", "doublet", "serial", "note"]
    assert {n: c.kind for n, c in columns.items()} == {
        "cell_type": "text",
        "depth": "number",
        "tss.score": "number",
        "doublet": "bool",
        "serial": "text",
        "note": "empty",
    }
    assert snap.filterable("cells") == ["source_id", "n_tokens", "cell_type", "depth", "tss.score", "doublet"]
    with pytest.raises(InputError, match=r"'serial' has 10,050 distinct values .*filtered: cell_type, depth"):
        snap.knn("cells", given.vectors["general"][:1], 1, "serial='barcode 1'")
    assert snap.knn("cells", given.vectors["general"][:1], 9, "depth<5").ids[0].__len__() == 5


def test_ids_must_be_unique_over_sources(new_index: Make, batch: MakeBatch) -> None:
    index = new_index()
    with index.writer() as writer:
        writer.add("cells", batch(5), source("first"))
        with pytest.raises(InputError, match=r"'s#c0' occurs in first\.h5ad and again in second\.h5ad"):
            writer.add("cells", batch(5, 1), source("second"))
        writer.publish()
        with pytest.raises(InputError, match=r"'s#c0' occurs in first\.h5ad and again in third\.h5ad"):
            writer.add("cells", batch(3, 2), source("third"))
        twice = batch(2, 3, "t")
        with pytest.raises(InputError, match=r"'t#c0' occurs twice in fourth\.h5ad"):
            writer.add("cells", replace(twice, ids=["t#c0", "t#c0"]), source("fourth"))
        writer.add("bedfiles", batch(5), source("first"))  # other collections have ids of their own
    assert index.snapshot().count("cells") == 5
    assert index.snapshot().count("bedfiles") == 5


def test_a_source_is_replaced_in_one_publish(new_index: Make, batch: MakeBatch) -> None:
    index = new_index()
    with index.writer() as writer:
        writer.add("cells", batch(20, 0), source("a"))
        writer.add("cells", batch(30, 1, "b"), source("b"))
        writer.publish()
    new = batch(10, 5)
    with index.writer() as writer:
        with pytest.raises(
            InputError, match=r"source 'a' .*is in the index already, added .*delete it first"
        ):
            writer.add("cells", new, source("a"))
        assert writer.delete_source("cells", "a") == 20
        assert writer.delete_source("cells", "nothing") == 0
        assert writer.sources("cells") == {"b": None}
        writer.add("cells", new, source("a", digest="new"))
        assert writer.sources("cells") == {"b": None, "a": "new"}
        assert index.snapshot().count("cells") == 50  # not before publish
    snap = index.snapshot()
    assert snap.count("cells") == 40
    for engine in ("scan", "qdrant"):
        answer = snap.knn("cells", new.vectors["general"], 1, engine=engine)  # type: ignore[arg-type]
        assert [ids[0] for ids in answer.ids] == new.ids
    assert verify_index(index).ok


def test_pending_source_can_be_withdrawn(new_index: Make, batch: MakeBatch) -> None:
    index = new_index()
    with index.writer() as writer:
        writer.add("cells", batch(5), source("a"))
        writer.add("cells", batch(5, 1, "more"), source("a"))  # a second batch of the same source
        assert writer.delete_source("cells", "a") == 10
        writer.add("cells", batch(4), source("b"))
    assert index.snapshot().count("cells") == 4
    assert len(list(index.path.glob("shards/cells/*"))) == 1


def test_error_in_the_block_discards(new_index: Make, batch: MakeBatch) -> None:
    index = new_index()

    def fail_halfway() -> None:
        with index.writer() as writer:
            writer.add("cells", batch(5), source("a"))
            writer.add("cells", replace(batch(2), ids=["x", "x"]), source("b"))

    with pytest.raises(InputError, match="occurs twice"):
        fail_halfway()
    assert index.snapshot().count("cells") == 0
    assert list(index.path.glob("shards/cells/*")) == []


def test_foreign_things_are_refused(new_index: Make, batch: MakeBatch) -> None:
    index = new_index(genome="hg38", counting="fragment")
    given = batch(3)
    other = TokenSets(given.sets.offsets, given.sets.tokens, given.sets.names, "x" * 64)
    vectors = given.vectors["general"]
    bad = vectors.copy()
    bad[1, 2] = np.nan
    with index.writer() as writer:
        for refused, where, error, says in [
            (replace(given, sets=other), source(), DigestError, "xxxxxxxxxxxx.*uuuuuuuuuuuu"),
            (given, source(genome="mm10"), GenomeError, "a.h5ad is on mm10, .* on hg38"),
            (given, source(counting="insertion"), InputError, "by insertion.* by fragment"),
            (
                replace(given, vectors={"general": vectors[:, :5]}),
                source(),
                InputError,
                r"\[3, 5\].*\[n, 16\]",
            ),
            (replace(given, vectors={"other": vectors}), source(), InputError, "no vectors 'other'"),
            (replace(given, vectors={"general": bad}), source(), InputError, "of 'c1' is not finite"),
            (replace(given, items=["x"]), source(), InputError, "1 items for 3 ids"),
        ]:
            with pytest.raises(error, match=says):
                writer.add("cells", refused, where)
        with pytest.raises(InputError, match="unknown collection 'genes'"):
            writer.add("genes", given, source())
    assert index.snapshot().generation == 0
    index.check_model("m" * 64, "u" * 64)
    with pytest.raises(DigestError, match=r"model nnnnnnnnnnnn did not make.*mmmmmmmmmmmm did"):
        index.check_model("n" * 64, "u" * 64)
    with pytest.raises(DigestError, match=r"universe vvvvvvvvvvvv did not make.*uuuuuuuuuuuu did"):
        index.check_model("m" * 64, "v" * 64)


def test_bad_questions(new_index: Make, batch: MakeBatch) -> None:
    index = new_index()
    with index.writer() as writer:
        given = batch(4)
        writer.add("cells", replace(given, items=["twin", "twin", "x", "y"]), source())
    snap = index.snapshot()
    query = given.vectors["general"][:1]
    with pytest.raises(InputError, match=r"3 dimensions.*16"):
        snap.knn("cells", query[:, :3], 1)
    with pytest.raises(InputError, match="not finite"):
        snap.knn("cells", query * np.nan, 1)
    with pytest.raises(InputError, match="no vectors 'rna'; it has general"):
        snap.knn("cells", query, 1, name="rna")
    with pytest.raises(InputError, match=r"k must be at least 1"):
        snap.knn("cells", query, 0)
    with pytest.raises(InputError, match="'ghost' is not among the cells"):
        snap.rows("cells", ["s#c1", "ghost"])
    with pytest.raises(InputError, match=r"no column 'age'; columns: id, item"):
        snap.rows("cells", ["s#c1"], ["age"])
    with pytest.raises(InputError, match=r"several cells of this index: s#c0, s#c1"):
        snap.find("cells", "twin")


def test_creating_and_opening(tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    genes = tmp_path / "tss.bed"
    genes.write_text("chr1\t1\t2\n")
    path = tmp_path / "deep" / "my.index"
    options = {**CREATE, "model_dir": model, "genes": genes, "genome": "hg38"}
    index = IndexFolder.create(path, **options)
    assert json.loads((path / "index.json").read_text())["vectors"] == {"general": DIM}
    assert (index.model_path / "config.json").read_text() == "{}"
    assert index.genes_path is not None
    assert index.genes_path.name == "tss.bed"
    assert IndexFolder.open(path).info == index.info
    with pytest.raises(InputError, match="is an index already"):
        IndexFolder.create(path, **options)
    with pytest.raises(InputError, match="exists and is not an empty folder"):
        IndexFolder.create(tmp_path, **options)
    with pytest.raises(InputError, match="atacsearch index create"):
        IndexFolder.open(model)
    with pytest.raises(InputError, match="an index is a folder"):
        IndexFolder.open(genes)
    with pytest.raises(InputError, match="float32 or float16"):
        IndexFolder.create(tmp_path / "x", **{**options, "dtype": "int8"})
    linked = IndexFolder.create(tmp_path / "linked", **{**options, "copy_model": False})
    assert linked.model_path == model
    record = json.loads((path / "index.json").read_text())
    (path / "index.json").write_text(json.dumps({**record, "format_version": 99}))
    with pytest.raises(InputError, match=r"format 99.*newer atacsearch"):
        IndexFolder.open(path)


def test_status_and_small_parts_are_merged(new_index: Make, batch: MakeBatch) -> None:
    index = new_index()
    with index.writer() as writer:
        for i in range(5):
            writer.add("bedfiles", batch(10, i, f"s{i}"), source(f"s{i}"))
            writer.publish()
    status = index.status().to_dict()
    held = status["collections"]["bedfiles"]
    assert (held["items"], held["sources"], held["shards"], held["parts"]) == (50, 5, 5, 1)
    assert (status["generation"], status["writer"]) == (5, None)
    assert held["columns"]["depth"] == "number"


def test_labels_of_one_column_in_several_types(new_index: Make, batch: MakeBatch) -> None:
    """Numbers, then text: the column becomes text and the parts are rebuilt; filters follow."""
    index = new_index()
    with index.writer() as writer:
        writer.add("cells", batch(30, 0, "a", cluster=[0, 1, 2] * 10, stage=[None] * 30), source("a"))
        writer.publish()
        assert index.snapshot().columns("cells")["cluster"].kind == "number"
        writer.add("cells", batch(30, 1, "b", cluster=["0", "1", "2"] * 10, stage=[1.5] * 30), source("b"))
        writer.publish()
        assert index.snapshot().columns("cells")["cluster"].kind == "number"
        assert index.snapshot().columns("cells")["stage"].kind == "number"
        labels = batch(30, 2, "c", Cluster=["0", "one", ""] * 10)
        writer.add("cells", labels, source("c"))
    snap = index.snapshot()
    column = snap.columns("cells")["cluster"]
    assert (column.kind, column.n_distinct) == ("text", 4)
    query = np.ones((1, DIM), np.float32)
    for engine in ("scan", "qdrant"):
        found = snap.knn("cells", query, 90, "cluster in (0, one)", engine=engine)  # type: ignore[arg-type]
        assert len(found.ids[0]) == 40
        found = snap.knn("cells", query, 90, "stage>1", engine=engine)  # type: ignore[arg-type]
        assert len(found.ids[0]) == 30
    assert verify_index(index).ok


def test_label_names_that_clash_are_renamed(new_index: Make, batch: MakeBatch) -> None:
    index = new_index()
    given = batch(2)
    labels = pa.table({"id": ["x", "y"], "Age": [1, 2], "age": [3, 4], "a.b [c]": ["p", "q"]})
    with index.writer() as writer:
        writer.add("cells", replace(given, labels=labels), source())
        assert writer.notes == [
            "a.h5ad: the label column 'id' is stored as 'label_id'",
            "a.h5ad: the label column 'age' is stored as 'age_2'",
        ]
    snap = index.snapshot()
    assert list(snap.columns("cells")) == ["label_id", "Age", "age_2", "a.b [c]"]
    assert snap.knn("cells", given.vectors["general"], 2, "'a.b [c]'=q", engine="qdrant").ids[0] == ["s#c1"]


def test_regions_need_no_labels_of_their_own_kind(new_index: Make) -> None:
    index = new_index()
    labels = pa.table(
        {"context": ["B", "B"], "chrom": ["chr1", "chr2"], "start": [1, 5], "end": [4, 9], "token": [0, 7]}
    )
    batch = Batch(["B@0", "B@7"], ["chr1:2-4", "chr2:6-9"], labels, None, {"general": np.eye(2, DIM)})
    with index.writer() as writer:
        writer.add("regions", batch, Source("regions:B", "context B"))
        writer.add("regions", Batch([], [], None, None, {}), Source("regions:none", "none"))
    snap = index.snapshot()
    assert snap.rows("regions", ["B@7"], ["chrom", "start", "end"]).to_pylist() == [
        {"chrom": "chr2", "start": 5, "end": 9}
    ]
    assert snap.knn("regions", np.eye(2, DIM)[1], 1, "start>=5 and end<10", engine="qdrant").ids == [["B@7"]]
    assert snap.tokens("regions", ["B@0"]).lengths.tolist() == [0]
