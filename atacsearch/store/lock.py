"""One writer at a time: an flock on `writer.lock`, which also tells who holds it.

The kernel releases the lock when the holder ends, however it ends, so no stale lock is ever left.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
from datetime import datetime
from pathlib import Path
from types import TracebackType

from ..errors import LockedError
from .atomic import disk_errors, this_process


class WriterLock:
    """Held from construction until `release`.

    Args:
        index: the index folder.

    Raises:
        LockedError: another writer holds it; the message names pid, host, command and since when.
        InputError: the folder cannot be written.
    """

    def __init__(self, index: Path) -> None:
        self._fd = -1
        path = index / "writer.lock"
        with disk_errors(index, "taking the writer lock"):
            fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(fd)
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise
            raise LockedError(
                f"the index {index} is being written by {describe(path)}; wait for it to end and run again"
            ) from error
        self._fd = fd
        record = {**this_process(), "since": datetime.now().astimezone().isoformat(timespec="seconds")}
        with disk_errors(index, "taking the writer lock"):
            os.ftruncate(fd, 0)
            os.pwrite(fd, json.dumps(record).encode(), 0)

    def release(self) -> None:
        """Let the next writer in."""
        if self._fd >= 0:
            os.ftruncate(self._fd, 0)
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> WriterLock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def describe(path: Path) -> str:
    """The holder that a lock file names, in words."""
    try:
        holder = json.loads(path.read_text(encoding="utf-8"))
        who = f"process {holder['pid']} on {holder['host']} since {holder['since']}"
        return f"{who} (command: {holder['command']})"
    except (OSError, ValueError, KeyError):
        return "another process"


def holder_of(index: Path) -> str | None:
    """Who writes to the index right now, None where nobody does."""
    path = index / "writer.lock"
    try:
        fd = os.open(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return describe(path)
    finally:
        os.close(fd)
    return None
