"""Files that are either wholly there or not at all: temporary name, fsync, rename, fsync of the folder.

Also the checksum of a file, copies that keep holes, and one place that turns a full disk or a
folder without write permission into a clear message.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import AtacsearchError, InputError

TEMPORARY = ".tmp-"
_FULL = {errno.ENOSPC, errno.EDQUOT}
_SHUT = {errno.EROFS, errno.EACCES, errno.EPERM}


def temporary(path: Path) -> Path:
    """A name beside `path` that readers skip and the next writer removes."""
    return path.with_name(f"{TEMPORARY}{os.getpid()}-{path.name}")


def fsync_path(path: Path) -> None:
    """Flush one file or folder to the disk."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def fsync_tree(root: Path) -> None:
    """Flush every file and folder under `root`."""
    for folder, _, files in os.walk(root):
        for name in files:
            fsync_path(Path(folder, name))
        fsync_path(Path(folder))


def put_in_place(made: Path, path: Path) -> None:
    """Rename the finished file or folder `made` to `path`, durably."""
    if made.is_dir():
        fsync_tree(made)
    else:
        fsync_path(made)
    os.replace(made, path)
    fsync_path(path.parent)


def write_text(path: Path, text: str) -> None:
    """Replace the content of `path` atomically."""
    made = temporary(path)
    try:
        made.write_text(text, encoding="utf-8")
        put_in_place(made, path)
    except OSError:
        with suppress(OSError):
            made.unlink(missing_ok=True)
        raise


def sha256_of(path: Path) -> str:
    """Hexadecimal sha256 of a file."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def remove(path: Path) -> None:
    """Remove a file or folder that nothing refers to; nothing happens where it is gone."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def size_of(path: Path) -> int:
    """Bytes on disk of a file or folder (holes do not count)."""
    if path.is_file():
        return path.stat().st_blocks * 512
    return sum(p.stat().st_blocks * 512 for p in path.rglob("*") if p.is_file())


def copy_tree(source: Path, target: Path) -> None:
    """Copy a folder and keep the holes of its files: vector parts reserve far more than they use."""
    for folder, _, files in os.walk(source):
        into = target / Path(folder).relative_to(source)
        into.mkdir(parents=True, exist_ok=True)
        for name in files:
            _copy_sparse(Path(folder, name), into / name)


def _copy_sparse(source: Path, target: Path) -> None:
    with open(source, "rb") as reader, open(target, "wb") as writer:
        end = os.fstat(reader.fileno()).st_size
        offset = 0
        while offset < end:
            try:
                offset = os.lseek(reader.fileno(), offset, os.SEEK_DATA)
            except OSError as error:
                if error.errno == errno.ENXIO:  # nothing but a hole until the end
                    break
                raise
            stop = os.lseek(reader.fileno(), offset, os.SEEK_HOLE)
            while offset < stop:
                block = os.pread(reader.fileno(), min(stop - offset, 1 << 22), offset)
                os.pwrite(writer.fileno(), block, offset)
                offset += len(block)
        writer.truncate(end)


def read_ahead(folder: Path, most: int = 1 << 30) -> None:
    """Ask the system to read files up to `most` bytes in order, before they are read here and there.

    Larger files are left alone, as is a system that cannot. The vectors that answers are compared with again are
    among them: read here and there from a disk, they made queries ten times as slow.
    """
    if not hasattr(os, "posix_fadvise"):
        return
    with suppress(FileNotFoundError):  # the part was replaced meanwhile: nothing is left to read
        for path in folder.rglob("*"):
            if path.is_file() and path.stat().st_blocks * 512 <= most:
                handle = os.open(path, os.O_RDONLY)
                try:
                    os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_WILLNEED)
                finally:
                    os.close(handle)


@contextmanager
def disk_errors(index: Path, doing: str) -> Iterator[None]:
    """Turn errors of the disk into one line that says that the index itself is unharmed.

    Args:
        index: the index folder, for the message.
        doing: what was being done, such as "writing shards/cells/a-1.parquet".

    Raises:
        InputError: no space, a quota, or no permission to write.
    """
    try:
        yield
    except AtacsearchError:
        raise
    except OSError as error:
        if error.errno in _FULL:
            raise full_disk(index, doing) from error
        if error.errno in _SHUT:
            raise not_writable(index, error.strerror or str(error)) from error
        raise
    except Exception as error:
        # DuckDB and Qdrant report the operating system's error as text
        if "No space left on device" in str(error) or "os error 28" in str(error):
            raise full_disk(index, doing) from error
        raise


def full_disk(index: Path, doing: str) -> InputError:
    """The error for a disk that ran full."""
    return InputError(
        f"no space left on the disk of {index} while {doing}; the index stays as last published: "
        "free some space and run the command again"
    )


def not_writable(index: Path, reason: str) -> InputError:
    """The error for a folder that may be read only."""
    if not index.exists():
        return InputError(f"cannot make the index {index} ({reason}); name a folder that you may write to")
    return InputError(
        f"cannot write to the index {index} ({reason}); searching it works, adding needs write permission: "
        "copy the folder or change its permissions"
    )


def check_space(index: Path, needed: int, doing: str) -> None:
    """Refuse work that cannot fit: memory-mapped files end a process, not a call, when the disk is full."""
    if shutil.disk_usage(index).free < needed:
        raise full_disk(index, f"{doing} (about {needed / 1e6:,.0f} MB needed)")


def this_process() -> dict[str, str | int]:
    """Who we are, for the lock file: pid, host and command."""
    return {"pid": os.getpid(), "host": socket.gethostname(), "command": " ".join(sys.argv)[:200]}
