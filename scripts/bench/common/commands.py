"""Commands of `atacsearch`, each in a process of its own, as a user runs them."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache

_ENTRY = "import sys; from atacsearch.cli import main; sys.exit(main())"


def command(*words: object) -> str:
    """Run `atacsearch WORDS...`; returns what it prints.

    Raises:
        SystemExit: it failed; the message holds what it wrote to stderr.
    """
    line = [sys.executable, "-c", _ENTRY, *(str(word) for word in words)]
    environment = {"OMP_WAIT_POLICY": "PASSIVE", **os.environ}
    done = subprocess.run(line, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        shown = " ".join(str(word) for word in words)
        sys.exit(f"atacsearch {shown}: status {done.returncode}: {done.stderr[-3000:]}")
    return done.stdout


@cache
def has_option(option: str, *words: str) -> bool:
    """Whether a command has an option."""
    return option in command(*words, "--help").split()
