"""Exact statistics of two token sets: shared regions, Jaccard, odds ratio, Fisher's exact test, GIGGLE's score.

All count regions of the universe, not base pairs: a region that both sets touch counts once, however little of it
either covers. So the Jaccard index here is not that of `bedtools jaccard`, which divides base pairs.

With `a` regions of the query, `b` of the item, `s` shared and a background of `N` regions the 2 x 2 table is

                    in the item     not in the item
    in the query    s               a - s
    not in it       b - s           N - a - b + s

and under independence, margins given, `s` is hypergeometric (Fisher 1922, J R Stat Soc 85:87).

Probabilities are sums of logarithms of terms, so that p below the smallest float (10^-308, common for files of
50,000 regions) keeps its logarithm; p itself is then 0. For N to some millions the relative error of p is below
10^-7 (that of `gammaln`); counts are int64 and products of them are taken in float64, so nothing overflows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
AS_LARGE = (
    1e-7  # two-sided: how much larger than the observed term another may be and still count as equal to it
)
BLOCK = 256  # terms of a tail that are summed at a time
NEGLIGIBLE = 1e-17  # a tail ends where the next term is this share of its sum
STATISTICS = (
    "query_regions", "item_regions", "shared", "expected", "jaccard", "adjusted_jaccard",
    "overlap_coefficient", "odds_ratio",
    "p_value", "p_two_sided", "log10_p_value", "q_value", "combo_score",
)  # fmt: skip

_LN10 = math.log(10)


@dataclass(frozen=True)
class Overlaps:
    """Counts of a query against m items.

    Attributes:
        query: number of regions of the query.
        items: [m] int64 numbers of regions of the items.
        shared: [m] int64 regions in both.
        tested: number of regions of the query that lie in the background; the others are left out of the table.
        background: number of regions of the background; it holds all regions of the items.
    """

    query: int
    items: Ints
    shared: Ints
    tested: int
    background: int


def statistics_of(counts: Overlaps) -> dict[str, npt.NDArray[np.generic]]:
    """Every statistic of a query against m items.

    Returns:
        Columns of length m, named and ordered as `STATISTICS`:
        `query_regions`, `item_regions`, `shared` (int64);
        `expected`, a b / N: shared regions under independence;
        `jaccard`, s / (a + b - s) (Jaccard 1912, New Phytol 11:37);
        `adjusted_jaccard`, (s - E) / (a + b - s - E) with E expected: 0 at chance, 1 for equal sets; it orders as
        Cohen's kappa does, which is 2 (s - E) / (a + b - 2 E) (Cohen 1960, Educ Psychol Meas 20:37);
        `overlap_coefficient`, s / min(a, b) (Szymkiewicz-Simpson);
        `odds_ratio`, s (N - a - b + s) / ((a - s)(b - s)), of the sample, infinite where a set holds the other;
        `p_value`, one-sided: at least s by chance; `p_two_sided`, see `fisher`;
        `log10_p_value` of the one-sided p, finite where p is too small for a float;
        `q_value`, Benjamini and Hochberg's of the one-sided p over the m items;
        `combo_score` of GIGGLE, see `combo`.
        Where a set is empty the shares and the odds ratio are NaN and p is 1.
    """
    a = np.full(len(counts.items), counts.tested, np.int64)
    greater, two_sided = fisher(counts.shared, a, counts.items, counts.background)
    expected = a * counts.items.astype(np.float64) / max(counts.background, 1)
    return {
        "query_regions": np.full(len(counts.items), counts.query, np.int64),
        "item_regions": counts.items,
        "shared": counts.shared,
        "expected": expected,
        "jaccard": jaccard(counts.query, counts.items, counts.shared),
        "adjusted_jaccard": _share(counts.shared - expected, a + counts.items - counts.shared - expected),
        "overlap_coefficient": _share(counts.shared, np.minimum(counts.query, counts.items)),
        "odds_ratio": odds_ratio(counts.shared, a, counts.items, counts.background),
        "p_value": np.exp(greater),
        "p_two_sided": np.exp(two_sided),
        "log10_p_value": greater / _LN10,
        "q_value": np.exp(benjamini_hochberg(greater)),
        "combo_score": combo(counts.shared, a, counts.items, counts.background, two_sided),
    }


def jaccard(query: int, items: Ints, shared: Ints) -> Floats:
    """[m] float64 shared over united regions; NaN where both sets are empty."""
    return _share(shared, query + items - shared)


def odds_ratio(shared: Ints, a: Ints, b: Ints, background: int) -> Floats:
    """[m] float64 odds ratio of the sample; infinite where nothing but shared regions is in one of the sets."""
    s, one, other, neither = _table(shared, a, b, background)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(s * neither / (one * other), np.float64)


def combo(shared: Ints, a: Ints, b: Ints, background: int, log_two_sided: Floats) -> Floats:
    """[m] float64 GIGGLE's combo score: log2(odds ratio) x -log10(two-sided p).

    Layer et al. 2018, Nat Methods 15:123. As in its program the ratio is
    ((s + 1) / max(1, a - s)) / ((b - s + 1) / (N - a - b + s + 1)), which is never infinite. GIGGLE guesses N from
    genome size over mean widths; here it is the background. Where its p underflows ours keeps its logarithm.
    """
    s, one, other, neither = _table(shared, a, b, background)
    ratio = (s + 1) / np.maximum(1, one) / ((other + 1) / (neither + 1))
    return np.asarray(np.log2(ratio) * -log_two_sided / _LN10 + 0.0, np.float64)


def benjamini_hochberg(log_p: Floats) -> Floats:
    """[m] natural logarithm of the q value of each p: the smallest p_(j) m / j over all j at or above its rank.

    Benjamini and Hochberg 1995, J R Stat Soc B 57:289.
    """
    m = len(log_p)
    order = np.argsort(log_p, kind="stable")
    raw = log_p[order] + math.log(max(m, 1)) - np.log(np.arange(1, m + 1))
    q = np.empty(m)
    q[order] = np.minimum(np.minimum.accumulate(raw[::-1])[::-1], 0.0)
    return q


def fisher(shared: Ints, a: Ints, b: Ints, background: int) -> tuple[Floats, Floats]:
    """Fisher's exact test of tables with these margins.

    One-sided is the chance of at least `shared`; two-sided the chance of all tables that are no likelier than the
    one observed (equal to within 1e-7, as in R and scipy), the definition of Freeman and Halton 1951.

    Args:
        shared, a, b: [m] int64; max(0, a + b - background) <= shared <= min(a, b).
        background: N.

    Returns:
        [m] float64 natural logarithms of the one-sided and the two-sided p.

    Raises:
        ValueError: no such table.
    """
    law = _Law(a, b, background)
    if ((shared < law.low) | (shared > law.high)).any():
        raise ValueError("a table of these margins cannot hold that many shared regions")
    above, below = shared > law.mode, shared < law.mode
    greater, two = np.zeros(len(a)), np.zeros(len(a))
    rows = np.flatnonzero(above)
    greater[rows] = law.tail(rows, shared[rows], up=True)
    rows = np.flatnonzero(~above & (shared > law.low))
    greater[rows] = np.log1p(-np.exp(law.tail(rows, shared[rows] - 1, up=False)))
    for rows, up in ((np.flatnonzero(above), True), (np.flatnonzero(below), False)):
        own = law.tail(rows, shared[rows], up=up)
        start, there = law.as_unlikely(rows, shared[rows], up=not up)
        other = np.full(len(rows), -np.inf)
        other[there] = law.tail(rows[there], start[there], up=not up)
        two[rows] = np.minimum(np.logaddexp(own, other), 0.0)
    return np.minimum(greater, 0.0), two


class _Law:
    """Hypergeometric laws of m tables: `low` and `high` ends, `mode`, logarithms of terms, tails."""

    def __init__(self, a: Ints, b: Ints, n: int) -> None:
        self.a, self.b, self.n = a, b, n
        self.low, self.high = np.maximum(0, a + b - n), np.minimum(a, b)
        # in float64: a product of two counts may pass int64 only beyond any universe, but costs nothing here
        mode = np.floor((a + 1.0) * (b + 1.0) / (n + 2.0)).astype(np.int64)
        self.mode = np.clip(mode, self.low, self.high)

    def log_term(self, rows: Ints, x: Ints) -> Floats:
        """Logarithm of the chance of exactly x: C(a, x) C(n - a, b - x) / C(n, b)."""
        a, b = self.a[rows], self.b[rows]
        ways = _log_choose(a, x) + _log_choose(self.n - a, b - x)
        return np.asarray(ways - _log_choose(np.full(len(a), self.n), b), np.float64)

    def tail(self, rows: Ints, x: Ints, *, up: bool) -> Floats:
        """Logarithm of the chance of x and beyond; x must lie on that side of the mode, so that terms fall.

        The first term comes from `gammaln`, the others from the ratios of neighbouring terms, in blocks.
        """
        total, last = np.ones(len(rows)), np.ones(len(rows))
        left = np.arange(len(rows))
        at = x.astype(np.float64)
        step = np.arange(BLOCK, dtype=np.float64)
        while len(left):
            a, b = (v[rows[left]].astype(np.float64)[:, None] for v in (self.a, self.b))
            if up:
                y = at[left, None] + step
                ratio = np.maximum(a - y, 0) * np.maximum(b - y, 0) / ((y + 1) * (self.n - a - b + y + 1))
            else:
                y = at[left, None] - step
                ratio = np.maximum(y, 0) * np.maximum(self.n - a - b + y, 0) / ((a - y + 1) * (b - y + 1))
            terms = last[left, None] * np.cumprod(ratio, axis=1)
            total[left] += terms.sum(1)
            last[left] = terms[:, -1]
            at[left] += BLOCK if up else -BLOCK
            left = left[last[left] > NEGLIGIBLE * total[left]]
        return self.log_term(rows, x) + np.log(total)

    def as_unlikely(self, rows: Ints, x: Ints, *, up: bool) -> tuple[Ints, npt.NDArray[np.bool_]]:
        """On the other side of the mode, the place nearest to it that is no likelier than x, by bisection.

        Returns:
            [m] the place, and whether there is one.
        """
        most = self.log_term(rows, x) + math.log1p(AS_LARGE)
        near = self.mode[rows].copy()
        far = (self.high if up else self.low)[rows].copy()
        there = self.log_term(rows, far) <= most
        while (abs(far - near) > 1).any():
            middle = (near + far) // 2
            fits = self.log_term(rows, middle) <= most
            far, near = np.where(fits, middle, far), np.where(fits, near, middle)
        first = self.log_term(rows, near) <= most
        return np.where(first, near, far), there


def _log_choose(n: Ints, k: Ints) -> Floats:
    from scipy.special import gammaln

    return np.asarray(gammaln(n + 1.0) - gammaln(k + 1.0) - gammaln(n - k + 1.0), np.float64)


def _table(shared: Ints, a: Ints, b: Ints, background: int) -> tuple[Floats, Floats, Floats, Floats]:
    s = shared.astype(np.float64)
    return s, a - s, b - s, background - a - b + s


def _share(part: Ints | Floats, whole: Ints | Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(part / whole.astype(np.float64), np.float64)
