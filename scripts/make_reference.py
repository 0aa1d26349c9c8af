#!/usr/bin/env python3
"""Write docs/reference: a page for each command, from its help, and one for Python, from signatures and docstrings.

    python scripts/make_reference.py [FOLDER]        (default: docs/reference of this checkout)

`tests/docs/test_reference.py` compares the pages in the checkout with what this writes.
"""

from __future__ import annotations

import argparse
import inspect
import re
import shutil
import sys
import types
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import click  # noqa: E402

import atacsearch  # noqa: E402
from atacsearch.cli.root import cli  # noqa: E402

SECTION = re.compile(r"^(Args|Arguments|Attributes|Returns|Yields|Raises|Example|Examples|References):\s*$")
DEFAULT = re.compile(r"\s*\[default: ([^\];]*)(?:; ([^\]]*))?\]")
NOTE = "<!-- Written by scripts/make_reference.py. Change the docstring or the help, then run it. -->"


def all_commands(
    command: click.Command, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command and group below the root, in the order of their names."""
    if not isinstance(command, click.Group):
        return
    context = click.Context(command)
    for name in sorted(command.list_commands(context)):
        found = command.get_command(context, name)
        if found is not None:
            yield (*path, name), found
            yield from all_commands(found, (*path, name))


def file_name(path: tuple[str, ...]) -> str:
    """The page of a command: `index-create.md`."""
    return "-".join(path) + ".md"


def cell(text: str) -> str:
    """Text that may stand in a cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")


def help_parts(command: click.Command) -> tuple[str, str]:
    """The paragraphs of the help, and its example."""
    text, _, example = inspect.cleandoc(command.help or "").replace("\x08", "").partition("Example:")
    paragraphs = [" ".join(p.split()) for p in text.split("\n\n")]
    lines = [line.strip() for line in example.splitlines() if line.strip()]
    return "\n\n".join(p for p in paragraphs if p), "\n".join(lines)


def option_row(option: click.Option, context: click.Context) -> str:
    """One row of the table of options."""
    names, text = option.get_help_record(context) or ("", "")
    default = ""
    if match := DEFAULT.search(text):
        default = match[1]
        text = text[: match.start()] + (f" [{match[2]}]" if match[2] else "") + text[match.end() :]
    if "[required]" in text:
        default, text = "required", text.replace("[required]", "")
    return f"| `{cell(names)}` | {cell(default)} | {cell(text)} |"


def command_page(path: tuple[str, ...], command: click.Command) -> str:
    """The page of one command."""
    name = " ".join(("atacsearch", *path))
    context = click.Context(command, info_name=name)
    usage = " ".join(command.collect_usage_pieces(context))
    text, example = help_parts(command)
    lines = [NOTE, "", f"# {name}", "", text, "", "```text", f"{name} {usage}", "```", ""]
    if example:
        lines += ["Example:", "", "```bash", example, "```", ""]
    if isinstance(command, click.Group):
        lines += ["| command | what it does |", "|---|---|"]
        for below, found in all_commands(command, path):
            if len(below) == len(path) + 1:
                lines.append(f"| [{below[-1]}]({file_name(below)}) | {cell(found.get_short_help_str(200))} |")
        lines.append("")
    options = [p for p in command.params if isinstance(p, click.Option) and not p.hidden]
    lines += ["| option | default | meaning |", "|---|---|---|"]
    lines += [option_row(option, context) for option in options]
    lines.append("| `-h, --help` |  | Show the help and exit. |")
    return "\n".join(lines) + "\n"


def annotation(found: object) -> str:
    """A type as it is written in the source."""
    return found if isinstance(found, str) else inspect.formatannotation(found)


def parameter(p: inspect.Parameter) -> str:
    """`name: type = default`; a function as default by its name."""
    stars = "*" if p.kind is p.VAR_POSITIONAL else "**" if p.kind is p.VAR_KEYWORD else ""
    typed = "" if p.annotation is p.empty else f": {annotation(p.annotation)}"
    if p.default is p.empty:
        return f"{stars}{p.name}{typed}"
    default = p.default.__name__ if inspect.isroutine(p.default) else repr(p.default)
    return f"{stars}{p.name}{typed}{' = ' if typed else '='}{default}"


def signature(name: str, thing: object) -> str:
    """`name(arguments) -> answer`, an argument a line where it is long; without self."""
    try:
        found = inspect.signature(thing)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return name
    arguments = []
    starred = False
    for p in found.parameters.values():
        if p.kind is p.KEYWORD_ONLY and not starred:
            arguments.append("*")
        starred = starred or p.kind in (p.KEYWORD_ONLY, p.VAR_POSITIONAL)
        if p.name not in ("self", "cls"):
            arguments.append(parameter(p))
    none = found.return_annotation in (found.empty, None, "None") or inspect.isclass(thing)
    answer = "" if none else f" -> {annotation(found.return_annotation)}"
    short = f"{name}({', '.join(arguments)}){answer}"
    if len(short) <= 100:
        return short
    return f"{name}(\n" + "".join(f"    {words},\n" for words in arguments) + f"){answer}"


def docstring(thing: object) -> str:
    """A docstring as Markdown: paragraphs, sections as lists, examples as code."""
    lines = inspect.cleandoc(inspect.getdoc(thing) or "").splitlines()
    out: list[str] = []
    section = ""
    for line in lines:
        if match := SECTION.match(line):
            section = match[1]
            out += ["", f"**{section}**", ""]
        elif section.startswith("Example"):
            out.append(re.sub(r"\s*# doctest:.*", "", line.removeprefix("    ")))
        elif section and line.startswith("    ") and not line.startswith("     "):
            named = re.match(r"    ([*\w.,` ]+): (.*)", line)
            out.append(f"- `{named[1]}`: {named[2]}" if named else f"- {line.strip()}")
        else:
            section = section if not line or line.startswith(" ") else ""
            out.append(line.strip() if section else line)
    return fenced("\n".join(out).strip())


def fenced(text: str) -> str:
    """Examples in fences: from `>>>` to the next empty line, and blocks indented by four."""
    out: list[str] = []
    inside = False
    for line in text.splitlines():
        code = line.startswith((">>>", "...", "    ")) or (inside and bool(line.strip()))
        if code != inside:
            out.append("```python" if code else "```")
            inside = code
        out.append(line)
    return "\n".join([*out, "```"] if inside else out)


def entry(name: str, thing: object, level: int) -> list[str]:
    """The heading, the signature and the docstring of a class or function; of a class also its methods."""
    lines = [
        "#" * level + f" {name}",
        "",
        "```python",
        signature(name, thing),
        "```",
        "",
        docstring(thing),
        "",
    ]
    if not inspect.isclass(thing) or issubclass(thing, BaseException):
        return lines
    for method, raw in sorted(vars(thing).items()):
        if method.startswith("_"):
            continue
        if isinstance(raw, property):
            lines += ["#" * (level + 1) + f" {name}.{method}", "", docstring(raw), ""]
        elif isinstance(raw, classmethod | staticmethod | types.FunctionType):
            bound = raw.__func__ if isinstance(raw, classmethod | staticmethod) else raw
            lines += entry(f"{name}.{method}", bound, level + 1)
    return lines


def python_page() -> str:
    """The page of all public names."""
    lines = [
        NOTE,
        "",
        "# Python",
        "",
        "`import atacsearch as ats`. Options have the names of the command line's.",
        "",
    ]
    for name in sorted(atacsearch.__all__):
        thing = getattr(atacsearch, name)
        if isinstance(thing, types.ModuleType):
            lines += [f"## ats.{name}", "", docstring(thing), ""]
            public = getattr(thing, "__all__", [])
            for inner in sorted(public):
                lines += entry(f"ats.{name}.{inner}", getattr(thing, inner), 3)
        elif callable(thing):
            lines += entry(f"ats.{name}", thing, 2)
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).rstrip() + "\n"


def index_page() -> str:
    """The list of all pages."""
    lines = [NOTE, "", "# Reference", "", "[Python](python.md): all public names.", ""]
    lines += ["| command | what it does |", "|---|---|"]
    for path, command in all_commands(cli):
        name = " ".join(("atacsearch", *path))
        lines.append(f"| [`{name}`](commands/{file_name(path)}) | {cell(command.get_short_help_str(200))} |")
    return "\n".join(lines) + "\n"


def pages() -> dict[str, str]:
    """Every page by its path below docs/reference."""
    found = {"README.md": index_page(), "python.md": python_page()}
    for path, command in all_commands(cli):
        found[f"commands/{file_name(path)}"] = command_page(path, command)
    return found


def main() -> None:
    """Write all pages; pages of commands that are gone go."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "docs" / "reference")
    folder = parser.parse_args().folder
    shutil.rmtree(folder / "commands", ignore_errors=True)
    for name, text in pages().items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


if __name__ == "__main__":
    main()
