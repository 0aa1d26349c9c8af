"""What the command line says while it works: plain lines and progress bars, all on stderr."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

Advance = Callable[[int], None]


def notify(text: str) -> None:
    """Print one message on stderr."""
    click.echo(text, err=True)


@contextmanager
def progress(description: str, total: int | None) -> Iterator[Advance]:
    """A bar on stderr while it is a terminal, nothing otherwise.

    Args:
        description: what is being done.
        total: number of steps; None where it is not known.

    Returns:
        A function to be called with the number of steps done since the last call.
    """
    if not sys.stderr.isatty():
        yield lambda n: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(description, total=total)
        yield lambda n: bar.advance(task, n)
