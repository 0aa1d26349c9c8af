"""The public surface of the package as text: every name, signature and attribute that users may rely on.

    python scripts/public_surface.py            print it
    python scripts/public_surface.py --write    keep it in tests/public_surface.txt, after a change on purpose

A test compares the two.
"""

from __future__ import annotations

import argparse
import inspect
import re
import types
from collections.abc import Callable, Iterator
from pathlib import Path

import atacsearch

KEPT = Path(__file__).resolve().parents[1] / "tests" / "public_surface.txt"


def surface() -> str:
    """All public names, one a line, with members below their class."""
    lines: list[str] = []
    for name in sorted(atacsearch.__all__):
        lines += described(name, getattr(atacsearch, name))
    return "\n".join(lines) + "\n"


def described(name: str, value: object) -> Iterator[str]:
    """Lines for one name."""
    if isinstance(value, types.ModuleType):
        yield f"module {name}"
        for inner in sorted(getattr(value, "__all__", ())):
            yield from (f"    {line}" for line in described(inner, getattr(value, inner)))
    elif inspect.isclass(value):
        public = {*atacsearch.__all__, "Exception"}
        bases = [base.__name__ for base in value.__mro__[1:] if base.__name__ in public][:1]
        yield f"class {name}({', '.join(bases)})" if bases else f"class {name}"
        yield from (f"    {line}" for line in members(value))
    elif callable(value):
        yield f"def {name}{signature_of(value)}"
    else:
        yield f"{name}: {type(value).__name__}"


def members(cls: type) -> Iterator[str]:
    """Public attributes and methods of a class, those it inherits from ours included."""
    fields = {n for c in cls.__mro__ for n in getattr(c, "__annotations__", {}) if not n.startswith("_")}
    for name in sorted(fields):
        yield f"{name}: {annotation_of(cls, name)}"
    for name, kind in sorted((a.name, a.kind) for a in inspect.classify_class_attrs(cls)):
        special = name in ("__init__", "__enter__", "__len__", "__iter__", "__getitem__")
        if (name.startswith("_") and not special) or name in fields:
            continue
        owner = next(c for c in cls.__mro__ if name in c.__dict__)
        if not owner.__module__.startswith("atacsearch"):
            continue
        found = owner.__dict__[name]
        if kind == "property" or not callable(getattr(cls, name)):
            yield f"{name}: property"
        else:
            plain = found.__func__ if isinstance(found, classmethod | staticmethod) else found
            yield f"def {name}{signature_of(plain)}"


def signature_of(function: Callable[..., object]) -> str:
    """The signature, functions among the defaults by their names."""
    return re.sub(r"<function (\w+) at 0x[0-9a-f]+>", r"\1", str(inspect.signature(function)))


def annotation_of(cls: type, name: str) -> str:
    """The type of a field as it is written."""
    for owner in cls.__mro__:
        if name in getattr(owner, "__annotations__", {}):
            return str(owner.__annotations__[name])
    raise AttributeError(name)


def main() -> None:
    """Print or keep the surface."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", action="store_true", help="keep it in tests/public_surface.txt")
    if parser.parse_args().write:
        KEPT.write_text(surface(), "utf-8")
        print(f"{KEPT}: written")
    else:
        print(surface(), end="")


if __name__ == "__main__":
    main()
