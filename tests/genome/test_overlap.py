"""The search over sorted regions, against comparing every pair: any nesting, order, duplicates, zero lengths."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from atacsearch.genome.intervals import Intervals
from atacsearch.genome.overlap import OverlapIndex

NAMES = ("chr2", "chr1", "chrX")


def columns(rows):
    code, start, width = np.array(rows, np.int64).reshape(-1, 3).T
    return Intervals(NAMES, code.astype(np.int32), start, start + width)


def drawn(shortest, least, most):
    row = st.tuples(st.integers(0, 2), st.integers(0, 90), st.integers(shortest, 40))
    return st.tuples(st.lists(row, min_size=least, max_size=most), st.booleans()).map(
        lambda found: columns(sorted(found[0]) if found[1] else found[0])
    )


def bookended():
    """Regions of one width side by side: one layer, in order."""
    return st.tuples(st.integers(1, 7), st.integers(1, 60)).map(
        lambda found: columns([(c, i * found[0], found[0]) for c in range(3) for i in range(found[1])])
    )


@settings(max_examples=500, deadline=None)
@given(drawn(0, 0, 40), drawn(1, 1, 60) | bookended(), st.booleans())
def test_every_pair_and_each_region_once(queries, regions, real_only):
    index = OverlapIndex(regions)
    placed = regions.take(index.order)
    pairs = (
        (queries.chrom[:, None] == placed.chrom)
        & (placed.start < queries.end[:, None])
        & (placed.end > queries.start[:, None])
    )
    real = (queries.end > queries.start)[:, None]
    rows, positions = index.query(queries, real_only=real_only)
    expected = np.nonzero(pairs & real if real_only else pairs)
    assert rows.tolist() == expected[0].tolist()
    assert positions.tolist() == expected[1].tolist()
    covered, n_hit = index.covered(queries)
    assert covered.dtype == np.uint32
    assert covered.tolist() == sorted(index.order[(pairs & real).any(0)].tolist())
    assert n_hit == index.n_hit(queries) == int((pairs & real).any(1).sum())


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 12), st.floats(0.2, 60))
def test_long_ways_from_query_to_query(seed, width, sparse):
    """Runs of hundreds of regions between queries and within them, forwards and backwards."""
    rng = np.random.default_rng(seed)
    start = np.sort(rng.integers(0, 20_000, 3000))
    regions = Intervals(("a", "b"), np.repeat([0, 1], 1500).astype(np.int32), start, start + width)
    n = int(3000 / sparse)
    at = np.sort(rng.integers(-50, 21_000, n))
    queries = Intervals(
        ("b", "zz", "a"), np.sort(rng.integers(0, 3, n)).astype(np.int32), at, at + rng.integers(0, 900, n)
    )
    queries = queries.take(np.lexsort((queries.start, queries.chrom)))
    index = OverlapIndex(regions)
    for asked in (queries, queries.take(rng.permutation(n))):
        same = np.array([1, 9, 0])[asked.chrom][:, None] == regions.chrom
        pairs = same & (regions.start < asked.end[:, None]) & (regions.end > asked.start[:, None])
        pairs &= (asked.end > asked.start)[:, None]
        rows, positions = index.query(asked, real_only=True)
        placed = np.zeros(pairs.shape, bool)
        placed[rows, index.order[positions]] = True
        assert np.array_equal(placed, pairs)
        assert index.covered(asked)[0].tolist() == np.flatnonzero(pairs.any(0)).tolist()


def test_no_queries_and_positions_beyond_any_genome():
    index = OverlapIndex(columns([(0, 5, 10), (1, 2**33, 5)]))
    assert index.query(columns([]))[0].tolist() == []
    assert index.covered(columns([]))[1] == 0
    assert index.n_hit(columns([(0, -20, 26), (0, -20, 25), (1, 7, 2**34)])) == 1
