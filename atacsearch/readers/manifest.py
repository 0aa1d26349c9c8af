"""Manifests: a `.tsv` or `.csv` whose header has a column `file`, and label columns.

Paths are relative to the manifest, or absolute. `genome`, `sample`, `donor` and `library` are labels with a
meaning.
"""

from __future__ import annotations

import csv
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import GenomeError, InputError
from ..genome.assemblies import canonical_genome
from .compressed import read_all
from .labels import LabelValue, text_column
from .report import first_names

if TYPE_CHECKING:
    import pyarrow as pa

_TEXT_COLUMNS = ("file", "genome", "sample", "donor", "library")


@dataclass(frozen=True)
class Manifest:
    """The rows of a manifest.

    Attributes:
        path: the manifest.
        files: [n] the `file` values as written.
        paths: [n] where they are.
        columns: label column -> [n] text as written, in file order; without `file`.
        genome: the one genome that the column `genome` names; None where it names none.
        digest: sha256 of the manifest's text.
    """

    path: Path
    files: tuple[str, ...]
    paths: tuple[Path, ...]
    columns: dict[str, tuple[str, ...]]
    genome: str | None
    digest: str

    def labels(self) -> pa.Table:
        """The label columns as an Arrow table [n]; `file` too, empty is null, numbers where all are."""
        import pyarrow as pa

        columns = {"file": self.files, **self.columns}
        return pa.table({n: text_column(v, keep_text=n in _TEXT_COLUMNS) for n, v in columns.items()})

    def row(self, i: int) -> dict[str, LabelValue]:
        """The labels of one row, without those that are empty and without `file`."""
        row = self.labels().slice(i, 1).to_pylist()[0]
        return {name: value for name, value in row.items() if name != "file" and value is not None}


def header_fields(line: str) -> list[str]:
    """The column names in the first line of a table; none where it is no text of columns."""
    try:
        rows = list(csv.reader([line.lstrip("\ufeff")], delimiter=_delimiter(line)))
    except csv.Error:  # carriage returns alone, or no text at all
        return []
    return [field.strip() for field in rows[0]] if rows else []


def read_manifest(path: str | Path) -> Manifest:
    """Read and check a manifest: every file is there, none twice, one genome.

    Raises:
        InputError: a broken line, a missing or repeated file.
        GenomeError: two genomes.
    """
    path = Path(path)
    data, _ = read_all(path, "a manifest (a table with a column file)")
    text = data.decode("utf-8-sig", "replace")
    lines = [
        (n, line) for n, line in enumerate(text.splitlines(), 1) if line.strip() and not line.startswith("#")
    ]
    if not lines:
        raise InputError(f"{path}: is empty; expected a header with a column file, and a row a file")
    delimiter = _delimiter(lines[0][1])
    numbers = [n for n, _ in lines]
    rows = list(csv.reader([line for _, line in lines], delimiter=delimiter))
    header = [name.strip() for name in rows[0]]
    if "file" not in header:
        raise InputError(f"{path}: has no column file; its header is {', '.join(header[:8])}")
    twice = next((name for i, name in enumerate(header) if name in header[:i]), None)
    if twice is not None:
        raise InputError(f"{path}: has two columns called {twice!r}; give them different names")
    if len(rows) == 1:
        raise InputError(f"{path}: has a header and no rows; expected a row a file")
    for number, row in zip(numbers[1:], rows[1:], strict=True):
        if len(row) > len(header):
            raise InputError(f"{path}, line {number}: {len(row)} fields under a header of {len(header)}")
        row.extend([""] * (len(header) - len(row)))
        if not row[header.index("file")].strip():
            raise InputError(f"{path}, line {number}: the column file is empty")
    columns = {name: tuple(row[i].strip() for row in rows[1:]) for i, name in enumerate(header) if name}
    files = columns.pop("file")
    paths = tuple(_path_of(path, file) for file in files)
    _check_files(path, files, paths, numbers[1:])
    genome = _one_genome(path, columns.get("genome", ()))
    return Manifest(path, files, paths, columns, genome, hashlib.sha256(data).hexdigest())


def _path_of(manifest: Path, file: str) -> Path:
    given = Path(file).expanduser()
    return given if given.is_absolute() else manifest.parent / given


def _check_files(manifest: Path, files: tuple[str, ...], paths: tuple[Path, ...], numbers: list[int]) -> None:
    missing = [file for file, path in zip(files, paths, strict=True) if not path.exists()]
    if missing:
        names = first_names(missing)
        raise InputError(
            f"{manifest}: {len(missing):,} of {len(files):,} files do not exist (paths are relative to "
            f"the manifest): {names}"
        )
    seen: dict[Path, int] = {}
    for file, path, number in zip(files, paths, numbers, strict=True):
        real = path.resolve()
        if real in seen:
            raise InputError(f"{manifest}, line {number}: {file} is listed before, in line {seen[real]}")
        seen[real] = number


def _one_genome(manifest: Path, column: tuple[str, ...]) -> str | None:
    counts: dict[str, int] = {}
    for value in column:
        name = canonical_genome(value)
        if name is not None:
            counts[name] = counts.get(name, 0) + 1
    if len(counts) > 1:
        found = " and ".join(
            f"{name} ({n:,} files)" for name, n in sorted(counts.items(), key=lambda x: -x[1])
        )
        raise GenomeError(
            f"{manifest}: names {len(counts)} genomes, {found}; one index holds one genome: split the "
            "manifest by its column genome"
        )
    return next(iter(counts), None)


def _delimiter(line: str) -> str:
    return "\t" if "\t" in line or "," not in line else ","
