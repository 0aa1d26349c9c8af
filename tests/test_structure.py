"""A lower floor never imports a higher one."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "atacsearch"
FLOORS = {
    "genome": 1,
    "readers": 1,
    "model": 2,
    "training": 2,
    "encode": 3,
    "store": 3,
    "query": 4,
    "asking": 5,
    "client": 5,
    "cli": 5,
}


def imported(file: Path) -> set[str]:
    """Rooms of the package that a file imports, at the top or inside a function."""
    inside = file.relative_to(PACKAGE.parent).parts[:-1]
    rooms = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom):
            base = list(inside[: len(inside) - node.level + 1]) if node.level else []
            names = [*base, *(node.module or "").split(".")]
            rooms |= {names[1]} if names[0] == "atacsearch" and len(names) > 1 else set()
    return rooms


@pytest.mark.parametrize("room", [r for r in FLOORS if (PACKAGE / r).is_dir()])
def test_no_import_from_above(room: str) -> None:
    for file in (PACKAGE / room).rglob("*.py"):
        above = {r for r in imported(file) if FLOORS.get(r, 0) > FLOORS[room]}
        assert not above, f"{file.name} of {room} imports {above}"


def test_imports_are_seen() -> None:
    assert {"genome", "model"} <= imported(PACKAGE / "encode" / "encoder.py")
