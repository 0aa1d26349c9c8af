"""The `--where` language: `column op value` joined by `and`, bound to the columns of a collection.

Operators are `=`, `!=`, `<`, `<=`, `>`, `>=` and `in (a, b)`; values with spaces, commas, brackets or
operators go in single or double quotes. A row without a value in a column matches no condition on that
column, `!=` included (as in SQL): `cell_type != "B cell"` finds items with another cell type, not items
with none.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...errors import InputError
from ...spelling import did_you_mean
from ..types import Column, ColumnKind

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

OPERATORS = ("=", "!=", "<", "<=", ">", ">=", "in")
COMPARE = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_TOKEN = re.compile(
    r"""\s*(?:
        (?P<quoted>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
      | (?P<op>!=|<=|>=|==|=|<|>)
      | (?P<mark>[(),])
      | (?P<word>(?:[^\s"'=!<>(),]|!(?!=))+)
    )""",
    re.VERBOSE,
)


@dataclass(frozen=True)
class Condition:
    """One comparison as written: `values` has one entry, more only for `in`."""

    column: str
    op: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class Where:
    """Conditions that must all hold."""

    conditions: tuple[Condition, ...]


@dataclass(frozen=True)
class BoundCondition:
    """A comparison whose column exists and whose values have the column's type (str, float or bool)."""

    column: str
    kind: ColumnKind
    op: str
    values: tuple[Any, ...]


@dataclass(frozen=True)
class BoundWhere:
    """Conditions ready for a store."""

    conditions: tuple[BoundCondition, ...]


def parse_where(where: str | Sequence[str]) -> Where:
    """Parse one filter or several, which are and-ed.

    Args:
        where: text such as `assay=ATAC-seq and n_fragments >= 1000`, or a list of them.

    Raises:
        InputError: the text is not in the language; the message shows where.

    Example:
        >>> parse_where('cell_type in ("B cell", T) and depth>=3').conditions[0]
        Condition(column='cell_type', op='in', values=('B cell', 'T'))
    """
    texts = [where] if isinstance(where, str) else list(where)
    return Where(tuple(c for text in texts for c in _parse_one(text)))


def _parse_one(text: str) -> list[Condition]:
    tokens = _tokens(text)
    conditions: list[Condition] = []
    at = 0

    def take(what: str, *kinds: str) -> tuple[str, str]:
        nonlocal at
        if at >= len(tokens) or tokens[at][0] not in kinds:
            found = repr(tokens[at][1]) if at < len(tokens) else "the end"
            raise _syntax_error(text, f"expected {what}, found {found}")
        at += 1
        return tokens[at - 1]

    while True:
        _, column = take("a column name", "word", "quoted")
        kind, op = take("one of = != < <= > >= in", "op", "word")
        op = {"==": "="}.get(op, op.lower() if kind == "word" else op)
        if op not in OPERATORS:
            raise _syntax_error(text, f"expected one of = != < <= > >= in, found {op!r}")
        if op == "in":
            if take("'(' after in", "mark")[1] != "(":
                raise _syntax_error(text, "expected '(' after in")
            values = [take("a value", "word", "quoted")[1]]
            while (mark := take("',' or ')'", "mark")[1]) == ",":
                values.append(take("a value", "word", "quoted")[1])
            if mark != ")":
                raise _syntax_error(text, f"expected ',' or ')', found {mark!r}")
        else:
            values = [take("a value", "word", "quoted")[1]]
        conditions.append(Condition(column, op, tuple(values)))
        if at == len(tokens):
            return conditions
        kind, word = tokens[at]
        if kind != "word" or word.lower() != "and":
            raise _syntax_error(
                text, f"expected 'and' after {values[-1]!r}, found {word!r}; put values with spaces in quotes"
            )
        at += 1


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens: list[tuple[str, str]] = []
    at = 0
    text = text.strip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise _syntax_error(text, f"cannot read {text[at : at + 20].strip()!r}; is a quote not closed?")
        kind = str(match.lastgroup)
        value = match.group(kind)
        if kind == "quoted":
            value = re.sub(r"\\(.)", r"\1", value[1:-1])
        tokens.append((kind, value))
        at = match.end()
    return tokens


def _syntax_error(text: str, problem: str) -> InputError:
    return InputError(
        f"--where {text!r}: {problem}; write column=value (or != < <= > >= in (a, b)), joined by and"
    )


def bind_where(where: Where, columns: Mapping[str, Column], collection: str) -> BoundWhere:
    """Check columns and values of a filter against a collection.

    Args:
        where: the parsed filter.
        columns: the collection's columns, built-in ones included.
        collection: its name, for messages.

    Raises:
        InputError: unknown column, column without a payload index, wrong operator or value for its type.
    """
    by_fold = {name.casefold(): column for name, column in columns.items()}
    served = ", ".join(sorted(name for name, c in columns.items() if c.indexed)) or "none"
    bound: list[BoundCondition] = []
    for condition in where.conditions:
        column = columns.get(condition.column) or by_fold.get(condition.column.casefold())
        if column is None:
            raise InputError(
                f"--where: the {collection} of this index have no column {condition.column!r}; "
                f"columns that can be filtered: {served}{did_you_mean(condition.column, columns)}"
            )
        if not column.indexed:
            why = "holds no value" if column.kind == "empty" else f"has {column.n_distinct:,} distinct values"
            raise InputError(
                f"--where: the column {column.name!r} {why} and has no payload index; "
                f"columns that can be filtered: {served}"
            )
        bound.append(BoundCondition(column.name, column.kind, condition.op, _values(condition, column)))
    return BoundWhere(tuple(bound))


def _values(condition: Condition, column: Column) -> tuple[Any, ...]:
    if column.kind == "number":
        try:
            numbers = tuple(float(v) for v in condition.values)
        except ValueError:
            numbers = (math.nan,)
        if not all(map(math.isfinite, numbers)):
            raise InputError(
                f"--where: {column.name!r} is numeric, {', '.join(condition.values)!r} is not a number"
            )
        return numbers
    if condition.op in ("<", "<=", ">", ">="):
        raise InputError(
            f"--where: {column.name!r} is not numeric; {condition.op} needs numbers, use =, != or in"
        )
    if column.kind == "bool":
        words = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
        if any(v.lower() not in words for v in condition.values):
            raise InputError(
                f"--where: {column.name!r} is true or false, not {', '.join(condition.values)!r}"
            )
        return tuple(words[v.lower()] for v in condition.values)
    return condition.values


def to_edge(where: BoundWhere | None) -> list[Any]:
    """The conditions as a list for `must` of a qdrant-edge filter."""
    import qdrant_edge

    return _translate(where, _Edge(qdrant_edge))


def to_client(where: BoundWhere | None) -> list[Any]:
    """The conditions as a list for `must` of a qdrant-client filter."""
    from qdrant_client import models

    return _translate(where, _Client(models))


class _Edge:
    """Spelling of conditions in qdrant-edge."""

    def __init__(self, module: Any) -> None:
        self.q = module

    def among(self, key: str, values: list[Any]) -> Any:
        if len(values) == 1:  # one value is looked up in half the time that a list of one takes
            return self.q.FieldCondition(key, match=self.q.MatchValue(values[0]))
        return self.q.FieldCondition(key, match=self.q.MatchAny(values))

    def other_than(self, key: str, values: list[Any]) -> Any:
        return self.q.FieldCondition(key, match=self.q.MatchExcept(values))

    def within(self, key: str, **bounds: float) -> Any:
        return self.q.FieldCondition(key, range=self.q.RangeFloat(**bounds))

    def either(self, conditions: list[Any]) -> Any:
        return self.q.Filter(should=conditions)


class _Client(_Edge):
    """Spelling of conditions in qdrant-client."""

    def among(self, key: str, values: list[Any]) -> Any:
        return self.q.FieldCondition(key=key, match=self.q.MatchAny(any=values))

    def other_than(self, key: str, values: list[Any]) -> Any:
        return self.q.FieldCondition(key=key, match=self.q.MatchExcept(**{"except": values}))

    def within(self, key: str, **bounds: float) -> Any:
        return self.q.FieldCondition(key=key, range=self.q.Range(**bounds))


def _translate(where: BoundWhere | None, spell: _Edge) -> list[Any]:
    from ..columns import bool_text, payload_key

    conditions: list[Any] = []
    for c in where.conditions if where else ():
        key, value = payload_key(c.column), c.values[0]
        if c.kind == "number":
            if c.op == "=":
                conditions.append(spell.within(key, gte=value, lte=value))
            elif c.op == "!=":
                conditions.append(spell.either([spell.within(key, lt=value), spell.within(key, gt=value)]))
            elif c.op == "in":
                conditions.append(spell.either([spell.within(key, gte=v, lte=v) for v in c.values]))
            else:
                bound = {"<": "lt", "<=": "lte", ">": "gt", ">=": "gte"}[c.op]
                conditions.append(spell.within(key, **{bound: value}))
        elif c.kind == "bool":
            wanted = {v if c.op != "!=" else not v for v in c.values}
            conditions.append(spell.among(key, sorted(map(bool_text, wanted))))
        elif c.op == "!=":
            conditions.append(spell.other_than(key, [value]))
        else:
            conditions.append(spell.among(key, list(c.values)))
    return conditions


def to_mask(where: BoundWhere | None, table: pa.Table) -> npt.NDArray[np.bool_]:
    """[n_rows] bool: which rows of an Arrow table with the filter's columns match; all of them without a filter."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    mask = np.ones(table.num_rows, bool)
    compare = {"=": pc.equal, "!=": pc.not_equal, "<": pc.less, "<=": pc.less_equal, ">": pc.greater}
    for c in where.conditions if where else ():
        column = table[c.column]
        if c.kind == "number":
            column = column.cast(pa.float64())
            finite = pc.is_finite(column)
        values = pa.array(c.values, column.type)
        if c.op == "in":
            hit = pc.and_(pc.is_in(column, value_set=values), pc.is_valid(column))
        else:
            hit = compare.get(c.op, pc.greater_equal)(column, values[0])
        if c.kind == "number":
            hit = pc.and_(hit, finite)
        mask &= np.asarray(pc.fill_null(hit, False))
    return mask


def matches(where: BoundWhere, payload: Mapping[str, Any]) -> bool:
    """Whether a point's payload meets the conditions, by the same rules as `to_mask`."""
    from ..columns import bool_text, payload_key

    for c in where.conditions:
        value = payload.get(payload_key(c.column))
        if value is None:
            return False
        wanted = tuple(map(bool_text, c.values)) if c.kind == "bool" else c.values
        if not (value in wanted if c.op == "in" else COMPARE[c.op](value, wanted[0])):
            return False
    return True
