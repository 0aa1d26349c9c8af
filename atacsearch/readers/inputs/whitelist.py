"""The whitelist of a user: barcodes from a text file, a table, or the obs_names of an h5ad."""

from __future__ import annotations

from pathlib import Path

from ..fragments.cells import read_barcodes, unique_barcodes
from ..matrices.h5ad import read_obs
from .detect import is_h5ad


def read_whitelist(path: str | Path) -> tuple[str, ...]:
    """Read barcodes: a line each, the column `barcode` of a table, or the obs_names of an h5ad.

    Raises:
        InputError: no such file, no barcodes, or a barcode listed twice.
    """
    listed = map(str, read_obs(path).index) if is_h5ad(path) else read_barcodes(path)
    return unique_barcodes(list(listed), path)
