"""The house: every room has a floor, imports go down, nothing goes in circles, rooms and files stay small."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from import_graph import by_room, circles, import_graph, modules

ROOT = Path(__file__).resolve().parents[1]
MOST_MODULES, MOST_LINES = 16, 500

# From the ground up. A room is a package, its sub-packages left out, or a module at the top of `atacsearch`.
FLOORS = (
    ("errors", "_version", "cache", "arrow", "files"),
    ("answers", "spelling", "tables"),
    ("options",),
    ("kernels",),
    ("genome",),
    ("tokens",),
    ("readers",),
    ("readers.matrices",),
    ("readers.fragments",),
    ("readers.inputs",),
    ("model",),
    ("model.heads",),
    ("model.checkpoints",),
    ("model.encoding",),
    ("training",),
    ("training.linear",),
    ("training.trainer",),
    ("training.metrics",),
    ("training.loops",),
    ("training.class_head", "training.bulk"),
    ("training.recipes",),
    ("store",),
    ("store.metadata",),
    ("store.vectors", "store.postings"),
    ("store.index",),
    ("query",),
    ("query.regions", "query.reference", "query.ingest"),
    ("query.search", "query.annotate"),
    ("questions", "api"),
    ("index",),
    ("__init__",),
    ("demo",),
    ("cli",),
    ("cli.train",),
    ("__main__",),
)


def room_of(name: str, file: Path) -> str:
    """The room of a module of `atacsearch`."""
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]
    inside = package.removeprefix("atacsearch").lstrip(".")
    if inside:
        return inside
    return "__init__" if file.name == "__init__.py" else name.rpartition(".")[2]


KNOWN = modules(ROOT, "atacsearch")
GRAPH = import_graph(KNOWN)
ROOM = {name: room_of(name, file) for name, file in KNOWN.items()}


def test_every_room_has_a_floor() -> None:
    floors = [room for floor in FLOORS for room in floor]
    assert len(floors) == len(set(floors))
    missing = set(ROOM.values()) - set(floors)
    assert not missing, f"rooms without a floor: {missing}"
    assert not set(floors) - set(ROOM.values()), "floors without a room"


def test_imports_go_down() -> None:
    floor = {room: i for i, rooms in enumerate(FLOORS) for room in rooms}
    up = [
        f"{name} imports {target}"
        for name, targets in GRAPH.items()
        for target in sorted(targets)
        if ROOM[name] != ROOM[target] and floor[ROOM[name]] <= floor[ROOM[target]]
    ]
    assert not up


@pytest.mark.parametrize("tops", [("atacsearch",), ("indexer",), ("scripts",)])
def test_no_circles(tops: tuple[str, ...]) -> None:
    known = modules(ROOT, *tops)
    if tops == ("scripts",):
        # Scripts name one another from the folder that is on the path.
        known = {name.removeprefix("scripts.bench."): file for name, file in known.items()}
    assert circles(import_graph(known)) == []


def test_no_circles_between_rooms() -> None:
    assert circles(by_room(GRAPH, ROOM)) == []


@pytest.mark.parametrize("top", ["atacsearch", "indexer", "scripts", "tests"])
def test_rooms_and_files_stay_small(top: str) -> None:
    files = list((ROOT / top).rglob("*.py"))
    folders = Counter(file.parent for file in files)
    assert {str(f.relative_to(ROOT)): n for f, n in folders.items() if n > MOST_MODULES} == {}
    lengths = {str(f.relative_to(ROOT)): len(f.read_text("utf-8").splitlines()) for f in files}
    assert {name: n for name, n in lengths.items() if n > MOST_LINES} == {}


def test_the_graph_is_seen() -> None:
    """Lazy imports count, imports for type checking do not."""
    assert "atacsearch.query.search.search" in GRAPH["atacsearch.questions"]
    assert "atacsearch.answers" not in GRAPH["atacsearch.questions"]
    made = {"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}
    assert circles(made) == [["b", "c"]]
