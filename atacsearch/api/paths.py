"""Inputs that must be on disk: one path or several."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ..errors import InputError
from ..readers.inputs.memory import as_inputs


def paths_of(inputs: str | Path | Iterable[str | Path]) -> list[str | Path]:
    """One path or several, as a list.

    Raises:
        InputError: something that is no path, such as a table in memory.

    Example:
        >>> paths_of("a.bed"), paths_of(name for name in ("a.bed", "b.bed"))
        (['a.bed'], ['a.bed', 'b.bed'])
    """
    paths: list[str | Path] = []
    for path in as_inputs(inputs):
        if not isinstance(path, str | Path):
            raise InputError(f"{type(path).__name__}: is no path; this reads files only, so write it to one")
        paths.append(path)
    return paths
