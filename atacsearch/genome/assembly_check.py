"""Which assembly intervals are of, by their overlap with promoters that are open in nearly every cell type.

hg19 and hg38 share chromosome names and nearly all lengths, so names cannot tell them apart. Bundled
promoters can (made by `scripts/make_promoters.py`): data of the right assembly overlap them many times more
often than the same promoters shifted by 5 Mb, data of another assembly do not. mm39 has no bundled promoters:
it is never confirmed here.
"""

from __future__ import annotations

import gzip
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Literal

import numpy as np
import numpy.typing as npt

from atacsearch.errors import GenomeError

from .aliases import canonical_chrom
from .assemblies import canonical_genome, get_assembly
from .intervals import Intervals

PROMOTER_ASSEMBLIES = ("hg38", "hg19", "mm10")
SHIFT = 5_000_000  # bp
MIN_HITS = 20  # promoters hit by the input before an assembly can win
MIN_ODDS_RATIO = 4.0  # hit promoters against hit shifted promoters, of the assembly that wins
MIN_Z = 5.0  # signed root of the likelihood ratio that the assembly that wins must reach
LEAD = 3.0  # how many times the odds ratio of the declared assembly the winner must have
DEPLETION = 0.15  # repressive marks avoid these promoters: odds ratios this low speak for an assembly too
MIN_Z_DEPLETION = 3.0
_BLOCK = 5_000_000  # bp; parts of the genome where the input has nothing are left out in such blocks
_MIN_THINNED = 1000  # intervals
_SATURATED = 0.5  # thin on while more than this fraction of the shifted promoters is hit

Verdict = Literal["agree", "refuse", "undecided"]


@dataclass(frozen=True)
class PromoterHits:
    """How one assembly's promoters are hit, among those in parts of the genome that the input covers at all.

    Attributes:
        hit: promoters that the input overlaps.
        shifted: the same promoters, moved by 5 Mb, that it overlaps.
        n: promoters considered.
    """

    hit: int
    shifted: int
    n: int

    @property
    def odds_ratio(self) -> float:
        """Odds of a promoter to be hit, over the odds of a shifted one (0.5 added to each count)."""
        a, b, c, d = self._cells
        return (a / b) / (c / d)

    @property
    def z(self) -> float:
        """Signed root of the likelihood ratio of the two proportions; standard normal by chance."""
        total = self.hit + self.shifted
        expected = total / 2
        g = sum(
            2 * seen * math.log(seen / mean)
            for seen, mean in (
                (self.hit, expected),
                (self.shifted, expected),
                (self.n - self.hit, self.n - expected),
                (self.n - self.shifted, self.n - expected),
            )
            if seen > 0
        )
        return math.copysign(math.sqrt(max(g, 0.0)), self.hit - self.shifted)

    @property
    def fits(self) -> bool:
        """Enriched beyond doubt."""
        return self.hit >= MIN_HITS and self.odds_ratio >= MIN_ODDS_RATIO and self.z >= MIN_Z

    @property
    def depleted(self) -> bool:
        """Avoided beyond chance, as repressive marks of the right assembly do."""
        return self.shifted >= MIN_HITS and self.odds_ratio <= DEPLETION and self.z <= -MIN_Z_DEPLETION

    @property
    def _cells(self) -> tuple[float, float, float, float]:
        return self.hit + 0.5, self.n - self.hit + 0.5, self.shifted + 0.5, self.n - self.shifted + 0.5


@dataclass(frozen=True)
class AssemblyVerdict:
    """What the promoters say about a declared assembly.

    Attributes:
        verdict: "agree", "refuse" (another assembly fits beyond doubt, the declared one does not) or
            "undecided".
        declared: canonical name of what was declared, or None.
        best: the assembly that fits, or None.
        scores: odds ratio of hit promoters against shifted ones, per assembly; 1 is chance.
        hits: the counts behind the scores.
        n: intervals looked at.
        message: one line for people.
    """

    verdict: Verdict
    declared: str | None
    best: str | None
    scores: dict[str, float]
    hits: dict[str, PromoterHits]
    n: int
    message: str


