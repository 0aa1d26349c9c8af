"""Peak coordinates of a matrix: from columns of `var`, or from names such as chr1:1-2 and chr1_1_2."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ...genome.intervals import Intervals
from ..report import ReadReport

if TYPE_CHECKING:
    import pandas as pd

Columns = tuple["pd.Series", "pd.Series", "pd.Series"]  # chromosome, start, end

_CHROM = ("chrom", "chr", "chromosome", "seqnames", "seqname", "seqid", "contig")
_START = re.compile(r"(.*[_. ])?(start|chromstart|chrom_start|peak_start)")
_END = re.compile(r"(.*[_. ])?(end|stop|chromend|chrom_end|peak_end)")
_NAME = r"^\s*(.+?)[:_-](\d+)[-_](\d+)\s*$"
FORMS = (
    "var columns chrom (or chr, Chromosome, seqnames), start and end (or Start, End, hg38_Start, …), or "
    "names like chr1:100-600, chr1-100-600 or chr1_100_600"
)


def peaks_of(var: pd.DataFrame, report: ReadReport) -> tuple[Intervals, npt.NDArray[np.int64]]:
    """Intervals of the peaks of a matrix, 0-based half-open as they are written.

    Args:
        var: data frame of the features; rows of a `feature_types` other than Peaks are left out.
        report: gets a count of features that are no peaks, and counts of peaks that cannot be.

    Returns:
        (intervals [n]; [n] int64 row of `var` of each).

    Raises:
        InputError: no coordinates; names the forms that are understood and what was found.
    """
    import pandas as pd

    rows = np.arange(len(var), dtype=np.int64)
    kinds = next((c for c in var.columns if str(c).lower() in ("feature_types", "feature_type")), None)
    if kinds is not None:
        is_peak = (var[kinds].astype(str) == "Peaks").to_numpy()
        if is_peak.any() and not is_peak.all():
            report.note(f"{report.source}: left out {int((~is_peak).sum()):,} features that are not peaks")
            var, rows = var[is_peak], rows[is_peak]
        elif not is_peak.any():
            found = ", ".join(sorted(set(var[kinds].astype(str)))[:3])
            raise InputError(f"{report.source}: holds no peaks, only features of the type {found}")
    chrom, start, end = _from_columns(var) or _from_names(var, report)
    whole = start.notna() & end.notna() & chrom.notna()
    start_values = np.where(whole, start, -1).astype(np.float64)
    end_values = np.where(whole, end, -1).astype(np.float64)
    good = (start_values >= 0) & (end_values > start_values) & (end_values < 2**31)
    report.n_lines += len(var)
    report.n_read += int(good.sum())
    if not good.all():
        bad = np.flatnonzero(~good)
        report.skip("peaks whose coordinates cannot be", len(bad))
        for row in bad[:3]:
            report.skip(
                "", 0, f"peak {var.index[row]!s}: {chrom.iloc[row]}, {start.iloc[row]}, {end.iloc[row]}"
            )
    if not good.any():
        raise InputError(f"{report.source}: no peak has coordinates that can be; expected {FORMS}")
    codes, names = pd.factorize(chrom[good])
    starts, ends = start_values[good].astype(np.int64), end_values[good].astype(np.int64)
    return Intervals(tuple(map(str, names)), codes.astype(np.int32), starts, ends), rows[good]


def _from_columns(var: pd.DataFrame) -> Columns | None:
    import pandas as pd

    lower = {str(c).lower(): c for c in reversed(var.columns)}
    chrom = next((lower[c] for c in _CHROM if c in lower), None)
    start = _pick(lower, _START)
    end = _pick(lower, _END)
    if chrom is None or start is None or end is None:
        return None
    names = var[chrom].astype(str).where(var[chrom].notna())
    return names, pd.to_numeric(var[start], errors="coerce"), pd.to_numeric(var[end], errors="coerce")


def _pick(lower: dict[str, str], pattern: re.Pattern[str]) -> str | None:
    """The column of a coordinate: the plain name before `hg38_Start` and its like."""
    found = [name for name in lower if pattern.fullmatch(name)]
    return lower[min(found, key=len)] if found else None


def _from_names(var: pd.DataFrame, report: ReadReport) -> Columns:
    import pandas as pd

    candidates = [pd.Series(var.index.astype(str), index=var.index)]
    candidates += [
        var[c].astype(str) for c in var.columns if str(c).lower() in ("interval", "peak", "peaks", "gene_ids")
    ]
    for names in candidates:
        parts = names.str.extract(_NAME)
        if len(parts) and parts[0].notna().mean() > 0.5:
            return parts[0], pd.to_numeric(parts[1]), pd.to_numeric(parts[2])
    shown = ", ".join(map(str, var.index[:3]))
    columns = ", ".join(map(str, var.columns[:8])) or "none"
    raise InputError(
        f"{report.source}: the peaks have no coordinates (names: {shown}; var columns: {columns}); "
        f"expected {FORMS}"
    )
