"""What all `atacsearch train` commands share: their options, and how a run is shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

SEED = click.IntRange(0, 2**32 - 1)
RATE = click.FloatRange(0, 1, min_open=True)  # of learning


def common_options(default_size: str) -> Callable[[Any], Any]:
    """Options that every training command takes."""

    def decorate(command: Any) -> Any:
        for option in (
            click.option(
                "--restart",
                is_flag=True,
                help="Begin anew where an unfinished run lies in the output folder.",
            ),
            click.option(
                "--dry-run",
                is_flag=True,
                help="Say sizes, steps and the expected time, from a few timed steps; write nothing.",
            ),
            click.option(
                "--seed",
                type=SEED,
                default=0,
                show_default=True,
                help="Seed of everything random.",
            ),
            click.option(
                "--size",
                type=click.Choice(["tiny", "small", "base"]),
                default=default_size,
                show_default=True,
                help="Size of a fresh model; base is the paper's.",
            ),
            click.option("--model", "base", metavar="BASE", help="Go on from this checkpoint."),
            click.option(
                "--universe", metavar="U", help="Universe of a fresh model [default: made from the input]."
            ),
            click.option(
                "-o",
                "--output",
                "out",
                required=True,
                type=click.Path(file_okay=False, path_type=Path),
                help="Folder of the trained model.",
            ),
        ):
            command = option(command)
        return command

    return decorate


@contextmanager
def watch() -> Iterator[Callable[[dict[str, Any]], None]]:
    """Show training records: a bar an epoch on a terminal, a line an epoch on stderr everywhere."""
    import sys

    from rich.console import Console
    from rich.progress import Progress

    from ..messages import say

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
            say(f"{record['stage']} epoch {record['epoch'] + 1}/{record['epochs']}: {figures}")

        yield show
