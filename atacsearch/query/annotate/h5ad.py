"""Calls written back into an AnnData: a copy of the input h5ad with what label transfer found beside its cells.

Only the annotation is touched: the file is copied byte by byte, and columns are then added to `obs`, one array to
`obsm` and one record to `uns`, so that layers, graphs and pictures stay as they were and memory does not grow with
the matrix.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ...files import to_file
from ...readers.matrices.h5ad import read_obs

KEY = "atacsearch"  # first part of every name that is written, and the record's in `uns`
VECTORS = f"X_{KEY}"
UNKNOWN = "unknown"
ASSIGNED = "assigned"


@dataclass(frozen=True)
class Annotation:
    """What is to be written beside the cells.

    Attributes:
        table: `pyarrow.Table` as `annotate` gives it: `item, label, confidence, status` and more, one row a cell in
            the order of the file; with `label_name`, one row a cell and label.
        labels: label columns, in order.
        vectors: [n, d] float32 general vectors of the cells (zeros for empty cells), or None.
        about: what made them (model, index, version ...), for `uns`; values are text, numbers, lists of text or
            such records.
        terms: for a label the Cell Ontology id of each of its values, where it is known.
    """

    table: Any
    labels: Sequence[str]
    vectors: npt.NDArray[np.float32] | None = None
    about: Mapping[str, Any] = field(default_factory=dict)
    terms: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def check_target(inputs: Sequence[str | Path], path: str | Path) -> Path:
    """The one input whose copy is to be annotated.

    Raises:
        InputError: there is not exactly one input, it is no h5ad, or the output is the input.
    """
    path = Path(path)
    if len(inputs) != 1 or Path(inputs[0]).suffix.lower() != ".h5ad":
        given = ", ".join(map(str, inputs))
        raise InputError(
            f"{path}: an annotated h5ad is a copy of one input h5ad with the calls in it, given was {given}; "
            "write a .tsv or .parquet instead"
        )
    source = Path(inputs[0])
    if path.exists() and source.exists() and os.path.samefile(path, source):
        raise InputError(f"{path}: is the input, which is never written to; give another -o")
    return source


def columns_of(annotation: Annotation, n: int) -> dict[str, npt.NDArray[Any]]:
    """The columns for `obs`, each [n]: text (None where there is none) or float64.

    `atacsearch_LABEL` holds the best label where its status is `assigned`, else `unknown`; `_best` always the best
    one (missing for a cell that got no call), `_confidence` and `_status` as in the table; `_ontology_term_id` the
    id of the label in `atacsearch_LABEL` where any id of that column's values is known; every further column of the
    table under its own name.
    """
    columns: dict[str, npt.NDArray[Any]] = {}
    for label, part in _by_label(annotation.table, annotation.labels):
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
        known = annotation.terms.get(label, {})
        if known:
            columns[f"{name}_ontology_term_id"] = np.array([known.get(v) for v in trusted], object)
        done = {"item", "label_name", "label", "confidence", "status"}
        for other in (c for c in part.column_names if c not in done):
            columns[f"{name}_{other}"] = _values(part[other])
    return columns


def write_annotated(source: str | Path, path: str | Path, annotation: Annotation) -> list[str]:
    """Write a copy of `source` with the calls in it, under a temporary name that is then renamed.

    Args:
        source: the input h5ad; it is only read.
        path: the file to write; one that is there is replaced.
        annotation: the calls.

    Returns:
        Notes for the user, one line each: columns that were there before and were replaced.

    Raises:
        InputError: `path` is the input, or the items of the calls are not the cells of the file.
    """
    source = check_target([source], path)
    names = [str(name) for name in read_obs(source).index]
    items = [part["item"].to_pylist() for _, part in _by_label(annotation.table, annotation.labels)]
    if any(item != names for item in items):
        raise InputError(
            f"{source}: its cells are not those that were annotated; did the file change meanwhile?"
        )
    columns = columns_of(annotation, len(names))
    notes: list[str] = []

    def write(temporary: Path) -> None:
        import h5py

        shutil.copyfile(source, temporary)
        temporary.chmod(0o666 & ~_umask())  # the input may be read-only
        with h5py.File(temporary, "r+") as handle:
            notes.extend(_fill(handle, columns, annotation, Path(path)))

    to_file(Path(path), write)
    return notes


def _fill(handle: Any, columns: dict[str, Any], annotation: Annotation, path: Path) -> list[str]:
    from anndata.io import read_elem, write_elem

    replaced = _add_columns(handle, columns)
    for group, name, value in (
        ("obsm", VECTORS, annotation.vectors),
        ("uns", KEY, _record(annotation.about)),
    ):
        if value is None:
            continue
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


def _by_label(table: Any, labels: Sequence[str]) -> Iterator[tuple[str, Any]]:
    if "label_name" not in table.column_names:
        yield labels[0], table
        return
    import pyarrow.compute as pc

    for label in labels:
        yield label, table.filter(pc.equal(table["label_name"], label))


def _record(about: Mapping[str, Any]) -> dict[str, Any]:
    """A record that HDF5 can hold: no None, lists of text as arrays."""
    record: dict[str, Any] = {}
    for key, value in about.items():
        if isinstance(value, Mapping):
            record[key] = _record(value)
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
