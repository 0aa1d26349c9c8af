"""A fragment file to items: one pass over it, then the choice of cells, their token sets and quality measures."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ...genome.intervals import Intervals
from ...kernels import fragment_tables as kernel
from ...tokens.token_sets import TokenSets
from ..bed import read_bed
from ..genome_check import SourceGenome, check_genome, match_chroms, report_chroms, resolve_genome
from ..items import Items
from ..labels import empty_table, with_constants
from ..liftover import refuse_liftover
from ..options import Counting, ReadOptions
from ..report import ReadReport
from ..source import CellSource
from .bins import BinIndex, build_bins
from .cells import CellRule, Whitelist, cell_rule, choose_cells
from .pairs import Rows, joined_rows
from .quality import quality_table, tss_windows
from .scan import Scan, scan_fragments

if TYPE_CHECKING:
    import pyarrow as pa

    from ...tokens.universe import Universe


def read_fragment_items(
    source: CellSource, universe: Universe, options: ReadOptions, whitelist: Whitelist | None = None
) -> Items:
    """Read a fragment file: one item a cell. Arguments and errors as for `read_fragment_parts`."""
    cells = _read_cells(source, universe, options, whitelist)
    with closing(cells.scan.pairs) as pairs:
        n = sum(run.n_tokens for run in pairs.runs)
        return cells.items(0, len(cells.names), joined_rows(cells.parts(), len(cells.names), n))


def read_fragment_parts(
    source: CellSource, universe: Universe, options: ReadOptions, whitelist: Whitelist | None = None
) -> Iterator[Items]:
    """Read a fragment file of any size: its cells in parts, in order, with one report.

    Memory does not grow with the file but for barcodes: pairs of cell and region that do not fit lie in a
    temporary file until their part is made (`pairs`).

    Args:
        source: the file; a Cell Ranger table beside it tells the cells unless the user does.
        universe: regions that the tokens stand for.
        options: genome, counting rule, fewest fragments, TSS and blacklist.
        whitelist: the barcodes that the user says are cells.

    Raises:
        InputError: see `scan_fragments` and `choose_cells`; before the first part.
        GenomeError: see `check_genome`.
    """
    cells = _read_cells(source, universe, options, whitelist)
    with closing(cells.scan.pairs):
        for low, high, rows in cells.parts():
            yield cells.items(low, high, rows)


@dataclass(frozen=True)
class _Cells:
    """The cells of a file, and what their tokens are made from.

    Attributes:
        source: the file.
        scan: what the pass found.
        rows: [n] int64 rows of the cells in the scan.
        labels: [n] label columns and quality measures.
        report: what was read and dropped.
        genome: name of the genome; None where unknown.
        counting: counting rule.
        universe: regions that the tokens stand for.
        as_sets: make sets; else lists as gtars makes them.
        threads: threads that put the token sets together.
    """

    source: CellSource
    scan: Scan
    rows: npt.NDArray[np.int64]
    labels: pa.Table
    report: ReadReport
    genome: str | None
    counting: Counting
    universe: Universe
    as_sets: bool
    threads: int

    @cached_property
    def names(self) -> tuple[str, ...]:
        """[n] barcodes of the cells."""
        return tuple(self.scan.barcodes[self.rows].tolist())

    def parts(self) -> Iterator[tuple[int, int, Rows]]:
        """First cell, last cell + 1 and their tokens, in order."""
        row_of = np.full(len(self.scan.barcodes), -1, np.int32)
        row_of[self.rows] = np.arange(len(self.rows), dtype=np.int32)
        item_of = [row_of[rows] for rows in self.scan.rows]
        return self.scan.pairs.rows(
            item_of,
            self.scan.keys,
            len(self.rows),
            len(self.universe),
            as_sets=self.as_sets,
            threads=self.threads,
        )

    def items(self, low: int, high: int, rows: Rows) -> Items:
        """The cells from `low` to `high`."""
        names = self.names[low:high]
        return Items(
            kind="cells",
            sets=TokenSets(*rows, names, self.universe.digest),
            ids=self.source.ids(names),
            labels=self.labels.slice(low, high - low),
            report=self.report,
            genome=self.genome,
            source=self.source.name,
            content_digest=self.scan.digest,
            counting=self.counting,
        )


def _read_cells(
    source: CellSource, universe: Universe, options: ReadOptions, whitelist: Whitelist | None
) -> _Cells:
    report = ReadReport(source.name, "fragments")
    gtars = options.parity == "gtars"
    counting = options.counting or "fragment"
    if gtars and counting == "insertion":
        raise InputError(
            f"{source.name}: parity='gtars' counts whole fragments; leave counting='insertion' out"
        )
    refuse_liftover(options.liftover, source.name)
    genome = resolve_genome(options.genome, source.genome, universe.genome, report)
    rule = cell_rule(source.path, whitelist, options.min_fragments)
    threads = options.threads or min(len(os.sched_getaffinity(0)), 8)
    scan = _scan(source.path, universe, options, rule, threads, report)
    try:
        rows = _choose(scan, genome, universe, rule, report, options.strict_genome)
    except BaseException:
        scan.pairs.close()
        raise
    n_empty = 0 if gtars else int(np.count_nonzero(scan.counters[rows, kernel.IN_UNIVERSE] == 0))
    if n_empty:
        report.note(f"{source.name}: {n_empty:,} cells have no fragment in the universe; kept as empty sets")
    labels = with_constants(empty_table(len(rows)), source.constants)
    quality = quality_table(
        scan.counters[rows], tss=options.tss is not None, blacklist=options.blacklist is not None
    )
    for name in quality.column_names:
        labels = labels.append_column(name, quality[name])
    return _Cells(source, scan, rows, labels, report, genome.name, counting, universe, not gtars, threads)


def _scan(
    path: Path, universe: Universe, options: ReadOptions, rule: CellRule, threads: int, report: ReadReport
) -> Scan:
    """The pass over the file, with what it looks fragments up in."""
    gtars = options.parity == "gtars"
    space = ChromSpace(universe, exact=gtars)
    regions = space.index(universe.intervals, np.arange(len(universe), dtype=np.uint32))
    tss = space.index(*tss_windows(options.tss)) if options.tss is not None else None
    blacklist = space.index(read_bed(options.blacklist)) if options.blacklist is not None else None
    return scan_fragments(
        path,
        report,
        universe=space.padded(regions),
        chrom_code=space.code,
        tss=space.padded(tss) if tss is not None else None,
        blacklist=space.padded(blacklist) if blacklist is not None else None,
        insertions=options.counting == "insertion",
        unk=universe.unk if gtars else None,
        only=[b.encode() for b in rule.barcodes] if rule.barcodes is not None else None,
        listed=not rule.cellranger,
        threads=threads,
    )


class ChromSpace:
    """Chromosome codes that universe, TSS, blacklist and the names of a fragment file share."""

    def __init__(self, universe: Universe, exact: bool = False) -> None:
        self._universe = universe
        self._exact = exact
        self._codes = {name: code for code, name in enumerate(universe.intervals.chroms)}

    def code(self, name: str) -> int:
        """Code of a name of the data, -1 where nothing is indexed on it."""
        meant = match_chroms([name], self._universe, self._exact).get(name, name)
        return self._codes.get(meant, -1)

    def index(self, regions: Intervals, value: npt.NDArray[np.uint32] | None = None) -> BinIndex:
        """Index regions by the shared codes; chromosomes that are new get a code."""
        value = np.zeros(len(regions), np.uint32) if value is None else value
        meant = match_chroms(list(regions.chroms), self._universe)
        recode = [self._codes.setdefault(meant.get(c, c), len(self._codes)) for c in regions.chroms]
        chrom = np.array(recode, np.int32)[regions.chrom]
        return build_bins(
            Intervals(tuple(self._codes), chrom, regions.start, regions.end), value, len(self._codes)
        )

    def padded(self, index: BinIndex) -> BinIndex:
        """The index, extended by the codes that came later (nothing lies on them)."""
        missing = len(self._codes) - len(index.stop)
        bin_at = np.concatenate([index.bin_at, np.full(missing, index.bin_at[-1])])
        return index._replace(bin_at=bin_at, stop=np.concatenate([index.stop, np.zeros(missing, np.int64)]))


def _choose(
    scan: Scan, genome: SourceGenome, universe: Universe, rule: CellRule, report: ReadReport, strict: bool
) -> npt.NDArray[np.int64]:
    """Check the genome, and give the rows of the barcodes that are cells."""
    report_chroms({name: n for name, (n, _) in scan.chroms.items()}, universe, report)
    totals = scan.counters.sum(axis=0, dtype=np.int64)
    report.mapped_fraction = int(totals[kernel.IN_UNIVERSE]) / int(totals[kernel.FRAGMENTS])
    ends = {name: end for name, (_, end) in scan.chroms.items()}
    check_genome(genome, universe, scan.sample, ends, report, strict)
    n_fragments = scan.counters[:, kernel.FRAGMENTS].astype(np.int64)
    seen = np.flatnonzero(n_fragments)
    return seen[choose_cells(scan.barcodes[seen], n_fragments[seen], rule, report)]
