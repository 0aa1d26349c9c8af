"""Matrices as 10x Genomics writes them: a `.h5`, or a folder of `matrix.mtx`, `barcodes.tsv`, features.

Peaks only: genes of a multiome matrix are left out. Stored as features x barcodes; read as cells x peaks.
Format: https://www.10xgenomics.com/support/software/cell-ranger-atac (feature-barcode matrices).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ...genome.intervals import Intervals
from ..compressed import file_digest, read_all
from ..genome_check import resolve_genome
from ..items import Items
from ..labels import empty_table
from ..names import first_repeated
from ..options import ReadOptions, SourceKind
from ..report import ReadReport
from ..source import CellSource
from .h5ad import compressed_runs
from .items import matrix_items, refuse_parity, tokens_of_peaks
from .peaks import peaks_of
from .tokens import Rows, check_values, sets_of_cells

if TYPE_CHECKING:
    import h5py
    import pandas as pd

    from ...tokens.universe import Universe

_FEATURES = ("features.tsv", "peaks.bed", "peaks.tsv", "genes.tsv")


@dataclass(frozen=True)
class _Matrix:
    """A matrix as it is read: cells x features.

    Attributes:
        names: [n_cells] barcodes.
        features: [n_features] data frame.
        runs: the matrix in runs of rows.
        digest: sha256 of the file, or of the digests of the folder's files.
    """

    names: tuple[str, ...]
    features: pd.DataFrame
    runs: Iterable[Rows]
    digest: str


def read_tenx(source: CellSource, universe: Universe, options: ReadOptions) -> Items:
    """Read a 10x `.h5` or MTX folder; arguments and errors as for `read_h5ad`."""
    refuse_parity(options.parity, source.name)
    report = ReadReport(source.name, source.kind)
    matrix = _read(source.path, source.kind, source.name, report)
    if (twice := first_repeated(matrix.names)) is not None:
        raise InputError(f"{source.name}: the barcode {twice!r} occurs twice; expected each once")
    peaks, rows = peaks_of(matrix.features, report)
    stated = source.genome or _one_genome(matrix.features, rows, source.name)
    genome = resolve_genome(options.genome, stated, universe.genome, report, options.liftover)
    tokens = tokens_of_peaks(peaks, rows, len(matrix.features), universe, genome, options, report)
    sets = sets_of_cells(matrix.runs, matrix.names, tokens, report, universe.digest, "the matrix")
    return matrix_items(source, sets, empty_table(len(matrix.names)), report, genome, matrix.digest)


def read_tenx_peaks(
    path: Path, kind: SourceKind, source: str, report: ReadReport
) -> tuple[Intervals, npt.NDArray[np.float64], str | None]:
    """Peaks, the number of cells in which each is open [n] float64, and the genome."""
    matrix = _read(path, kind, source, report)
    peaks, rows = peaks_of(matrix.features, report)
    coverage = np.zeros(len(matrix.features))
    for _, columns, values in matrix.runs:
        if values is not None:
            check_values(values, report, "the matrix")
            columns = columns[values > 0]
        coverage += np.bincount(columns, minlength=len(coverage))
    return peaks, coverage[rows], _one_genome(matrix.features, rows, source)


def read_genome(path: Path) -> str | None:
    """The genome of the peaks of a 10x `.h5`."""
    features = _read_h5(path, str(path)).features
    _, rows = peaks_of(features, ReadReport(str(path), "tenx_h5"))
    return _one_genome(features, rows, str(path))


def _read(path: Path, kind: SourceKind, source: str, report: ReadReport) -> _Matrix:
    return _read_folder(path, source, report) if kind == "tenx_mtx" else _read_h5(path, source)


def _read_h5(path: Path, source: str) -> _Matrix:
    import h5py
    import pandas as pd

    try:
        handle = h5py.File(path, "r")
    except OSError as error:
        raise InputError(f"{source}: cannot be opened as HDF5 ({error}); expected a 10x .h5 matrix") from None
    with handle:
        matrix = handle.get("matrix")
        if matrix is None or "features" not in matrix:
            found = ", ".join(list(handle)[:5])
            raise InputError(
                f"{source}: expected a 10x .h5 with matrix/features (Cell Ranger 3 or later), found {found}"
            )
        features = matrix["features"]
        columns = {
            key: _strings(features[key]) for key in ("name", "feature_type", "genome") if key in features
        }
        var = pd.DataFrame(columns, index=pd.Index(_strings(features["id"])))
        names = tuple(_strings(matrix["barcodes"]))
        if list(matrix["shape"][:]) != [len(var), len(names)]:
            raise InputError(f"{source}: the matrix is {list(matrix['shape'][:])}, not features x barcodes")
        runs = list(compressed_runs(matrix))  # compressed by barcode, so rows are cells
    return _Matrix(names, var, runs, file_digest(path))


def _read_folder(folder: Path, source: str, report: ReadReport) -> _Matrix:
    from scipy.io import mmread

    matrix_path, barcode_path = _need(folder, "matrix.mtx", source), _need(folder, "barcodes.tsv", source)
    feature_path = next((p for n in _FEATURES if (p := _member(folder, n)) is not None), None)
    if feature_path is None:
        raise InputError(f"{source}: has none of {', '.join(_FEATURES)}; expected the features of the matrix")
    names = tuple(line.split("\t")[0] for line in _lines(barcode_path))
    var = _features(feature_path, source)
    digest = hashlib.sha256()
    for member in (matrix_path, barcode_path, feature_path):
        digest.update(file_digest(member).encode())
    try:
        matrix = mmread(str(matrix_path))
    except (ValueError, OSError, EOFError) as error:
        raise InputError(f"{matrix_path}: cannot be read as Matrix Market ({error})") from None
    if matrix.shape != (len(var), len(names)):
        raise InputError(
            f"{matrix_path}: is {matrix.shape[0]:,} x {matrix.shape[1]:,}, but there are {len(var):,} "
            f"features in {feature_path.name} and {len(names):,} barcodes in {barcode_path.name}"
        )
    check_values(np.asarray(matrix.data), report, "the matrix")
    rows = matrix.T.tocsr()
    return _Matrix(names, var, [(rows.indptr, rows.indices, rows.data)], digest.hexdigest())


def _features(path: Path, source: str) -> pd.DataFrame:
    """features.tsv (id, name, type, chrom, start, end) or peaks.bed (chrom, start, end)."""
    import pandas as pd

    fields = [line.split("\t") for line in _lines(path)]
    if not fields:
        raise InputError(f"{source}: {path.name} is empty; expected a feature a line")
    if path.name.startswith("peaks.bed") or (len(fields[0]) >= 3 and fields[0][1].isdigit()):
        short = next((i for i, f in enumerate(fields, 1) if len(f) < 3), None)
        if short is not None:
            raise InputError(f"{path}, line {short}: expected chromosome, start and end")
        columns = list(zip(*(f[:3] for f in fields), strict=True))
        index = [f"{c}:{a}-{b}" for c, a, b in zip(*columns, strict=True)]
        return pd.DataFrame(dict(zip(("chrom", "start", "end"), columns, strict=True)), index=index)
    var = pd.DataFrame(index=pd.Index([f[0] for f in fields]))
    if all(len(f) >= 3 for f in fields):
        var["feature_type"] = [f[2] for f in fields]
    return var


def _one_genome(var: pd.DataFrame, rows: npt.NDArray[np.int64], source: str) -> str | None:
    """The genome of the peaks at `rows`; None where the features do not name it."""
    if "genome" not in var.columns:
        return None
    genomes = sorted({g for g in var["genome"].iloc[rows] if g})
    if len(genomes) > 1:
        raise InputError(f"{source}: holds peaks of {' and '.join(genomes)}; expected one genome")
    return genomes[0] if genomes else None


def _strings(data: h5py.Dataset) -> list[str]:
    return [x.decode() if isinstance(x, bytes) else str(x) for x in data[:]]


def _lines(path: Path) -> list[str]:
    data, _ = read_all(path)
    return [line.rstrip("\r") for line in data.decode("utf-8", "replace").split("\n") if line.strip()]


def _member(folder: Path, name: str) -> Path | None:
    return next((p for n in (name, f"{name}.gz") if (p := folder / n).is_file()), None)


def _need(folder: Path, name: str, source: str) -> Path:
    found = _member(folder, name)
    if found is None:
        raise InputError(f"{source}: has no {name} (or {name}.gz); expected a 10x matrix folder")
    return found
