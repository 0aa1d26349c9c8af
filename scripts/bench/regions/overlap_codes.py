"""What codes for posting lists would take, in bytes a posting, on the real files and cells: why Rice codes were taken.

Counts bits, writes nothing. All lists of a code have the same head: gap to the token before and number of items,
both Elias gamma.

    python scripts/bench/regions/overlap_codes.py --folder WORK --json docs/results/records/overlap_codes.json
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the folder of `bench`

from bench.common.measuring import machine
from bench.common.paths import shared_data
from bench.regions.overlap import bulk

MOST = 24  # Rice parameters tried

Ints = npt.NDArray[np.int64]


def gamma(x: Ints) -> Ints:
    """Bits of the Elias gamma code of numbers from 1 on."""
    return 2 * np.floor(np.log2(x)).astype(np.int64) + 1


def sizes(tokens: npt.NDArray[np.uint32], offsets: Ints) -> dict[str, float]:
    """Bytes a posting of each code, heads included, for items with these token sets."""
    n_items, n = len(offsets) - 1, len(tokens)
    items = np.repeat(np.arange(n_items), np.diff(offsets))
    order = np.argsort(tokens, kind="stable")
    token, item = tokens[order].astype(np.int64), items[order]
    first = np.concatenate([[True], token[1:] != token[:-1]])
    starts = np.flatnonzero(first)
    count = np.diff(np.append(starts, n))
    gap = item - np.where(first, -1, np.concatenate([[0], item[:-1]])) - 1
    expected = np.floor(np.log2(np.maximum(1, 0.69 * (n_items - count) / count))).astype(np.int64)
    rice = np.stack([np.add.reduceat((gap >> k) + 1 + k, starts) for k in range(MOST)])
    off = np.arange(MOST)[:, None] - expected
    steps = np.where(off >= 0, 2 * off + 1, -2 * off)
    low = np.floor(np.log2(np.maximum(1, n_items / count)))
    width = np.maximum.reduceat(np.ceil(np.log2(gap + 1.0)), starts)
    share = count / n_items
    with np.errstate(divide="ignore", invalid="ignore"):
        entropy = -np.nan_to_num(share * np.log2(share) + (1 - share) * np.log2(1 - share)) * n_items
    bits = {
        "bytes of 7 bits (LEB128) of gaps": 8 * np.maximum(1, np.ceil(np.log2(gap + 2.0) / 7)).sum(),
        "gaps in the bits of the list's widest": (width * count).sum() + 5 * len(count),
        "Elias gamma of gaps": gamma(gap + 1).sum(),
        "Elias-Fano": (count * (low + 1) + n_items / 2**low).sum(),
        "Rice, k by the list's length": rice[np.minimum(expected, MOST - 1), np.arange(len(count))].sum(),
        "Rice, best k of each list (taken)": (rice + gamma(steps)).min(0).sum(),
        "entropy of items drawn at random": entropy.sum(),
        "bitmap, or 16 bits an item where that is less": np.minimum(16 * count, n_items).sum(),
    }
    head = gamma(count).sum() + len(count)
    return {name: round(float(value + head) / 8 / n, 4) for name, value in bits.items()}


def main() -> None:
    """Print the table and write the JSON."""
    import anndata

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=shared_data())
    parser.add_argument("--folder", type=Path, required=True, help="where overlap.py keeps its universe")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    _, _, paths, sets = bulk(args.data, args.folder)
    matrix = anndata.read_h5ad(args.data / "sc" / "granja_bmmc.h5ad").X.tocsr()
    found = {
        f"{len(paths)} hg19 BED files": sizes(sets.tokens, sets.offsets),
        f"{matrix.shape[0]:,} bone-marrow cells": sizes(
            matrix.indices.astype(np.uint32), matrix.indptr.astype(np.int64)
        ),
    }
    for data, codes in found.items():
        print(data, *(f"  {name:48s} {value:.3f}" for name, value in codes.items()), sep="\n")
    if args.json:
        record = {"benchmark": "overlap_codes", **machine(), "bytes_per_posting": found}
        args.json.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
