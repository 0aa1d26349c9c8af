"""Which label column tells items apart that were made together: donors, libraries, studies, collections.

Confidence is fitted on items whose whole group was left out, since items of one donor or library resemble each
other more than those of another will.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

# In the order of trust: the wider the difference between groups, the earlier.
COLUMNS = (
    "study",
    "study_id",
    "collection",
    "donor",
    "donor_id",
    "individual",
    "patient",
    "sample",
    "sample_id",
    "library",
    "batch",
    "replicate",
)
# The same value of these means the same study or person also in another file.
IDENTITY = ("study", "study_id", "donor", "donor_id", "individual", "patient")
PRESENT = 0.9  # share of items that must have a value
ANSWERABLE = 0.5  # share of items whose label must occur in another group


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
    by_fold = {name.casefold(): name for name in columns}
    names = COLUMNS if wanted is None else (wanted,)
    for name in names:
        found = by_fold.get(name.casefold())
        if found is not None and _useful(labels, columns[found]):
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
