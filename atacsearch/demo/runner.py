"""Runs the steps of the demo one after another: commands of the product as a user types them, and its own.

Commands run in this process, through the same entry as the installed `atacsearch`; each is shown, timed and
kept for the report with what it said on stderr.
"""

from __future__ import annotations

import io
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass, field
from typing import TextIO

from atacsearch.errors import AtacsearchError

from .outcome import Stage


class _IndentedStream(io.TextIOBase):
    """A stream that indents what a command says, and remembers its lines."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.lines: list[str] = []
        self._open = ""

    def write(self, text: str) -> int:
        self._open += text
        *whole, self._open = self._open.split("\n")
        for line in whole:
            self.stream.write(f"    {line}\n")
            self.lines.append(line.strip())
        self.stream.flush()
        return len(text)


@dataclass
class Runner:
    """Runs steps and remembers them.

    Attributes:
        main: runs `atacsearch` with these words in this process; an exit code other than 0 is a failure.
        device: passed on to commands that encode.
        stages: what has been done so far.
        stream: where progress goes.
    """

    main: Callable[[list[str]], object]
    device: str = "auto"
    stages: list[Stage] = field(default_factory=list)
    stream: TextIO = field(default_factory=lambda: sys.stderr)

    def command(self, experiment: str, title: str, words: Sequence[object]) -> list[str]:
        """Run `atacsearch WORDS...`.

        Args:
            experiment: name of the experiment that it belongs to.
            title: what it does, in words.
            words: the command line after `atacsearch`.

        Returns:
            The lines it said on stderr.

        Raises:
            AtacsearchError: it failed; the lines above say why.
        """
        arguments = [str(word) for word in words]
        line = command_line(arguments)
        self._announce(experiment, title)
        self.stream.write(f"  $ {line}\n")
        indented = _IndentedStream(self.stream)
        began = time.perf_counter()
        with redirect_stderr(indented):
            code = self.main(arguments)
        if isinstance(code, int) and code:
            raise AtacsearchError(f"the demo stopped, because this failed: {line}")
        self._done(Stage(experiment, title, time.perf_counter() - began, line))
        return [x for x in indented.lines if x]

    @contextmanager
    def step(self, experiment: str, title: str) -> Iterator[None]:
        """Time a step of the demo's own."""
        self._announce(experiment, title)
        began = time.perf_counter()
        yield
        self._done(Stage(experiment, title, time.perf_counter() - began))

    def with_device(self, words: Sequence[object]) -> list[object]:
        """The words of a command that encodes, with the device where the user named one."""
        return [*words, *([] if self.device == "auto" else ["--device", self.device])]

    def _announce(self, experiment: str, title: str) -> None:
        self.stream.write(f"{experiment + ': ' if experiment else ''}{title}\n")
        self.stream.flush()

    def _done(self, stage: Stage) -> None:
        self.stages.append(stage)


def command_line(words: Sequence[object]) -> str:
    """The command as one types it in a shell.

    Example:
        >>> command_line(["search", "cells", "q.h5ad", "--where", "celltype=MG"])
        'atacsearch search cells q.h5ad --where celltype=MG'
    """
    return shlex.join(["atacsearch", *(str(word) for word in words)])
