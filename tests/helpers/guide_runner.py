"""Runs the commands of a guide: its fenced blocks marked `bash run` and `python run`, in order, in one folder.

A block marked `text output` after them is what they print on stdout. Commands of a block marked `bash fails` must be
refused, and print the error. `python tests/helpers/guide_runner.py docs/guide/*.md` writes the output anew into the
guides.
"""

from __future__ import annotations

import contextlib
import glob
import io
import os
import re
import shlex
import subprocess
import sys
import tempfile
import textwrap
from dataclasses import dataclass
from pathlib import Path

from calling import call
from guide_world import build_guide_world

FENCE = re.compile(r"^(?P<indent> *)```(?P<marks>[^\n]*)\n(?P<text>.*?)^(?P=indent)```$", re.M | re.S)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page: its marks (`bash run`), its text, its indent, and where the text lies in the page."""

    marks: str
    text: str
    indent: str
    span: tuple[int, int]


def blocks(page: str) -> list[Block]:
    """All fenced blocks of a page."""
    return [
        Block(m["marks"].strip(), textwrap.dedent(m["text"]), m["indent"], m.span("text"))
        for m in FENCE.finditer(page)
    ]


def commands(text: str) -> list[str]:
    """The commands of a block: lines, continued ones joined, without comments."""
    lines = text.replace("\\\n", " ").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]


def split_at_shell(command: str) -> tuple[list[str], str]:
    """The words of `atacsearch ...` and what the shell does with its output: `| head -3`, `> calls.tsv`."""
    quote = ""
    for i, letter in enumerate(command):
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        elif letter in "|>":
            return shlex.split(command[:i]), command[i:]
    return shlex.split(command), ""


def refusal(command: str) -> str:
    """Run one `atacsearch` command that must be refused. Returns the line that says why."""
    answer = call(*shlex.split(command)[1:])
    if not answer.code:
        raise AssertionError(f"{command}\nis not refused")
    return answer.err[answer.err.index("Error:") :]


def run_command(command: str) -> str:
    """Run one command in the current folder; `atacsearch` runs in this process. Returns what it printed."""
    if not command.startswith("atacsearch "):
        return subprocess.run(["bash", "-c", command], check=True, capture_output=True, text=True).stdout
    words, rest = split_at_shell(command)
    answer = call(*(name for word in words[1:] for name in (sorted(glob.glob(word)) or [word])))
    if answer.code:
        raise AssertionError(f"{command}\nexit code {answer.code}\n{answer.err}")
    if not rest:
        return answer.out
    shell = ["bash", "-c", f"cat {rest}"]
    return subprocess.run(shell, input=answer.out, check=True, capture_output=True, text=True).stdout


def run_python(text: str, names: dict[str, object]) -> str:
    """Run a block of Python; `names` are the variables of the blocks before. Returns what it printed."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(text, "guide", "exec"), names)
    return printed.getvalue()


def run_page(page: str) -> list[tuple[Block, str]]:
    """Run a guide in the current folder. Returns its output blocks, each with what was printed before it."""
    answers, printed = [], ""
    names: dict[str, object] = {}
    for block in blocks(page):
        if block.marks == "bash run":
            printed = "".join(map(run_command, commands(block.text)))
        elif block.marks == "bash fails":
            printed = "".join(map(refusal, commands(block.text)))
        elif block.marks == "python run":
            printed = run_python(block.text, names)
        elif block.marks == "text output":
            answers.append((block, printed))
    return answers


def aligned(text: str) -> str:
    """Lines with tabs, their columns padded for reading."""
    rows = [line.split("\t") for line in text.splitlines()]
    width: dict[int, int] = {}
    for row in rows:
        for i, field in enumerate(row):
            width[i] = max(width.get(i, 0), len(field)) if len(row) > 1 else width.get(i, 0)
    return "".join(
        "  ".join(field.ljust(width[i]) for i, field in enumerate(row)).rstrip() + "\n" for row in rows
    )


def rewrite(guide: Path) -> None:
    """Run a guide in a new folder and put what its commands print into it."""
    page = guide.read_text()
    here = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            build_guide_world(Path(folder))
            for block, printed in reversed(run_page(page)):
                text = textwrap.indent(aligned(printed), block.indent)
                page = page[: block.span[0]] + text + page[block.span[1] :]
        finally:
            os.chdir(here)
    guide.write_text(page)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        rewrite(Path(name))
