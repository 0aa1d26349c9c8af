"""Who imports whom, read from the source: lazy imports inside functions count, those for type checking do not."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

Graph = dict[str, set[str]]


def modules(root: Path, *tops: str) -> dict[str, Path]:
    """Dotted names and files of all modules below the folders `tops` of `root`."""
    found = {}
    for top in tops:
        for file in sorted((root / top).rglob("*.py")):
            parts = file.relative_to(root).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


def import_graph(known: Mapping[str, Path]) -> Graph:
    """For each module the modules among `known` that it imports."""
    graph: Graph = {}
    for name, file in known.items():
        package = name if file.name == "__init__.py" else name.rpartition(".")[0]
        graph[name] = set(_imported(ast.parse(file.read_text("utf-8")), package, known)) - {name}
    return graph


def _imported(tree: ast.Module, package: str, known: Mapping[str, Path]) -> Iterator[str]:
    skipped = {id(x) for node in ast.walk(tree) if _for_types(node) for x in ast.walk(node)}
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")
            base = base[: len(base) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                inner = f"{module}.{alias.name}"
                if inner in known:
                    yield inner
                elif module in known:
                    yield module


def _for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def circles(graph: Graph) -> list[list[str]]:
    """Groups of nodes that reach one another (strongly connected components of two or more)."""
    reach = {name: _reached(graph, name) for name in graph}
    seen: set[str] = set()
    found = []
    for name in graph:
        group = sorted(n for n in reach[name] if name in reach[n])
        if len(group) > 1 and name not in seen:
            seen |= set(group)
            found.append(group)
    return found


def _reached(graph: Graph, start: str) -> set[str]:
    found: set[str] = set()
    waiting = [start]
    while waiting:
        for name in graph.get(waiting.pop(), ()):
            if name not in found:
                found.add(name)
                waiting.append(name)
    return found


def by_room(graph: Graph, room: Mapping[str, str]) -> Graph:
    """The graph between rooms, `room` naming that of each module."""
    rooms: Graph = {place: set() for place in room.values()}
    for name, targets in graph.items():
        rooms[room[name]] |= {room[t] for t in targets} - {room[name]}
    return rooms
