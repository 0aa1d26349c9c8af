"""What the command line says when something fails: one line on stderr, and the right exit code.

2 is for what the user can fix, 1 for the rest, 130 for an interrupt; a traceback only with `--debug`.
"""

from __future__ import annotations

import errno
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import click

from ..errors import AtacsearchError

DEBUG = "atacsearch.debug"
INTERRUPTED = "interrupted; what had been published before stays as it was"

_HINTS = {
    errno.ENOSPC: "the disk is full: free some space or write elsewhere",
    errno.EDQUOT: "the disk quota is used up: free some space or write elsewhere",
    errno.EROFS: "the file system is read-only: write elsewhere",
    errno.EACCES: "permission denied: check the rights of the file and its folder",
    errno.EPERM: "not permitted: check the rights of the file and its folder",
    errno.ENOENT: "no such file or folder",
    errno.EISDIR: "this is a folder, a file was expected",
    errno.ENOTDIR: "a part of this path is a file, a folder was expected",
    errno.EMFILE: "too many open files: raise the limit with `ulimit -n`",
}


def describe_os_error(error: OSError) -> str:
    """One line that names the file and says what to do."""
    reason = _HINTS.get(error.errno or 0, error.strerror or str(error) or type(error).__name__)
    if error.filename is None:
        return reason
    return f"{error.filename}: {reason}"


def _follows_interrupt(error: BaseException) -> bool:
    """Whether a library met the interrupt first and stumbled over it (an import that was cut short does)."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, KeyboardInterrupt):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _fail(ctx: click.Context, message: str, code: int) -> None:
    if ctx.meta.get(DEBUG):
        click.echo(traceback.format_exc(), err=True, nl=False)
    click.echo(f"Error: {_one_line(message)}", err=True)
    ctx.exit(code)


@contextmanager
def clear_errors(ctx: click.Context) -> Iterator[None]:
    """Turn whatever is raised inside into one line on stderr and an exit code."""
    try:
        yield
    except (click.exceptions.Exit, click.Abort):
        raise
    except click.ClickException as error:
        where = getattr(error, "ctx", None)
        path = where.command_path if where is not None else ctx.command_path
        message = error.format_message()
        if isinstance(error, click.UsageError):
            message = f"{message.rstrip('.')}. See `{path} --help`."
        _fail(ctx, message, error.exit_code)
    except AtacsearchError as error:
        _fail(ctx, str(error), error.exit_code)
    except KeyboardInterrupt:
        _fail(ctx, INTERRUPTED, 130)
    except MemoryError:
        _fail(ctx, "out of memory: give fewer items at a time or use a machine with more memory", 1)
    except BrokenPipeError:
        raise
    except OSError as error:
        _fail(ctx, describe_os_error(error), 2)
    except Exception as error:
        if _follows_interrupt(error):
            _fail(ctx, INTERRUPTED, 130)
        told = "" if ctx.meta.get(DEBUG) else "; run it again with --debug for the traceback"
        _fail(ctx, f"unexpected {type(error).__name__}: {error}{told}", 1)
