"""Types of compiled functions, for readers and type checkers: numbers, and the pointers that arrays become."""

from __future__ import annotations

from typing import Protocol, SupportsIndex

import numpy as np

Int = int | np.int64
_Written = int | np.int64 | np.uint64 | np.uint32


class Numbers(Protocol):
    """A pointer to whole numbers of at most 64 bits with a sign, or at most 32 without one."""

    def __getitem__(self, at: SupportsIndex, /) -> int:
        """The number at a place."""

    def __setitem__(self, at: SupportsIndex, value: _Written, /) -> None:
        """Write a number to a place."""


class Words(Protocol):
    """A pointer to words of 64 bits without a sign."""

    def __getitem__(self, at: SupportsIndex, /) -> np.uint64:
        """The word at a place."""

    def __setitem__(self, at: SupportsIndex, value: np.uint64, /) -> None:
        """Write a word to a place."""