def check_assembly(intervals: Intervals, declared: str | None, source: str = "the input") -> AssemblyVerdict:
    """Compare intervals with the promoters of each assembly.

    Args:
        intervals: peaks, fragments or regions, 0-based half-open; chromosome names in any known style.
        declared: the assembly they are said to be of, or None.
        source: what the message calls them.

    Returns:
        The verdict. Subsets of the genome and marks that are not at promoters are often "undecided".
    """
    name = canonical_genome(declared)
    hits, n = promoter_hits(intervals)
    ranked = sorted((g for g in hits if hits[g].fits), key=lambda g: -hits[g].odds_ratio)
    best = ranked[0] if ranked else None
    mine = hits.get(name or "")
    if best is None:
        verdict: Verdict = "agree" if mine is not None and mine.depleted else "undecided"
    elif best == name or name is None:
        verdict = "agree"
    elif mine is None:
        # without promoters of the declared assembly, only another species is beyond doubt
        verdict = "undecided" if name not in _SPECIES or _SPECIES[name] == _SPECIES[best] else "refuse"
    elif not mine.fits and hits[best].odds_ratio >= LEAD * mine.odds_ratio:
        verdict = "refuse"
    else:
        verdict = "undecided"
    scores = {g: h.odds_ratio for g, h in hits.items()}
    return AssemblyVerdict(verdict, name, best, scores, hits, n, _message(source, verdict, name, best, hits))


def require_assembly(
    intervals: Intervals, declared: str | None, source: str, *, strict: bool
) -> AssemblyVerdict:
    """`check_assembly`, with "refuse" an error, and "undecided" too where `strict` is set.

    Raises:
        GenomeError: with the message of the verdict.
    """
    verdict = check_assembly(intervals, declared, source)
    if verdict.verdict == "refuse":
        raise GenomeError(verdict.message)
    if strict and verdict.declared is not None and verdict.verdict == "undecided":
        raise GenomeError(f"{verdict.message}; refused because of --strict-genome")
    return verdict


def promoter_hits(intervals: Intervals) -> tuple[dict[str, PromoterHits], int]:
    """Counts per assembly, and how many intervals were looked at.

    Input of a part of the genome is compared in that part only: a promoter counts where the input has an
    interval both in its block of 5 Mb and in that of its shifted twin.
    Very dense input (fragments of a deep library) touches every window: it is thinned evenly until the
    shifted promoters are no longer nearly all hit.
    """
    step = 1
    while True:
        taken = intervals.take(np.arange(0, len(intervals), step)) if step > 1 else intervals
        data = _Sorted.of(taken)
        hits = {name: _count(data, name) for name in PROMOTER_ASSEMBLIES}
        if len(taken) < _MIN_THINNED or all(h.shifted <= _SATURATED * h.n for h in hits.values()):
            return hits, len(taken)
        step *= 2


@dataclass(frozen=True)
class _Sorted:
    """Intervals as sorted keys `chromosome << 32 | position`: what all assemblies are compared with.

    Attributes:
        chroms: chromosome names; the codes in the keys are places in it.
        intervals: where the keys come from.
        starts: [n] int64 keys, sorted.
        reach: [n] int64 the last end among the intervals up to here, as keys.
        blocks: the blocks that hold a start, as keys of the number of the block.
    """

    chroms: tuple[str, ...]
    intervals: Intervals
    starts: npt.NDArray[np.int64]
    reach: npt.NDArray[np.int64]
    blocks: npt.NDArray[np.int64]

    @classmethod
    def of(cls, intervals: Intervals) -> _Sorted:
        chrom = intervals.chrom.astype(np.int64) << 32
        starts, ends = chrom + intervals.start, chrom + intervals.end
        if not bool(np.all(starts[:-1] <= starts[1:])):
            order = np.argsort(starts)
            starts, ends = starts[order], ends[order]
        blocks = (starts & ~_LOW) + (starts & _LOW) // _BLOCK  # sorted as the starts are
        return cls(intervals.chroms, intervals, starts, np.maximum.accumulate(ends), _distinct(blocks))

    def merged(self, names: list[str]) -> _Sorted:
        """The same with chromosomes renamed so that some become one."""
        return _Sorted.of(self.intervals.rename(dict(zip(self.chroms, names, strict=True))))


