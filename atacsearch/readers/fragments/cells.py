"""Which barcodes are cells: a whitelist, Cell Ranger's own call, or a fewest number of fragments.

What is dropped, and why, goes into the report. Where the default decides, the report also suggests the knee of
the barcode rank curve.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ..compressed import read_all
from ..names import first_repeated
from ..options import DEFAULT_MIN_FRAGMENTS
from ..report import ReadReport

FEW = 0.1  # the default cut-off must keep this fraction of the barcodes above the knee
_STEP = 0.05  # log units: bins of the density of barcodes
_SMOOTH = 0.15  # log units: its smoothing
CALL_FILES = ("singlecell.csv", "per_barcode_metrics.csv")
_BARCODE_COLUMNS = ("barcode", "barcodes", "cell", "cell_id")


@dataclass(frozen=True)
class Whitelist:
    """The barcodes that the user says are cells, in the order of the file `source`."""

    barcodes: tuple[str, ...]
    source: str


@dataclass(frozen=True)
class CellRule:
    """Who is a cell, before a fragment has been seen.

    Attributes:
        barcodes: the barcodes that may be cells, in order; None: all.
        min_fragments: fewest fragments.
        by_user: whether the user gave `min_fragments`.
        source: where `barcodes` are from.
        cellranger: whether `barcodes` are the cells that Cell Ranger called. They are kept in the order of their
            names then, not of the file.
    """

    barcodes: tuple[str, ...] | None
    min_fragments: int
    by_user: bool
    source: str | None = None
    cellranger: bool = False

    @property
    def at_least(self) -> str:
        """The rule on fragments, for messages."""
        return f"at least {self.min_fragments:,} fragments"

    @property
    def too_few(self) -> str:
        """Why a barcode is dropped by it, for messages."""
        return f"fewer than {self.min_fragments:,} fragments"


def cell_rule(path: Path, whitelist: Whitelist | None, min_fragments: int | None) -> CellRule:
    """The rule for a fragment file.

    Args:
        path: the fragment file; Cell Ranger's call is looked for beside it.
        whitelist: what the user says; goes before Cell Ranger's call.
        min_fragments: what the user says; holds in addition to a whitelist or call.
    """
    by_user = min_fragments is not None
    fewest = min_fragments if min_fragments is not None else 1
    if whitelist is not None:
        return CellRule(whitelist.barcodes, fewest, by_user, whitelist.source)
    calls = next((path.parent / n for n in CALL_FILES if (path.parent / n).is_file()), None)
    if calls is not None:
        return CellRule(read_calls(calls), fewest, by_user, str(calls), cellranger=True)
    return CellRule(None, fewest if by_user else DEFAULT_MIN_FRAGMENTS, by_user)


def choose_cells(
    barcodes: npt.NDArray[np.object_], n_fragments: npt.NDArray[np.int64], rule: CellRule, report: ReadReport
) -> npt.NDArray[np.int64]:
    """Rows of the barcodes that are cells: in the order of a whitelist, else in the order of their names.

    Args:
        barcodes: [n] str, every barcode seen.
        n_fragments: [n] fragments of each, above 0.
        rule: who is a cell.
        report: gets numbers kept and dropped, and the suggestion.

    Raises:
        InputError: no barcode is a cell; says what the distribution looks like and what would help.
    """
    report.n_barcodes = len(barcodes)
    knee = knee_of(n_fragments)
    report.suggested_min_fragments = knee
    if rule.barcodes is not None:
        kept = _choose_listed(barcodes, n_fragments, rule, knee, report)
    else:
        kept = _choose_by_count(n_fragments, rule, knee, report)
    if rule.barcodes is None or rule.cellranger:
        kept = kept[np.argsort(barcodes[kept].astype(str), kind="stable")]
    report.n_cells = len(kept)
    return kept


def _choose_listed(
    barcodes: npt.NDArray[np.object_],
    n_fragments: npt.NDArray[np.int64],
    rule: CellRule,
    knee: int,
    report: ReadReport,
) -> npt.NDArray[np.int64]:
    """Rows of the barcodes of a whitelist or call that have enough fragments."""
    rows = _rows_of_listed(barcodes, rule, report, n_fragments)
    kept = rows[n_fragments[rows] >= rule.min_fragments]
    report.dropped = _above_zero(
        {f"not in {rule.source}": len(barcodes) - len(rows), rule.too_few: len(rows) - len(kept)}
    )
    report.cell_rule = f"cells of {rule.source}" + (f", {rule.at_least}" if rule.by_user else "")
    if not len(kept):
        raise InputError(
            f"{report.source}: none of the {len(rows):,} barcodes of {rule.source} has "
            f"{rule.min_fragments:,} fragments; {_distribution(n_fragments, knee)}"
        )
    return kept


def _choose_by_count(
    n_fragments: npt.NDArray[np.int64], rule: CellRule, knee: int, report: ReadReport
) -> npt.NDArray[np.int64]:
    """Rows of the barcodes that have enough fragments; a default that keeps few of the likely cells is refused."""
    kept = np.flatnonzero(n_fragments >= rule.min_fragments)
    report.dropped = _above_zero({rule.too_few: len(n_fragments) - len(kept)})
    report.cell_rule = rule.at_least + ("" if rule.by_user else ", the default")
    if not len(kept):
        which = "--min-fragments" if rule.by_user else "the default of"
        raise InputError(
            f"{report.source}: no barcode has {rule.min_fragments:,} fragments ({which} {rule.min_fragments}); "
            f"{_distribution(n_fragments, knee)}, or give --whitelist"
        )
    if rule.by_user:
        return kept
    n_above_knee = int(np.count_nonzero(n_fragments >= knee))
    if knee < rule.min_fragments and len(kept) < FEW * n_above_knee:
        raise InputError(
            f"{report.source}: only {len(kept):,} barcodes have {rule.min_fragments:,} fragments (the default); "
            f"{_distribution(n_fragments, knee)}, or give --min-fragments {rule.min_fragments} to insist, or "
            "--whitelist"
        )
    report.note(
        f"{report.source}: the knee of the barcode ranks is at {knee:,} fragments ({n_above_knee:,} barcodes)"
    )
    return kept


def knee_of(n_fragments: npt.NDArray[np.int64]) -> int:
    """A cut-off between cells and background: where the barcode rank curve falls most steeply.

    The curve is that of log count against log rank. Its knee is the point farthest above the straight line
    from the first rank to the last (Satopää et al. 2011, doi:10.1109/ICDCSW.2011.20); below it, and above the
    bulk of the background, the steepest drop is the inflection point of DropletUtils (Lun et al. 2019,
    doi:10.1186/s13059-019-1662-y): the largest ratio of the rank to the density of barcodes at a log count.

    Example:
        >>> knee_of(np.array([1000] * 90 + [900] * 10 + [2] * 5000))
        900
    """
    value, n = np.unique(n_fragments[n_fragments > 0], return_counts=True)
    if len(value) < 2:
        return int(value[0]) if len(value) else 1
    # barcodes over log count, each spread over the width of its whole number, smoothed
    ends = np.unique(np.concatenate([value - 0.5, value + 0.5]))
    below = np.concatenate([[0], np.cumsum(n)])[np.searchsorted(value, ends)]
    edges = np.arange(np.log(0.5), np.log(value[-1] + 0.5) + _STEP, _STEP)
    reach = round(4 * _SMOOTH / _STEP)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) * _STEP / _SMOOTH) ** 2)
    density = np.diff(np.interp(edges, np.log(ends), below))
    padded = np.concatenate([np.full(reach, density[0]), density, np.zeros(reach)])
    density = np.convolve(padded, kernel / kernel.sum(), "valid")
    rank = np.cumsum(density[::-1])[::-1]
    knee = np.log(_farthest_from_chord(value, n))
    background = int(np.argmax(np.where(edges[1:] <= knee - np.log(2), density, -1)))
    between = (edges[1:] <= knee) & (np.arange(len(density)) > background)
    drop = np.where(between, rank / np.maximum(density, 1e-9), -1)
    cut = np.exp(edges[int(np.argmax(drop))])
    return int(value[np.searchsorted(value, cut)])


def _farthest_from_chord(value: npt.NDArray[np.int64], n: npt.NDArray[np.int64]) -> int:
    """The count at the knee; `value` rises, `n` barcodes have each."""
    x = np.log(np.cumsum(n[::-1])[::-1])  # rank of the last barcode with at least this count
    y = np.log(value)
    x = (x - x[-1]) / max(x[0] - x[-1], 1e-12)
    y = (y - y[0]) / (y[-1] - y[0])
    return int(value[len(value) - 1 - np.argmax((x + y)[::-1])])


def read_barcodes(path: str | Path) -> list[str]:
    """Barcodes of a text file: a line each, or the column `barcode` of a table, as they are listed.

    Raises:
        InputError: no such file, or no text.
    """
    data, _ = read_all(path, "a whitelist (a barcode a line)")
    lines = [line for line in data.decode("utf-8-sig", "replace").splitlines() if line.strip()]
    rows = list(csv.reader(lines, delimiter=_delimiter(lines[0]))) if lines else []
    column = 0
    if rows:
        header = [field.strip().lower() for field in rows[0]]
        named = next((i for i, name in enumerate(header) if name in _BARCODE_COLUMNS), -1)
        if named >= 0:
            column, rows = named, rows[1:]
    return [row[column].strip() for row in rows if len(row) > column and row[column].strip()]


def unique_barcodes(listed: Sequence[str], source: str | Path) -> tuple[str, ...]:
    """The barcodes of a whitelist, after a check.

    Raises:
        InputError: there are none, or one is listed twice.
    """
    if not listed:
        raise InputError(f"{source}: holds no barcodes; expected a barcode a line")
    if (twice := first_repeated(listed)) is not None:
        raise InputError(f"{source}: lists the barcode {twice!r} twice; expected each once")
    return tuple(listed)


def read_calls(path: str | Path) -> tuple[str, ...]:
    """Barcodes that Cell Ranger (ATAC: `singlecell.csv`; ARC: `per_barcode_metrics.csv`) calls cells.

    Raises:
        InputError: columns are missing, or no barcode is a cell.
    """
    data, _ = read_all(path, "Cell Ranger's table of barcodes")
    table = csv.DictReader(io.StringIO(data.decode("utf-8-sig", "replace")))
    header = table.fieldnames or []
    flags = [c for c in header if c in ("is__cell_barcode", "is_cell", "is_cell_barcode")]
    flags = flags or [c for c in header if c.startswith("is_") and c.endswith("_cell_barcode")]
    if "barcode" not in header or not flags:
        raise InputError(
            f"{path}: expected the columns barcode and is__cell_barcode (or is_cell), found "
            f"{', '.join(header[:8])}; give --whitelist instead"
        )
    yes = {"1", "1.0", "true"}
    cells = tuple(
        row["barcode"] for row in table if any((row[c] or "").strip().lower() in yes for c in flags)
    )
    if not cells:
        raise InputError(
            f"{path}: calls no barcode a cell; give --whitelist or --min-fragments without this file"
        )
    return cells


def _rows_of_listed(
    barcodes: npt.NDArray[np.object_], rule: CellRule, report: ReadReport, n_fragments: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Rows of the barcodes of the rule that were seen, in its order."""
    assert rule.barcodes is not None
    row_of = {barcode: row for row, barcode in enumerate(barcodes.tolist())}
    found = [row_of[b] for b in rule.barcodes if b in row_of]
    missing = len(rule.barcodes) - len(found)
    if not found:
        raise InputError(
            f"{report.source}: has none of the {len(rule.barcodes):,} barcodes of {rule.source} (there: "
            f"{rule.barcodes[0]!r}, here: {str(barcodes[int(np.argmax(n_fragments))])!r}); barcodes must "
            "be equal to the letter, suffixes such as -1 included"
        )
    if missing:
        report.note(
            f"{report.source}: {missing:,} barcodes of {rule.source} have no fragment and are left out"
        )
    return np.array(found, np.int64)


def _distribution(n_fragments: npt.NDArray[np.int64], knee: int) -> str:
    """How fragments are spread over barcodes, and the cut-off that the knee suggests, for messages."""
    low, high = np.percentile(n_fragments, [50, 99]).astype(int)
    cells = int(np.count_nonzero(n_fragments >= knee))
    return (
        f"of {len(n_fragments):,} barcodes half have at most {low:,}, 99% at most {high:,}, the largest "
        f"{int(n_fragments.max()):,}; the knee suggests --min-fragments {knee} ({cells:,} barcodes)"
    )


def _above_zero(dropped: dict[str, int]) -> dict[str, int]:
    """The reasons for which anything was dropped."""
    return {why: n for why, n in dropped.items() if n}


def _delimiter(line: str) -> str:
    return "\t" if "\t" in line else ","
