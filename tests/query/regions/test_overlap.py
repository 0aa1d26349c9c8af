"""`overlap` answers what a walk over every item's regions answers."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from toy_index import DIM, Toy

from atacsearch.errors import InputError
from atacsearch.index import Index as OpenIndex
from atacsearch.query.regions import overlap as overlap_module
from atacsearch.query.session import Session
from atacsearch.store.index.folder import IndexFolder


def overlap(session: Session, *asked: Any, **options: Any) -> pa.Table:
    return OpenIndex(session).overlap(*asked, **options).to_arrow()


@pytest.fixture(scope="module")
def toys() -> Iterator[list[Toy]]:
    with tempfile.TemporaryDirectory() as folder:
        made = [Toy(Path(folder) / str(seed), seed) for seed in range(2)]
        yield made
        for toy in made:
            toy.index.close()


def bed(tmp_path: Path, seed: int) -> tuple[Path, list[tuple[str, int, int]]]:
    rng = np.random.default_rng(seed)
    regions = [("chr1", 100, 200), ("chr2", 100, 300), ("chr9", 0, 50), ("chr1", 0, 4000)]
    for _ in range(12):
        start = int(rng.integers(0, 4000))
        regions.append((str(rng.choice(["chr1", "chr2"])), start, start + int(rng.integers(1, 700))))
    path = tmp_path / "q.bed"
    path.write_text("".join(f"{c}\t{s}\t{e}\n" for c, s, e in regions))
    return path, regions


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("kind", ["cells", "bedfiles"])
def test_items_one_by_one(toys: list[Toy], tmp_path: Path, which: int, kind: str) -> None:
    toy = toys[which]
    path, regions = bed(tmp_path, which)
    word = "beds" if kind == "bedfiles" else kind
    table = overlap(toy.session, path, collections=[word], by="id")
    found = {
        (r["query_chrom"], r["query_start"], r["query_end"], r["value"], r["n_regions"], r["query_regions"])
        for r in table.to_pylist()
    }
    assert found == {
        (*region, item, len(have & asked), len(asked))
        for region in regions
        for asked in [toy.tokens(*region)]
        for item, have in toy.sets[kind].items()
        if have & asked
    }


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("where", [(), ("depth>=3",)])
def test_cells_by_type(toys: list[Toy], tmp_path: Path, which: int, where: tuple[str, ...]) -> None:
    toy = toys[which]
    path, regions = bed(tmp_path, which)
    table = overlap(toy.session, path, collections=["cells"], where=where, every=True)
    got = {
        (r["query"], r["value"]): (r["n_open"], r["n_all"], r["n_regions"], r["fraction"])
        for r in table.to_pylist()
    }
    wanted = {}
    for chrom, start, end in regions:
        asked = toy.tokens(chrom, start, end)
        for name in ("B", "NK", "T"):
            have = [
                s for i, s in toy.sets["cells"].items() if toy.types[i] == name and (not where or len(s) >= 3)
            ]
            hit = [s & asked for s in have if s & asked]
            if have:
                row = (len(hit), len(have), len(set().union(*hit)), len(hit) / len(have))
                wanted[f"{chrom}:{start + 1}-{end}", name] = row
    assert got == wanted


def test_all_regions_together(toys: list[Toy], tmp_path: Path) -> None:
    toy = toys[0]
    path, regions = bed(tmp_path, 0)
    asked = set().union(*(toy.tokens(*r) for r in regions))
    table = overlap(toy.session, path, collections=["beds"], together=True)
    assert {(r["value"], r["n_regions"]) for r in table.to_pylist()} == {
        (i, len(have & asked)) for i, have in toy.sets["bedfiles"].items() if have & asked
    }
    assert table["n_regions"].to_pylist() == sorted(table["n_regions"].to_pylist(), reverse=True)
    assert "query_start" not in table.column_names


def test_region_strings_are_one_based_and_touching_is_no_overlap(toys: list[Toy]) -> None:
    toy = toys[0]
    said: list[str] = []
    toy.session.notify = said.append
    table = overlap(toy.session, "chr1:101-200", collections=["beds"])
    row = table.to_pylist()[0]
    assert (row["query_start"], row["query_end"], row["query_regions"]) == (100, 200, 1)
    assert {r["value"] for r in table.to_pylist()} == {i for i, s in toy.sets["bedfiles"].items() if 1 in s}
    assert "BED chr1 100 200" in said[0]


def test_best_rows_and_label_columns(toys: list[Toy]) -> None:
    toy = toys[0]
    whole = overlap(toy.session, "chr1:1-4000", collections=["cells"], by="id", columns=["cell_type"])
    best = overlap(toy.session, "chr1:1-4000", collections=["cells"], by="id", k=2)
    assert best.num_rows == 2
    assert best["value"].to_pylist() == whole["value"].to_pylist()[:2]
    assert whole["cell_type"].to_pylist() == [toy.types[i] for i in whole["value"].to_pylist()]


def test_long_queries_go_in_pieces(toys: list[Toy], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toy = toys[1]
    path, _ = bed(tmp_path, 3)
    whole = [overlap(toy.session, path, by=by) for by in (None, "id", "cell_type")]
    monkeypatch.setattr(overlap_module, "CHUNK", 3)
    monkeypatch.setattr(overlap_module, "GROUP_CHUNK", 7)
    assert [overlap(toy.session, path, by=by) for by in (None, "id", "cell_type")] == whole
    monkeypatch.setattr(overlap_module, "MAX_ROWS", 20)
    with pytest.raises(InputError, match="more than 20 answers"):
        overlap(toy.session, path, by="id")


@pytest.mark.parametrize(
    ("query", "options", "message"),
    [
        ("chr7:1-100", {}, "no chromosome 'chr7'"),
        ("chr2:201-300", {}, r"overlaps no region of the universe; the nearest is chr2:\d+"),
        ("chr2:300-200", {}, "ends before it starts"),
        ("nobody", {}, "no gene table"),
        ("chr1:1-100", {"by": "colour"}, "no such column in this index; there are: cell_type"),
        ("chr1:1-100", {"collections": ["beds"], "by": "colour"}, "no column 'colour'"),
        ("chr1:1-100", {"collections": ["regions"]}, "holds no regions"),
        ("chr1:1-100", {"collections": ["genes"]}, "expected one of cells, beds, regions"),
        ("chr1:1-100", {"where": ["colour=red"]}, "no column 'colour'"),
    ],
)
def test_bad_questions_get_one_clear_line(
    toys: list[Toy], query: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        overlap(toys[0].session, query, **options)


def test_a_file_that_nothing_of_the_universe_meets(toys: list[Toy], tmp_path: Path) -> None:
    path = tmp_path / "far.bed"
    path.write_text("chr2\t200\t300\nchr2\t500\t600\n")
    with pytest.raises(InputError, match="none of its 2 regions overlaps"):
        overlap(toys[0].session, path)


def test_an_empty_index(tmp_path: Path, toys: list[Toy]) -> None:
    digest = toys[0].universe.digest
    index = IndexFolder.create(
        tmp_path / "e",
        model_dir=None,
        model_digest="m" * 64,
        universe_digest=digest,
        vectors={"general": DIM},
    )
    session = Session(index)
    session.__dict__["universe"] = toys[0].universe
    with index, pytest.raises(InputError, match="the index is empty"):
        overlap(session, "chr1:1-100")
