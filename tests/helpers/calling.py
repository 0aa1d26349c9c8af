"""Calls of the command line in this process, and what they leave."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from click.testing import CliRunner, Result

from atacsearch.cli.root import cli


@dataclass(frozen=True)
class Answer:
    """What a command left: exit code, stdout, stderr."""

    code: int
    out: str
    err: str

    def rows(self) -> list[dict[str, str]]:
        """Rows of a TSV on stdout."""
        header, *lines = (line.split("\t") for line in self.out.splitlines())
        return [dict(zip(header, line, strict=True)) for line in lines]


Run = Callable[..., Answer]


def call(*arguments: object) -> Answer:
    result: Result = CliRunner().invoke(cli, [str(a) for a in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Answer(result.exit_code, result.stdout, result.stderr)
