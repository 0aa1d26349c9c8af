"""Lifting of data to the assembly of the universe, by the chain file that the user gives; never without one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..errors import GenomeError, InputError
from ..genome.assemblies import ASSEMBLIES, Assembly, canonical_genome, get_assembly
from ..genome.assembly_check import check_assembly
from ..genome.bounds import check_extents, extents
from ..genome.intervals import Intervals
from ..genome.liftover import lift as apply_chains
from .report import ReadReport

if TYPE_CHECKING:
    from ..genome.chain import Chains


@dataclass(frozen=True)
class Lift:
    """How the intervals of a source are lifted to the assembly of the universe.

    Attributes:
        chains: from the source's assembly to the universe's.
        old: assembly of the source; None where neither the data, the user nor the chain file names it.
        new: assembly of the universe, likewise.
    """

    chains: Chains
    old: str | None
    new: str | None

    @property
    def route(self) -> str:
        """From where to where, for messages: `hg19 to hg38`."""
        return f"{self.old or 'an unnamed genome'} to {self.new or 'another'}"


def resolve_lift(
    liftover: str | Path, option: str | None, stated: str | None, universe: str | None, source: str
) -> Lift:
    """Read a chain file and check that it leads from the data to the universe.

    Args:
        liftover: the chain file.
        option: genome of the data as the user says.
        stated: genome of the data as the data say.
        universe: genome of the universe; None where unknown.
        source: what messages call the data.

    Raises:
        GenomeError: it leads elsewhere, begins elsewhere, or the data need no lifting; names the genomes.
        InputError: it cannot be read.
    """
    from ..genome.chain import read_chains

    chains = read_chains(liftover)
    given, known = canonical_genome(option) or canonical_genome(stated), canonical_genome(universe)
    if chains.new_genome is not None and known is not None and chains.new_genome != known:
        raise GenomeError(
            f"{liftover}: lifts from {chains.old_genome or 'another genome'} to {chains.new_genome}, but the "
            f"universe is {known}; give a chain file that leads to {known}"
        )
    if given is not None and given == known:
        raise GenomeError(f"{source}: is {given} as the universe is; leave --liftover out")
    if given is not None and chains.old_genome is not None and given != chains.old_genome:
        raise GenomeError(
            f"{source}: is {given}, but {liftover} lifts from {chains.old_genome}; give a chain file from {given} to "
            f"{known or chains.new_genome or 'the genome of the universe'}"
        )
    return Lift(chains, given or chains.old_genome, known or chains.new_genome)


def lift_intervals(
    intervals: Intervals, lift: Lift, report: ReadReport
) -> tuple[Intervals, npt.NDArray[np.int64]]:
    """Lift the intervals of a source, and report what was lost.

    Args:
        intervals: of the old assembly.
        lift: the chains, and the assemblies that they lead from and to.
        report: gets the loss, and the message of the check of the old assembly.

    Returns:
        (intervals of the new assembly, [m] int64 place of each among those given).

    Raises:
        GenomeError: the data cannot be of the old assembly, or nothing could be lifted.
    """
    if lift.old in ASSEMBLIES:
        check_extents(extents(intervals), str(lift.old), report.source)
        verdict = check_assembly(intervals, lift.old, report.source)
        if verdict.verdict == "refuse":
            also = "; leave --liftover out if they are" if verdict.best == lift.new else ""
            raise GenomeError(f"{verdict.message}{also}")
        report.assembly = verdict.message
    done = apply_chains(intervals, lift.chains)
    report.lifted = f"{lift.route} by {Path(lift.chains.source).name}"
    report.n_to_lift += len(intervals)
    for why, n in done.lost.items():
        report.lost[why] = report.lost.get(why, 0) + n
    if not len(done.rows):
        raise GenomeError(
            f"{report.source}: none of its {len(intervals):,} regions could be lifted from {lift.route} with "
            f"{lift.chains.source}; is it the right chain file?"
        )
    return done.intervals, done.rows


def assembly_of(name: str | None) -> Assembly | None:
    """A built-in assembly by its canonical name; None for others."""
    return get_assembly(name) if name in ASSEMBLIES else None


def refuse_liftover(liftover: str | Path | None, source: str) -> None:
    """Refuse `--liftover` for fragments, which are streamed."""
    if liftover is not None:
        raise InputError(
            f"{source}: --liftover is for BED files and matrices of peaks, not for fragments; align the reads again, "
            "or lift the file with UCSC's liftOver first"
        )
