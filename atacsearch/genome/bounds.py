"""What cannot be of an assembly: chromosome names it does not have, coordinates beyond a chromosome's end."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from atacsearch.errors import GenomeError

from .aliases import canonical_chrom, canonical_chroms
from .assemblies import ASSEMBLIES, Assembly, get_assembly
from .intervals import Intervals

# A whole chromosome by UCSC naming (fly arms and yeast numerals included). Patches, decoys, viruses and
# unplaced contigs are named otherwise and are no proof of another genome.
_WHOLE_CHROMOSOME = re.compile(r"chr(\d{1,2}[LR]?|[WXYZ]|[IVX]{1,5})")


def extents(intervals: Intervals) -> dict[str, int]:
    """Largest end on each chromosome that has an interval."""
    last = np.zeros(len(intervals.chroms), np.int64)
    np.maximum.at(last, intervals.chrom, intervals.end)
    return {name: int(end) for name, end in zip(intervals.chroms, last, strict=True) if end > 0}


def check_bounds(intervals: Intervals, assembly: Assembly | str, source: str = "the input") -> list[str]:
    """Refuse intervals that an assembly cannot have; see `check_extents`."""
    return check_extents(extents(intervals), assembly, source)


def check_extents(ends: Mapping[str, int], assembly: Assembly | str, source: str = "the input") -> list[str]:
    """Refuse chromosome names and coordinates that an assembly cannot have.

    Args:
        ends: largest end on each chromosome, half-open; names in any known style.
        assembly: what the data are said to be of.
        source: what the message calls the data (the path).

    Returns:
        Names that the assembly does not list but that prove nothing (patches, decoys, viruses, spike-ins).

    Raises:
        GenomeError: a whole chromosome, or an accession, that only other genomes have, or an end beyond the
            chromosome's; the message names the value, the assembly, and the built-in assemblies that fit.
    """
    genome = get_assembly(assembly) if isinstance(assembly, str) else assembly
    misfit, unknown = _misfit(ends, genome)
    if misfit is None:
        return unknown
    fits = fitting_assemblies(ends)
    advice = f"it fits {' and '.join(fits)}" if fits else "it fits no built-in assembly"
    raise GenomeError(f"{source}: {misfit}; {advice}: give the right --genome, or data of {genome.name}")


def fitting_assemblies(ends: Mapping[str, int]) -> list[str]:
    """The built-in assemblies whose names and lengths allow these ends."""
    return [name for name in ASSEMBLIES if _misfit(ends, get_assembly(name))[0] is None]


def _misfit(ends: Mapping[str, int], genome: Assembly) -> tuple[str | None, list[str]]:
    """What rules the assembly out, or None, and the names that it does not list."""
    mapping, unknown = canonical_chroms(ends, genome)
    for name in unknown:
        foreign = any(name in get_assembly(other).accessions for other in ASSEMBLIES)
        whole = genome.name in ASSEMBLIES and _WHOLE_CHROMOSOME.fullmatch(canonical_chrom(name, genome.name))
        if foreign or whole:
            return f"chromosome {name!r} does not exist in {genome.name}", unknown
    for name, end in ends.items():
        chrom = mapping.get(name, name)
        if end > genome.chroms.get(chrom, end):
            length = genome.chroms[chrom]
            return (
                f"an interval on {name} ends at {end:,}, but {chrom} of {genome.name} has {length:,} bp",
                unknown,
            )
    return None, unknown
