"""Options as data: one table of names, defaults and help that builds both the command line and the Python side.

An options class is a frozen dataclass whose fields are made by `option`. `cli/from_options.py` makes click options of
them. The public methods repeat names and defaults in their signatures; `tests/test_options.py` checks that they agree.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Option:
    """What the command line needs to know of a field.

    Attributes:
        help: one sentence.
        flag: the flags as typed, such as `-k/--k`; None for `--` and the field's name.
        metavar: how the value is called in help.
        choices: the values that may be given; None for any.
        minimum, maximum: bounds of a number, both inclusive.
        above: a bound that a number must be larger than.
        multiple: whether the flag may be repeated.
        text: whether a path is taken as it is typed: it may be the name of something that is no file.
    """

    help: str
    flag: str | None = None
    metavar: str | None = None
    choices: tuple[str, ...] | None = None
    minimum: float | None = None
    maximum: float | None = None
    multiple: bool = False
    above: float | None = None
    text: bool = False


def option(
    default: Any,
    help: str,
    *,
    flag: str | None = None,
    metavar: str | None = None,
    choices: tuple[str, ...] | None = None,
    minimum: float | None = None,
    maximum: float | None = None,
    multiple: bool = False,
    above: float | None = None,
    text: bool = False,
) -> Any:
    """A dataclass field with its `Option`; see there for the arguments."""
    about = Option(help, flag, metavar, choices, minimum, maximum, multiple, above, text)
    return field(default=default, metadata={"option": about})
