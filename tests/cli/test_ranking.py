"""Ranking by exact overlap through the command line and Python: `search beds|cells --rank`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from calling import Run
from scipy import stats
from tiny_world import PER_CHROM, World

from atacsearch.errors import InputError
from atacsearch.index import open_index
from atacsearch.query.regions.shared_regions import by_postings, by_tokens
from atacsearch.query.regions.statistics import STATISTICS
from atacsearch.query.regions.token_cache import TokenCache
from atacsearch.query.search.fusion import FUSED

REGIONS = 2 * PER_CHROM


@pytest.fixture(scope="module")
def query(world: World) -> Path:
    """20 regions: 15 that the first BED files have, 5 that only those of the other kind have."""
    return world.bed("ranked.bed", [*range(15), *range(120, 125)])


def ask(run: Run, *more: object) -> list[dict[str, object]]:
    answer = run("search", *more, "--format", "json")
    assert answer.code == 0, answer.err
    rows = json.loads(answer.out)
    assert isinstance(rows, list)
    return rows


def test_overlap_is_exact_and_tested_against_the_universe(run: Run, query: Path, built: Path) -> None:
    rows = ask(run, "beds", query, "--index", built, "--rank", "overlap", "-k", 3)
    assert [str(r["id"])[-6:] for r in rows] == ["f0.bed", "f2.bed", "f4.bed"]
    for row, size in zip(rows, (40, 42, 44), strict=True):
        assert (row["query_regions"], row["item_regions"], row["shared"]) == (20, size, 15)
        assert row["expected"] == pytest.approx(20 * size / REGIONS)
        assert row["jaccard"] == pytest.approx(15 / (20 + size - 15))
        table = [[15, 5], [size - 15, REGIONS - size - 5]]
        for name, side in (("p_value", "greater"), ("p_two_sided", "two-sided")):
            assert row[name] == pytest.approx(stats.fisher_exact(table, alternative=side).pvalue)
        assert row["odds_ratio"] == pytest.approx(stats.fisher_exact(table).statistic)
    every = ask(run, "beds", query, "--index", built, "--rank", "overlap", "-k", 6)
    q = stats.false_discovery_control([r["p_value"] for r in every])
    assert [r["q_value"] for r in every] == pytest.approx(q.tolist())
    # q is over all six that were tested, however few are shown
    assert [r["q_value"] for r in rows] == pytest.approx(q[:3].tolist())


def test_the_background_can_be_what_is_indexed(run: Run, query: Path, built: Path) -> None:
    answer = run("search", "beds", query, "--index", built, "--rank", "overlap", "--background", "indexed")
    assert answer.code == 0, answer.err
    indexed = 44 + 165 - 120  # f4 holds regions 0 to 44, f5 120 to 165
    assert f"against a background of {indexed:,} regions (those open in any of the bedfiles)" in answer.err
    assert "6 items a query (all that may answer)" in answer.err
    rows = ask(run, "beds", query, "--index", built, "--rank", "overlap", "--background", "indexed", "-k", 1)
    assert rows[0]["expected"] == pytest.approx(20 * 40 / indexed)


def expected(size: object) -> float:
    """Regions shared with the query as openness lets expect, for a file of the first kind."""
    assert isinstance(size, int)
    tail = {40: [], 42: [2, 2], 44: [2, 2, 1, 1]}[size]
    own = 40 * 3 + sum(tail)
    total = 40 + 41 + 42 + 43 + 44 + 45
    return (20 * own + size * 20 * 3) / (2 * total)


def test_fused_joins_both_orders(run: Run, query: Path, built: Path) -> None:
    rows = ask(run, "beds", query, "--index", built, "--rank", "fused", "-k", 6)
    scores = [r["fused_score"] for r in rows]
    similarity = -np.array([r["distance"] for r in rows], float)
    enriched = np.array([r["enrichment"] for r in rows], float)
    parts = [(v - v.mean()) / v.std() for v in (similarity, enriched)]
    assert scores == pytest.approx((0.3 * parts[0] + 0.7 * parts[1]).tolist())
    # regions 0 to 39 are open in the three first files, 120 to 159 in the others, the tails in one or two
    assert rows[0]["enrichment"] == pytest.approx(np.log2(16 / (1 + expected(rows[0]["item_regions"]))))
    assert scores == sorted(scores, reverse=True)  # type: ignore[type-var]
    distance = np.array([r["distance"] for r in rows], float)
    assert [r["cosine_rank"] for r in rows] == [1 + int((distance < d).sum()) for d in distance]
    assert [r["rank"] for r in rows] == [1, 2, 3, 4, 5, 6]


def test_cosine_is_as_before_with_and_without_statistics(run: Run, query: Path, built: Path) -> None:
    plain = ask(run, "beds", query, "--index", built, "-k", 4)
    counted = ask(run, "beds", query, "--index", built, "-k", 4, "--statistics")
    assert not {*STATISTICS, *FUSED} & {*plain[0]}
    assert {*STATISTICS} <= {*counted[0]}
    assert [{n: r[n] for n in plain[0]} for r in counted] == plain


def test_candidates_bound_what_is_counted(run: Run, query: Path, built: Path) -> None:
    answer = run("search", "beds", query, "--index", built, "--rank", "overlap", "--candidates", 2, "-k", 2)
    assert "2 items a query (the nearest)" in answer.err
    near = ask(run, "beds", query, "--index", built, "-k", 2)
    rows = ask(run, "beds", query, "--index", built, "--rank", "overlap", "--candidates", 2, "-k", 2)
    assert {r["id"] for r in rows} == {r["id"] for r in near}


def test_cells_and_ids_and_regions_are_ranked(run: Run, world: World, built: Path) -> None:
    rows = ask(run, "cells", world.query, "--index", built, "--rank", "overlap", "-k", 5)
    assert len(rows) == 19 * 5  # the empty cell gets no answers
    jaccards = [r["jaccard"] for r in rows[:5]]
    assert jaccards == sorted(jaccards, reverse=True)  # type: ignore[type-var]
    own = rows[0]["id"]
    by_id = ask(run, "cells", own, "--index", built, "--rank", "overlap", "-k", 60)
    assert own not in {r["id"] for r in by_id}
    region = ask(run, "cells", "chr1:1000001-1000500", "--index", built, "--rank", "overlap", "-k", 3)
    assert {r["query_regions"] for r in region} == {1}


def test_bad_ranks_are_refused_in_one_line(run: Run, query: Path, built: Path) -> None:
    wrong = run("search", "beds", query, "--index", built, "--rank", "size")
    assert wrong.code == 2
    assert "cosine" in wrong.err
    client = open_index(built)
    with pytest.raises(InputError, match="--rank size: expected one of cosine, overlap, fused"):
        client.search("beds", query, rank="size")
    with pytest.raises(InputError, match="--background all: expected one of"):
        client.search("beds", query, rank="fused", background="all")
    with pytest.raises(InputError, match="--candidates 0: expected a whole number, 1 or more"):
        client.search("beds", query, rank="fused", candidates=0)
    with pytest.raises(InputError, match="by their vectors alone"):
        client.search("regions", "chr1:1000001-1000500", rank="fused")


def test_a_table_for_reading_has_few_columns(run: Run, query: Path, built: Path) -> None:
    table = run("search", "beds", query, "--index", built, "--rank", "fused")
    shown = table.out.splitlines()[0].split()
    assert shown[:4] == ["query", "rank", "id", "distance"]
    assert {"shared", "expected", "jaccard", "odds_ratio", "q_value", "cell_type", "assay"} <= {*shown}
    assert not {"log10_p_value", "cosine_rank"} & {*shown}
    full = run("search", "beds", query, "--index", built, "--rank", "fused", "--columns", "all").out
    assert {"log10_p_value", "cosine_rank"} <= {*full.splitlines()[0].split()}
    one = run("search", "beds", query, "--index", built, "--columns", "assay").out.splitlines()[0].split()
    assert one == ["query", "rank", "id", "distance", "assay"]


def test_tokens_stay_in_memory_up_to_a_bound(built: Path) -> None:
    snapshot = open_index(built)._session.snapshot()
    ids = snapshot.all_ids("bedfiles")
    cache = TokenCache("bedfiles", kept_bytes=4 * 100)
    for _ in range(2):
        found = dict(cache.each(snapshot, [*ids, ids[0]]))
        assert sorted(found) == sorted(ids)
        for item_id, tokens in zip(ids, snapshot.tokens("bedfiles", ids), strict=True):
            np.testing.assert_array_equal(found[item_id], tokens)
        assert 0 < sum(t.nbytes for t in cache._kept.values()) <= 400


@pytest.mark.parametrize("kind", ["cells", "bedfiles"])
def test_posting_lists_and_tokens_give_the_same_counts(index: Path, kind: str) -> None:
    snapshot = open_index(index)._session.snapshot()
    ids = snapshot.all_ids(kind)
    rng = np.random.default_rng(3)
    queries = [np.sort(rng.choice(REGIONS, n, replace=False)).astype(np.uint32) for n in (0, 1, 50, 399)]
    candidates = [list(rng.permutation(ids)[:n]) for n in (3, 0, 5, 6)]
    for one, other in zip(
        by_tokens(snapshot, kind, queries, candidates, REGIONS),
        by_postings(snapshot, kind, queries, candidates, REGIONS),
        strict=True,
    ):
        np.testing.assert_array_equal(one.sizes, other.sizes)
        np.testing.assert_array_equal(one.shared, other.shared)
    assert snapshot.row_numbers(kind, ids[::-1]).tolist() == list(range(len(ids)))[::-1]


def test_scattered_candidates_are_counted_by_posting_lists(
    run: Run, query: Path, built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("cells", query, "--index", built, "--rank", "overlap", "--candidates", 3, "-k", 3)
    expected_rows = ask(run, *words, "--background", "indexed")

    def no_tokens(*_: object, **__: object) -> None:
        raise AssertionError("tokens were read")

    monkeypatch.setattr("atacsearch.query.regions.shared_regions.by_tokens", no_tokens)
    assert ask(run, *words, "--background", "indexed") == expected_rows
