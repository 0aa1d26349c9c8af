"""Inputs that are in memory: AnnData, tables of intervals or barcodes, token sets; brought through the one door.

A table or AnnData is written to a temporary file of its format and read as any other, so that every check and rule of
the file readers holds for it too.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, Union

from ...errors import InputError
from ...tokens.token_sets import TokenSets
from ..items import Items
from ..labels import empty_table
from ..options import ReadOptions
from ..report import ReadReport
from .open import open_input

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl  # type: ignore[import-not-found, unused-ignore]
    import pyarrow as pa
    from anndata import AnnData

    from ...tokens.universe import Universe

Input: TypeAlias = Union["str", "Path", "AnnData", "pd.DataFrame", "pl.DataFrame", "pa.Table", TokenSets]
Inputs: TypeAlias = Input | Sequence[Input]

CHROM = ("chrom", "chromosome", "chr", "seqnames", "Chromosome", "#chrom")
START = ("start", "chromStart", "Start")
END = ("end", "chromEnd", "stop", "End")
BARCODE = ("barcode", "Barcode", "cell", "CB")
COUNT = ("count", "readSupport")


def as_inputs(inputs: Inputs) -> tuple[Input, ...]:
    """One input or several, as a tuple; several may also come as an array, a series or an iterator."""
    if isinstance(inputs, list | tuple | Iterator) or hasattr(inputs, "tolist"):
        several: Any = inputs
        return tuple(several)
    return (inputs,)


def open_any(x: Input, universe: Universe, options: ReadOptions) -> list[Items]:
    """Read an input of any kind and tokenise it: `open_input` for what is on disk and for what is in memory.

    Token sets are taken as cells. An item made of a table of intervals is called `sample`, or `table`. With a
    `sample`, what is in memory is a source of that name: an index tells by it two tables of one kind apart.

    Raises:
        InputError: an input that cannot be read, or token sets of another universe.
    """
    if isinstance(x, TokenSets):
        return [_of_token_sets(x, universe, options)]
    if isinstance(x, str | Path):
        return open_input(x, universe, options)
    with on_disk(x) as (path, name):
        name = name if options.sample is None else f"{name} {options.sample}"
        try:
            found = open_input(path, universe, options)
        except InputError as error:
            raise type(error)(str(error).replace(str(path), name)) from None
        return [_renamed(items, path, name, options) for items in found]


def _of_token_sets(sets: TokenSets, universe: Universe, options: ReadOptions) -> Items:
    if sets.universe_digest not in (None, universe.digest):
        raise InputError(
            f"TokenSets of the universe {sets.universe_digest[:12]}, but {universe.digest[:12]} is expected; tokenise "
            "again with that universe"
        )
    sample = options.sample or "tokens"
    ids = tuple(f"{sample}#{name}" for name in sets.names)
    digest = hashlib.sha256(sets.offsets.tobytes() + sets.tokens.tobytes()).hexdigest()
    source = "TokenSets" if options.sample is None else f"TokenSets {options.sample}"
    report = ReadReport(source, "tokens")
    return Items("cells", sets, ids, empty_table(len(ids)), report, universe.genome, source, digest, None)


def _renamed(items: Items, path: Path, name: str, options: ReadOptions) -> Items:
    """The items without a word of the temporary file that they were read from."""
    old = items.report
    notes = [note.replace(str(path), name) for note in old.notes]
    examples = [example.replace(str(path), name) for example in old.examples]
    assembly = None if old.assembly is None else old.assembly.replace(str(path), name)
    report = replace(old, source=name, notes=notes, examples=examples, assembly=assembly)
    if items.kind == "cells":
        return replace(items, source=name, report=report)
    own = options.sample or "table"
    sets = replace(items.sets, names=(own,))
    return replace(items, source=name, report=report, sets=sets, ids=(own,))


@contextmanager
def on_disk(x: Input) -> Iterator[tuple[Path, str]]:
    """A path of this input, and the name by which messages call it; a temporary file is removed at the end.

    Raises:
        InputError: nothing that can be read: a type that is not known, or a table without coordinates.
    """
    if isinstance(x, str | Path):
        yield Path(x), str(x)
        return
    folder = Path(tempfile.mkdtemp(prefix="atacsearch-"))
    try:
        yield _written(x, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _written(x: Any, folder: Path) -> tuple[Path, str]:
    """The file made of an object, and its name for messages."""
    if hasattr(x, "obs_names") and hasattr(x, "write_h5ad"):
        return _write_anndata(x, folder / "anndata.h5ad"), "AnnData"
    table = _arrow(x)
    columns = _columns(table.column_names)
    if columns.barcode is not None:
        return _write_table(table, columns, folder / "table.fragments.tsv"), "table of fragments"
    return _write_table(table, columns, folder / "table.bed"), "table of intervals"


def _write_anndata(adata: AnnData, path: Path) -> Path:
    """The parts that the reader looks at: matrix, names, labels, peak columns, genome."""
    import anndata as ad

    uns = {"genome": adata.uns["genome"]} if "genome" in adata.uns else {}
    ad.AnnData(X=adata.X, obs=_storable(adata.obs), var=_storable(adata.var), uns=uns).write_h5ad(path)
    return path


def _storable(frame: pd.DataFrame) -> pd.DataFrame:
    """A copy that an h5ad can hold: dates, mixed and nested values as text, no column named as the index is."""
    kept = frame.copy()
    kept.index.name = None
    kept.columns = kept.columns.map(str)
    kept = kept.drop(columns="_index", errors="ignore")
    for name in kept.columns:
        column = kept[name]
        if column.dtype.kind in "biufc" or column.dtype.name in ("category", "string", "str"):
            continue
        kept[name] = column.map(str).where(column.notna(), None).astype(object)
    return kept


def _arrow(x: Any) -> pa.Table:
    """A pandas, polars or Arrow table as Arrow."""
    import pyarrow as pa

    if isinstance(x, pa.Table):
        return x
    if hasattr(x, "to_arrow"):
        return x.to_arrow()
    if hasattr(x, "columns") and hasattr(x, "iloc"):
        return _of_pandas(x)
    raise InputError(
        f"{type(x).__name__}: cannot be read; expected a path, an AnnData, a pandas, polars or Arrow table of "
        "intervals (columns chrom, start, end; with barcode: fragments), or TokenSets"
    )


def _of_pandas(frame: pd.DataFrame) -> pa.Table:
    """The columns that are looked at, as Arrow; the others may hold anything."""
    import pyarrow as pa

    found = _columns([str(name) for name in frame.columns])
    known = (found.chrom, found.start, found.end, found.barcode, found.count)
    looked_at = frame.loc[:, [name in known for name in frame.columns]]
    try:
        return pa.Table.from_pandas(looked_at, preserve_index=False)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise InputError(f"table: {error.args[0]}, in {error.args[-1]}") from None


@dataclass(frozen=True)
class _Columns:
    """Which columns of a table are what."""

    chrom: str
    start: str
    end: str
    barcode: str | None
    count: str | None


def _columns(names: Sequence[str]) -> _Columns:
    found: dict[str, str | None] = {}
    wanted: Mapping[str, Sequence[str]] = {
        "chrom": CHROM,
        "start": START,
        "end": END,
        "barcode": BARCODE,
        "count": COUNT,
    }
    for what, known in wanted.items():
        found[what] = next((name for name in known if name in names), None)
    if found["chrom"] is None or found["start"] is None or found["end"] is None:
        raise _no_coordinates(names)
    if any(list(names).count(name) > 1 for name in found.values() if name):
        raise _no_coordinates(names)
    return _Columns(found["chrom"], found["start"], found["end"], found["barcode"], found["count"])


def _no_coordinates(names: Sequence[str]) -> InputError:
    return InputError(
        f"table: has the columns {', '.join(names[:8]) or 'none'}; expected chrom, start, end (0-based half-open), "
        "each once"
    )


def _write_table(table: pa.Table, columns: _Columns, path: Path) -> Path:
    """A BED3 or fragment file, tab-separated without a header."""
    import pyarrow as pa
    import pyarrow.csv as csv

    if not table.num_rows:
        raise InputError("table: has no rows")
    kept = {
        "chrom": _cast(table, columns.chrom, pa.string()),
        "start": _cast(table, columns.start, pa.int64()),
        "end": _cast(table, columns.end, pa.int64()),
    }
    if columns.barcode is not None:
        ones = pa.array([1] * table.num_rows, pa.int64())
        kept["barcode"] = _cast(table, columns.barcode, pa.string())
        kept["count"] = ones if columns.count is None else _cast(table, columns.count, pa.int64())
    options = csv.WriteOptions(include_header=False, delimiter="\t", quoting_style="none")
    try:
        csv.write_csv(pa.table(kept), path, options)
    except pa.ArrowInvalid as error:  # a tab, line break or quote in a name
        raise InputError(f"table: a chromosome or barcode cannot be written to a file ({error})") from None
    return path


def _cast(table: pa.Table, name: str, kind: pa.DataType) -> pa.ChunkedArray:
    """A column as another type. Raises `InputError` where a value is none of that type."""
    import pyarrow as pa

    try:
        return table[name].cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InputError(f"table: column {name}: expected {kind} ({error})") from None
