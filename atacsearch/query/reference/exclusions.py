"""The items that ask, and which reference items must not answer them: themselves, and their own study or donor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ...tokens.token_sets import TokenSets
from .sample_groups import named, plain

if TYPE_CHECKING:
    from ...readers.items import Items
    from ...store.index.snapshot import Snapshot

_SAME = 1e-4  # cosine distance under which two items may be one and the same


@dataclass
class QueryItems:
    """The query items, and which reference items must not vote on each."""

    snapshot: Snapshot
    kind: str
    items: Sequence[Items]
    identity: Sequence[str] = ()
    shared_column: str = ""
    left_out: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.same_kind = self.items[0].kind == self.kind
        self.ids = [i for x in self.items for i in x.ids]
        self.names = [n for x in self.items for n in x.sets.names]
        self.token_sets = TokenSets.concat([x.sets for x in self.items])
        self.groups: list[tuple[list[str | None], dict[str, str]]] = []
        for name in self.identity:
            mine = values_of(self.items, name, plain)
            if mine is None:
                continue
            asked = {v for v in mine if v is not None}
            for column in (c for c in self.snapshot.columns(self.kind) if plain(c) == name):
                theirs = map(named, self.snapshot.table(self.kind, [column])[column].to_pylist())
                shared = {
                    i: v
                    for i, v in zip(self.snapshot.all_ids(self.kind), theirs, strict=True)
                    if v is not None and v in asked
                }
                if shared:
                    self.groups.append((mine, shared))
                    self.shared_column = self.shared_column or name

    def shares_identity(self) -> bool:
        """Whether the reference holds items of a study or donor of the query."""
        return bool(self.groups)

    def barred(self, row: int, ids: Sequence[str], distance: npt.NDArray[np.float32]) -> set[str]:
        """Which of the neighbours `ids` of item `row` are that item, or of its study or donor."""
        same = {i for mine, theirs in self.groups for i in ids if theirs.get(i, "") == (mine[row] or "\0")}
        if same:
            self.left_out[row] = len(same)
        if not self.same_kind:
            return same
        same |= {i for i in ids if i == self.ids[row]}
        near = [i for i, d in zip(ids, distance, strict=True) if d < _SAME and i not in same]
        if near and self.kind == "cells":
            near = [i for i in near if i.rpartition("#")[2] == self.names[row]]
        if near:
            tokens = self.snapshot.tokens(self.kind, near)
            mine_tokens = np.unique(self.token_sets[row])
            same |= {
                i for i, t in zip(near, tokens, strict=True) if np.array_equal(np.unique(t), mine_tokens)
            }
        return same

    def exclusion_note(self) -> str | None:
        """Which study or donor query and reference share; None where nobody was left out for it."""
        if not self.left_out:
            return None
        return (
            f"{len(self.left_out):,} items have their {self.shared_column} in common with reference items, which "
            "did not vote on them (--same-group lets them)"
        )


def values_of(
    items: Sequence[Items], name: str, same: Callable[[str], str] = str.casefold
) -> list[str | None] | None:
    """[n] values of a label column of the query, None where no input has it; names are alike where `same` is."""
    found: list[str | None] = []
    any_there = False
    for x in items:
        labels = getattr(x, "labels", None)
        own = {} if labels is None else {same(c): c for c in labels.column_names}
        if labels is not None and same(name) in own:
            any_there = True
            found += [named(v) for v in labels[own[same(name)]].to_pylist()]
        else:
            found += [None] * len(x.ids)
    return found if any_there else None
