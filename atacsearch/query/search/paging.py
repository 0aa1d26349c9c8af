"""Which part of the answers is shown: how many from which rank on, one a group, or ones that differ."""

from __future__ import annotations

from dataclasses import dataclass

from ...errors import InputError
from .diversity import check_diverse


@dataclass(frozen=True)
class Page:
    """The answers wanted of each query.

    Attributes:
        k: how many.
        offset: how many are left out before them.
        group_by: label column of which each value gives one answer; None for all answers.
        diverse: lambda of maximal marginal relevance, 0 to 1; None for the order as it is.
    """

    k: int = 10
    offset: int = 0
    group_by: str | None = None
    diverse: float | None = None

    def __post_init__(self) -> None:
        if self.k < 1:
            raise InputError(f"k must be at least 1, not {self.k}")
        if self.offset < 0:
            raise InputError(f"offset must be 0 or more, not {self.offset}")
        if self.diverse is not None:
            check_diverse(self.diverse, self.end)

    @property
    def end(self) -> int:
        """Answers needed from the first on."""
        return self.offset + self.k
