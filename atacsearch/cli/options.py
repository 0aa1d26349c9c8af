"""Option sets that several commands share, so that the same word means the same everywhere.

Each is a decorator; `output_options` gathers its options into one argument. Options that questions and readers have
come from their options classes (`from_options.py`).
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ..readers.options import READING, ReadOptions
from .failures import DEBUG
from .from_options import options_of

if TYPE_CHECKING:
    from ..answers import Answer

F = TypeVar("F", bound=Callable[..., Any])
FORMATS = ("table", "tsv", "json", "parquet")


def _remember_debug(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value:
        ctx.meta[DEBUG] = True


def debug_option(command: F) -> F:
    """`--debug`: show the traceback of an error."""
    return click.option(
        "--debug",
        is_flag=True,
        expose_value=False,
        is_eager=True,
        callback=_remember_debug,
        help="Show the traceback of an error.",
    )(command)


class OutputFile(click.Path):
    """A file to be written, refused before any work is done where its folder is missing or read-only."""

    def __init__(self) -> None:
        super().__init__(dir_okay=False, writable=True, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """The path, checked."""
        path = Path(os.fsdecode(super().convert(value, param, ctx)))
        folder = path.parent
        if not folder.is_dir():
            self.fail(f"{path}: there is no folder {folder}; make it first", param, ctx)
        if not os.access(folder, os.W_OK):
            self.fail(f"{path}: the folder {folder} is not writable; write elsewhere", param, ctx)
        return path


@dataclass(frozen=True)
class Output:
    """Where and how a table is to be written.

    Attributes:
        format: one of `FORMATS`.
        path: the file; None is stdout.
    """

    format: str
    path: Path | None

    def write(self, answer: Answer) -> None:
        """Write an answer; on a terminal with the columns that fit it."""
        from ..tables import write_table

        table = answer.for_terminal() if self.format == "table" else answer.to_arrow()
        write_table(table, self.format, self.path)

    def write_record(self, record: dict[str, Any]) -> None:
        """Write the properties of one thing."""
        from ..tables import write_record

        write_record(record, self.format, self.path)


def output_options(command: F) -> F:
    """`--format` and `-o`, given to the command as `output: Output`.

    Without `--format` the suffix of the output file decides; on stdout it is a readable table.
    """

    @functools.wraps(command)
    def wrapped(*args: Any, format: str | None, output: Path | None, **kwargs: Any) -> Any:
        if output is not None and str(output) == "-":
            output = None
        suffix = output.suffix.lstrip(".").lower() if output else ""
        if suffix in ("gz", "bgz", "zst", "bz2", "xz", "zip") or (suffix == "csv" and format is None):
            raise click.UsageError(f"-o {output}: .{suffix} is not written; use .tsv, .json or .parquet")
        if format is None:
            format = suffix if suffix in FORMATS else "table" if output is None else "tsv"
        if format == "parquet" and output is None:
            raise click.UsageError("--format parquet is binary and is not written to stdout: add -o FILE")
        return command(*args, output=Output(format, output), **kwargs)

    for option in (
        click.option(
            "-o",
            "--output",
            type=OutputFile(),
            help="Write the table to this file; - is stdout, the default.",
        ),
        click.option(
            "--format", type=click.Choice(FORMATS), help="Form of the table [default: table; else by suffix]."
        ),
    ):
        wrapped = option(wrapped)
    return wrapped  # type: ignore[return-value]


def reader_options(command: F) -> F:
    """How inputs are read, given to the command as `reading: dict` of what the user set."""

    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        reading = {name: value for name in READING if (value := kwargs.pop(name)) is not None}
        return command(*args, reading=reading, **kwargs)

    return options_of(ReadOptions)(wrapped)  # type: ignore[return-value]


def read_options(reading: dict[str, Any]) -> ReadOptions:
    """The `ReadOptions` of what `reader_options` gathered."""
    return ReadOptions(**reading)


def index_option(command: F) -> F:
    """`--index INDEX`, required."""
    return click.option("--index", "index_path", required=True, metavar="INDEX", help="Index folder.")(
        command
    )


def device_option(command: F) -> F:
    """`--device`: where the encoder runs."""
    return click.option(
        "--device",
        default="auto",
        show_default=True,
        metavar="auto|cpu|cuda",
        help="Where the encoder runs.",
    )(command)


def universe_option(required: bool = True) -> Callable[[F], F]:
    """`--universe`: a BED file of regions or the name of a known public universe."""
    return click.option(
        "--universe",
        required=required,
        metavar="U",
        help="Universe: a BED file of regions, or the name of a known public one.",
    )


def model_option(
    required: bool = True, help: str = "Model folder, or a name on the hub."
) -> Callable[[F], F]:
    """`--model`: a checkpoint folder in the published layout."""
    return click.option("--model", required=required, metavar="MODEL", help=help)
