"""What a user may have meant by a name that does not exist: near spellings among the names that do."""

from __future__ import annotations

from collections.abc import Iterable

# Share of letters in common, in percent, from which a name is near; click has the same for commands and options.
LEAST_LIKENESS = 60


def nearest(name: str, known: Iterable[str], n: int = 3) -> list[str]:
    """The known names whose spelling is nearest, the nearest first; case and punctuation count for nothing.

    Args:
        name: as the user wrote it.
        known: names that exist; names of equal likeness stay in this order.
        n: how many at most.

    Example:
        >>> nearest("celltype", ["donor", "cell_type", "tissue"])
        ['cell_type']
    """
    from rapidfuzz import fuzz, process, utils  # only where a message needs it

    found = process.extract(
        str(name),
        list(dict.fromkeys(known)),
        scorer=fuzz.ratio,
        processor=utils.default_process,
        limit=n,
        score_cutoff=LEAST_LIKENESS,
    )
    return [choice for choice, _, _ in found]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a message about a name that does not exist; empty where no known name is near.

    Example:
        >>> print("no column 'tisue'" + did_you_mean("tisue", ["tissue", "donor"]))
        no column 'tisue'; did you mean 'tissue'?
    """
    near = [repr(choice) for choice in nearest(name, known)]
    if not near:
        return ""
    return f"; did you mean {', '.join(near[:-1])}{' or ' if near[1:] else ''}{near[-1]}?"
