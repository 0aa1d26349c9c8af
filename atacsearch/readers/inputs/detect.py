"""What an input is, told from its content and, where that leaves doubt, from its name. Readers do not ask; they
are told."""

from __future__ import annotations

import re
from pathlib import Path

from ...errors import InputError
from ..compressed import ByteSource
from ..manifest import header_fields
from ..options import SourceKind

FRAGMENT_FILES = ("fragments.tsv.gz", "atac_fragments.tsv.gz", "fragments.tsv", "atac_fragments.tsv")
MATRIX_FILES = ("filtered_peak_bc_matrix.h5", "filtered_feature_bc_matrix.h5")
MATRIX_FOLDERS = ("filtered_peak_bc_matrix", "filtered_feature_bc_matrix")
ACCEPTED = (
    "an h5ad or h5mu, a fragment file, a BED or narrowPeak file, a manifest (.tsv or .csv with a column "
    "file), a 10x .h5, "
    "a 10x matrix folder, or a Cell Ranger outs folder"
)
_DNA = re.compile(rb"(?:[A-Za-z0-9_.]+[#:_-])?[ACGTN]{8,}(?:[-_.+][A-Za-z0-9_]+)*")
_BED_SUFFIX = re.compile(r"\.(bed\d*|narrowpeak|broadpeak|gappedpeak|bedgraph|bdg|peaks?)$", re.IGNORECASE)


def detect_kind(path: str | Path) -> SourceKind:
    """Say what a file or folder is.

    Raises:
        InputError: no such file, or nothing that can be read; names the accepted forms.

    The fourth column decides between fragments and BED: barcodes are DNA letters; else the file's name counts
    (`fragments` in it, or `.tsv` with five columns of which the last is a whole number).
    """
    path = Path(path)
    if path.is_dir():
        return _folder_kind(path)
    if not path.exists():
        raise InputError(f"{path}: no such file or folder; expected {ACCEPTED}")
    suffix = path.suffix.lower()
    if is_h5ad(path):
        return "h5ad"
    if suffix == ".h5mu":
        return "h5mu"
    if suffix in (".h5", ".hdf5"):
        return _hdf5_kind(path)
    head = _head(path)
    if b"\r" in head.rstrip(b"\r") and b"\n" not in head:
        raise InputError(f"{path}: lines end in carriage returns alone; convert it with: tr '\\r' '\\n'")
    lines = _data_lines(head)
    if not lines:
        return "fragments" if "fragment" in path.name.lower() else "bed"
    if "file" in header_fields(lines[0].decode("utf-8", "replace")):
        return "manifest"
    return _table_kind(path, lines)


def is_h5ad(path: str | Path) -> bool:
    """Whether a file is an h5ad, by its name."""
    return Path(path).suffix.lower() == ".h5ad"


def cellranger_input(folder: Path) -> tuple[Path, SourceKind]:
    """What to read of a folder with Cell Ranger's results, in the folder or in `outs` in it.

    Returns:
        (path, kind): fragments before matrices, `.h5` before matrix folders.

    Raises:
        InputError: none of them is there.
    """
    found = _find_in_outs(folder)
    if found is None:
        raise _no_results(folder)
    return found


def _folder_kind(folder: Path) -> SourceKind:
    if _is_mtx_folder(folder):
        return "tenx_mtx"
    if _find_in_outs(folder) is not None:
        return "cellranger"
    raise _no_results(folder)


def _find_in_outs(folder: Path) -> tuple[Path, SourceKind] | None:
    for outs in (folder, folder / "outs"):
        files: list[tuple[str, SourceKind]] = [(name, "fragments") for name in FRAGMENT_FILES]
        files += [(name, "tenx_h5") for name in MATRIX_FILES]
        for name, kind in files:
            if (outs / name).is_file():
                return outs / name, kind
        for name in MATRIX_FOLDERS:
            if _is_mtx_folder(outs / name):
                return outs / name, "tenx_mtx"
    return None


def _is_mtx_folder(folder: Path) -> bool:
    """Whether a folder holds a matrix in Matrix Market form with its barcodes."""
    needed = ("matrix.mtx", "barcodes.tsv")
    return all((folder / n).is_file() or (folder / f"{n}.gz").is_file() for n in needed)


def _no_results(folder: Path) -> InputError:
    return InputError(
        f"{folder}: is a folder without {FRAGMENT_FILES[0]}, {MATRIX_FILES[0]} or matrix.mtx; expected "
        f"{ACCEPTED}"
    )


def _hdf5_kind(path: Path) -> SourceKind:
    import h5py

    try:
        with h5py.File(path, "r") as handle:
            if "mod" in handle:
                return "h5mu"
            return "h5ad" if "obs" in handle and "var" in handle else "tenx_h5"
    except OSError as error:
        raise InputError(f"{path}: cannot be opened as HDF5 ({error}); expected {ACCEPTED}") from None


def _head(path: Path) -> bytes:
    """The first quarter of a megabyte of text, more or less."""
    parts: list[bytes] = []
    for chunk in ByteSource(path, ACCEPTED, chunk_bytes=1 << 16).chunks():
        parts.append(chunk())
        if sum(map(len, parts)) >= 1 << 18:
            break
    return b"".join(parts)


def _data_lines(head: bytes) -> list[bytes]:
    """The lines of data or column names, without the last, which may be cut off (unless alone)."""
    lines = head.removeprefix(b"\xef\xbb\xbf").split(b"\n", 500)
    if len(lines) > 1:
        lines = lines[:-1]
    lines = [line.rstrip(b"\r") for line in lines]
    return [line for line in lines if line.strip() and not line.startswith((b"#", b"track", b"browser"))]


def _table_kind(path: Path, lines: list[bytes]) -> SourceKind:
    delimiter = next((d for d in (b"\t", b",", b" ") if lines[-1].count(d) >= 2), None)
    rows = [line.split(delimiter) if delimiter else line.split() for line in lines]
    body = [row for row in rows if len(row) >= 3 and row[1].strip().isdigit() and row[2].strip().isdigit()]
    if not body:
        if "fragment" in path.name.lower():
            return "fragments"
        if path.name.lower().removesuffix(".gz").endswith((".tsv", ".csv")) and not any(
            map(_is_number, rows[0])
        ):
            header = ", ".join(f.decode("utf-8", "replace") for f in rows[0][:6])
            raise InputError(f"{path}: has no column file (its header is {header}); expected {ACCEPTED}")
        return "bed"
    fourth = [row[3].strip() for row in body if len(row) in (4, 5, 6)]
    if len(fourth) >= 0.9 * len(body):
        dna = sum(1 for name in fourth if _DNA.fullmatch(name))
        if dna >= 0.9 * len(fourth):
            return "fragments"
        name = path.name.lower()
        whole = all(len(row) >= 5 and row[4].strip().isdigit() for row in body)
        stem = name.removesuffix(".gz").removesuffix(".bgz")
        if "fragment" in name or (whole and stem.endswith((".tsv", ".csv", ".txt")) and len(body[0]) == 5):
            return "fragments"
    return "bed"


def _is_number(field: bytes) -> bool:
    return field.strip().lstrip(b"-").isdigit()
