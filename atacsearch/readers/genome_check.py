"""The genome of the data: which assembly it is, and whether the intervals can be of it.

What the user says comes first, then what the data say, then what the universe says; else the genome is unknown.
Chromosome names of the data are matched with those of the universe here, too.
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
from ..genome.assembly_check import check_assembly
from ..genome.bounds import check_extents, fitting_assemblies
from ..genome.intervals import Intervals
from .liftover import Lift, assembly_of, resolve_lift
from .report import ReadReport, first_names

if TYPE_CHECKING:
    from ..tokens.universe import Universe

SHIFT = 5_000_000  # bp; far beyond any correlation between neighbouring regions
SAMPLE = 10_000  # intervals that the shift is tried on
MIN_FOR_SHIFT = 200  # fewer intervals say nothing about the shift
NO_BETTER = 1.25  # overlap at most this many times that of the shifted intervals is no better


@dataclass(frozen=True)
class SourceGenome:
    """The genome that a source is tokenised on.

    Attributes:
        name: the name of the genome; None where it is unknown.
        assembly: its chromosomes and their lengths; None where they are unknown.
        lift: how the intervals of the source are lifted to it; None where they are on it already.
    """

    name: str | None
    assembly: Assembly | None
    lift: Lift | None = None

    @property
    def lifted_from(self) -> str | None:
        """The genome that the data were lifted from; None where they were not. A label of indexed items."""
        return None if self.lift is None else self.lift.old


def resolve_genome(
    option: str | None,
    stated: str | None,
    universe: str | None,
    report: ReadReport,
    liftover: str | Path | None = None,
) -> SourceGenome:
    """Decide which genome a source is on.

    Args:
        option: what the user says.
        stated: what the data say (`uns["genome"]`, a manifest's column).
        universe: genome of the universe; None where unknown.
        report: gets a note where the genome is unknown or contradicted.
        liftover: a chain file from the genome of the data to that of the universe.

    Raises:
        GenomeError: data of one genome, universe of another, and no chain file between them.
        InputError: the user names a genome that is not known.
    """
    if liftover is not None:
        lift = resolve_lift(liftover, option, stated, universe, report.source)
        return _reported(SourceGenome(lift.new, assembly_of(lift.new), lift), report)
    asked = _genome_of_option(option, universe)
    in_data = canonical_genome(stated)
    if asked is not None and in_data is not None and asked.name != in_data:
        report.note(f"{report.source}: is said to be {in_data}; taken as {asked.name} as asked")
    known = canonical_genome(universe)
    given = asked.name if asked is not None else in_data
    if given is not None and known is not None and given != known:
        raise GenomeError(
            f"{report.source}: is {given}, but the universe is {known}; use a universe (or index) of "
            f"{given}, give the right --genome, or lift the data{chain_file_advice(given, known)}"
        )
    if asked is not None and asked.assembly is not None:
        return _reported(asked, report)
    name = given or known
    if name is None:
        report.note(
            f"{report.source}: genome unknown, so it is not checked; give --genome to have it checked"
        )
    return _reported(SourceGenome(name, assembly_of(name)), report)


def check_genome(
    genome: SourceGenome,
    universe: Universe,
    sample: Intervals,
    ends: Mapping[str, int],
    report: ReadReport,
    strict: bool,
) -> None:
    """Refuse data that cannot be of the genome; warn of data that hardly can.

    Args:
        genome: what `resolve_genome` found.
        universe: what the data are to be tokenised against.
        sample: some of the intervals of the source.
        ends: largest end on each chromosome of the source.
        report: gets the notes.
        strict: raise instead of warning.

    Raises:
        GenomeError: a name or coordinate that the assembly does not have; intervals that fit another
            assembly.
    """
    if genome.assembly is not None:
        try:
            unknown = check_extents(ends, genome.assembly, report.source)
        except GenomeError as error:
            fits = fitting_assemblies(ends)
            if len(fits) != 1 or genome.lift is not None:
                raise
            raise GenomeError(f"{error}, or lift the data{chain_file_advice(fits[0], genome.name)}") from None
        if unknown:
            names = first_names(unknown, 3)
            report.note(f"{report.source}: sequences that {genome.assembly.name} does not list: {names}")
    if not len(sample):
        return
    thinned = sample
    if len(sample) > SAMPLE:
        thinned = sample.take(np.linspace(0, len(sample) - 1, SAMPLE).astype(np.int64))
    if genome.lift is None:  # else the data were compared with the genome that they come from
        _check_promoters(sample, genome.name, report)
    message = _shift_message(universe, thinned, report.source)
    if message and strict:
        raise GenomeError(message)
    if message:
        report.note(f"warning: {message}")


def chain_file_advice(old: str, new: str | None) -> str:
    """How to lift data from one genome to another, for messages."""
    file = f"{old}To{new[0].upper()}{new[1:]}.over.chain.gz" if new else "UCSC's"
    return f" with --liftover CHAIN (a chain file from {old} to {new}, such as {file})"


def match_chroms(names: list[str], universe: Universe, exact_only: bool = False) -> dict[str, str]:
    """Match chromosome names of a source with those of the universe.

    Args:
        names: chromosome names of the source.
        universe: the universe.
        exact_only: do without aliases.

    Returns:
        Name of the source -> name of the universe. Names that the universe lacks are left out.
    """
    exact = set(universe.intervals.chroms)
    found = {name: name for name in names if name in exact}
    if not exact_only and len(found) < len(names):
        canonical = {canonical_chrom(c, universe.genome): c for c in reversed(universe.intervals.chroms)}
        for name in names:
            meant = canonical.get(canonical_chrom(name, universe.genome))
            if name not in found and meant is not None:
                found[name] = meant
    return found


def report_chroms(lines: Mapping[str, int], universe: Universe, report: ReadReport) -> None:
    """Note in the report which chromosome names were mapped, and which the universe lacks.

    Args:
        lines: chromosome name -> number of intervals on it.
        universe: the universe.
        report: gets the names.
    """
    found = match_chroms(list(lines), universe)
    report.aliases.update({old: new for old, new in found.items() if old != new})
    foreign = {name: n for name, n in lines.items() if name not in found and n}
    report.foreign_chroms.update(dict(sorted(foreign.items(), key=lambda item: -item[1])))


def _genome_of_option(option: str | None, universe: str | None) -> SourceGenome | None:
    """The genome that the user names; an unknown name counts where the universe has the same one."""
    if option is None or not str(option).strip():
        return None
    name = canonical_genome(str(option))
    if name == canonical_genome(universe) and name not in ASSEMBLIES:
        return SourceGenome(name, None)
    assembly = get_assembly(option)
    return SourceGenome(assembly.name, assembly)


def _reported(genome: SourceGenome, report: ReadReport) -> SourceGenome:
    """The genome as it is, after the report got its name, and a note where it cannot be checked."""
    report.genome = genome.name
    if genome.name is not None and genome.assembly is None:
        report.note(
            f"{report.source}: chromosome lengths of {genome.name} are not built in, so coordinates are "
            "not checked; give its chrom.sizes file as --genome"
        )
    return genome


def _check_promoters(sample: Intervals, declared: str | None, report: ReadReport) -> None:
    """Refuse data that hit the promoters of another assembly; note what the promoters tell."""
    if declared is not None and declared not in ASSEMBLIES:
        return
    verdict = check_assembly(sample, declared, report.source)
    if verdict.verdict == "refuse":
        lift = (
            f", or lift them{chain_file_advice(verdict.best, declared)}" if verdict.best is not None else ""
        )
        raise GenomeError(f"{verdict.message}{lift}")
    if declared is not None:
        report.assembly = verdict.message
    elif verdict.best is not None:
        report.note(f"{report.source}: looks like {verdict.best}; give --genome {verdict.best} if it is")


def _shift_message(universe: Universe, sample: Intervals, source: str) -> str | None:
    """The warning where intervals overlap the universe no better than when shifted by 5 Mb; else None."""
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
