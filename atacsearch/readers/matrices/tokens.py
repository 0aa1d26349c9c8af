"""Cell x peak matrices to token sets: the tokens of each peak are found once, and cells take those of their peaks.

A peak is open in a cell where its value is above zero; a token is in the set where any open peak overlaps
its region.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ...genome.intervals import Intervals
from ...kernels.matrix import KERNELS
from ...kernels.token_rows import rows_to_sets
from ...tokens.token_sets import TokenSets
from ..report import ReadReport

if TYPE_CHECKING:
    from ...tokens.universe import Universe

Rows = tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any] | None]  # indptr from 0, peaks, values


@dataclass(frozen=True)
class PeakTokens:
    """The tokens of each peak, one after another.

    Attributes:
        at: [n_peaks + 1] int64; peak p has `tokens[at[p]:at[p + 1]]`.
        tokens: uint32.
        n_regions: size of the universe.
    """

    at: npt.NDArray[np.int64]
    tokens: npt.NDArray[np.uint32]
    n_regions: int

    @classmethod
    def of(
        cls, peaks: Intervals, rows: npt.NDArray[np.int64], n_peaks: int, universe: Universe
    ) -> PeakTokens:
        """Find the regions that each peak overlaps; `rows` are the columns of the matrix that the peaks stand for."""
        hit, tokens = universe.overlap(peaks)
        counts = np.bincount(rows[hit], minlength=n_peaks)
        at = np.zeros(n_peaks + 1, np.int64)
        np.cumsum(counts, out=at[1:])
        if len(rows) > 1 and not (np.diff(rows) > 0).all():
            order = np.argsort(rows[hit], kind="stable")
            tokens = tokens[order]
        return cls(at, tokens.astype(np.uint32), len(universe))

    @property
    def mapped(self) -> int:
        """Number of peaks that have a token."""
        return int(np.count_nonzero(np.diff(self.at)))


def sets_of_cells(
    runs: Iterable[Rows],
    names: tuple[str, ...],
    peaks: PeakTokens,
    report: ReadReport,
    digest: str,
    what: str = "X",
) -> TokenSets:
    """Token sets of cells.

    Args:
        runs: the matrix in runs of rows, compressed by row.
        names: of all cells.
        peaks: tokens of the columns.
        report: gets notes on values and empty cells.
        digest: of the universe.
        what: what messages call the matrix.

    Raises:
        InputError: a value is negative, NaN or infinite.
    """
    lengths: list[npt.NDArray[np.int64]] = []
    parts: list[npt.NDArray[np.uint32]] = []
    for indptr, columns, values in runs:
        offsets, tokens = _tokens_of_rows(indptr, columns, values, peaks, report, what)
        lengths.append(np.diff(offsets))
        parts.append(tokens)
    all_offsets = np.zeros(len(names) + 1, np.int64)
    if lengths:
        np.cumsum(np.concatenate(lengths), out=all_offsets[1:])
    n_empty = int(np.count_nonzero(np.diff(all_offsets) == 0))
    if n_empty:
        report.note(
            f"{report.source}: {n_empty:,} cells have no open peak in the universe; kept as empty sets"
        )
    tokens = np.concatenate(parts) if parts else np.empty(0, np.uint32)
    return TokenSets(all_offsets, tokens, names, digest)


def check_values(values: npt.NDArray[Any], report: ReadReport, what: str) -> None:
    """Refuse what cannot be counts; note fractions.

    Raises:
        InputError: a value is negative, NaN or infinite: zero does not mean closed in such a matrix.
    """
    if not len(values) or values.dtype.kind in "bu":
        return
    if values.dtype.kind not in "if":
        raise InputError(f"{report.source}: {what} holds {values.dtype}; expected counts")
    low, high = values.min(), values.max()
    if np.isnan(low) or low < 0 or np.isinf(high):
        found = "NaN" if np.isnan(low) else f"negative values ({low:g})" if low < 0 else "infinite values"
        raise InputError(
            f"{report.source}: {what} holds {found}, as scaled or imputed matrices do; expected counts, "
            "where 0 is closed: put the counts into X (or into layers['counts'])"
        )
    if values.dtype.kind == "f" and not (values[:100_000] == np.floor(values[:100_000])).all():
        report.note(
            f"{report.source}: {what} holds fractions, not counts; every value above 0 is taken as open"
        )


def _tokens_of_rows(
    indptr: npt.NDArray[Any],
    columns: npt.NDArray[Any],
    values: npt.NDArray[Any] | None,
    peaks: PeakTokens,
    report: ReadReport,
    what: str,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint32]]:
    """Offsets and tokens of rows, each a set."""
    offsets = np.ascontiguousarray(indptr, np.int64)
    n_peaks = len(peaks.at) - 1
    bad = len(columns) and not (columns.min() >= 0 and columns.max() < n_peaks)
    if bad or offsets[0] != 0 or offsets[-1] != len(columns) or (np.diff(offsets) < 0).any():
        raise InputError(
            f"{report.source}: {what} is no valid sparse matrix of {n_peaks:,} columns (its indptr or indices "
            "point outside); write the file again"
        )
    is_open = np.empty(0, np.uint8)
    if values is not None:
        check_values(values, report, what)
        if not values.all():
            is_open = (values > 0).view(np.uint8)
    all_open = int(not len(is_open))
    places = np.ascontiguousarray(columns, np.int32)
    out = np.empty(KERNELS("count_tokens", places, len(places), all_open, is_open, peaks.at), np.uint32)
    n_rows = len(offsets) - 1
    new = np.empty(n_rows + 1, np.int64)
    n_unsorted = KERNELS(
        "fill_tokens", offsets, n_rows, places, all_open, is_open, peaks.at, peaks.tokens, new, out
    )
    out = out[: new[-1]]
    if n_unsorted:  # peaks in another order than the universe
        return rows_to_sets(new, out, peaks.n_regions)
    return new, out


def rows_of_dense(matrix: npt.NDArray[Any], report: ReadReport, what: str) -> Rows:
    """Compress dense rows; NaN and negative values are refused first."""
    check_values(matrix.ravel(), report, what)
    rows, columns = np.nonzero(matrix)
    indptr = np.zeros(len(matrix) + 1, np.int64)
    np.cumsum(np.bincount(rows, minlength=len(matrix)), out=indptr[1:])
    return indptr, columns, None
