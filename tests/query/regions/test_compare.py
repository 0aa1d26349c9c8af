"""`compare` answers what counting over all items and scipy's tests answer."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import false_discovery_control, fisher_exact
from toy_index import Toy, V

from atacsearch.errors import InputError
from atacsearch.index import Index as OpenIndex
from atacsearch.query.regions.compare import log_p_values, write_bed
from atacsearch.query.session import Session
from atacsearch.readers.bed import read_bed


def compare(session: Session, *asked: Any, **options: Any) -> pa.Table:
    return OpenIndex(session).compare(*asked, **options).to_arrow()


@pytest.fixture(scope="module")
def toy() -> Iterator[Toy]:
    with tempfile.TemporaryDirectory() as folder:
        made = Toy(Path(folder), 5)
        yield made
        made.index.close()


def reference(
    a: list[set[int]], b: list[set[int]], least: float, most: float
) -> dict[int, tuple[float, ...]]:
    """Token -> counts, difference, log2 odds ratio, p and q of what `compare` should show."""
    rows = {}
    for token in range(V):
        x, y = sum(token in s for s in a), sum(token in s for s in b)
        if x or y:
            p = fisher_exact([[x, len(a) - x], [y, len(b) - y]]).pvalue
            odds = np.log2((x + 0.5) * (len(b) - y + 0.5) / ((len(a) - x + 0.5) * (y + 0.5)))
            rows[token] = (x, y, x / len(a) - y / len(b), odds, p)
    q = false_discovery_control([r[4] for r in rows.values()])
    rows = {t: (*r, one) for (t, r), one in zip(rows.items(), q, strict=True)}
    return {t: r for t, r in rows.items() if abs(r[2]) >= least and r[2] != 0 and r[5] <= most}


def shown(toy: Toy, table: Any) -> dict[int, tuple[float, ...]]:
    columns = ("n_a", "n_b", "difference", "log2_odds_ratio", "p_value", "q_value")
    found = {}
    for row in table.to_pylist():
        (token,) = toy.tokens(row["chrom"], row["start"], row["end"])
        found[token] = tuple(row[c] for c in columns)
    assert len(found) == table.num_rows
    return found


@pytest.mark.parametrize("kind", ["cells", "bedfiles"])
@pytest.mark.parametrize(("least", "most"), [(0.0, 1.0), (0.2, 1.0), (0.1, 0.9)])
def test_two_selections(toy: Toy, kind: str, least: float, most: float) -> None:
    a, b = ([s for i, s in toy.sets[kind].items() if toy.types[i] == name] for name in ("B", "NK"))
    word = "beds" if kind == "bedfiles" else "cells"
    table = compare(toy.session, "cell_type=B", "cell_type=NK", collection=word, min_difference=least, q=most)
    found, wanted = shown(toy, table), reference(a, b, least, most)
    assert found.keys() == wanted.keys()
    for token, row in wanted.items():
        assert found[token] == pytest.approx(row, rel=1e-6)
    difference = np.abs(table["difference"].to_numpy())
    assert (np.diff(difference) <= 0).all()
    assert table["name"].to_pylist() == [
        "cell_type=B" if d > 0 else "cell_type=NK" for d in table["difference"].to_pylist()
    ]
    assert table["score"].to_pylist() == np.round(1000 * difference).astype(int).tolist()


def test_against_the_rest(toy: Toy) -> None:
    cells = toy.sets["cells"]
    a = [s for i, s in cells.items() if toy.types[i] == "T"]
    rest = [s for i, s in cells.items() if toy.types[i] in ("B", "NK")]  # no value is no side
    table = compare(toy.session, "rest", "cell_type=T", collection="cells", min_difference=0, q=1)
    assert shown(toy, table).keys() == reference(rest, a, 0, 1).keys()
    fewer = compare(toy.session, "rest", "cell_type=T", collection="cells", min_difference=0, q=1, k=2)
    names = fewer["name"].to_pylist()
    assert (names.count("rest"), names.count("cell_type=T")) == (2, 2)
    assert set(shown(toy, fewer)) <= set(shown(toy, table))


def test_two_single_items_are_compared_as_sets(toy: Toy, tmp_path: Path) -> None:
    item, have = next((i, s) for i, s in toy.sets["bedfiles"].items() if len(s) > 10)
    path = tmp_path / "q.bed"
    path.write_text("chr1\t100\t450\n")
    asked = toy.tokens("chr1", 100, 450)
    table = compare(toy.session, str(path), item)
    rows = {t: r[2] for t, r in shown(toy, table).items()}
    assert rows == {**dict.fromkeys(asked - have, 1.0), **dict.fromkeys(have - asked, -1.0)}
    assert table["p_value"].null_count == table.num_rows


def test_an_item_is_left_out_of_the_other_side(toy: Toy) -> None:
    item, have = next((i, s) for i, s in toy.sets["cells"].items() if toy.types[i] == "B" and s)
    others = [s for i, s in toy.sets["cells"].items() if toy.types[i] == "B" and i != item]
    said: list[str] = []
    toy.session.notify = said.append
    table = compare(toy.session, item, "cell_type=B", min_difference=0, q=1)
    assert shown(toy, table).keys() == reference([have], others, 0, 1).keys()
    assert f"{item} is left out of cell_type=B" in said


def test_written_as_bed(toy: Toy, tmp_path: Path) -> None:
    table = compare(toy.session, "cell_type=B", "rest", min_difference=0, q=1)
    write_bed(table, tmp_path / "d.bed")
    regions = read_bed(tmp_path / "d.bed")
    assert len(regions) == table.num_rows
    keys = list(zip(regions.names(), regions.start, strict=True))
    assert keys == sorted(keys)
    first = (tmp_path / "d.bed").read_text().splitlines()[1].split("\t")
    assert first[5] == "."
    assert 0 <= int(first[4]) <= 1000


def test_p_values_of_large_groups() -> None:
    rng = np.random.default_rng(0)
    sizes = (4000, 700)
    counts = np.stack([rng.integers(0, n + 1, 60) for n in sizes], 1)
    counts = np.concatenate([counts, counts[:5], [[0, 0], [4000, 700], [4000, 0]]])
    wanted = [fisher_exact([[x, sizes[0] - x], [y, sizes[1] - y]]).pvalue for x, y in counts.tolist()]
    assert np.exp(log_p_values(counts, sizes)) == pytest.approx(wanted, rel=1e-6, abs=1e-300)


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (
            "cell_type=Z",
            "cell_type=B",
            "no item of the cells or beds meets this; cell_type is one of B, NK, T",
        ),
        ("cell_type=B", "depth>=0", "share .* choose two that exclude each other"),
        ("rest", "rest", "give the other one"),
        ("colour=red", "rest", "no column 'colour'"),
        ("nobody", "rest", "no file, no indexed id, no condition"),
    ],
)
def test_bad_sides_get_one_clear_line(toy: Toy, a: str, b: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        compare(toy.session, a, b)


def test_nothing_sure_is_said(toy: Toy) -> None:
    said: list[str] = []
    toy.session.notify = said.append
    assert compare(toy.session, "cell_type=B", "rest", min_difference=0.01, q=0).num_rows == 0
    assert any("--q 1 shows them all" in line for line in said)
