"""Scores and gains as words of a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def spread(row: Mapping[str, Any], name: str) -> str:
    """A score, with its standard deviation over seeds where there were several."""
    sd = row.get(f"{name}_sd")
    return f"{row[name]:.3f}" + ("" if sd is None else f" ± {sd:.3f}")


def gain_words(gain: Mapping[str, Any], name: str) -> str:
    """A gain and its interval."""
    low, high = gain[f"{name}_interval"]
    return f"{gain[f'{name}_gain']:+.3f} [{low:+.3f}, {high:+.3f}]"
