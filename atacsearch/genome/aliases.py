"""Chromosome names of Ensembl, RefSeq and GenBank, mapped to those of the assembly (UCSC's for the built-in
ones).

`1` and `chr1`, `MT` and `chrM`, `NC_000001.11`, `CM000663.2`, and contigs by their GenBank accession
(`KI270706.1`). An accession carries its version, so it belongs to one assembly only: `NC_000001.10` is no
alias under hg38.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from .assemblies import ASSEMBLIES, Assembly, canonical_genome, get_assembly

_NUMBERED = re.compile(r"(?:chr)?(\d{1,2}|X|Y|W|Z)", re.IGNORECASE)
_NUMBERED_SEX = {
    "chr23": "chrX",
    "chr24": "chrY",
}  # as some human files number them; real chromosomes elsewhere
_MITOCHONDRION = re.compile(r"(?:chr)?(?:M|MT)", re.IGNORECASE)


@lru_cache(maxsize=100_000)
def canonical_chrom(name: str, genome: str | None = None) -> str:
    """UCSC name of a chromosome; a name that is not known stays.

    Args:
        name: as found in a file.
        genome: assembly name, where known; decides which accessions count.

    Example:
        >>> [canonical_chrom(c) for c in ("1", "MT", "NC_000023.11", "chrUn_x", "7_random")]
        ['chr1', 'chrM', 'chrX', 'chrUn_x', '7_random']
    """
    known = canonical_genome(genome)
    for assembly in (known,) if known in ASSEMBLIES else ASSEMBLIES:
        found = get_assembly(str(assembly)).accessions.get(name)
        if found is not None:
            return found
    numbered = _NUMBERED.fullmatch(name)
    if numbered:
        chrom = f"chr{numbered[1].upper()}"
        return _NUMBERED_SEX.get(chrom, chrom) if known in ("hg38", "hg19") else chrom
    return "chrM" if _MITOCHONDRION.fullmatch(name) else name


def canonical_chroms(
    names: Iterable[str], assembly: Assembly | str | None = None
) -> tuple[dict[str, str], list[str]]:
    """Map chromosome names to those of an assembly.

    Args:
        names: as found in a file.
        assembly: where known; without one, the names of all built-in assemblies count.

    Returns:
        (names that change -> what they become, for `Intervals.rename`; names that neither are nor become a
        chromosome of the assembly, in order).
    """
    genome = get_assembly(assembly) if isinstance(assembly, str) else assembly
    allowed = [genome] if genome is not None else [get_assembly(name) for name in ASSEMBLIES]
    known = {chrom for one in allowed for chrom in one.chroms}
    mapping: dict[str, str] = {}
    unmapped: list[str] = []
    for name in dict.fromkeys(names):
        if name in known:
            continue
        found = _alias(name, genome)
        if found in known:
            mapping[name] = found
        else:
            unmapped.append(name)
    return mapping, unmapped


def _alias(name: str, genome: Assembly | None) -> str:
    if genome is None:
        return canonical_chrom(name)
    if name in genome.accessions:
        return genome.accessions[name]
    canonical = canonical_chrom(name, genome.name)
    if canonical in genome.chroms:
        return canonical
    for own in genome.chroms:  # an assembly read from a file may use any naming
        if canonical_chrom(own, genome.name) == canonical:
            return own
    return canonical


def describe_mapping(mapping: dict[str, str], unmapped: list[str]) -> str | None:
    """One line for a report: which names were changed and which are unknown; None where neither happened.

    Example:
        >>> describe_mapping({"1": "chr1", "MT": "chrM"}, ["scaffold_9"])
        'chromosome names mapped: 1 -> chr1, MT -> chrM; not known: scaffold_9'
    """
    parts = []
    if mapping:
        shown = [f"{a} -> {b}" for a, b in list(mapping.items())[:3]]
        more = f" and {len(mapping) - 3} more" if len(mapping) > 3 else ""
        parts.append(f"chromosome names mapped: {', '.join(shown)}{more}")
    if unmapped:
        more = f" and {len(unmapped) - 3} more" if len(unmapped) > 3 else ""
        parts.append(f"not known: {', '.join(unmapped[:3])}{more}")
    return "; ".join(parts) or None
