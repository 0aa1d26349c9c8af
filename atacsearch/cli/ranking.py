"""Options of the order of search answers, shared by `search cells` and `search beds`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])
NAMES = ("rank", "candidates", "background", "statistics")

_OPTIONS = (
    click.option(
        "--rank",
        type=click.Choice(["cosine", "overlap", "fused"]),
        default="cosine",
        show_default=True,
        help="Order: cosine distance; overlap, the chance-adjusted Jaccard index of the regions; or fused, both.",
    ),
    click.option(
        "--statistics",
        is_flag=True,
        help="Exact overlap statistics of each answer, also with --rank cosine.",
    ),
    click.option(
        "--candidates",
        type=click.IntRange(min=1),
        metavar="N",
        help="Nearest items that overlap is counted of; all where there are no more [default: 500].",
    ),
    click.option(
        "--background",
        type=click.Choice(["universe", "indexed"]),
        default="universe",
        show_default=True,
        help="Regions that overlap is tested against: all of the universe, or those open in any indexed item.",
    ),
)


def ranking_options(command: F) -> F:
    """`--rank`, `--statistics`, `--candidates` and `--background`, given to the command as `ranking: dict`."""

    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        ranking = {name: kwargs.pop(name) for name in NAMES}
        return command(*args, ranking=ranking, **kwargs)

    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    return wrapped  # type: ignore[return-value]
