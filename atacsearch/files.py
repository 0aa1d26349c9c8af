"""Files for the user, written under a temporary name and renamed, so that no half-written one is left."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path


def to_file(path: Path, write: Callable[[Path], object]) -> None:
    """Write under a temporary name and rename; errors name the file that was asked for.

    A pipe or device is written as it is: it must not be replaced by a file.
    """
    plain = path.is_file() or not path.exists()
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp") if plain else path
    try:
        write(temporary)
        if plain:
            temporary.replace(path)
    except BaseException as error:
        if plain:
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename in (None, str(temporary)):
            error.filename = str(path)
        raise
