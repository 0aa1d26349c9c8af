"""The frame of the command line: lazy commands, help with examples, one-line errors, exit codes."""

from __future__ import annotations

import errno
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from atacsearch.cli.failures import clear_errors, describe_os_error
from atacsearch.cli.lazy import LazyGroup
from atacsearch.cli.root import COMMANDS, cli
from atacsearch.errors import AtacsearchError, InputError

ROOT = Path(__file__).parents[2]
HEAVY = (
    "torch",
    "pandas",
    "pyarrow",
    "duckdb",
    "qdrant_edge",
    "qdrant_client",
    "numba",
    "pyranges",
    "anndata",
    "rich",
)


def walk(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from walk(command, (*path, name))


ALL = dict(walk(cli))


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_command_has_help_with_an_example_of_itself(path: tuple[str, ...]) -> None:
    result = CliRunner().invoke(cli, [*path, "--help"])
    assert result.exit_code == 0
    assert "Example:" in result.output
    assert f"atacsearch {' '.join(path)}" in result.output
    for option in ALL[path].params:
        if isinstance(option, click.Option):
            assert option.help, option.name


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_command_is_in_the_documentation(path: tuple[str, ...]) -> None:
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    text = "\n".join(page.read_text() for page in pages if page.exists())
    assert f"atacsearch {' '.join(path)}" in text


@pytest.mark.parametrize("name", COMMANDS)
def test_the_table_of_commands_says_what_the_command_says(name: str) -> None:
    assert isinstance(cli, LazyGroup)
    assert COMMANDS[name].help == ALL[(name,)].get_short_help_str(200)


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["search", "--help"], ["index", "--help"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys\nfrom atacsearch.cli.root import cli\n"
        f"try:\n    cli({arguments!r})\nexcept SystemExit as end:\n    assert not end.code\n"
        f"print(sorted(set(sys.modules) & set({HEAVY!r})))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_module_is_the_command() -> None:
    words = [sys.executable, "-m", "atacsearch", "search", "--help"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("Usage: atacsearch search")


def test_import_of_the_package_loads_nothing_heavy() -> None:
    code = f"import sys, atacsearch; print(sorted(set(sys.modules) & {{'numpy', *{HEAVY!r}}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def group_that_raises(error: BaseException) -> click.Group:
    from atacsearch.cli.options import debug_option
    from atacsearch.cli.root import RootGroup

    @click.group(cls=RootGroup)
    @debug_option
    def group() -> None:
        pass

    @group.command()
    @debug_option
    def fail() -> None:
        raise error

    return group


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (InputError("a.bed, line 3: bad\nfield"), 2, "Error: a.bed, line 3: bad field\n"),
        (AtacsearchError("broken"), 1, "Error: broken\n"),
        (
            OSError(errno.ENOSPC, "No space left on device", "x.parquet"),
            2,
            "Error: x.parquet: the disk is full",
        ),
        (
            PermissionError(errno.EACCES, "Permission denied", "/root/x"),
            2,
            "Error: /root/x: permission denied",
        ),
        (
            OSError(errno.EROFS, "Read-only file system", "/mnt/x"),
            2,
            "Error: /mnt/x: the file system is read-only",
        ),
        (MemoryError(), 1, "Error: out of memory"),
        (KeyboardInterrupt(), 130, "Error: interrupted"),
        (ZeroDivisionError("no"), 1, "Error: unexpected ZeroDivisionError: no; run it again with --debug"),
    ],
)
def test_an_error_is_one_line_on_stderr(error: BaseException, code: int, text: str) -> None:
    result = CliRunner().invoke(group_that_raises(error), ["fail"])
    assert result.exit_code == code
    assert result.stderr.startswith(text)
    assert len(result.stderr.splitlines()) == 1
    assert result.stdout == ""


def test_an_interrupt_that_a_library_stumbled_over_is_an_interrupt() -> None:
    error = AttributeError("partially initialized module")
    error.__context__ = KeyboardInterrupt()
    assert CliRunner().invoke(group_that_raises(error), ["fail"]).exit_code == 130


@pytest.mark.parametrize("arguments", [["--debug", "fail"], ["fail", "--debug"]])
def test_debug_shows_the_traceback(arguments: list[str]) -> None:
    result = CliRunner().invoke(group_that_raises(InputError("bad")), arguments)
    assert result.exit_code == 2
    assert "Traceback" in result.stderr
    assert result.stderr.endswith("Error: bad\n")


@pytest.mark.parametrize(
    "arguments",
    [["annotate"], ["search", "cells", "x"], ["index", "create", "i"], ["embed", "x", "--level", "gene"],
     ["annotate", "x", "--index", "i", "--label", "c", "--format", "parquet"], ["search", "cells",
     "--nonsense"]],
)  # fmt: skip
def test_wrong_usage_is_one_line_that_points_to_the_help(arguments: list[str]) -> None:
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1
    assert "--help" in result.stderr


def test_an_os_error_without_a_file_keeps_its_reason() -> None:
    assert describe_os_error(OSError("odd")) == "odd"


def test_nothing_is_caught_that_click_handles_itself() -> None:
    context = click.Context(click.Command("x"))
    with pytest.raises(click.exceptions.Exit), clear_errors(context):
        context.exit(3)
