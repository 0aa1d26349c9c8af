"""Programs that benchmarks hold as text, for processes of their own, import what atacsearch has."""

import ast
import importlib
from pathlib import Path

import bench

PACKAGE = Path(bench.__file__).parent


def imports(program: str) -> list[tuple[str, str]]:
    """Module and name of each import from atacsearch in a text; nothing where it is no Python."""
    try:
        tree = ast.parse(program)
    except SyntaxError:
        return []
    found = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level == 0]
    return [
        (node.module, alias.name)
        for node in found
        if node.module and node.module.split(".")[0] == "atacsearch"
        for alias in node.names
    ]


def test_programs_in_text_import_what_there_is():
    asked = {
        name
        for file in sorted(PACKAGE.rglob("*.py"))
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        for name in imports(node.value)
    }
    assert ("atacsearch.tokens.universe", "Universe") in asked
    missing = [f"{m}.{name}" for m, name in asked if not hasattr(importlib.import_module(m), name)]
    assert not missing
