"""Where the data are: which assembly, which chromosome of the universe a name means, and if that can be.

The order of the design holds: what the user says, what the data say, what the universe says, else unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import GenomeError
from ..genome.aliases import canonical_chrom
from ..genome.assemblies import ASSEMBLIES, Assembly, canonical_genome, get_assembly
from ..genome.bounds import check_extents, fitting_assemblies
from ..genome.intervals import Intervals
from .liftover import Lift, assembly_of, settle_lift
from .report import ReadReport

if TYPE_CHECKING:
    from ..tokens.universe import Universe

SHIFT = 5_000_000  # bp; far beyond any correlation between neighbouring regions
SAMPLE = 10_000  # intervals that the shift is tried on
MIN_FOR_SHIFT = 200  # fewer intervals say nothing about the shift
NO_BETTER = 1.25  # overlap at most this many times that of the shifted intervals is no better


@dataclass(frozen=True)
class Place:
    """What is known of the genome of a source.

    Attributes:
        genome: its name; None where unknown.
        assembly: its chromosomes, where they are known.
        lift: how its intervals get there from another genome; None where they are of this one.
    """

    genome: str | None
    assembly: Assembly | None
    lift: Lift | None = None

    @property
    def lifted_from(self) -> str | None:
        """The genome that the data come from where they are lifted; a label of what is indexed."""
        return None if self.lift is None else self.lift.old


def settle_genome(
    option: str | None,
    own: str | None,
    universe: str | None,
    report: ReadReport,
    liftover: str | Path | None = None,
) -> Place:
    """The genome of a source.

    Args:
        option: what the user says.
        own: what the data say (`uns["genome"]`, a manifest's column).
        universe: genome of the universe; None where unknown.
        report: gets a note where the genome is unknown or contradicted.
        liftover: a chain file from the genome of the data to that of the universe.

    Raises:
        GenomeError: data of one genome, universe of another, and no chain file between them.
        InputError: the user names a genome that is not known.
    """
    if liftover is not None:
        lift = settle_lift(liftover, option, own, universe, report.source)
        return _noted(Place(lift.new, assembly_of(lift.new), lift), report)
    asked = _named(option, universe)
    said = canonical_genome(own)
    if asked is not None and said is not None and asked.genome != said:
        report.note(f"{report.source}: is said to be {said}; taken as {asked.genome} as asked")
    known = canonical_genome(universe)
    given = asked.genome if asked is not None else said
    if given is not None and known is not None and given != known:
        raise GenomeError(
            f"{report.source}: is {given}, but the universe is {known}; use a universe (or index) of "
            f"{given}, give the right --genome, or lift the data{by_chain(given, known)}"
        )
    if asked is not None and asked.assembly is not None:
        return _noted(asked, report)
    genome = given or known
    if genome is None:
        report.note(
            f"{report.source}: genome unknown, so it is not checked; give --genome to have it checked"
        )
    return _noted(Place(genome, get_assembly(genome) if genome in ASSEMBLIES else None), report)


def check_place(
    place: Place,
    universe: Universe,
    sample: Intervals,
    ends: Mapping[str, int],
    report: ReadReport,
    strict: bool,
) -> None:
    """Refuse data that cannot be of the genome; warn of what hardly can.

    Args:
        place: what `settle_genome` found.
        universe: what the data are to be tokenised against.
        sample: some of the intervals of the source.
        ends: largest end on each chromosome of the source.
        report: gets the notes.
        strict: raise instead of warning.

    Raises:
        GenomeError: a name or coordinate that the assembly does not have; intervals that fit another
            assembly.
    """
    if place.assembly is not None:
        try:
            unknown = check_extents(ends, place.assembly, report.source)
        except GenomeError as error:
            fits = fitting_assemblies(ends)
            if len(fits) != 1 or place.lift is not None:
                raise
            raise GenomeError(f"{error}, or lift the data{by_chain(fits[0], place.genome)}") from None
        if unknown:
            shown = ", ".join(unknown[:3]) + (f" and {len(unknown) - 3} more" if len(unknown) > 3 else "")
            report.note(f"{report.source}: sequences that {place.assembly.name} does not list: {shown}")
    if not len(sample):
        return
    some = sample
    if len(sample) > SAMPLE:
        some = sample.take(np.linspace(0, len(sample) - 1, SAMPLE).astype(np.int64))
    if place.lift is None:  # else the data were compared with the genome that they come from
        _check_promoters(sample, place.genome, report)
    message = _shift_message(universe, some, report.source)
    if message and strict:
        raise GenomeError(message)
    if message:
        report.note(f"warning: {message}")


def by_chain(old: str, new: str | None) -> str:
    """Advice on lifting, for messages."""
    file = f"{old}To{new[0].upper()}{new[1:]}.over.chain.gz" if new else "UCSC's"
    return f" with --liftover CHAIN (a chain file from {old} to {new}, such as {file})"


def mapped_names(names: list[str], universe: Universe, parity: bool = False) -> dict[str, str]:
    """Names of a source -> names of the universe, exact or through aliases; names it lacks are left out."""
    exact = set(universe.intervals.chroms)
    found = {name: name for name in names if name in exact}
    if not parity and len(found) < len(names):
        canonical = {canonical_chrom(c, universe.genome): c for c in reversed(universe.intervals.chroms)}
        for name in names:
            meant = canonical.get(canonical_chrom(name, universe.genome))
            if name not in found and meant is not None:
                found[name] = meant
    return found


def report_names(lines: Mapping[str, int], universe: Universe, report: ReadReport) -> None:
    """Say which chromosome names were mapped, and which the universe lacks.

    Args:
        lines: chromosome name -> intervals on it.
    """
    found = mapped_names(list(lines), universe)
    report.aliases.update({old: new for old, new in found.items() if old != new})
    foreign = {name: n for name, n in lines.items() if name not in found and n}
    report.foreign_chroms.update(dict(sorted(foreign.items(), key=lambda item: -item[1])))


def _named(option: str | None, universe: str | None) -> Place | None:
    if option is None or not str(option).strip():
        return None
    name = canonical_genome(str(option))
    if name == canonical_genome(universe) and name not in ASSEMBLIES:
        return Place(name, None)
    assembly = get_assembly(option)
    return Place(assembly.name, assembly)


def _noted(place: Place, report: ReadReport) -> Place:
    report.genome = place.genome
    if place.genome is not None and place.assembly is None:
        report.note(
            f"{report.source}: chromosome lengths of {place.genome} are not built in, so coordinates are "
            "not checked; "
            "give its chrom.sizes file as --genome"
        )
    return place


def _check_promoters(sample: Intervals, declared: str | None, report: ReadReport) -> None:
    from ..genome.detect import check_assembly

    if declared is not None and declared not in ASSEMBLIES:
        return
    verdict = check_assembly(sample, declared, report.source)
    if verdict.verdict == "refuse":
        lift = f", or lift them{by_chain(verdict.best, declared)}" if verdict.best is not None else ""
        raise GenomeError(f"{verdict.message}{lift}")
    if declared is not None:
        report.assembly = verdict.message
    elif verdict.best is not None:
        report.note(f"{report.source}: looks like {verdict.best}; give --genome {verdict.best} if it is")


def _shift_message(universe: Universe, sample: Intervals, source: str) -> str | None:
    """What to say of overlap with the universe that is no better than that of the same intervals 5 Mb further on."""
    here = universe.mapped_fraction(sample)
    shifted = Intervals(sample.chroms, sample.chrom, sample.start + SHIFT, sample.end + SHIFT)
    there = universe.mapped_fraction(shifted)
    if here == 0:
        message = f"{source}: nothing overlaps the universe"
    elif len(sample) >= MIN_FOR_SHIFT and here <= NO_BETTER * there:
        message = f"{source}: overlaps the universe no better than when shifted by 5 Mb ({here:.1%} and {there:.1%})"
    else:
        return None
    return f"{message}; probably another genome, or regions that the universe was not made for"
