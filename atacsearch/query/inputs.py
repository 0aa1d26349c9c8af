"""Inputs of a question or an addition: read against the universe, reported, and picked from by name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from ..errors import InputError
from ..readers.inputs.memory import open_any
from ..spelling import did_you_mean
from .session import Notify, Session

if TYPE_CHECKING:
    from ..readers.inputs.memory import Input
    from ..readers.items import Items
    from ..readers.options import Counting, ReadOptions
    from ..readers.report import ReadReport
    from ..tokens.token_sets import TokenSets
    from ..tokens.universe import Universe


def is_file(x: Input) -> bool:
    """Whether a query holds items of its own: something on disk, a table, token sets; not an id or a region string."""
    if not isinstance(x, str | Path):
        return True
    try:
        return Path(x).exists()
    except (OSError, ValueError):  # what is no possible path
        return False


_NEAR = 5  # names shown where one was not found


def read_all(
    inputs: Sequence[Input], universe: Universe, options: ReadOptions, notify: Notify
) -> list[Items]:
    """Read every input, in order, and say what the readers have to report.

    Raises:
        InputError: an input cannot be read, or their kinds differ.
    """
    if not inputs:
        raise InputError("no input: give one file or more")
    found = [items for x in inputs for items in open_any(x, universe, options)]
    for items in found:
        for line in items.report.lines():
            notify(line)
    kinds = {items.kind for items in found}
    if len(kinds) > 1:
        names = ", ".join(dict.fromkeys(items.source for items in found))
        raise InputError(f"{names}: cells and BED files in one call; give them in two calls")
    return found


def counting_of(rule: str | None, asked: Counting | None, owner: str) -> Counting | None:
    """What opens a region: the rule of an index or model where it has one, else what the user asked for.

    Args:
        rule: `fragment` or `insertion`; None where the index or model has none yet, and any will do.
        asked: what the user asked for.
        owner: `index` or `model`, for the message.

    Raises:
        InputError: the user asked for the other rule.
    """
    if rule is None:
        return asked
    if asked not in (None, rule):
        raise InputError(f"--counting {asked}: this {owner} counts by {rule}; leave the option out")
    return cast("Counting", rule)


def read_for(session: Session, inputs: Sequence[Input], options: ReadOptions) -> list[Items]:
    """Read inputs as the index's items were read: same universe, same counting rule."""
    rule = session.index.info.counting or session.model.counting
    options = replace(options, counting=counting_of(rule, options.counting, "index"))
    return read_all(inputs, session.universe, options, session.notify)


def token_parts(
    inputs: Sequence[str | Path], universe: Universe, options: ReadOptions, notify: Notify
) -> Iterator[TokenSets]:
    """The token sets of all items, in order: one input in parts that are bounded in memory, several joined.

    Names are those of `joined`. Raises `InputError` as `read_all` does.
    """
    from ..readers.inputs.open import open_input_parts

    if len(inputs) > 1:
        yield joined(read_all(inputs, universe, options, notify))
        return
    parts = open_input_parts(inputs[0], universe, options)
    reported: list[ReadReport] = []
    found: list[Items] = []
    for items in parts:
        if not any(items.report is report for report in reported):
            reported.append(items.report)
            for line in items.report.lines():
                notify(line)
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
            f"{did_you_mean(missing[0], items.sets.names)}"
        )
    return [rows[name] for name in names]
