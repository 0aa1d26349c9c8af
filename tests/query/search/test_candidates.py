"""The nearest items in an order that does not change: ties, listed items, filters."""

import numpy as np
import pytest
from labelled_items import LabelledItems, query_of, searched

from atacsearch.query.search import candidates
from atacsearch.query.search.candidates import nearest


def around(n, seed=0):
    """n points, many of them one on another, ids in no order."""
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(n, 4))[rng.integers(0, n // 4, n)]
    return LabelledItems(
        [f"i{x:04d}" for x in rng.permutation(n)], points, half=[str(x % 2) for x in range(n)]
    )


def expected(items, vector, n, allowed=None):
    distance = 1 - items.points @ vector / np.linalg.norm(items.points, axis=1) / np.linalg.norm(vector)
    pairs = sorted((round(float(d), 6), i) for d, i in zip(distance, items.ids, strict=True))
    return [i for _, i in pairs if allowed is None or i in allowed][:n]


@pytest.mark.parametrize("n", [1, 3, 10, 60, 200])
def test_ties_come_by_id_also_where_they_are_cut(n):
    items = around(200)
    vector = np.array([1.0, 0.5, -0.2, 0.1])
    (hits,) = nearest(searched(items), query_of(vector), n)
    assert [hit.id for hit in hits] == expected(items, vector, n)
    assert [hit.distance for hit in hits] == sorted(hit.distance for hit in hits)


def test_a_crowd_of_ties_is_seen_whole():
    ids = [f"i{x:03d}" for x in reversed(range(300))]
    items = LabelledItems(ids, np.ones((300, 2)))
    (hits,) = nearest(searched(items), query_of([1, 1]), 5)
    assert [hit.id for hit in hits] == sorted(ids)[:5]
    assert items.asked[-1] >= 300


@pytest.mark.parametrize(
    ("picked", "longest", "block"), [(0, 0, 1000), (0, 0, 7), (1000, 1000, 9), (1000, 64, 9)]
)
def test_listed_items_are_the_only_answers(monkeypatch, picked, longest, block):
    for name, value in (("PICKED", picked), ("LONGEST", longest), ("CHUNK", block)):
        monkeypatch.setattr(candidates, name, value)
    items = around(400)
    only = frozenset(sorted(items.ids)[::7])
    vector = np.array([0.3, -1.0, 0.2, 0.4])
    asked = query_of(vector, -vector, np.zeros(4), only=only)
    first, second, none = nearest(searched(items), asked, 9)
    assert [hit.id for hit in first] == expected(items, vector, 9, only)
    assert [hit.id for hit in second] == expected(items, -vector, 9, only)
    assert none == []
    halved = {i for i, half in zip(items.ids, items.labels["half"].to_pylist(), strict=True) if half == "1"}
    (hits,) = nearest(searched(items, ["half=1"]), query_of(vector, only=only), 5)
    assert [hit.id for hit in hits] == expected(items, vector, 5, only & halved)
    own = hits[0].id
    (hits,) = nearest(searched(items), query_of(vector, only=only, itself=[own]), 500)
    assert [hit.id for hit in hits] == expected(items, vector, 500, only - {own})


def test_both_ways_give_the_same_distances(monkeypatch):
    items = around(100)
    asked = query_of(np.array([0.3, -1.0, 0.2, 0.4]), only=frozenset(items.ids))
    found = []
    for picked in (0, 1000):
        monkeypatch.setattr(candidates, "PICKED", picked)
        found.append(nearest(searched(items), asked, 100)[0])
    assert [h.id for h in found[0]] == [h.id for h in found[1]]
    assert [h.distance for h in found[0]] == pytest.approx([h.distance for h in found[1]], abs=2e-6)
