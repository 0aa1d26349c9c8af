"""One answer a group, however many near items a group has."""

import numpy as np
import pytest
from labelled_items import LabelledItems, query_of, searched

from atacsearch.errors import InputError
from atacsearch.query.search import group_by
from atacsearch.query.search.candidates import nearest
from atacsearch.query.search.group_by import grouped


def crowd():
    """90 items of study a nearest, then b and c, and two without a study; on a line of angles."""
    angle = np.linspace(0, 1.2, 100)
    study = ["a"] * 90 + ["b", "b", None, "c", "c", "b", None, "c", "d", "d"]
    ids = [f"i{x:02d}" for x in range(100)]
    return LabelledItems(
        ids, np.stack([np.cos(angle), np.sin(angle)], 1), study=study, n=[x % 3 for x in range(100)]
    )


def ask(items, n, where=(), only=None, said=None, vectors=((1.0, 0.0),), column="study"):
    asked = query_of(*vectors, only=only)
    place = searched(items, where, (said if said is not None else []).append)

    def fetch(rows, m):
        return nearest(place, asked.take(rows), m)

    return grouped(place, column, len(asked), n, fetch, only)


def test_the_best_of_each_group_and_its_size():
    (hits,) = ask(crowd(), 4)
    assert [(hit.id, hit.more["n_in_group"]) for hit in hits] == [
        ("i00", 90),
        ("i90", 3),
        ("i92", 1),
        ("i93", 3),
    ]


def test_fewer_groups_than_asked_and_several_queries():
    items = crowd()
    near, far = ask(items, 50, vectors=((1.0, 0.0), (0.0, 1.0)))
    assert [hit.id for hit in near] == ["i00", "i90", "i92", "i93", "i96", "i98"]
    assert [hit.id for hit in far] == ["i99", "i97", "i96", "i95", "i92", "i89"]


def test_sizes_count_what_may_be_answered():
    items = crowd()
    (hits,) = ask(items, 2, where=["n=0"])
    assert [(hit.id, hit.more["n_in_group"]) for hit in hits] == [("i00", 30), ("i90", 1)]
    (hits,) = ask(items, 2, only=frozenset({"i05", "i07", "i91", "i95"}))
    assert [(hit.id, hit.more["n_in_group"]) for hit in hits] == [("i05", 2), ("i91", 2)]


def test_a_crowd_that_hides_the_rest_is_said(monkeypatch):
    monkeypatch.setattr(group_by, "MOST", 40)
    said = []
    (hits,) = ask(crowd(), 3, said=said)
    assert [hit.id for hit in hits] == ["i00"]
    assert "1 of 1 queries have fewer than 3 groups of study among their nearest 40 items" in said[0]


def test_numbers_group_too_and_unknown_columns_are_refused():
    (hits,) = ask(crowd(), 5, column="n")
    assert [(hit.id, hit.more["n_in_group"]) for hit in hits] == [("i00", 34), ("i01", 33), ("i02", 33)]
    with pytest.raises(InputError, match="--group-by lab: no such label column; there are: study, n"):
        ask(crowd(), 5, column="lab")
