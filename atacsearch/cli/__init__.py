"""The command line: one file per command group, each imported only when it is called."""

from __future__ import annotations


def main() -> None:
    """Run the `atacsearch` command (entry point of the installed script)."""
    import os
    import sys

    # Read by OpenMP when torch is first imported. Threads that spin while they wait made a training epoch four
    # times as long on a machine that other work shared, and gain nothing on an idle one.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from .root import cli

    try:
        cli(prog_name="atacsearch")
    except OSError as error:  # --help and --version write before any command begins
        sys.exit(f"Error: cannot write the output ({error.strerror or error})")
