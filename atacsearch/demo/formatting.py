"""Numbers and durations as text."""

from __future__ import annotations

import math


def number(value: float | None, digits: int = 3) -> str:
    """A score to `digits` places; a dash where there is none.

    Example:
        >>> number(0.8125), number(float("nan"))
        ('0.812', '–')
    """
    return "–" if value is None or math.isnan(value) else f"{value:.{digits}f}"


def duration(seconds: float) -> str:
    """A duration in the unit that reads best.

    Example:
        >>> duration(0.04), duration(7.26), duration(83.6)
        ('0.04 s', '7.3 s', '1 min 24 s')
    """
    if seconds < 60:
        return f"{seconds:.2f} s" if seconds < 1 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"


def is_number(text: str) -> bool:
    """Whether a cell of a table reads as a number.

    Example:
        >>> is_number("1,234"), is_number("chr1")
        (True, False)
    """
    try:
        float(text.replace(",", ""))
    except ValueError:
        return False
    return True
