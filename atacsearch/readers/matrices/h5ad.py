"""Cell x peak matrices of AnnData (`.h5ad`) and MuData (`.h5mu`, its ATAC modality) to items.

Only `obs`, `var`, `uns["genome"]` and the matrix are read, the matrix in runs of rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ...genome.intervals import Intervals
from ..compressed import file_digest
from ..genome_check import resolve_genome
from ..items import Items
from ..labels import obs_table
from ..names import first_repeated
from ..options import ReadOptions
from ..report import ReadReport
from ..source import CellSource
from .items import matrix_items, refuse_parity, tokens_of_peaks
from .peaks import peaks_of
from .tokens import Rows, check_values, rows_of_dense, sets_of_cells

if TYPE_CHECKING:
    import h5py
    import pandas as pd

    from ...tokens.universe import Universe

RUN_VALUES = 20_000_000  # stored values read at a time
MODALITIES = ("atac", "ATAC", "peaks", "Peaks")


def read_h5ad(source: CellSource, universe: Universe, options: ReadOptions) -> Items:
    """Read a cell x peak `.h5ad` or `.h5mu`.

    Args:
        source: the file, and what is known of its cells.
        universe: regions that the tokens stand for.
        options: genome, strictness and chain file.

    Raises:
        InputError: no AnnData, no coordinates, repeated obs_names, values that are no counts.
        GenomeError: peaks of another genome than the universe.
    """
    report = ReadReport(source.name, "h5ad")
    refuse_parity(options.parity, source.name)
    with open_group(source.path, source.name) as (group, top):
        obs = _obs(group, top, source.name)
        names = tuple(str(name) for name in obs.index)
        if (twice := first_repeated(names)) is not None:
            raise InputError(
                f"{source.name}: obs_names are not unique ({twice!r} occurs twice); run obs_names_make_unique()"
            )
        peaks, rows = peaks_of(_frame(group, "var", source.name), report)
        stated = source.genome or _genome(group)
        genome = resolve_genome(options.genome, stated, universe.genome, report, options.liftover)
        n_peaks = group_shape(group, source.name)[1]
        tokens = tokens_of_peaks(peaks, rows, n_peaks, universe, genome, options, report)
        matrix, what = _matrix(group, report)
        sets = sets_of_cells(_runs(matrix, report, what), names, tokens, report, universe.digest, what)
    return matrix_items(source, sets, obs_table(obs), report, genome, file_digest(source.path))


def read_obs(path: str | Path) -> pd.DataFrame:
    """The `obs` data frame of an h5ad or h5mu."""
    with open_group(Path(path), str(path)) as (group, top):
        return _obs(group, top, str(path))


def read_genome(path: str | Path) -> str | None:
    """The genome that `uns` of an h5ad or h5mu names."""
    with open_group(Path(path), str(path)) as (group, _):
        return _genome(group)


def read_peaks(
    path: Path, source: str, report: ReadReport
) -> tuple[Intervals, npt.NDArray[np.float64], str | None]:
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
def open_group(path: Path, source: str) -> Iterator[tuple[h5py.Group, h5py.Group | None]]:
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


def group_shape(group: h5py.Group, source: str) -> tuple[int, int]:
    """(cells, features) by the lengths of `obs` and `var`."""
    return len(_frame_index(group, "obs", source)), len(_frame_index(group, "var", source))


def _frame_index(group: h5py.Group, name: str, source: str) -> h5py.Dataset:
    """The index of `obs` or `var`."""
    frame = group.get(name)
    if frame is None:
        raise InputError(f"{source}: has no {name}; expected an h5ad of cells x peaks")
    if not hasattr(frame, "keys"):
        return frame  # a compound dataset of anndata < 0.7
    key = frame.attrs.get("_index", "_index")
    return frame[key if key in frame else next(iter(frame))]


def _frame(group: h5py.Group, name: str, source: str) -> pd.DataFrame:
    """`obs` or `var` as a data frame."""
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


def _obs(group: h5py.Group, top: h5py.Group | None, source: str) -> pd.DataFrame:
    """`obs` of the AnnData, with the columns of the MuData around it that it lacks."""
    obs = _frame(group, "obs", source)
    if top is not None and "obs" in top:
        shared = _frame(top, "obs", source)
        shared = shared[[c for c in shared.columns if c not in obs.columns]].reindex(obs.index)
        obs = obs.join(shared)
    return obs


def _genome(group: h5py.Group) -> str | None:
    from anndata.io import read_elem

    if "uns" not in group or not hasattr(group["uns"], "keys"):
        return None
    for key in ("genome", "assembly", "reference_genome"):
        if key in group["uns"]:
            value = read_elem(group["uns"][key])
            if isinstance(value, str) and value.strip():
                return value
    return None


def _matrix(group: h5py.Group, report: ReadReport) -> tuple[h5py.Group | h5py.Dataset, str]:
    """X, or layers["counts"] where there is no X."""
    layers = group.get("layers")
    if "X" in group:
        return group["X"], "X"
    if layers is not None and "counts" in layers:
        report.note(f"{report.source}: has no X; layers['counts'] is read")
        return layers["counts"], "layers['counts']"
    raise InputError(f"{report.source}: has no X; expected a cells x peaks matrix of counts")


def _runs(matrix: h5py.Group | h5py.Dataset, report: ReadReport, what: str) -> Iterator[Rows]:
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


def compressed_runs(matrix: h5py.Group) -> Iterator[Rows]:
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


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
