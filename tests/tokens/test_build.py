"""Building a universe: sorted, disjoint, within the widths, the best covered kept."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atacsearch.errors import GenomeError, InputError
from atacsearch.genome.intervals import Intervals
from atacsearch.tokens.build import Pileup, build_universe


def make(rows):
    names, starts, ends = zip(*rows, strict=True) if rows else ((), (), ())
    return Intervals.from_columns(names, starts, ends)


def regions(universe):
    return [universe.region(i) for i in range(len(universe))]


peak = st.tuples(st.sampled_from(["chr1", "chr2", "chr10"]), st.integers(0, 3000), st.integers(1, 900))
source = st.lists(peak.map(lambda p: (p[0], p[1], p[1] + p[2])), min_size=1, max_size=30)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(source, min_size=1, max_size=5), st.integers(1, 60), st.integers(120, 500), st.integers(1, 40)
)
def test_always_sorted_disjoint_and_within_the_limits(sources, low, high, most):
    universe = build_universe([make(s) for s in sources], max_regions=most, min_width=low, max_width=high)
    info = universe.info()
    assert info.is_sorted
    assert info.is_disjoint
    assert info.n_regions <= most
    assert low <= info.min_width
    assert info.max_width <= high
    widened = make([(c, s - low, e + low) for s_ in sources for c, s, e in s_])
    assert universe.tokenize(widened)[0].tolist() == list(range(len(universe)))


@settings(max_examples=50, deadline=None)
@given(st.lists(source, min_size=2, max_size=4))
def test_the_order_of_inputs_and_lines_does_not_matter(sources):
    forward = build_universe([make(s) for s in sources])
    backward = build_universe([make(s[::-1]) for s in sources[::-1]])
    assert regions(forward) == regions(backward)


def test_narrow_peaks_at_the_ends_of_a_chromosome_are_widened_inwards():
    last = 248_956_422  # bp of chr1 of hg38
    peaks = make([("chr1", 0, 1), ("chr1", last - 1, last)])
    assert regions(build_universe([peaks], genome="hg38", min_width=100)) == [
        ("chr1", 0, 100),
        ("chr1", last - 100, last),
    ]


def test_a_narrow_peak_is_found_inside_a_broad_domain():
    broad = make([("chr1", 0, 20_000)])
    narrow = make([("chr1", 5_000, 5_400)])
    assert ("chr1", 5_000, 5_400) in regions(build_universe([broad, narrow]))


def test_a_plateau_is_tiled_evenly():
    assert regions(build_universe([make([("chr1", 100, 2_600)])])) == [
        ("chr1", 100, 933),
        ("chr1", 933, 1_766),
        ("chr1", 1_766, 2_600),
    ]


def test_best_covered_regions_are_kept_and_a_cutoff_drops_the_rest():
    once, twice = ("chr1", 1_000, 1_500), ("chr2", 1_000, 1_500)
    sources = [make([once, twice]), make([twice])]
    assert regions(build_universe(sources, max_regions=1)) == [twice]
    assert regions(build_universe(sources, cutoff=2)) == [twice]
    with pytest.raises(InputError, match="no region is covered by 3 of the 2 inputs"):
        build_universe(sources, cutoff=3)


def test_the_peaks_of_a_single_matrix_are_kept_as_they_are_by_coverage():
    peaks = make([("chr2", 10, 60), ("chr1", 500, 3_000), ("chr1", 5, 9)])
    assert regions(build_universe([(peaks, [5, 9, 1])], max_regions=2)) == [
        ("chr1", 500, 3_000),
        ("chr2", 10, 60),
    ]
    split = build_universe([(peaks, [5, 9, 1])], min_width=50, max_width=1_500)
    assert ("chr1", 500, 1_750) in regions(split)
    with pytest.raises(InputError, match="2 coverages do not fit 3 peaks"):
        build_universe([(peaks, [1, 2])])


def test_matrices_with_the_same_peaks_are_one():
    peaks = make([("chr1", 0, 2500), ("chr1", 2500, 2550), ("chr2", 5, 60)])
    coverage = np.array([5, 3, 1])
    alone = build_universe([(peaks, coverage)])
    assert regions(build_universe([(peaks, coverage), (peaks, coverage)])) == regions(alone)
    assert regions(build_universe([(peaks, coverage), (peaks, coverage[::-1])], max_regions=1)) == [
        ("chr1", 0, 2500)
    ]
    other = make([("chr1", 0, 2500), ("chr1", 2500, 2550), ("chr2", 5, 61)])
    assert regions(build_universe([(peaks, coverage), (other, coverage)])) != regions(alone)


def test_fragments_make_peaks_where_they_pile_up():
    rng = np.random.default_rng(0)
    background = rng.integers(0, 1_000_000, 2_000)
    start = np.concatenate([background, rng.integers(500_000, 500_200, 500)])
    fragments = Intervals.from_columns(["chr1"] * len(start), start, start + 150)
    found = regions(build_universe([Pileup(fragments)]))
    assert any(s >= 499_800 and e <= 500_500 for _, s, e in found)
    assert len(found) < 100
    deep = fragments.take(np.repeat(np.arange(2_000, 2_500), 3))
    assert len(build_universe([deep])) == 1  # plain intervals that lie this deep are taken for fragments


def test_order_of_chromosomes_and_aliases():
    sources = [
        make([("10", 0, 300), ("2", 0, 300), ("X", 0, 300)]),
        make([("chr2", 0, 300), ("chr1", 0, 300)]),
    ]
    assert [c for c, _, _ in regions(build_universe(sources, genome="hg38"))] == [
        "chr1",
        "chr2",
        "chr10",
        "chrX",
    ]
    assert [c for c, _, _ in regions(build_universe(sources))] == ["chr1", "chr2", "chr10", "chrX"]
    odd = build_universe([make([("scaffold10", 0, 300), ("scaffold9", 0, 300), ("chrUn_x", 0, 300)])])
    assert odd.intervals.chroms == ("scaffold9", "scaffold10", "chrUn_x")


def test_what_is_refused():
    with pytest.raises(InputError, match="hold no intervals"):
        build_universe([make([])])
    with pytest.raises(InputError, match="no range"):
        build_universe([make([("chr1", 0, 9)])], min_width=500, max_width=100)
    with pytest.raises(InputError, match="max_regions is 0"):
        build_universe([make([("chr1", 0, 9)])], max_regions=0)
    with pytest.raises(GenomeError, match="the universe to build: an interval on chr1"):
        build_universe([make([("chr1", 249_000_000, 249_000_500)])], genome="hg38")


def test_human_sex_chromosomes_by_number_and_alt_contigs():
    rows = [("chr23", 100, 400), ("chr24", 100, 400), ("chr1_KI270706v1_random", 100, 400)]
    universe = build_universe([make(rows)], genome="hg38")
    assert regions(universe) == [("chrX", 100, 400), ("chrY", 100, 400), ("chr1_KI270706v1_random", 100, 400)]
    assert universe.validate() == ()
