"""The universe: a BED file of regions that is the vocabulary of a model, and tokenisation against it.

Intervals, or files through the reader that `tokens.files` names, go in; `TokenSets` come out. The id of a token
is the place of its region in the file (LeRoy et al., bioRxiv 2025.11.03.685753); seven special tokens follow
the regions.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from atacsearch.errors import DigestError, GenomeError, InputError

from ..genome.assemblies import canonical_genome
from ..genome.intervals import Intervals
from ..genome.overlap import OverlapIndex
from .files import file_tokenizer
from .gtars import gtars_tokens
from .token_sets import TokenSets
from .universe_file import bed_bytes, read_universe_bed_hashed, write_atomically, write_bed

if TYPE_CHECKING:
    from ..readers.options import Counting, SourceKind

SPECIAL_TOKENS = ("unk", "pad", "mask", "cls", "eos", "bos", "sep")
Parity = Literal["gtars"]


@dataclass(frozen=True)
class UniverseInfo:
    """What `atacsearch universe info` prints: counts, widths in bp, order, problems."""

    n_regions: int
    genome: str | None
    digest: str
    n_chroms: int
    total_bp: int
    min_width: int
    median_width: float
    max_width: int
    is_sorted: bool
    is_disjoint: bool
    n_duplicates: int
    problems: tuple[str, ...]


class Universe:
    """Regions on one genome, numbered from 0 in the order given; they may be unsorted and may overlap.

    Attributes:
        intervals: the regions, 0-based half-open.
        genome: canonical assembly name ("hg38"), or None where unknown.
        path: where it was read from, or None.

    Example:
        >>> regions = Intervals.from_columns(["chr1", "chr1"], [100, 400], [200, 500])
        >>> universe = Universe(regions, genome="hg38")
        >>> sets = universe.tokenize(Intervals.from_columns(["chr1", "chr1"], [150, 200], [160, 401]))
        >>> sets[0].tolist(), universe.unk, universe.region(1)
        ([0, 1], 2, ('chr1', 400, 500))
    """

    def __init__(
        self, intervals: Intervals, genome: str | None = None, path: str | Path | None = None
    ) -> None:
        if not len(intervals):
            raise InputError(f"{path or 'universe'}: holds no regions")
        bad = (intervals.start < 0) | (intervals.end <= intervals.start)
        if bad.any():
            row = int(np.argmax(bad))
            raise InputError(
                f"{path or 'universe'}: region {row + 1} ({intervals.chroms[intervals.chrom[row]]}:"
                f"{intervals.start[row]}-{intervals.end[row]}): expected 0 <= start < end"
            )
        self.intervals = intervals
        self.genome = canonical_genome(genome)
        self.path = Path(path) if path is not None else None

    # -- reading and writing

    @classmethod
    def from_bed(cls, path: str | Path, genome: str | None = None) -> Universe:
        """Load a BED file (plain or gzip); the place of a line is its token id.

        Args:
            path: BED file, three columns or more. Header lines before the first region do not count.
            genome: assembly name; default: what `save` noted in the side file `PATH.json`, else unknown.

        Raises:
            InputError: a file or line that cannot be read, named; a side file that belongs to other regions.
        """
        path = Path(path)
        noted = _read_side_file(path)
        genome = canonical_genome(genome or (noted or {}).get("genome"))
        intervals, digests = read_universe_bed_hashed(path, _digest_head(genome))
        universe = cls(intervals, genome, path)
        if digests is not None:
            universe._digests = digests
        if noted and noted.get("regions_digest") not in (None, universe.regions_digest):
            raise DigestError(
                f"{side_file(path)} was written for other regions (digest {noted['regions_digest'][:12]}, "
                f"this file {universe.regions_digest[:12]}); remove it or restore the BED file"
            )
        return universe

    @classmethod
    def from_name(cls, name: str) -> Universe:
        """Load a known public universe by name, fetched as part of a package and checked by sha256.

        Example: `Universe.from_name("epiagent-ccre-hg38")`, the 1,355,445 human cCREs of epiagent.
        """
        from ..genome.datasets import KNOWN_DATA, fetch
        from ..spelling import did_you_mean

        known = KNOWN_DATA.get(name)
        if known is None or known.kind != "universe":
            names = sorted(n for n, d in KNOWN_DATA.items() if d.kind == "universe")
            raise InputError(
                f"no known universe is called {name!r}; known: {', '.join(names)}; "
                f"or give the path of a BED file{did_you_mean(name, names)}"
            )
        return cls.from_bed(fetch(name), genome=known.genome)

    @classmethod
    def load(cls, path_or_name: str | Path, genome: str | None = None) -> Universe:
        """Load a universe from a BED file, or by the name of a known one where no such file exists."""
        if not Path(path_or_name).exists():
            from ..genome.datasets import KNOWN_DATA

            known = KNOWN_DATA.get(str(path_or_name))
            if known is not None and known.kind == "universe":
                return cls.from_name(str(path_or_name))
        return cls.from_bed(path_or_name, genome)

    def save(self, path: str | Path) -> Path:
        """Write BED (gzip where the name ends in `.gz`) and a side file `PATH.json` with the genome."""
        path = Path(path)
        write_bed(path, self.intervals)
        if not path.is_file():  # a pipe or device has no side file
            return path
        side = {
            "format": "atacsearch universe 1",
            "genome": self.genome,
            "n_regions": len(self),
            "regions_digest": self.regions_digest,
            "digest": self.digest,
        }
        write_atomically(side_file(path), (json.dumps(side, indent=1) + "\n").encode())
        return path

    # -- what it is

    @property
    def name(self) -> str:
        """What messages call it: the file name, or "universe"."""
        return self.path.name if self.path else "universe"

    def __len__(self) -> int:
        return len(self.intervals)

    def __repr__(self) -> str:
        return f"Universe({len(self):,} regions, genome={self.genome!r}, digest={self.digest[:12]})"

    @cached_property
    def _digests(self) -> tuple[str, str]:
        lines = bed_bytes(self.intervals)
        return hashlib.sha256(_digest_head(self.genome) + lines).hexdigest(), hashlib.sha256(
            lines
        ).hexdigest()

    @property
    def digest(self) -> str:
        """sha256, hexadecimal, over the genome name, a newline, and the three-column BED lines."""
        return self._digests[0]

    @property
    def regions_digest(self) -> str:
        """sha256 over the BED lines alone: the same for one file whatever genome it is said to be of."""
        return self._digests[1]

    @cached_property
    def index(self) -> OverlapIndex:
        """The regions sorted for searching; made at first use."""
        return OverlapIndex(self.intervals)

    @cached_property
    def is_sorted(self) -> bool:
        """Whether regions are grouped by chromosome and rise by start and end within each."""
        return self.index.in_order and bool(np.all(np.diff(self.intervals.chrom) >= 0))

    @cached_property
    def is_disjoint(self) -> bool:
        """Whether no two regions share a base."""
        ordered = self.intervals.take(self.index.order)
        same = ordered.chrom[1:] == ordered.chrom[:-1]
        return not bool(np.any(same & (ordered.start[1:] < ordered.end[:-1]))) and len(self.index.layers) == 1

    @cached_property
    def n_duplicates(self) -> int:
        """How many regions repeat an earlier one."""
        ordered = self.intervals.take(self.index.order)
        same = (ordered.chrom[1:] == ordered.chrom[:-1]) & (ordered.start[1:] == ordered.start[:-1])
        return int(np.count_nonzero(same & (ordered.end[1:] == ordered.end[:-1])))

    def region(self, token: int) -> tuple[str, int, int]:
        """Chromosome, start and end (0-based half-open) of a token."""
        if not 0 <= token < len(self):
            raise IndexError(f"token {token} is not a region; this universe has 0..{len(self) - 1}")
        x = self.intervals
        return x.chroms[x.chrom[token]], int(x.start[token]), int(x.end[token])

    def special(self, name: str) -> int:
        """Id of a special token: unk, pad, mask, cls, eos, bos, sep at V..V+6."""
        return len(self) + SPECIAL_TOKENS.index(name)

    @property
    def unk(self) -> int:
        """Id of the unknown token."""
        return self.special("unk")

    @property
    def pad(self) -> int:
        """Id of the padding token."""
        return self.special("pad")

    @property
    def mask(self) -> int:
        """Id of the mask token."""
        return self.special("mask")

    @property
    def vocab_size(self) -> int:
        """Regions and special tokens together."""
        return len(self) + len(SPECIAL_TOKENS)

    def validate(self) -> tuple[str, ...]:
        """Problems of the regions, one line each: duplicates, names or coordinates that the genome does not
        have.

        Order and overlap are no problem: `info` says them.
        """
        from ..genome.bounds import check_bounds

        problems = []
        if self.n_duplicates:
            problems.append(
                f"{self.n_duplicates} regions repeat an earlier one; gtars would number the others anew"
            )
        if self.genome is not None:
            from ..genome.assemblies import ASSEMBLIES, get_assembly

            if self.genome in ASSEMBLIES:
                try:
                    check_bounds(self.intervals, get_assembly(self.genome))
                except GenomeError as error:
                    problems.append(str(error))
        return tuple(problems)

    def info(self) -> UniverseInfo:
        """Counts, widths and order, for people."""
        widths = self.intervals.end - self.intervals.start
        return UniverseInfo(
            n_regions=len(self),
            genome=self.genome,
            digest=self.digest,
            n_chroms=len(self.intervals.chroms),
            total_bp=int(widths.sum()),
            min_width=int(widths.min()),
            median_width=float(np.median(widths)),
            max_width=int(widths.max()),
            is_sorted=self.is_sorted,
            is_disjoint=self.is_disjoint,
            n_duplicates=self.n_duplicates,
            problems=self.validate(),
        )

    # -- overlap and tokens

    def overlap(self, intervals: Intervals) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint32]]:
        """All pairs of an interval and a region that share at least one base.

        Chromosome names are matched as they are, then through the known aliases (`1` meets `chr1`).

        Args:
            intervals: 0-based half-open, any order; those with `end <= start` share no base with anything.

        Returns:
            ([n_pairs] int64 interval rows, rising; [n_pairs] uint32 tokens, rising within a row).
        """
        rows, positions = self.index.query(
            intervals, self._codes_with_aliases(intervals.chroms), real_only=True
        )
        tokens = positions
        if not self.index.in_order:
            tokens = self.index.order[positions]
            by_row = np.lexsort((tokens, rows))
            rows, tokens = rows[by_row], tokens[by_row]
        return rows, tokens.astype(np.uint32)

    def mapped_fraction(self, intervals: Intervals) -> float:
        """Fraction of the intervals that overlap at least one region; nan where there are none."""
        if not len(intervals):
            return float("nan")
        return self.index.n_hit(intervals, self._codes_with_aliases(intervals.chroms)) / len(intervals)

    def tokenize(
        self,
        x: str | Path | Intervals | Sequence[Intervals],
        parity: Parity | None = None,
        *,
        genome: str | None = None,
        strict_genome: bool = False,
        counting: Counting | None = None,
        min_fragments: int | None = None,
        whitelist: str | Path | None = None,
        tss: str | Path | None = None,
        blacklist: str | Path | None = None,
        sample: str | None = None,
        liftover: str | Path | None = None,
        kind: SourceKind | None = None,
        threads: int | None = None,
    ) -> TokenSets:
        """Turn intervals, or a file of them, into sets of tokens.

        Args:
            x: one `Intervals` (one set), several, or the path of a BED file, fragment file, h5ad or manifest.
            parity: None for the set of overlapped regions, ascending, without duplicates and unk (the
                definition of the paper); "gtars" for the exact list that gtars 0.10 gives: intervals sorted
                by chromosome name and start, each region once per interval that hits it, one unk if nothing
                is hit at all (in a fragment file: file order, one unk for every fragment that hits nothing).
            genome, strict_genome, counting, min_fragments, whitelist, tss, blacklist, sample, liftover, kind, threads:
                how a file is read, see `ReadOptions` in `readers/options.py`; for a path alone.

        Returns:
            One set an item. Items of a file are named as the user knows them (cell barcode, file).

        Raises:
            InputError: a file that cannot be read, or options of reading that come with intervals.
            GenomeError: data of another genome than this universe.
        """
        if parity not in (None, "gtars"):
            raise InputError(f"parity={parity!r} is not known; use None or 'gtars'")
        if isinstance(x, str | Path):
            return file_tokenizer()(
                x, self, parity=parity, genome=genome, strict_genome=strict_genome, counting=counting,
                min_fragments=min_fragments, whitelist=whitelist, tss=tss, blacklist=blacklist, sample=sample,
                liftover=liftover, kind=kind, threads=threads,
            )  # fmt: skip
        for_files = {
            "genome": genome, "strict_genome": strict_genome or None, "counting": counting,
            "min_fragments": min_fragments, "whitelist": whitelist, "tss": tss, "blacklist": blacklist,
            "sample": sample, "liftover": liftover, "kind": kind, "threads": threads,
        }  # fmt: skip
        if given := sorted(name for name, value in for_files.items() if value is not None):
            raise InputError(f"reader options {given} apply to files, not to intervals")
        return self._tokenize_intervals([x] if isinstance(x, Intervals) else list(x), parity)

    def _tokenize_intervals(self, sets: list[Intervals], parity: Parity | None) -> TokenSets:
        if parity == "gtars":
            arrays = [gtars_tokens(self, one) for one in sets]
        else:
            arrays = [self.unique_tokens(one) for one in sets]
        offsets = np.zeros(len(arrays) + 1, np.int64)
        np.cumsum([len(a) for a in arrays], out=offsets[1:])
        tokens = np.concatenate(arrays) if arrays else np.empty(0, np.uint32)
        return TokenSets(offsets, tokens, tuple(str(i) for i in range(len(arrays))), self.digest)

    def unique_tokens(self, intervals: Intervals) -> npt.NDArray[np.uint32]:
        """[n] uint32 the set of overlapped regions, ascending, no duplicates, no unk."""
        return self.tokens_and_hits(intervals)[0]

    def tokens_and_hits(self, intervals: Intervals) -> tuple[npt.NDArray[np.uint32], int]:
        """`unique_tokens`, and how many of the intervals overlap a region."""
        return self.index.covered(intervals, self._codes_with_aliases(intervals.chroms))

    def _codes_with_aliases(self, names: Sequence[str]) -> dict[str, int]:
        """Code of each chromosome name of a query: exact, else through the aliases of both sides."""
        from ..genome.aliases import canonical_chrom

        exact = self.index.codes
        codes = {name: exact[name] for name in names if name in exact}
        if len(codes) < len(names):
            canonical = {canonical_chrom(name, self.genome): code for name, code in reversed(exact.items())}
            for name in names:
                code = canonical.get(canonical_chrom(name, self.genome))
                if name not in codes and code is not None:
                    codes[name] = code
        return codes


def _digest_head(genome: str | None) -> bytes:
    return (genome or "").encode() + b"\n"


def side_file(path: Path) -> Path:
    """Where `save` notes the genome of a universe."""
    return path.with_name(path.name + ".json")


def _read_side_file(path: Path) -> dict[str, Any] | None:
    side = side_file(path)
    try:
        noted = json.loads(side.read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise InputError(
            f"{side}: is not a readable universe side file ({error}); remove it or write it again"
        ) from None
    if not isinstance(noted, dict):
        raise InputError(f"{side}: is not a universe side file; remove it or rename it")
    return noted
