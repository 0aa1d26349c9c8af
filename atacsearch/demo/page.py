"""Small pieces of HTML: escaped text, tables, bars, and the page around them with its style sheet inlined."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence
from importlib import resources


def text(value: object) -> str:
    """`value` escaped for HTML."""
    return html.escape(str(value))


def number(value: float | None, digits: int = 3) -> str:
    """A score to `digits` places; a dash where there is none.

    Example:
        >>> number(0.8125), number(float("nan"))
        ('0.812', '–')
    """
    return "–" if value is None or math.isnan(value) else f"{value:.{digits}f}"


def seconds(value: float) -> str:
    """A duration in the unit that reads best.

    Example:
        >>> seconds(0.04), seconds(7.26), seconds(83.6)
        ('0.04 s', '7.3 s', '1 min 24 s')
    """
    if value < 60:
        return f"{value:.2f} s" if value < 1 else f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest} s"


def table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], numeric: Sequence[int] = (), kind: str = ""
) -> str:
    """A table of cells that are HTML already.

    Args:
        columns: heads, plain text.
        rows: cells, HTML.
        numeric: columns to set flush right.
        kind: class of the table, for the style sheet.
    """
    right = [' class="n"' if i in set(numeric) else "" for i in range(len(columns))]
    head = "".join(f"<th{r}>{text(c)}</th>" for c, r in zip(columns, right, strict=True))
    lines = ("".join(f"<td{r}>{c}</td>" for c, r in zip(row, right, strict=True)) for row in rows)
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    inner = f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
    return f'<div class="scroll"><table class="{kind}">{inner}</table></div>'


def bar(share: float, label: str, ours: bool = False) -> str:
    """A horizontal bar of `share` (0..1) with its value beside it."""
    width = 0.0 if math.isnan(share) else 100 * min(max(share, 0.0), 1.0)
    kind = "bar ours" if ours else "bar"
    return f'<span class="{kind}"><span><i style="width:{width:.1f}%"></i></span><b>{text(label)}</b></span>'


def dot(colour: str) -> str:
    """A round colour mark."""
    return f'<i class="dot" style="background:{colour}"></i>'


def document(title: str, body: str) -> str:
    """A whole page that asks for no other file."""
    style = resources.files(__package__).joinpath("report.css").read_text("utf-8")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{text(title)}</title>\n<style>\n{style}</style></head>\n"
        f"<body><main>\n{body}\n</main></body></html>\n"
    )
