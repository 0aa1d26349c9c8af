"""Messages of a long run."""

from __future__ import annotations

import sys
import time


def note(text: str) -> None:
    """Say what happens, on stderr, with the time."""
    print(time.strftime("%H:%M:%S"), text, file=sys.stderr, flush=True)
