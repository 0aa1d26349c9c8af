"""A fragment file to items: the pass, the cells, their token sets and quality, the genome's checks."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ...genome.intervals import Intervals
from ...kernels import fragment_tables as kernel
from ...tokens.token_sets import TokenSets
from ..bed import read_bed
from ..genome_check import Place, check_place, mapped_names, report_names, settle_genome
from ..items import Items
from ..labels import empty_table, with_constants
from ..liftover import refuse_liftover
from ..options import ReadOptions
from ..report import ReadReport
from .bins import BinIndex, build_bins
from .cells import CellRule, cell_rule, choose_cells
from .pairs import Rows, joined_rows
from .quality import quality_table, tss_windows
from .reader import Scan, scan_fragments

if TYPE_CHECKING:
    from ...tokens.universe import Universe


def read_fragments(
    path: Path, universe: Universe, options: ReadOptions, source: str, sample: str, extra: dict[str, Any]
) -> Items:
    """Read a fragment file: one item a cell. Arguments and errors as for `read_fragment_parts`."""
    cells = _read_cells(path, universe, options, source, sample, extra)
    with closing(cells.scan.pairs) as pairs:
        n = sum(run.n_tokens for run in pairs.runs)
        return cells.items(0, len(cells.names), joined_rows(cells.parts(), len(cells.names), n))


def read_fragment_parts(
    path: Path, universe: Universe, options: ReadOptions, source: str, sample: str, extra: dict[str, Any]
) -> Iterator[Items]:
    """Read a fragment file of any size: its cells in parts, in order, with one report.

    Memory does not grow with the file but for barcodes: pairs of cell and region that do not fit lie in a
    temporary file until their part is made (`pairs`).

    Args:
        path: the file; a Cell Ranger table beside it tells the cells unless `options` do.
        universe: what the fragments are laid over.
        options: genome, counting rule, cells, TSS and blacklist.
        source: the path as the user gave it.
        sample: first part of the cells' ids.
        extra: label columns of one value for all cells (from a manifest).

    Raises:
        InputError: see `scan_fragments` and `choose_cells`; before the first part.
        GenomeError: see `check_place`.
    """
    cells = _read_cells(path, universe, options, source, sample, extra)
    with closing(cells.scan.pairs):
        for low, high, rows in cells.parts():
            yield cells.items(low, high, rows)


@dataclass(frozen=True)
class _Cells:
    """The cells of a file, and what their tokens are made from; `rows` are theirs in the scan."""

    scan: Scan
    rows: npt.NDArray[np.int64]
    names: tuple[str, ...]
    ids: tuple[str, ...]
    labels: Any
    report: ReadReport
    genome: str | None
    source: str
    counting: Any
    universe: Universe
    as_sets: bool
    threads: int

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
        sets = TokenSets(*rows, self.names[low:high], self.universe.digest)
        return Items(
            "cells",
            sets,
            self.ids[low:high],
            self.labels.slice(low, high - low),
            self.report,
            self.genome,
            self.source,
            self.scan.digest,
            self.counting,
        )


def _read_cells(
    path: Path, universe: Universe, options: ReadOptions, source: str, sample: str, extra: dict[str, Any]
) -> _Cells:
    report = ReadReport(source, "fragments")
    gtars = options.parity == "gtars"
    counting = options.counting or "fragment"
    if gtars and counting == "insertion":
        raise InputError(f"{source}: parity='gtars' counts whole fragments; leave counting='insertion' out")
    refuse_liftover(options.liftover, source)
    place = settle_genome(options.genome, extra.get("genome"), universe.genome, report)
    space = ChromSpace(universe, exact=gtars)
    regions = space.index(universe.intervals, np.arange(len(universe), dtype=np.uint32))
    tss = space.index(*tss_windows(options.tss)) if options.tss is not None else None
    blacklist = space.index(read_bed(options.blacklist)) if options.blacklist is not None else None
    rule = cell_rule(path, options.whitelist, options.min_fragments)
    threads = options.threads or min(len(os.sched_getaffinity(0)), 8)
    scan = scan_fragments(
        path,
        report,
        universe=space.closed(regions),
        chrom_code=space.code,
        tss=space.closed(tss) if tss is not None else None,
        blacklist=space.closed(blacklist) if blacklist is not None else None,
        insertions=counting == "insertion",
        unk=universe.unk if gtars else None,
        only=[b.encode() for b in rule.barcodes] if rule.barcodes is not None else None,
        listed=not rule.called,
        threads=threads,
    )
    try:
        rows = _choose(scan, place, universe, rule, report, options.strict_genome)
    except BaseException:
        scan.pairs.close()
        raise
    names = tuple(scan.barcodes[rows].tolist())
    n_empty = 0 if gtars else int(np.count_nonzero(scan.counters[rows, kernel.IN_UNIVERSE] == 0))
    if n_empty:
        report.note(f"{source}: {n_empty:,} cells have no fragment in the universe; kept as empty sets")
    labels = with_constants(empty_table(len(names)), {"sample": sample, **extra})
    for name, column in _quality(scan, rows, options).items():
        labels = labels.append_column(name, column)
    ids = tuple(f"{sample}#{name}" for name in names)
    return _Cells(
        scan,
        rows,
        names,
        ids,
        labels,
        report,
        place.genome,
        source,
        counting,
        universe,
        not gtars,
        threads,
    )


class ChromSpace:
    """Chromosome codes that universe, TSS, blacklist and the names of a fragment file share."""

    def __init__(self, universe: Universe, exact: bool = False) -> None:
        self._universe = universe
        self._exact = exact
        self._codes = {name: code for code, name in enumerate(universe.intervals.chroms)}

    def code(self, name: str) -> int:
        """Code of a name of the data, -1 where nothing is indexed on it."""
        meant = mapped_names([name], self._universe, self._exact).get(name, name)
        return self._codes.get(meant, -1)

    def index(self, regions: Intervals, value: npt.NDArray[np.uint32] | None = None) -> BinIndex:
        """Index regions by the shared codes; chromosomes that are new get a code."""
        value = np.zeros(len(regions), np.uint32) if value is None else value
        meant = mapped_names(list(regions.chroms), self._universe)
        recode = [self._codes.setdefault(meant.get(c, c), len(self._codes)) for c in regions.chroms]
        chrom = np.array(recode, np.int32)[regions.chrom]
        return build_bins(
            Intervals(tuple(self._codes), chrom, regions.start, regions.end), value, len(self._codes)
        )

    def closed(self, index: BinIndex) -> BinIndex:
        """The index, extended by the codes that came later (nothing lies on them)."""
        missing = len(self._codes) - len(index.stop)
        bin_at = np.concatenate([index.bin_at, np.full(missing, index.bin_at[-1])])
        return index._replace(bin_at=bin_at, stop=np.concatenate([index.stop, np.zeros(missing, np.int64)]))


def _choose(
    scan: Scan, place: Place, universe: Universe, rule: CellRule, report: ReadReport, strict: bool
) -> npt.NDArray[np.int64]:
    """Check the genome, and give the rows of the barcodes that are cells."""
    report_names({name: n for name, (n, _) in scan.chroms.items()}, universe, report)
    totals = scan.counters.sum(axis=0, dtype=np.int64)
    report.mapped_fraction = int(totals[kernel.IN_UNIVERSE]) / int(totals[kernel.FRAGMENTS])
    ends = {name: end for name, (_, end) in scan.chroms.items()}
    check_place(place, universe, scan.sample, ends, report, strict)
    n_fragments = scan.counters[:, kernel.FRAGMENTS].astype(np.int64)
    seen = np.flatnonzero(n_fragments)
    return seen[choose_cells(scan.barcodes[seen], n_fragments[seen], rule, report)]


def _quality(scan: Scan, cells: npt.NDArray[np.int64], options: ReadOptions) -> dict[str, Any]:
    table = quality_table(
        scan.counters[cells], tss=options.tss is not None, blacklist=options.blacklist is not None
    )
    return {name: table[name] for name in table.column_names}
