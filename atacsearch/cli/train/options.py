"""What all `atacsearch train` commands share: the folder of the model, and how a run is shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ..from_options import options_of
from .command_line import command_line

if TYPE_CHECKING:
    from ...training.recipes.options import RunOptions
    from ...training.recipes.trained import Trained

F = TypeVar("F", bound=Callable[..., Any])


def folder_option(command: F) -> F:
    """`-o`: the folder of the trained model, given to the command as `out`."""
    return click.option(
        "-o",
        "--output",
        "out",
        required=True,
        type=click.Path(file_okay=False, path_type=Path),
        help="Folder of the trained model.",
    )(command)


def recipe_options(table: type[RunOptions], *, first: Sequence[str] = ()) -> Callable[[F], F]:
    """The options of a recipe: `first`, the folder, what the model starts from, its own, and how it computes."""
    start = ("universe", "model", "size", "seed", "dry_run", "restart")
    last = ("warm_start", "device")

    def decorate(command: F) -> F:
        command = options_of(table, only=last)(command)
        command = options_of(table, skip=(*first, *start, *last))(command)
        command = folder_option(options_of(table, only=start)(command))
        return options_of(table, only=first)(command)

    return decorate


def run_recipe(recipe: Callable[..., Trained]) -> None:
    """Run a recipe, show how it goes on, and say what it made.

    Args:
        recipe: takes `command` (the command line, for the model card), `notify` and `progress`.
    """
    from ..messages import notify

    with watch() as progress:
        trained = recipe(command=command_line(), notify=notify, progress=progress)
    for line in trained.lines:
        notify(line)


@contextmanager
def watch() -> Iterator[Callable[[dict[str, Any]], None]]:
    """Show training records: a bar an epoch on a terminal, a line an epoch on stderr everywhere."""
    import sys

    from rich.console import Console
    from rich.progress import Progress

    from ..messages import notify

    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("training", total=None)

        def show(record: dict[str, Any]) -> None:
            if "steps" in record:
                name = f"{record['stage']}, epoch {record['epoch'] + 1}"
                bar.update(task, description=name, total=record["steps"], completed=record["step"] + 1)
                return
            figures = ", ".join(
                f"{key.replace('_', ' ')} {value:.4f}"
                for key, value in record.items()
                if isinstance(value, float)
            )
            notify(f"{record['stage']} epoch {record['epoch'] + 1}/{record['epochs']}: {figures}")

        yield show
