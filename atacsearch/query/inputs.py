"""Inputs of a question or an addition: read against the universe, reported, and picked from by name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from .session import Say, Session

if TYPE_CHECKING:
    from ..readers.items import Items
    from ..readers.options import ReadOptions
    from ..readers.report import ReadReport
    from ..tokens.token_sets import TokenSets
    from ..tokens.universe import Universe


def is_file(text: str) -> bool:
    """Whether a query names something on disk: what is no possible path is not."""
    try:
        return Path(text).exists()
    except (OSError, ValueError):
        return False


_NEAR = 5  # names shown where one was not found


def read_all(inputs: Sequence[str | Path], universe: Universe, options: ReadOptions, say: Say) -> list[Items]:
    """Read every input, in order, and say what the readers have to report.

    Raises:
        InputError: an input cannot be read, or their kinds differ.
    """
    from ..readers.inputs.open import open_input

    if not inputs:
        raise InputError("no input: give one file or more")
    found = [items for path in inputs for items in open_input(path, universe, options)]
    for items in found:
        for line in items.report.lines():
            say(line)
    kinds = {items.kind for items in found}
    if len(kinds) > 1:
        raise InputError(
            f"{', '.join(map(str, inputs))}: cells and BED files in one call; give them in two calls"
        )
    return found


def counting_as(counting: Any, options: ReadOptions, owner: str) -> ReadOptions:
    """The options with the counting rule of an index or model.

    Args:
        counting: its rule (`fragment` or `insertion`); None where it has none yet, and any will do.
        options: what the user asked for.
        owner: `index` or `model`, for the message.

    Raises:
        InputError: the user asked for the other rule.
    """
    if counting is None:
        return options
    if options.counting not in (None, counting):
        raise InputError(
            f"--counting {options.counting}: this {owner} counts by {counting}; leave the option out"
        )
    return replace(options, counting=counting)


def read_for(session: Session, inputs: Sequence[str | Path], options: ReadOptions) -> list[Items]:
    """Read inputs as the index's items were read: same universe, same counting rule."""
    options = counting_as(session.index.info.counting or session.model.counting, options, "index")
    return read_all(inputs, session.universe, options, session.say)


def token_parts(
    inputs: Sequence[str | Path], universe: Universe, options: ReadOptions, say: Say
) -> Iterator[TokenSets]:
    """The token sets of all items, in order: one input in parts that are bounded in memory, several joined.

    Names are those of `joined`. Raises `InputError` as `read_all` does.
    """
    from ..readers.inputs.open import open_input_parts

    if len(inputs) > 1:
        yield joined(read_all(inputs, universe, options, say))
        return
    parts = open_input_parts(inputs[0], universe, options)
    reported: list[ReadReport] = []
    found: list[Items] = []
    for items in parts:
        if not any(items.report is report for report in reported):
            reported.append(items.report)
            for line in items.report.lines():
                say(line)
        if items.source == str(inputs[0]):
            yield items.sets
        else:  # a manifest of files of cells: names may repeat from file to file
            found.append(items)
    if found:
        yield joined(found)


def joined(found: Sequence[Items]) -> TokenSets:
    """The token sets of all items, named as the user knows them, or by index id where those names repeat."""
    from ..tokens.token_sets import TokenSets

    sets = TokenSets.concat([x.sets for x in found])
    if len(set(sets.names)) < len(sets.names):
        ids = tuple(i for x in found for i in x.ids)
        sets = TokenSets(sets.offsets, sets.tokens, ids, sets.universe_digest)
    return sets


def pick(items: Items, names: Sequence[str]) -> list[int]:
    """Rows of the items called `names` (as the user knows them, or by index id).

    Raises:
        InputError: a name is not there; the message shows some that are.
    """
    rows = {name: row for row, name in reversed(list(enumerate(items.ids)))}
    rows |= {name: row for row, name in reversed(list(enumerate(items.sets.names)))}
    missing = [name for name in names if name not in rows]
    if missing:
        shown = ", ".join(items.sets.names[:_NEAR])
        raise InputError(
            f"{items.source}: no item {missing[0]!r} among {len(items.sets.names):,} (the first: {shown})"
        )
    return [rows[name] for name in names]
