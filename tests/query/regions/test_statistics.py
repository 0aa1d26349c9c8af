"""Exact statistics of token sets, against scipy, brute force and bedtools."""

import math
import shutil
import subprocess

import numpy as np
import pytest
from scipy import stats

from atacsearch.genome.intervals import Intervals
from atacsearch.query.regions.statistics import (
    Overlaps,
    benjamini_hochberg,
    combo,
    fisher,
    jaccard,
    odds_ratio,
    statistics_of,
)
from atacsearch.tokens.universe import Universe


def tables(rng, n, count):
    """Margins and shared counts over the whole range, most of them near what is expected."""
    a, b = rng.integers(0, n + 1, count), rng.integers(0, n + 1, count)
    low, high = np.maximum(0, a + b - n), np.minimum(a, b)
    anywhere = rng.integers(low, high + 1)
    near = np.clip(np.round(a * b / n).astype(np.int64) + rng.integers(-3, 4, count), low, high)
    return a, b, np.where(rng.random(count) < 0.5, anywhere, near)


@pytest.mark.parametrize("n", [7, 1000, 200_000])
def test_fisher_agrees_with_scipy(n):
    rng = np.random.default_rng(n)
    a, b, s = tables(rng, n, 40)
    greater, two = fisher(s, a, b, n)
    for i in range(len(a)):
        table = [[s[i], a[i] - s[i]], [b[i] - s[i], n - a[i] - b[i] + s[i]]]
        for ours, side in ((greater[i], "greater"), (two[i], "two-sided")):
            p = stats.fisher_exact(table, alternative=side).pvalue
            if p > 1e-280:
                assert math.exp(ours) == pytest.approx(p, rel=3e-7, abs=1e-300), (table, side)
            else:
                assert ours < math.log(1e-250), (table, side)


def test_p_below_the_smallest_float_keeps_its_logarithm():
    s, a, b, n = 60_000, 80_000, 90_000, 1_000_000
    greater, two = fisher(*(np.array([x]) for x in (s, a, b)), n)
    expected = stats.hypergeom.logpmf(s, n, a, b)
    ratio = (
        (a - s) * (b - s) / ((s + 1) * (n - a - b + s + 1))
    )  # of the next term; the tail is nearly geometric
    assert greater[0] == pytest.approx(expected - math.log1p(-ratio), rel=1e-6)
    assert greater[0] < -100_000
    assert two[0] == pytest.approx(greater[0], rel=1e-9)
    found = statistics_of(Overlaps(a, np.array([b]), np.array([s]), a, n))
    assert found["p_value"][0] == 0.0
    assert np.isfinite(found["log10_p_value"][0])
    assert np.isfinite(found["combo_score"][0])
    assert found["combo_score"][0] > 1e5


