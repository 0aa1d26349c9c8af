"""Which label column tells items apart that were made together: donors, libraries, studies, collections.

Confidence is fitted on items whose whole group was left out, since items of one donor or library resemble each
other more than those of another will.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

# Names of columns, also with `_id` at the end. In the order of trust: the wider the difference between groups, the
# earlier.
COLUMNS = (
    "study",
    "collection",
    "donor",
    "individual",
    "patient",
    "sample",
    "library",
    "batch",
    "replicate",
)
# The same value of these means the same study or person also in another file.
IDENTITY = ("study", "donor", "individual", "patient")
PRESENT = 0.9  # share of items that must have a value
ANSWERABLE = 0.5  # share of items whose label must occur in another group


def plain(name: str) -> str:
    """A column's name as it is compared: `Donor_ID` and `donor` are one."""
    return name.casefold().removesuffix("_id")


def named(value: Any) -> str | None:
    """A group's value as text: 1, 1.0 and "1" are one, since a column with gaps is read as decimal numbers."""
    if value is None or value != value:
        return None
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def group_column(
    labels: Sequence[str], columns: Mapping[str, Sequence[str | None]], wanted: str | None = None
) -> str | None:
    """The column of groups that can be held out for a label.

    Args:
        labels: [n] label of each item.
        columns: by name [n] values of label columns.
        wanted: this column only.

    Returns:
        Its name; None where no column has two groups and, for half of the items, the same label in another group.
    """
    names = COLUMNS if wanted is None else (plain(wanted),)
    for name in names:
        for found in columns:
            if plain(found) == name and _useful(labels, columns[found]):
                return found
    return None


def _useful(labels: Sequence[str], groups: Sequence[str | None]) -> bool:
    present = [(label, group) for label, group in zip(labels, groups, strict=True) if group is not None]
    if len(present) < PRESENT * len(labels) or len({group for _, group in present}) < 2:
        return False
    groups_of: dict[str, set[str]] = {}
    for label, group in present:
        groups_of.setdefault(label, set()).add(group)
    answerable = sum(len(groups_of[label]) > 1 for label, _ in present)
    return answerable >= ANSWERABLE * len(labels)
