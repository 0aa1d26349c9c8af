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

CHROM = ("chrom", "chromosome", "chr", "seqnames", "Chromosome")
START = ("start", "chromStart", "Start")
END = ("end", "chromEnd", "stop", "End")
BARCODE = ("barcode", "Barcode", "cell", "CB")
COUNT = ("count", "readSupport")


def as_inputs(inputs: Inputs) -> tuple[Input, ...]:
    """One input or several, as a tuple."""
    if isinstance(inputs, list | tuple):
        return tuple(inputs)
    return (inputs,)


def open_any(x: Input, universe: Universe, options: ReadOptions) -> list[Items]:
    """Read an input of any kind and tokenise it: `open_input` for what is on disk and for what is in memory.

    Token sets are taken as cells. An item made of a table of intervals is called `sample`, or `table`.

    Raises:
        InputError: an input that cannot be read, or token sets of another universe.
    """
    if isinstance(x, TokenSets):
        return [_of_token_sets(x, universe, options)]
    if isinstance(x, str | Path):
        return open_input(x, universe, options)
    with on_disk(x) as (path, name):
        return [_renamed(items, path, name, options) for items in open_input(path, universe, options)]


def _of_token_sets(sets: TokenSets, universe: Universe, options: ReadOptions) -> Items:
    if sets.universe_digest not in (None, universe.digest):
        raise InputError(
            f"TokenSets of the universe {sets.universe_digest[:12]}, but {universe.digest[:12]} is expected; tokenise "
            "again with that universe"
        )
    sample = options.sample or "tokens"
    ids = tuple(f"{sample}#{name}" for name in sets.names)
    digest = hashlib.sha256(sets.offsets.tobytes() + sets.tokens.tobytes()).hexdigest()
    report = ReadReport("TokenSets", "tokens")
    return Items(
        "cells", sets, ids, empty_table(len(ids)), report, universe.genome, "TokenSets", digest, None
    )


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
    columns = _columns(table)
    if columns.barcode is not None:
        return _write_table(table, columns, folder / "table.fragments.tsv"), "table of fragments"
    return _write_table(table, columns, folder / "table.bed"), "table of intervals"


def _write_anndata(adata: AnnData, path: Path) -> Path:
    """The parts that the reader looks at: matrix, names, labels, peak columns, genome."""
    import anndata as ad

    uns = {"genome": adata.uns["genome"]} if "genome" in adata.uns else {}
    ad.AnnData(X=adata.X, obs=adata.obs.copy(), var=adata.var.copy(), uns=uns).write_h5ad(path)
    return path


def _arrow(x: Any) -> pa.Table:
    """A pandas, polars or Arrow table as Arrow."""
    import pyarrow as pa

    if isinstance(x, pa.Table):
        return x
    if hasattr(x, "to_arrow"):
        return x.to_arrow()
    if hasattr(x, "columns") and hasattr(x, "iloc"):
        return pa.Table.from_pandas(x, preserve_index=False)
    raise InputError(
        f"{type(x).__name__}: cannot be read; expected a path, an AnnData, a pandas, polars or Arrow table of "
        "intervals (columns chrom, start, end; with barcode: fragments), or TokenSets"
    )


@dataclass(frozen=True)
class _Columns:
    """Which columns of a table are what."""

    chrom: str
    start: str
    end: str
    barcode: str | None
    count: str | None


def _columns(table: pa.Table) -> _Columns:
    names = list(table.column_names)
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
        raise InputError(
            f"table: has the columns {', '.join(names[:8]) or 'none'}; expected chrom, start, end (0-based half-open)"
        )
    return _Columns(found["chrom"], found["start"], found["end"], found["barcode"], found["count"])


def _write_table(table: pa.Table, columns: _Columns, path: Path) -> Path:
    """A BED3 or fragment file, tab-separated without a header."""
    import pyarrow as pa
    import pyarrow.csv as csv

    kept = {
        "chrom": table[columns.chrom].cast(pa.string()),
        "start": table[columns.start].cast(pa.int64()),
        "end": table[columns.end].cast(pa.int64()),
    }
    if columns.barcode is not None:
        ones = pa.array([1] * table.num_rows, pa.int64())
        kept["barcode"] = table[columns.barcode].cast(pa.string())
        kept["count"] = ones if columns.count is None else table[columns.count].cast(pa.int64())
    options = csv.WriteOptions(include_header=False, delimiter="\t", quoting_style="none")
    csv.write_csv(pa.table(kept), path, options)
    return path
