"""Assemblies, universes, tokenisation and gene annotation. Knows nothing of models, stores or queries."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .intervals import Intervals as Intervals
    from .tokensets import TokenSets as TokenSets
    from .universe import Universe as Universe

_EXPORTS = {"Intervals": "intervals", "TokenSets": "tokensets", "Universe": "universe"}
__all__ = ["Intervals", "TokenSets", "Universe"]


def __getattr__(name: str) -> Any:
    if name in _EXPORTS:
        return getattr(importlib.import_module(f".{_EXPORTS[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
