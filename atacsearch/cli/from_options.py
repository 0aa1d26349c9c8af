"""Click options out of options classes, so that the command line and Python share names, defaults and help."""

from __future__ import annotations

import typing
from collections.abc import Callable, Sequence
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any, TypeVar

import click

from ..options import Option, flags_of, hints_of, plain_type

F = TypeVar("F", bound=Callable[..., Any])


def options_of(
    cls: type[Any], *, only: Sequence[str] | None = None, skip: Sequence[str] = ()
) -> Callable[[F], F]:
    """A decorator that adds the options of a class to a command, each under its field's name.

    Args:
        cls: a dataclass whose fields are made by `atacsearch.options.option`; other fields are left out.
        only: names of the fields to add; all where it is None.
        skip: names of fields to leave out.
    """
    hints = hints_of(cls)
    chosen = [
        f
        for f in fields(cls)
        if "option" in f.metadata and (only is None or f.name in only) and f.name not in skip
    ]

    def decorate(command: F) -> F:
        for f in reversed(chosen):
            command = click_option(f, hints[f.name])(command)
        return command

    return decorate


def click_option(f: Field[Any], hint: Any) -> Callable[[F], F]:
    """The click option of one field."""
    about: Option = f.metadata["option"]
    flags = flags_of(f.name, about)
    default = None if f.default is MISSING else f.default
    kind, is_flag = _kind(plain_type(hint), about)
    if is_flag:
        pair = [about.flag] if about.flag else flags
        return click.option(*pair, f.name, is_flag=True, default=bool(default), help=about.help)
    if typing.get_origin(hint) is tuple and not about.multiple:
        return click.option(*flags, f.name, callback=comma_separated, metavar=about.metavar, help=about.help)
    shown = default not in (None, ())
    return click.option(
        *flags,
        f.name,
        type=kind,
        multiple=about.multiple,
        default=default,
        show_default=shown,
        metavar=about.metavar,
        help=about.help,
    )


def _kind(hint: Any, about: Option) -> tuple[click.ParamType[Any] | None, bool]:
    """The click type, and whether the option is a flag."""
    if about.choices is not None:
        return click.Choice(about.choices), False
    if hint is bool:
        return None, True
    if hint is Path and not about.text:
        return click.Path(exists=True, dir_okay=False, path_type=Path), False
    low, high = about.above if about.minimum is None else about.minimum, about.maximum
    bounded = low is not None or high is not None
    if hint is int:
        whole = click.IntRange(None if low is None else int(low), None if high is None else int(high))
        return whole if bounded else click.INT, False
    if hint is float:
        open_below = about.above is not None
        return click.FloatRange(low, high, min_open=open_below) if bounded else click.FLOAT, False
    return click.STRING, False


def comma_separated(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[str, ...]:
    """`A,B` as a tuple of names."""
    return () if value is None else tuple(name.strip() for name in value.split(",") if name.strip())
