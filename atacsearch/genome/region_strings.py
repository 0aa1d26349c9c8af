"""Region strings as samtools and UCSC write them: `chr1:1,001-1,500`, 1-based, both ends inclusive."""

from __future__ import annotations

import re

from ..errors import InputError

_REGION = re.compile(r"^(?P<chrom>[^\s:]+):(?P<start>[\d,]+)-(?P<end>[\d,]+)$")
_LOOKS_LIKE = re.compile(r"^[^\s:/]+:[\d,]*-?[\d,]*$")


def parse_region(text: str) -> tuple[str, int, int] | None:
    """The interval that a region string means.

    Args:
        text: such as `chr1:1001-1500`; commas in numbers are allowed.

    Returns:
        (chromosome, start, end), 0-based half-open; None where `text` is no region string at all.

    Raises:
        InputError: it is meant as one, but an end is missing, is before the start, or the start is 0.

    Example:
        >>> parse_region("chr1:1,001-1,500")
        ('chr1', 1000, 1500)
        >>> parse_region("GATA1") is None
        True
    """
    text = text.strip()
    match = _REGION.match(text)
    if match is None:
        if _LOOKS_LIKE.match(text):
            raise InputError(
                f"region {text!r}: expected chrom:start-end, 1-based and inclusive, as chr1:1001-1500"
            )
        return None
    start, end = (int(match[x].replace(",", "") or 0) for x in ("start", "end"))
    if start < 1:
        raise InputError(
            f"region {text!r}: starts at {start}; region strings are 1-based, the first base is 1"
        )
    if end < start:
        raise InputError(
            f"region {text!r}: ends before it starts; expected chrom:start-end with start <= end"
        )
    return match["chrom"], start - 1, end


def format_region(chrom: str, start: int, end: int) -> str:
    """The region string of a 0-based half-open interval.

    Example:
        >>> format_region("chr1", 1000, 1500)
        'chr1:1001-1500'
    """
    return f"{chrom}:{start + 1}-{end}"
