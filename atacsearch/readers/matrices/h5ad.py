"""Cell x peak matrices of AnnData (`.h5ad`) and MuData (`.h5mu`, its ATAC modality) to items.

Only `obs`, `var`, `uns["genome"]` and the matrix are read, the matrix in runs of rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import InputError
from ...genome.intervals import Intervals
from ..compressed import file_digest
from ..genome_check import check_place, report_names, settle_genome
from ..items import Items
from ..labels import obs_table, with_constants
from ..liftover import lifted
from ..names import first_repeated
from ..options import ReadOptions
from ..report import ReadReport
from .peaks import peaks_of
from .tokens import PeakTokens, Rows, check_values, rows_of_dense, sets_of_cells

if TYPE_CHECKING:
    from ...tokens.universe import Universe

RUN_VALUES = 20_000_000  # stored values read at a time
MODALITIES = ("atac", "ATAC", "peaks", "Peaks")


def read_h5ad(
    path: Path, universe: Universe, options: ReadOptions, source: str, sample: str, extra: dict[str, Any]
) -> Items:
    """Read a cell x peak `.h5ad` or `.h5mu`.

    Args:
        path: the file.
        universe: what the peaks are laid over.
        options: genome and strictness.
        source: the path as the user gave it.
        sample: first part of the cells' ids.
        extra: label columns of one value for all cells (from a manifest).

    Raises:
        InputError: no AnnData, no coordinates, repeated obs_names, values that are no counts.
    """
    report = ReadReport(source, "h5ad")
    refuse_parity(options, source)
    with open_group(path, source) as (group, top):
        obs = _obs(group, top, source)
        names = tuple(str(name) for name in obs.index)
        if (twice := first_repeated(names)) is not None:
            raise InputError(
                f"{source}: obs_names are not unique ({twice!r} occurs twice); run obs_names_make_unique()"
            )
        peaks, rows = peaks_of(_frame(group, "var", source), report)
        own = extra.get("genome") or _genome(group)
        place = settle_genome(options.genome, own, universe.genome, report, options.liftover)
        n_peaks = group_shape(group, source)[1]
        tokens = lay_peaks(peaks, rows, n_peaks, universe, place, options, report)
        matrix, what = _matrix(group, report)
        sets = sets_of_cells(_runs(matrix, report, what), names, tokens, report, universe.digest, what)
    report.n_cells = len(names)
    labels = with_constants(obs_table(obs), {"sample": sample, **extra, "lifted_from": place.lifted_from})
    ids = tuple(f"{sample}#{name}" for name in names)
    return Items("cells", sets, ids, labels, report, place.genome, source, file_digest(path), None)


def lay_peaks(
    peaks: Intervals,
    rows: Any,
    n_peaks: int,
    universe: Universe,
    place: Any,
    options: ReadOptions,
    report: ReadReport,
) -> PeakTokens:
    """Check peaks against their genome and lay them over the universe."""
    from ...genome.bounds import extents

    if place.lift is not None:
        peaks, kept = lifted(peaks, place.lift, report)
        rows = rows[kept]
    lines = np.bincount(peaks.chrom, minlength=len(peaks.chroms))
    report_names(dict(zip(peaks.chroms, lines.tolist(), strict=True)), universe, report)
    check_place(place, universe, peaks, extents(peaks), report, options.strict_genome)
    tokens = PeakTokens.of(peaks, rows, n_peaks, universe)
    report.mapped_fraction = tokens.mapped / len(peaks)
    return tokens


def read_obs(path: str | Path) -> Any:
    """The `obs` data frame of an h5ad or h5mu."""
    with open_group(Path(path), str(path)) as (group, top):
        return _obs(group, top, str(path))


def read_genome(path: str | Path) -> str | None:
    """The genome that `uns` of an h5ad or h5mu names."""
    with open_group(Path(path), str(path)) as (group, _):
        return _genome(group)


def read_peaks(path: Path, source: str, report: ReadReport) -> tuple[Intervals, Any, str | None]:
    """Peaks of a matrix, the number of cells in which each is open [n] float64, and the genome it states."""
    with open_group(path, source) as (group, _):
        peaks, rows = peaks_of(_frame(group, "var", source), report)
        matrix, what = _matrix(group, report)
        coverage = np.zeros(group_shape(group, source)[1])
        for _, columns, values in _runs(matrix, report, what):
            if values is not None:
                check_values(values, report, what)
                columns = columns[values > 0]
            coverage += np.bincount(columns, minlength=len(coverage))
        return peaks, coverage[rows], _genome(group)


@contextmanager
def open_group(path: Path, source: str) -> Iterator[tuple[Any, Any]]:
    """The HDF5 group that holds the AnnData, and that of an enclosing MuData (else None)."""
    import h5py

    if not path.exists():
        raise InputError(f"{source}: no such file; expected an h5ad")
    try:
        handle = h5py.File(path, "r")
    except OSError as error:
        size = path.stat().st_size
        why = "is empty (0 bytes)" if size == 0 else f"cannot be opened as HDF5 ({_first_line(error)})"
        raise InputError(f"{source}: {why}; expected an h5ad, written to its end") from None
    with handle:
        if "mod" not in handle:
            yield handle, None
            return
        modalities = list(handle["mod"])
        found = next((m for m in MODALITIES if m in modalities), None)
        if found is None:
            raise InputError(
                f"{source}: has the modalities {', '.join(modalities)}; expected one called atac"
            )
        yield handle["mod"][found], handle


def group_shape(group: Any, source: str) -> tuple[int, int]:
    """(cells, features) by the lengths of `obs` and `var`."""
    return len(_frame_index(group, "obs", source)), len(_frame_index(group, "var", source))


def _frame_index(group: Any, name: str, source: str) -> Any:
    frame = group.get(name)
    if frame is None:
        raise InputError(f"{source}: has no {name}; expected an h5ad of cells x peaks")
    if not hasattr(frame, "keys"):
        return frame  # a compound dataset of anndata < 0.7
    key = frame.attrs.get("_index", "_index")
    return frame[key if key in frame else next(iter(frame))]


def _frame(group: Any, name: str, source: str) -> Any:
    from anndata.io import read_elem

    _frame_index(group, name, source)
    frame = group[name]
    if hasattr(frame, "keys"):
        return read_elem(frame)
    import pandas as pd

    table = pd.DataFrame.from_records(frame[()])  # anndata < 0.7
    table = table.set_index(table.columns[0])
    for column in (c for c in table.columns if table[c].dtype == object):
        table[column] = [v.decode() if isinstance(v, bytes) else v for v in table[column]]
    table.index = [v.decode() if isinstance(v, bytes) else str(v) for v in table.index]
    return table


def _obs(group: Any, top: Any, source: str) -> Any:
    obs = _frame(group, "obs", source)
    if top is not None and "obs" in top:
        shared = _frame(top, "obs", source)
        shared = shared[[c for c in shared.columns if c not in obs.columns]].reindex(obs.index)
        obs = obs.join(shared)
    return obs


def _genome(group: Any) -> str | None:
    from anndata.io import read_elem

    if "uns" not in group or not hasattr(group["uns"], "keys"):
        return None
    for key in ("genome", "assembly", "reference_genome"):
        if key in group["uns"]:
            value = read_elem(group["uns"][key])
            if isinstance(value, str) and value.strip():
                return value
    return None


def _matrix(group: Any, report: ReadReport) -> tuple[Any, str]:
    """X, or layers["counts"] where there is no X."""
    layers = group.get("layers")
    if "X" in group:
        return group["X"], "X"
    if layers is not None and "counts" in layers:
        report.note(f"{report.source}: has no X; layers['counts'] is read")
        return layers["counts"], "layers['counts']"
    raise InputError(f"{report.source}: has no X; expected a cells x peaks matrix of counts")


def _runs(matrix: Any, report: ReadReport, what: str) -> Iterator[Rows]:
    """The matrix in runs of rows, whatever way it is stored."""
    if not hasattr(matrix, "keys"):
        step = max(1, RUN_VALUES // max(matrix.shape[1], 1))
        for row in range(0, matrix.shape[0], step):
            yield rows_of_dense(matrix[row : row + step], report, what)
        return
    encoding = _text(matrix.attrs.get("encoding-type") or matrix.attrs.get("h5sparse_format") or "csr")
    if "csc" in encoding:
        from scipy.sparse import csc_matrix

        shape = tuple(int(x) for x in (matrix.attrs.get("shape", matrix.attrs.get("h5sparse_shape"))))
        values = matrix["data"][:]
        check_values(values, report, what)
        rows = csc_matrix((values, matrix["indices"][:], matrix["indptr"][:]), shape).tocsr()
        yield rows.indptr, rows.indices, rows.data
        return
    yield from compressed_runs(matrix)


def compressed_runs(matrix: Any) -> Iterator[Rows]:
    """Runs of rows of `indptr`, `indices` and `data` in HDF5."""
    indptr = matrix["indptr"][:].astype(np.int64)
    n_rows = len(indptr) - 1
    row = 0
    while row < n_rows:
        stop = int(np.searchsorted(indptr, indptr[row] + RUN_VALUES, "right")) - 1
        stop = min(max(stop, row + 1), n_rows)
        low, high = indptr[row], indptr[stop]
        yield indptr[row : stop + 1] - low, matrix["indices"][low:high], matrix["data"][low:high]
        row = stop


def refuse_parity(options: ReadOptions, source: str) -> None:
    """Refuse `parity` for a matrix."""
    if options.parity is not None:
        raise InputError(f"{source}: parity='gtars' is for BED and fragment files, not for matrices")


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
