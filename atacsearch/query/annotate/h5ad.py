"""Calls written back into an AnnData: a copy of the input h5ad with what label transfer found beside its cells.

Only the annotation is touched: the file is copied byte by byte, and columns are then added to `obs`, one array to
`obsm` and one record to `uns`, so that layers, graphs and pictures stay as they were and memory does not grow with
the matrix.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..._version import __version__
from ...answers import Calls
from ...errors import InputError
from ...files import to_file
from ...readers.matrices.h5ad import read_obs
from .columns import terms_of
from .ontology import cell_ontology

if TYPE_CHECKING:
    import pyarrow as pa
    from anndata import AnnData

    from ...readers.inputs.memory import Input
    from ..session import Session

KEY = "atacsearch"  # first part of every name that is written, and the record's in `uns`
VECTORS = f"X_{KEY}"
UNKNOWN = "unknown"
ASSIGNED = "assigned"


@dataclass(frozen=True)
class Record:
    """What is written beside the calls themselves.

    Attributes:
        about: what made them (model, index, version ...), for `uns`; values are text, numbers, lists of text or
            such records.
        terms: for a label the Cell Ontology id of each of its values, where it is known.
    """

    about: Mapping[str, Any]
    terms: Mapping[str, Mapping[str, str]]


def record_of(session: Session, calls: Calls) -> Record:
    """What made these calls."""
    index = session.index
    about = {
        "version": __version__,
        "index": index.path.name,
        "generation": session.snapshot().generation,
        "model_digest": index.info.model_digest,
        "universe_digest": index.info.universe_digest,
        "genome": index.info.genome,
        "labels": list(calls.labels),
        "ontology": f"Cell Ontology {cell_ontology().release}",
        "settings": {k: list(v) if isinstance(v, tuple) else v for k, v in calls.settings.items()},
    }
    terms = {label: terms_of(session, calls.reference, label, calls.classes[label]) for label in calls.labels}
    return Record(about, terms)


def check_target(inputs: Sequence[Input], path: str | Path) -> Path:
    """The one input whose copy is to be annotated.

    Raises:
        InputError: there is not exactly one input, it is no h5ad, or the output is the input.
    """
    path = Path(path)
    source = inputs[0] if len(inputs) == 1 else None
    if not isinstance(source, str | Path) or Path(source).suffix.lower() != ".h5ad":
        given = ", ".join(str(x) if isinstance(x, str | Path) else type(x).__name__ for x in inputs)
        raise InputError(
            f"{path}: an annotated h5ad is a copy of one input h5ad with the calls in it, given was {given}; "
            "write a .tsv or .parquet instead"
        )
    source = Path(source)
    if not path.parent.is_dir():
        raise InputError(f"{path}: there is no folder {path.parent}; make it first")
    if path.exists() and source.exists() and os.path.samefile(path, source):
        raise InputError(f"{path}: is the input, which is never written to; give another -o")
    return source


def check_in_place(inputs: Sequence[Input]) -> AnnData:
    """The one AnnData into which calls are to be written.

    Raises:
        InputError: there is not exactly one input, or it is no AnnData.
    """
    if len(inputs) != 1 or not hasattr(inputs[0], "obs_names"):
        raise InputError("inplace=True writes into one AnnData: give that alone as input")
    found: AnnData = inputs[0]
    return found


def write_to(session: Session, source: Path, path: str | Path, calls: Calls) -> None:
    """Write a copy of an h5ad with the calls in it; the user is told what was replaced."""
    for note in write_annotated(source, path, calls, record_of(session, calls)):
        session.notify(note)


def write_in_place(session: Session, adata: AnnData, calls: Calls) -> None:
    """Write the calls into an AnnData in memory; the user is told what was replaced."""
    for note in annotate_in_place(adata, calls, record_of(session, calls)):
        session.notify(note)


def columns_of(calls: Calls, terms: Mapping[str, Mapping[str, str]], n: int) -> dict[str, npt.NDArray[Any]]:
    """The columns for `obs`, each [n]: text (None where there is none) or float64.

    `atacsearch_LABEL` holds the best label where its status is `assigned`, else `unknown`; `_best` always the best
    one (missing for a cell that got no call), `_confidence` and `_status` as in the table; `_ontology_term_id` the
    id of the label in `atacsearch_LABEL` where any id of that column's values is known; every further column of the
    table under its own name.
    """
    columns: dict[str, npt.NDArray[Any]] = {}
    for label, part in _by_label(calls):
        if part.num_rows != n:
            raise ValueError(f"{part.num_rows} calls do not fit {n} cells")
        name = f"{KEY}_{label}".replace("/", "_")  # HDF5 would take a slash for a folder
        best = np.array(part["label"].to_pylist(), object)
        status = np.array(part["status"].to_pylist(), object)
        trusted = np.where(status == ASSIGNED, best, UNKNOWN)
        columns[name] = trusted
        columns[f"{name}_best"] = best
        columns[f"{name}_confidence"] = _numbers(part["confidence"])
        columns[f"{name}_status"] = status
        known = terms.get(label, {})
        if known:
            columns[f"{name}_ontology_term_id"] = np.array([known.get(v) for v in trusted], object)
        done = {"item", "label_name", "label", "confidence", "status"}
        for other in (c for c in part.column_names if c not in done):
            columns[f"{name}_{other}"] = _values(part[other])
    return columns


def write_annotated(source: str | Path, path: str | Path, calls: Calls, record: Record) -> list[str]:
    """Write a copy of `source` with the calls in it, under a temporary name that is then renamed.

    Args:
        source: the input h5ad; it is only read.
        path: the file to write; one that is there is replaced.
        calls: of the cells of `source`, in its order.
        record: what made them.

    Returns:
        Notes for the user, one line each: columns that were there before and were replaced.

    Raises:
        InputError: `path` is the input, or the items of the calls are not the cells of the file.
    """
    source = check_target([source], path)
    names = [str(name) for name in read_obs(source).index]
    items = [part["item"].to_pylist() for _, part in _by_label(calls)]
    if any(item != names for item in items):
        raise InputError(
            f"{source}: its cells are not those that were annotated; did the file change meanwhile?"
        )
    columns = columns_of(calls, record.terms, len(names))
    notes: list[str] = []

    def write(temporary: Path) -> None:
        import h5py

        shutil.copyfile(source, temporary)
        temporary.chmod(0o666 & ~_umask())  # the input may be read-only
        with h5py.File(temporary, "r+") as handle:
            notes.extend(_fill(handle, columns, calls.vectors, record.about, Path(path)))

    to_file(Path(path), write)
    return notes


def annotate_in_place(adata: AnnData, calls: Calls, record: Record) -> list[str]:
    """Write the calls into an AnnData in memory, under the names that `write_annotated` uses.

    Returns:
        Notes for the user: what was there before and was replaced.

    Raises:
        InputError: the items of the calls are not the cells of `adata`.
    """
    names = [str(name) for name in adata.obs_names]
    if any(part["item"].to_pylist() != names for _, part in _by_label(calls)):
        raise InputError(
            "the cells of the AnnData are not those that were annotated; did it change meanwhile?"
        )
    columns = columns_of(calls, record.terms, len(names))
    replaced = [f"obs[{name!r}]" for name in columns if name in adata.obs]
    replaced += [f"obsm[{VECTORS!r}]"] if VECTORS in adata.obsm else []
    replaced += [f"uns[{KEY!r}]"] if KEY in adata.uns else []
    for name, values in columns.items():
        adata.obs[name] = _column(values)
    adata.obsm[VECTORS] = calls.vectors
    adata.uns[KEY] = _storable(record.about)
    return [f"replaced what the AnnData has as {', '.join(replaced)}"] if replaced else []


def _fill(
    handle: Any,
    columns: dict[str, npt.NDArray[Any]],
    vectors: npt.NDArray[np.float32],
    about: Mapping[str, Any],
    path: Path,
) -> list[str]:
    from anndata.io import read_elem, write_elem

    replaced = _add_columns(handle, columns)
    for group, name, value in (("obsm", VECTORS, vectors), ("uns", KEY, _storable(about))):
        if group not in handle:
            write_elem(handle, group, {})
        elif not hasattr(handle[group], "keys") or "encoding-type" not in handle[group].attrs:
            write_elem(handle, group, dict(read_elem(handle[group])))  # as files of anndata < 0.7 have it
        if name in handle[group]:
            replaced.append(f"{group}[{name!r}]")
        write_elem(handle[group], name, value)
    return [f"{path}: replaced what the input has as {', '.join(replaced)}"] if replaced else []


def _add_columns(handle: Any, columns: dict[str, Any]) -> list[str]:
    """Add columns to `obs`; returns the names of those that were there."""
    from anndata.io import write_elem

    frame = handle["obs"]
    if not hasattr(frame, "keys") or "column-order" not in frame.attrs:
        obs = read_obs(handle.filename)
        replaced = [f"obs[{name!r}]" for name in columns if name in obs]
        write_elem(handle, "obs", obs.assign(**{name: _column(values) for name, values in columns.items()}))
        return replaced
    order = [v.decode() if isinstance(v, bytes) else str(v) for v in frame.attrs["column-order"]]
    replaced = [f"obs[{name!r}]" for name in columns if name in order]
    for name, values in columns.items():
        if frame.attrs.get("_index") == name:
            raise InputError(f"{handle.filename}: the column {name!r} names the cells; rename it first")
        write_elem(frame, name, _column(values))
    names = order + [name for name in columns if name not in order]
    frame.attrs["column-order"] = np.array(names, dtype=object)
    return replaced


def _column(values: npt.NDArray[Any]) -> Any:
    """Text as a categorical, which knows missing values in every version of AnnData."""
    import pandas as pd

    return pd.Categorical(values) if values.dtype == object else values


def _values(column: Any) -> npt.NDArray[Any]:
    import pyarrow as pa

    kind = column.type
    if pa.types.is_floating(kind) or pa.types.is_integer(kind):
        return _numbers(column)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return np.array([None if v is None else "|".join(map(str, v)) for v in column.to_pylist()], object)
    if pa.types.is_boolean(kind) and not column.null_count:
        return np.array(column.to_pylist(), bool)
    return np.array([None if v is None else str(v) for v in column.to_pylist()], object)


def _numbers(column: Any) -> npt.NDArray[np.float64]:
    return np.array([np.nan if v is None else v for v in column.to_pylist()], np.float64)


def _by_label(calls: Calls) -> Iterator[tuple[str, pa.Table]]:
    """Each label with its rows."""
    import pyarrow.compute as pc

    if "label_name" not in calls.table.column_names:
        yield calls.labels[0], calls.table
        return
    for label in calls.labels:
        yield label, calls.table.filter(pc.equal(calls.table["label_name"], label))


def _storable(about: Mapping[str, Any]) -> dict[str, Any]:
    """A record that HDF5 can hold: no None, lists of text as arrays."""
    record: dict[str, Any] = {}
    for key, value in about.items():
        if isinstance(value, Mapping):
            record[key] = _storable(value)
        elif isinstance(value, list | tuple):
            record[key] = np.array([str(v) for v in value], dtype=object)
        elif isinstance(value, Path):
            record[key] = str(value)
        elif value is not None:
            record[key] = value
    return record


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
