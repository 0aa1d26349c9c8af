"""Too few open regions, and two cells in one droplet."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from memory_reference import MemorySnapshot, make_session

from atacsearch.errors import InputError
from atacsearch.query.annotate.doublets import (
    fit_doublets,
    gains,
    pairs_of_types,
    reference_doublets,
    unions,
)
from atacsearch.query.annotate.quality import FLOOR, depth_limit, is_low_quality, reference_limit
from atacsearch.tokens.token_sets import TokenSets


def test_the_limit_follows_the_reference() -> None:
    rng = np.random.default_rng(0)
    lengths = np.round(np.exp(rng.normal(np.log(3000), 0.4, 20_000))).astype(int)
    limit = depth_limit(lengths)
    assert limit == pytest.approx(3000 * np.exp(-3 * 0.4), rel=0.05)
    assert depth_limit(np.concatenate([lengths, np.zeros(20_000, int)])) == limit
    assert is_low_quality(np.array([0, 1, int(limit) - 1, int(limit) + 1]), limit).tolist() == [
        False,
        True,
        True,
        False,
    ]


def test_the_floor_holds_for_shallow_and_wide_references() -> None:
    assert depth_limit(np.array([12, 3, 500])) == FLOOR
    assert depth_limit(np.zeros(3, int)) == FLOOR
    assert depth_limit(np.full(50, 200)) == pytest.approx(100), (
        "an even reference does not refuse all below it"
    )


def world(n: int = 300, seed: int = 3, own: int = 30) -> tuple[MemorySnapshot, np.ndarray]:
    """Three types, each with 200 regions of its own; a cell opens about 30 of them and some of all."""
    rng = np.random.default_rng(seed)
    kinds = np.arange(n) % 3
    lists = []
    for kind in kinds:
        mine = 200 * kind + rng.choice(200, own, replace=False)
        lists.append(np.union1d(mine, rng.choice(600, own // 5, replace=False)))
    sets = TokenSets.from_lists(lists, [f"c{i}" for i in range(n)])
    labels = pa.table({"cell_type": [f"type {k}" for k in kinds], "one": ["same"] * n})
    return MemorySnapshot([f"ref#c{i}" for i in range(n)], embed(sets), labels, sets), kinds


def embed(sets: TokenSets) -> np.ndarray:
    """Random directions of regions, pulled to that of their type, added up."""
    rng = np.random.default_rng(9)
    directions = rng.normal(0, 0.5, (600, 16)) + np.repeat(3 * np.eye(16)[:3], 200, axis=0)
    return np.asarray(sets.to_csr(600) @ directions, np.float32)


def test_pairs_have_different_labels_and_unions_no_doubles() -> None:
    pairs = pairs_of_types(["a", "b", "a", "b", "a"], 50)
    assert pairs.shape == (50, 2)
    assert np.all(pairs[:, 0] % 2 != pairs[:, 1] % 2)
    assert pairs_of_types(["a", "a"], 5).shape == (0, 2)
    assert pairs_of_types([], 5).shape == (0, 2)
    both = unions(TokenSets.from_lists([[5, 1], [], [5, 2]]), np.array([[0, 2], [1, 2]]))
    assert [x.tolist() for x in both] == [[1, 2, 5], [2, 5]]


def test_new_doublets_score_high_and_cells_of_the_reference_do_not() -> None:
    snapshot, _ = world()
    session = make_session(snapshot, embed)
    session.universe = range(600)
    found = reference_doublets(session, snapshot, "cells", "cell_type")
    assert "Doublets of two values of cell_type" in session.said[-1]
    assert reference_doublets(session, snapshot, "cells", "cell_type") is found
    new, kinds = world(120, seed=4)
    pairs = pairs_of_types([str(k) for k in kinds], 100, seed=5)
    assert found.auroc > 0.95
    assert np.mean(found.found(new.sets)) < 0.1
    both = TokenSets.concat([unions(new.sets, pairs), new.sets, new.sets])
    assert np.mean(found.found(both)[:100]) > 0.9
    empty = TokenSets.from_lists([[]])
    assert np.isnan(found.scores(empty)[0])
    assert not found.found(empty)[0]


def test_gains_are_likelihoods_of_one_type_and_of_two() -> None:
    shares = np.array([[0.7, 0.2, 0.1], [0.1, 0.2, 0.7], [0.2, 0.6, 0.2]], np.float32)
    sets = TokenSets.from_lists([[0, 1], [0, 2], [], [2]])

    def slow(tokens: np.ndarray) -> tuple[float, float]:
        if not len(tokens):
            return 0.0, 0.0
        alone = np.log(shares[:, tokens]).sum(1)
        best = int(alone.argmax())
        mixed = [np.log((shares[best] + shares[b])[tokens] / 2).sum() for b in range(3) if b != best]
        ranked = np.sort(alone)
        return (max(mixed) - ranked[-1]) / len(tokens) ** 0.5, (ranked[-1] - ranked[-2]) / len(tokens) ** 0.5

    assert gains(sets, shares) == pytest.approx(np.array([slow(t) for t in sets]), abs=1e-5)
    assert gains(sets, shares)[1, 0] > 0 > gains(sets, shares)[3, 0]


def test_a_deeper_query_is_not_full_of_doublets() -> None:
    snapshot, kinds = world()
    found = fit_doublets(snapshot.sets, [str(k) for k in kinds], 600)
    deep, _ = world(150, seed=8, own=60)
    assert np.mean(found.found(deep.sets)) < 0.1
    assert np.mean(found.scores(deep.sets.take([0]))) > np.mean(found.scores(deep.sets)[0]), (
        "alone it looks deep"
    )


def test_one_label_cannot_make_doublets() -> None:
    snapshot, _ = world(30)
    session = make_session(snapshot, embed)
    session.universe = range(600)
    with pytest.raises(InputError, match="two values of one"):
        reference_doublets(session, snapshot, "cells", "one")


def test_the_limit_of_an_index_is_kept_and_another_kind_has_the_floor() -> None:
    snapshot, _ = world()
    session = make_session(snapshot, embed)
    limit = reference_limit(session, snapshot, "cells", True)
    assert FLOOR < limit < 40
    snapshot.sets = TokenSets.from_lists([[1]] * 300)
    assert snapshot.rows("cells", snapshot.ids[:1], ["n_tokens"])["n_tokens"].to_pylist() == [1]
    assert reference_limit(session, snapshot, "cells", True) == limit
    assert reference_limit(session, snapshot, "cells", False) == FLOOR
