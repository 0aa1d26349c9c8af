"""The command line: one file per command group, each imported only when it is called."""

from __future__ import annotations


def main() -> None:
    """Run the `atacsearch` command (entry point of the installed script)."""
    from .root import cli

    cli(prog_name="atacsearch")
