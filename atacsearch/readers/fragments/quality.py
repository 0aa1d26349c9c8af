"""Quality measures of a barcode, from the counters of the pass over fragments.

- `n_fragments`: fragments (lines; the count column, reads a fragment, does not enter).
- `frac_in_universe`: fragments that open at least one region, over all fragments.
- `tss_enrichment`: as ArchR (Granja et al. 2021, doi:10.1038/s41588-021-00790-6): insertions a base in the
  101 bp around TSS, over insertions a base in the 100 bp at each end of TSS +- 2,000 bp (at least 0.2 of
  them, against scores blown up by few reads): `2 * (window / 101) / max(flank / 100, 0.2)`. Insertions are
  the bases `start` and `end - 1`; TSS are unique positions; one near several TSS counts for each.
- `nucleosome_signal`: as Signac (Stuart et al. 2021, doi:10.1038/s41592-021-01282-5): fragments of 147 to
  293 bp over those shorter than 147 bp; null without short ones.
- `blacklist_ratio`: fragments that overlap the blacklist, over all fragments.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ...arrow import number_array
from ...errors import InputError
from ...genome.genes import GeneAnnotation
from ...genome.intervals import Intervals
from ...kernels import fragment_tables as kernel
from ..bed import read_bed
from ..report import ReadReport

if TYPE_CHECKING:
    import pyarrow as pa

WINDOW = 50  # bp on either side of a TSS
FLANK = 2000
NORM = 100
MIN_FLANK = 0.2


def quality_table(counters: npt.NDArray[np.uint32], *, tss: bool, blacklist: bool) -> pa.Table:
    """The measures as an Arrow table [n barcodes].

    Args:
        counters: [n, 8] as `scan_lines` counts them.
        tss: whether TSS were given.
        blacklist: whether a blacklist was given.
    """
    import pyarrow as pa

    n = counters[:, kernel.FRAGMENTS].astype(np.float64)
    columns: dict[str, pa.Array] = {
        "n_fragments": number_array(counters[:, kernel.FRAGMENTS].astype(np.int64)),
        "frac_in_universe": _ratio(counters[:, kernel.IN_UNIVERSE], n),
        "nucleosome_signal": _ratio(counters[:, kernel.MONO], counters[:, kernel.SHORT]),
    }
    if tss:
        window = counters[:, kernel.TSS_WINDOW] / (2 * WINDOW + 1)
        flank = np.maximum(counters[:, kernel.TSS_FLANK] / NORM, MIN_FLANK)
        columns["tss_enrichment"] = number_array(2 * window / flank)
    if blacklist:
        columns["blacklist_ratio"] = _ratio(counters[:, kernel.BLACKLISTED], n)
    return pa.table(columns)


def tss_windows(path: str | Path) -> tuple[Intervals, npt.NDArray[np.uint32]]:
    """Windows (value 0) and flanks (value 1) of the unique TSS of a table.

    Args:
        path: BED6 of TSS (`chrom, tss, tss + 1, name, 0, strand`) or GTF.
    """
    sites = _tss(path)
    key = np.unique(np.stack([sites.chrom.astype(np.int64), sites.start]), axis=1)
    chrom, at = key[0].astype(np.int32), key[1]
    starts = np.concatenate([at - WINDOW, at - FLANK, at + FLANK - NORM + 1])
    ends = np.concatenate([at + WINDOW + 1, at - FLANK + NORM, at + FLANK + 1])
    kind = np.repeat(np.array([0, 1, 1], np.uint32), len(at))
    starts = np.maximum(starts, 0)
    inside = ends > starts
    windows = Intervals(sites.chroms, np.tile(chrom, 3), starts, ends)
    return windows.take(inside), kind[inside]


def _tss(path: str | Path) -> Intervals:
    name = Path(path).name.lower().removesuffix(".gz")
    if name.endswith((".gtf", ".gff", ".gff3")):
        return GeneAnnotation.from_file(path).sites
    report = ReadReport(str(path), "bed")
    sites = read_bed(path, report)
    wide = int(np.count_nonzero(sites.end - sites.start > 1))
    if wide:
        raise InputError(
            f"{path}: {wide:,} of {len(sites):,} rows are wider than one base; expected a TSS a row "
            "(BED6: chrom, tss, tss + 1, name, score, strand) or a GTF"
        )
    return sites


def _ratio(part: npt.NDArray[Any], whole: npt.NDArray[Any]) -> pa.Array:
    """[n] float64 part over whole; null where whole is zero."""
    part, whole = part.astype(np.float64), whole.astype(np.float64)
    return number_array(np.divide(part, whole, out=np.zeros_like(part), where=whole > 0), whole > 0)
