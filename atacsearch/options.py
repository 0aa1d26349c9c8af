"""Options as data: one table of names, defaults and help that builds both the command line and the Python side.

An options class is a frozen dataclass on `Options` whose fields are made by `option`. `cli/from_options.py` makes click
options of them; a test holds the signatures of the public methods against them. `Options` refuses values of the wrong
type or out of range, so that Python holds to what the command line holds to.
"""

from __future__ import annotations

import builtins
import os
import sys
import types
import typing
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from .errors import InputError
from .spelling import did_you_mean


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
        text: whether a path is taken as it is typed: it may be the name of something that is no file. Of text,
            whether it may be a path.
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


class Options:
    """Base of options classes: refuses a value that its field's type or `Option` does not allow."""

    def __post_init__(self) -> None:
        hints = hints_of(type(self))
        for f in fields(self):  # type: ignore[arg-type]
            if "option" in f.metadata:
                _check(f.name, f.metadata["option"], hints[f.name], getattr(self, f.name))


def hints_of(cls: type[Any]) -> dict[str, Any]:
    """Types of the fields of an options class, by name."""
    return typing.get_type_hints(cls, localns=_Names(vars(sys.modules[cls.__module__])))


def words_of(words: str | Sequence[str]) -> tuple[str, ...]:
    """One word or several, as a tuple. Raises `InputError` for what is neither."""
    if isinstance(words, str):
        return (words,)
    found = tuple(words) if isinstance(words, Iterable) else (words,)
    for word in found:
        if not isinstance(word, str):
            raise InputError(f"{word!r}: expected a text or a list of texts")
    return found


def flags_of(name: str, about: Option) -> list[str]:
    """The flags of a field, as typed."""
    return (about.flag or "--" + name.replace("_", "-")).split("/")


def plain_type(hint: Any) -> Any:
    """The type without None, and of a tuple that of its elements; of `str | Path` Path."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        left = [a for a in typing.get_args(hint) if a is not type(None)]
        if Path in left:
            return Path
        return plain_type(left[0])
    if typing.get_origin(hint) is tuple:
        return plain_type(typing.get_args(hint)[0])
    return hint


class _Names(dict[str, Any]):
    """The names of a module; those that it imports for type checking only, which no option has, stand for anything."""

    def __missing__(self, name: str) -> Any:
        if hasattr(builtins, name):
            raise KeyError(name)
        return Any


def _check(name: str, about: Option, hint: Any, value: Any) -> None:
    """Refuse a value of a field. Raises `InputError` with the flag, the value and what is expected."""
    if value is None and type(None) in typing.get_args(hint):
        return
    several = typing.get_origin(hint) is tuple
    kind = plain_type(hint)
    for one in value if several and isinstance(value, tuple) else [value]:
        wrong = _wrong_choice(about, one) if about.choices else _wrong_value(about, kind, one)
        if wrong:
            shown = _shown(one, quoted=kind in (int, float, bool))
            raise InputError(f"{flags_of(name, about)[0]} {shown}: expected {wrong}")


def _wrong_choice(about: Option, value: Any) -> str | None:
    known = about.choices or ()
    if isinstance(value, str) and value in known:
        return None
    near = did_you_mean(value, known) if isinstance(value, str) else ""
    return f"one of {', '.join(known)}{near}"


def _wrong_value(about: Option, kind: Any, value: Any) -> str | None:
    """What was expected of a value; None where it is right."""
    is_bool = type(value).__name__ in ("bool", "bool_")  # numpy's, too
    if kind is bool:
        return None if is_bool else "True or False"
    if kind is int or kind is float:
        right = isinstance(value, Integral if kind is int else Real) and not is_bool and value == value
        return None if right and _within(about, value) else _range(about, kind)
    if kind is Path or about.text:
        return None if isinstance(value, str | os.PathLike) else "a name or path" if about.text else "a path"
    return None if kind is not str or isinstance(value, str) else "text"


def _within(about: Option, value: Any) -> bool:
    low, high, above = about.minimum, about.maximum, about.above
    return bool(
        (low is None or value >= low) and (high is None or value <= high) and (above is None or value > above)
    )


def _range(about: Option, kind: type) -> str:
    """The numbers that an option takes, in words."""
    what = "a whole number" if kind is int else "a number"
    low, high, above = (
        f"{x:.15g}" if x is not None else None for x in (about.minimum, about.maximum, about.above)
    )
    if low is not None:
        return f"{what} from {low} to {high}" if high is not None else f"{what}, {low} or more"
    if above is not None:
        return f"{what} above {above}" + (f", at most {high}" if high is not None else "")
    return what


def _shown(value: Any, quoted: bool) -> str:
    """A value as a message shows it: text as it is typed unless quoted, things of the wrong kind short."""
    if isinstance(value, str) and not quoted:
        return value
    text = " ".join(repr(value).split())
    return text if len(text) <= 40 else type(value).__name__