def test_counts_beyond_32_bits_do_not_overflow():
    n = 3_000_000_000
    a, b = np.array([2_000_000_000]), np.array([1_500_000_000])
    s = a * (b // 1_000_000) // (n // 1_000_000)
    greater, two = fisher(s, a, b, n)
    assert 0.4 < math.exp(greater[0]) < 0.6
    assert math.exp(two[0]) > 0.9
    assert odds_ratio(s, a, b, n)[0] == pytest.approx(1, abs=1e-6)


def test_impossible_tables_are_refused():
    with pytest.raises(ValueError, match="margins"):
        fisher(np.array([5]), np.array([4]), np.array([9]), 20)


def test_shares_odds_ratio_expected_and_combo_by_hand():
    found = statistics_of(Overlaps(10, np.array([8, 5, 0]), np.array([4, 5, 0]), 10, 100))
    assert found["expected"].tolist() == pytest.approx([0.8, 0.5, 0.0])
    assert found["jaccard"].tolist() == pytest.approx([4 / 14, 0.5, 0.0])
    assert found["overlap_coefficient"][:2].tolist() == [0.5, 1.0]
    assert math.isnan(found["overlap_coefficient"][2])
    assert found["odds_ratio"][0] == pytest.approx(4 * 86 / (6 * 4))
    assert math.isinf(found["odds_ratio"][1])
    two = stats.fisher_exact([[4, 6], [4, 86]]).pvalue
    ratio = (5 / 6) / (5 / 87)
    assert found["combo_score"][0] == pytest.approx(math.log2(ratio) * -math.log10(two))
    assert found["p_value"][2] == 1.0
    assert found["combo_score"][2] == 0.0
    assert math.isnan(jaccard(0, np.array([0]), np.array([0]))[0])


def test_a_query_that_reaches_beyond_the_background_is_tested_within_it():
    found = statistics_of(Overlaps(10, np.array([8]), np.array([4]), 6, 50))
    assert found["jaccard"][0] == pytest.approx(4 / 14)
    assert found["expected"][0] == pytest.approx(6 * 8 / 50)
    p = stats.fisher_exact([[4, 2], [4, 40]], alternative="greater").pvalue
    assert found["p_value"][0] == pytest.approx(p)


def test_q_values_agree_with_scipy():
    p = np.random.default_rng(0).random(200) ** 3
    p[:5] = p[5]
    q = np.exp(benjamini_hochberg(np.log(p)))
    np.testing.assert_allclose(q, stats.false_discovery_control(p), rtol=1e-12)
    assert benjamini_hochberg(np.empty(0)).shape == (0,)
    assert benjamini_hochberg(np.array([-1e6, -2e6])).tolist() == pytest.approx([-1e6, -2e6 + math.log(2)])


def test_combo_is_negative_for_depleted_overlap():
    a, b, s = np.array([100]), np.array([100]), np.array([1])
    _, two = fisher(s, a, b, 500)
    assert combo(s, a, b, 500, two)[0] < -10


@pytest.fixture(scope="module")
def bedtools():
    found = shutil.which("bedtools")
    if found is None:
        pytest.skip("bedtools is not installed")
    return found


def beside(bedtools, tool, folder, query, item, *more):
    """What a bedtools command prints, as words."""
    paths = []
    for name, rows in (("a", query), ("b", item)):
        paths.append(folder / f"{name}.bed")
        paths[-1].write_text("".join(f"chr1\t{1000 * r}\t{1000 * r + 100}\n" for r in sorted(rows)))
    line = [bedtools, tool, "-a", *paths[:1], "-b", *paths[1:], *more]
    return subprocess.run(line, capture_output=True, text=True, check=True).stdout


def test_jaccard_of_regions_of_one_width_is_that_of_bedtools(bedtools, tmp_path):
    """Where all regions are equally wide and whole, counting regions is counting base pairs; else it is not."""
    rng = np.random.default_rng(1)
    query, item = (set(rng.choice(200, n, replace=False).tolist()) for n in (70, 50))
    shared = np.array([len(query & item)])
    header, values = beside(bedtools, "jaccard", tmp_path, query, item).splitlines()
    theirs = dict(zip(header.split(), values.split(), strict=True))
    assert jaccard(len(query), np.array([len(item)]), shared)[0] == pytest.approx(
        float(theirs["jaccard"]), abs=1e-5
    )
    # a file that covers 10 bp of each region is the same token set, but a tenth of the base pairs
    start = 1000 * np.arange(200)
    universe = Universe(Intervals.from_columns(["chr1"] * 200, start, start + 100))
    part = tmp_path / "part.bed"
    part.write_text("".join(f"chr1\t{1000 * r + 40}\t{1000 * r + 50}\n" for r in sorted(query)))
    assert set(universe.tokenize(str(part))[0].tolist()) == query


def test_fisher_is_that_of_bedtools_on_its_own_table(bedtools, tmp_path):
    """bedtools guesses the background from genome size and mean widths; on the table it prints, p agrees."""
    sizes = tmp_path / "sizes"
    sizes.write_text("chr1\t200000\n")
    rng = np.random.default_rng(2)
    query, item = (set(rng.choice(200, n, replace=False).tolist()) for n in (60, 80))
    lines = beside(bedtools, "fisher", tmp_path, query, item, "-g", sizes).splitlines()
    inside = [line for line in lines if "|" in line and ("in -a" in line or "not in -a" in line)]
    (s, one), (other, neither) = (
        [int(word) for word in line.replace("|", " ").split() if word.isdigit()] for line in inside
    )
    left, right, two, ratio = map(float, lines[-1].split())
    assert s == len(query & item)
    margins = (np.array([s]), np.array([s + one]), np.array([s + other]), s + one + other + neither)
    greater, both = fisher(*margins)
    assert math.exp(greater[0]) == pytest.approx(right, rel=1e-3)
    assert math.exp(both[0]) == pytest.approx(two, rel=1e-3)
    # bedtools prints (s / (a - s)) / ((b - s) / neither), the same sample odds ratio
    assert odds_ratio(*margins)[0] == pytest.approx(ratio, rel=1e-2)
    assert left + right > 1
