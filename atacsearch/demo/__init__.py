"""The demo: the main job on real public data, start to finish, with a report.

`run` drives the product's own commands; the modules here split the data, score, draw and write the report.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path


def run(out: Path, main: Callable[[list[str]], object], device: str = "auto") -> Path:
    """Run the demo; see `atacsearch.demo.pipeline.run_demo`.

    Args:
        out: folder for the report and everything that it is made from.
        main: runs the command line `atacsearch` in this process.
        device: where the encoder runs: `auto`, `cpu`, `cuda`.

    Returns:
        The report.
    """
    from .pipeline import run_demo

    return run_demo(out, main, device)
