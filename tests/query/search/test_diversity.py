"""Maximal marginal relevance against its definition, and pages that continue one another."""

import numpy as np
import pytest
from labelled_items import LabelledItems, query_of, searched

from atacsearch.errors import InputError
from atacsearch.query.search.candidates import nearest
from atacsearch.query.search.diversity import diversified
from atacsearch.query.search.options import POOL, SearchOptions


def pool(seed=0, n=40):
    rng = np.random.default_rng(seed)
    items = LabelledItems([f"i{x:02d}" for x in range(n)], rng.normal(size=(n, 5)) + 1)
    query = np.ones(5) + 0.1 * rng.normal(size=5)
    return items, query / np.linalg.norm(query), nearest(searched(items), query_of(query), n)


def by_definition(items, query, weight, n):
    unit = items.points / np.linalg.norm(items.points, axis=1, keepdims=True)
    far = 1 - unit @ query
    scale = np.median(far)
    left, chosen = list(range(len(unit))), []
    while len(chosen) < n:

        def value(i):
            redundancy = max((np.exp(-2 * (1 - unit[i] @ unit[j]) / scale) for j in chosen), default=0)
            return (weight * np.exp(-far[i] / 2 / scale) if chosen else -far[i]) - (1 - weight) * redundancy

        best = max(left, key=value)
        chosen.append(best)
        left.remove(best)
    return [items.ids[i] for i in chosen]


@pytest.mark.parametrize("weight", [0.2, 0.5, 0.8, 1.0])
def test_the_definition(weight):
    items, query, hits = pool()
    (found,) = diversified(searched(items), hits, 12, weight)
    assert [hit.id for hit in found] == by_definition(items, query, weight, 12)


def test_one_of_several_copies_and_pages():
    rng = np.random.default_rng(1)
    points = np.repeat(rng.normal(size=(6, 8)) + 1, 5, axis=0)
    query = points[0]  # a copy of the query is the first answer, and only that one
    items = LabelledItems([f"i{x:02d}" for x in range(30)], points)
    hits = nearest(searched(items), query_of(query), 30)
    (found,) = diversified(searched(items), hits, 6)
    assert sorted(items.ids.index(hit.id) // 5 for hit in found) == list(range(6))
    assert found[0] == hits[0][0]
    (more,) = diversified(searched(items), hits, 12)
    assert more[:6] == found


def test_no_hits_and_fewer_than_asked():
    items, _, hits = pool(n=3)
    assert [len(some) for some in diversified(searched(items), [[], hits[0]], 10)] == [0, 3]
    assert diversified(searched(items), [[]], 10) == [[]]


def test_pages_that_cannot_be():
    with pytest.raises(InputError, match=f"nearest {POOL}; offset and k together are {POOL + 1}"):
        SearchOptions(k=1, offset=POOL, diverse=True)
    with pytest.raises(InputError, match=r"--mmr-lambda 1\.5: expected a number from 0 to 1"):
        SearchOptions(diverse=True, mmr_lambda=1.5)
    with pytest.raises(InputError, match="-k 0: expected a whole number, 1 or more"):
        SearchOptions(k=0)
    with pytest.raises(InputError, match="--offset -1: expected a whole number, 0 or more"):
        SearchOptions(k=1, offset=-1)
    assert SearchOptions(k=10, offset=20).end == 30
