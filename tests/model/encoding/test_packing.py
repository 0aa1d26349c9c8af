"""Packs: every token of every set once, whatever the lengths, the context and the limit."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from atacsearch.model.encoding.packing import packs_of
from atacsearch.tokens.token_sets import TokenSets


@given(
    lengths=st.lists(st.integers(0, 70), max_size=20),
    context=st.integers(1, 40),
    limit=st.integers(1, 100),
)
def test_packs_hold_every_token_once(lengths: list[int], context: int, limit: int) -> None:
    values = iter(range(sum(lengths)))
    sets = TokenSets.from_lists([[next(values) for _ in range(n)] for n in lengths])
    again = [np.full(n, -1) for n in lengths]
    seen = []
    for pack in packs_of(sets, context, limit):
        assert pack.tokens.dtype == np.int32
        assert pack.lengths.sum() == len(pack.tokens)
        assert len(pack.tokens) <= limit or len(pack.lengths) == 1
        assert pack.lengths.min() >= 1
        assert pack.lengths.max() <= context
        seen += pack.lengths.tolist()
        parts = np.split(pack.tokens, np.cumsum(pack.lengths)[:-1])
        for i, (row, part) in enumerate(zip(pack.row, parts, strict=True)):
            assert (again[row][pack.places(i)] == -1).all()
            again[row][pack.places(i)] = part
    assert seen == sorted(seen, reverse=True)
    for found, expected in zip(again, sets, strict=True):
        assert found.tolist() == expected.tolist()


def test_pieces_of_a_long_set_span_all_of_it() -> None:
    (pack,) = packs_of(TokenSets.from_lists([range(10)]), 4, 100)
    parts = np.split(pack.tokens, np.cumsum(pack.lengths)[:-1])
    assert [p.tolist() for p in parts] == [[0, 3, 6, 9], [1, 4, 7], [2, 5, 8]]
