"""What a run of the accuracy benchmark has to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.common.cache import Cache

KINDS = ("inductive", "transductive")  # fitted on the reference alone; on reference and query together
OURS = "atacsearch"


@dataclass
class Plan:
    """What to run.

    Attributes:
        cache: where rows are kept.
        seeds: of methods that draw.
        wanted: names of methods, or parts of names; empty for all.
        kinds: inductive, transductive or both.
        vectors: name of another method and its vectors by cell, to be scored beside ours.
        extra: more words for `train celltype`; a recipe that is not the default is named by them.
        only_cached: take rows that are there, make none.
    """

    cache: Cache
    seeds: Sequence[int] = (0, 1, 2)
    wanted: Sequence[str] = ()
    kinds: Sequence[str] = KINDS
    vectors: dict[str, dict[str, Any]] = field(default_factory=dict)
    extra: Sequence[str] = ()
    only_cached: bool = False

    def wants(self, name: str) -> bool:
        """Whether a method was asked for."""
        return not self.wanted or any(part.lower() in name.lower() for part in self.wanted)

    @property
    def ours(self) -> str:
        """Name of ours in tables."""
        return " ".join([OURS, *self.extra])
