"""One colour a label, the same in every picture and table of a report, legible on white and on near-black."""

from __future__ import annotations

from collections.abc import Iterable

# Middle lightness throughout, so that a dot stands out from either background; neighbours in the list differ
# in hue and in lightness, for readers who see hues less apart. Grey is for cells that are only backdrop.
COLOURS = (
    "#2f7ed8",
    "#f28e2b",
    "#2ca25f",
    "#e0457b",
    "#8e63ce",
    "#c9a400",
    "#17b0c0",
    "#a9663d",
    "#7a9a01",
    "#e78ac3",
    "#5c6bc0",
    "#00a888",
    "#d1495b",
    "#ff8f70",
    "#9c3587",
    "#5f8ea0",
)
# Of no label, for the picture that tells reference and query cells apart.
SIDES = {"reference": "#8a94a0", "query": "#c026d3"}
BACKDROP = "#9aa0a8"


def colours(labels: Iterable[str]) -> dict[str, str]:
    """A colour for each label, in the order given; past the end of the list colours come round again.

    Example:
        >>> colours(["B", "NK"])
        {'B': '#2f7ed8', 'NK': '#f28e2b'}
    """
    names = list(dict.fromkeys(labels))
    return {label: COLOURS[i % len(COLOURS)] for i, label in enumerate(names)}
