"""The way of a question through the code: which functions receive it or its options, in the order of their calls."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

PACKAGE = "atacsearch"


@dataclass
class Way:
    """Functions that received the question or its options.

    Attributes:
        stays: file and name of each function, at its first call.
    """

    stays: list[tuple[str, str]] = field(default_factory=list)

    def add(self, stay: tuple[str, str]) -> None:
        """Note a call, unless the same function was entered before."""
        if stay not in self.stays:
            self.stays.append(stay)

    @property
    def files(self) -> list[str]:
        """The files in the order in which they are entered."""
        found: list[str] = []
        for file, _ in self.stays:
            if not found or found[-1] != file:
                found.append(file)
        return found

    @property
    def returns(self) -> int:
        """How often the way enters a file that it had left."""
        return len(self.files) - len(set(self.files))

    def __str__(self) -> str:
        lines = [f"{file:45} {name}" for file, name in self.stays]
        return "\n".join([*lines, f"{len(self.stays)} stays, {self.returns} returns"])


@contextmanager
def watched(kinds: tuple[type[Any], ...]) -> Iterator[Way]:
    """Watch which functions of the package are called with an argument of one of these types."""
    way = Way()

    def profile(frame: FrameType, event: str, argument: Any) -> None:
        if event != "call" or f"/{PACKAGE}/" not in frame.f_code.co_filename:
            return
        code = frame.f_code
        if code.co_name.startswith(("<", "__")):
            return
        n = code.co_argcount + code.co_kwonlyargcount
        received = [name for name in code.co_varnames[:n] if name != "self"]  # its own methods are no stays
        if any(isinstance(frame.f_locals.get(name), kinds) for name in received):
            place = Path(code.co_filename).as_posix().rpartition(f"/{PACKAGE}/")[2]
            way.add((place, code.co_qualname))

    before: Callable[..., Any] | None = sys.getprofile()
    sys.setprofile(profile)
    try:
        yield way
    finally:
        sys.setprofile(before)
