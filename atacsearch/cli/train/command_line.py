"""The command line that is running, as text, for the model cards of what it makes."""

from __future__ import annotations

import shlex

import click
from click.core import ParameterSource


def command_line(context: click.Context | None = None) -> str:
    """The running command with what the user gave it, quoted for a shell; defaults are left out."""
    context = context or click.get_current_context()
    words = context.command_path.split()
    arguments: list[str] = []
    for parameter in context.command.params:
        name = parameter.name
        if name is None or name not in context.params:
            continue
        if context.get_parameter_source(name) is not ParameterSource.COMMANDLINE:
            continue
        value = context.params[name]
        if isinstance(parameter, click.Argument):
            arguments += [str(v) for v in (value if isinstance(value, tuple) else (value,))]
        elif isinstance(parameter, click.Option) and parameter.is_flag:
            words.append(parameter.opts[-1] if value else parameter.secondary_opts[-1])
        else:
            several = value if isinstance(value, tuple) else (value,)
            words += [w for v in several for w in (parameter.opts[-1], str(v))]
    return shlex.join([*words, *arguments])
