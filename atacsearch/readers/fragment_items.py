"""A fragment file to items: the pass, the cells, their token sets and quality, the genome's checks."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..genome.intervals import Intervals
from ..genome.tokensets import TokenSets
from . import table_kernel as kernel
from .bed import read_bed
from .bins import BinIndex, build_bins
from .cells import cell_rule, choose_cells
from .csr import pairs_to_rows, rows_to_sets
from .fragments import Scan, scan_fragments
from .items import Items, ReadOptions
from .labels import empty_table, with_constants
from .placing import check_place, mapped_names, report_names, settle_genome
from .quality import quality_table, tss_windows
from .report import ReadReport

if TYPE_CHECKING:
    from ..genome.universe import Universe


def read_fragments(
    path: Path, universe: Universe, options: ReadOptions, source: str, sample: str, extra: dict[str, Any]
) -> Items:
    """Read a fragment file: one item a cell.

    Args:
        path: the file; a Cell Ranger table beside it tells the cells unless `options` do.
        universe: what the fragments are laid over.
        options: genome, counting rule, cells, TSS and blacklist.
        source: the path as the user gave it.
        sample: first part of the cells' ids.
        extra: label columns of one value for all cells (from a manifest).

    Raises:
        InputError: see `scan_fragments` and `choose_cells`.
        GenomeError: see `check_place`.
    """
    report = ReadReport(source, "fragments")
    gtars = options.parity == "gtars"
    counting = options.counting or "fragment"
    if gtars and counting == "insertion":
        raise InputError(f"{source}: parity='gtars' counts whole fragments; leave counting='insertion' out")
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
        threads=threads,
    )
    report_names({name: n for name, (n, _) in scan.chroms.items()}, universe, report)
    _check(scan, place, universe, report, options.strict_genome)

    n_fragments = scan.counters[:, kernel.FRAGMENTS].astype(np.int64)
    seen = np.flatnonzero(n_fragments)
    cells = seen[choose_cells(scan.barcodes[seen], n_fragments[seen], rule, report)]
    names = tuple(scan.barcodes[cells].tolist())
    offsets, tokens = _rows(scan, cells)
    if not gtars:
        offsets, tokens = rows_to_sets(offsets, tokens, len(universe), threads)
    sets = TokenSets(offsets, tokens, names, universe.digest)
    n_empty = int(np.count_nonzero(sets.lengths == 0))
    if n_empty:
        report.note(f"{source}: {n_empty:,} cells have no fragment in the universe; kept as empty sets")
    labels = with_constants(empty_table(len(names)), {"sample": sample, **extra})
    for name, column in _quality(scan, cells, options).items():
        labels = labels.append_column(name, column)
    ids = tuple(f"{sample}#{name}" for name in names)
    return Items("cells", sets, ids, labels, report, place.genome, source, scan.digest, counting)


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


def _check(scan: Scan, place: Any, universe: Universe, report: ReadReport, strict: bool) -> None:
    totals = scan.counters.sum(axis=0, dtype=np.int64)
    report.mapped_fraction = int(totals[kernel.IN_UNIVERSE]) / int(totals[kernel.FRAGMENTS])
    ends = {name: end for name, (_, end) in scan.chroms.items()}
    check_place(place, universe, scan.sample, ends, report, strict)


def _rows(scan: Scan, cells: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint32]]:
    """Tokens of the cells, in file order; the blocks of the pass are used up."""
    row_of = np.full(len(scan.barcodes), -1, np.int32)
    row_of[cells] = np.arange(len(cells), dtype=np.int32)
    mapped: dict[int, npt.NDArray[np.int32]] = {}
    blocks = []
    for codes, tokens, barcode_of in scan.blocks:
        if id(barcode_of) not in mapped:
            mapped[id(barcode_of)] = row_of[barcode_of]
        blocks.append((codes, tokens, mapped[id(barcode_of)]))
    scan.blocks.clear()
    return pairs_to_rows(blocks, len(cells))


def _quality(scan: Scan, cells: npt.NDArray[np.int64], options: ReadOptions) -> dict[str, Any]:
    table = quality_table(
        scan.counters[cells], tss=options.tss is not None, blacklist=options.blacklist is not None
    )
    return {name: table[name] for name in table.column_names}
