"""Where this program keeps files of its own: fetched data, compiled kernels."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """`$ATACSEARCH_CACHE`, else `~/.cache/atacsearch`."""
    named = os.environ.get("ATACSEARCH_CACHE")
    return Path(named) if named else Path.home() / ".cache" / "atacsearch"