_LOW = np.int64(2**32 - 1)


def _distinct(keys: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The distinct values of sorted keys."""
    return keys[np.concatenate([[True], keys[1:] != keys[:-1]])] if len(keys) else keys


def _count(data: _Sorted, name: str) -> PromoterHits:
    promoters, moved = _promoters(name)
    names = [canonical_chrom(c, name) for c in data.chroms]
    if len(set(names)) < len(names):  # `1` and `chr1` in one file
        data, names = (merged := data.merged(names)), list(merged.chroms)
    codes = {c: i for i, c in enumerate(names)}
    recode = np.array([codes.get(c, -1) for c in promoters.chroms], np.int64)
    chrom = recode[promoters.chrom] << 32
    inside = chrom >= 0
    for windows in (promoters, moved):
        blocks = chrom + windows.start // _BLOCK
        places = np.minimum(np.searchsorted(data.blocks, blocks), max(len(data.blocks) - 1, 0))
        inside &= data.blocks[places] == blocks if len(data.blocks) else False
    hit, shifted = (_n_hit(chrom[inside], windows.take(inside), data) for windows in (promoters, moved))
    return PromoterHits(hit, shifted, int(np.count_nonzero(inside)))


def _n_hit(chrom: npt.NDArray[np.int64], windows: Intervals, data: _Sorted) -> int:
    """How many windows overlap an interval: of those that begin before its end, one reaches beyond its start."""
    begun = np.searchsorted(data.starts, chrom + windows.end, "left")
    reached = data.reach[np.maximum(begun - 1, 0)] > chrom + windows.start if len(data.reach) else False
    return int(np.count_nonzero((begun > 0) & reached))


@cache
def _promoters(name: str) -> tuple[Intervals, Intervals]:
    """The bundled promoters, and the same shifted by 5 Mb (back, where the chromosome ends)."""
    promoters = read_promoters(name)
    lengths = np.array([get_assembly(name).chroms[c] for c in promoters.chroms], np.int64)[promoters.chrom]
    shift = np.where(promoters.end + SHIFT <= lengths, SHIFT, -SHIFT)
    return promoters, Intervals(
        promoters.chroms, promoters.chrom, promoters.start + shift, promoters.end + shift
    )


def read_promoters(name: str) -> Intervals:
    """The bundled ubiquitous promoters of hg38, hg19 or mm10: TSS +- 250 bp."""
    packed = resources.files(__package__).joinpath("data", f"{name}.promoters.bed.gz").read_bytes()
    rows = [line.split("\t") for line in gzip.decompress(packed).decode().splitlines()]
    return Intervals.from_columns([r[0] for r in rows], [int(r[1]) for r in rows], [int(r[2]) for r in rows])


_SPECIES = {"hg38": "human", "hg19": "human", "mm10": "mouse", "mm39": "mouse"}


def _message(
    source: str, verdict: Verdict, declared: str | None, best: str | None, hits: Mapping[str, PromoterHits]
) -> str:
    def shown(name: str) -> str:
        h = hits[name]
        return f"{h.hit} of {h.n} promoters of {name} hit, {h.shifted} when shifted by 5 Mb"

    if verdict == "refuse":
        assert best is not None
        against = f"; {shown(declared)}" if declared is not None and declared in hits else ""
        return (
            f"{source}: the genome was said to be {declared}, but the data fit {best} "
            f"({shown(best)}{against}); "
            f"use --genome {best}, or data of {declared}"
        )
    if verdict == "agree":
        if best is None:
            assert declared is not None
            return f"{source}: fits {declared} (promoters avoided: {shown(declared)})"
        return f"{source}: fits {best} ({shown(best)})"
    if declared is None:
        return f"{source}: the promoters do not tell the genome"
    if declared not in hits:
        also = f"; the data look like {best} ({shown(best)})" if best else ""
        return f"{source}: cannot check for {declared}, no promoters of it are bundled{also}"
    also = f"; {shown(best)}" if best and best != declared else ""
    return f"{source}: cannot tell whether the data are of {declared} ({shown(declared)}{also})"
