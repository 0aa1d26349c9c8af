"""Draw a universe and a fragment file, for timing readers: the same arguments give the same bytes of text.

    python scripts/bench/speed/fragment_file.py FOLDER [--lines 20000000] [--barcodes 2000] [--regions 200000]

Writes universe.bed, fragments.tsv.gz (bgzip, sorted by place, as Cell Ranger does) and small.tsv (its first
lines). Half of the fragments lie around regions, the others anywhere; their widths are those of
nucleosome-free, mono- and dinucleosomal fragments; cells and regions differ in depth.
"""

from __future__ import annotations

import argparse
import io
import os
import struct
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import csv

Ints = npt.NDArray[np.int64]

# hg38, chr1 to chr22, chrX, chrY
SIZES = np.array(
    [
        *(248956422, 242193529, 198295559, 190214555, 181538259, 170805979, 159345973, 145138636),
        *(138394717, 133797422, 135086622, 133275309, 114364328, 107043718, 101991189, 90338345),
        *(83257441, 80373285, 58617616, 64444167, 46709983, 50818468, 156040895, 57227415),
    ]
)
CHROMS = [f"chr{name}" for name in [*range(1, 23), "X", "Y"]]
BLOCK = 65280  # bytes of text in a bgzip block, as bgzip writes them
BGZF_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
SMALL = 1000  # lines of small.tsv


def split(n: int) -> Ints:
    """Share n out among the chromosomes by their size."""
    ends = np.round(np.concatenate([[0], np.cumsum(SIZES)]) * (n / SIZES.sum())).astype(np.int64)
    return np.asarray(np.diff(ends))


def draw_regions(rng: np.random.Generator, n: int, size: int) -> tuple[Ints, Ints]:
    """Starts and ends of n regions, one in each of n equal stretches of a chromosome."""
    stretch = size // n
    width = np.clip(rng.lognormal(6.2, 0.4, n), 150, min(3000, stretch - 1)).astype(np.int64)
    start = np.arange(n) * stretch + (rng.random(n) * (stretch - width)).astype(np.int64)
    return start, start + width


def draw_fragments(
    rng: np.random.Generator, n: int, size: int, regions: tuple[Ints, Ints]
) -> tuple[Ints, Ints]:
    """Starts (ascending) and ends of n fragments of a chromosome."""
    middle = rng.integers(0, size, n)
    depth = rng.lognormal(0, 1, len(regions[0])).cumsum()
    hit = np.flatnonzero(rng.random(n) < 0.5)
    which = np.searchsorted(depth, rng.random(len(hit)) * depth[-1])
    middle[hit] = (regions[0] + regions[1])[which] // 2 + rng.normal(0, 200, len(hit)).astype(np.int64)
    kind = rng.choice(3, n, p=[0.5, 0.35, 0.15])
    drawn = rng.normal(np.array([75, 200, 390])[kind], np.array([25, 25, 40])[kind])
    width = np.clip(drawn, 20, 1000).astype(np.int64)
    start = np.clip(middle - width // 2, 0, size - width)
    order = np.argsort(start, kind="stable")
    return start[order], (start + width)[order]


def draw_barcodes(rng: np.random.Generator, n: int) -> npt.NDArray[np.str_]:
    """Distinct barcodes of 16 bases and "-1"."""
    codes = rng.choice(2**32, n, replace=False)
    bases = np.array(list("ACGT"))[(codes[:, None] >> (2 * np.arange(16))) & 3]
    return np.array(["".join(row) + "-1" for row in bases])


def chunks(
    rng: np.random.Generator, lines: int, n_barcodes: int, folder: Path, regions: int
) -> Iterator[bytes]:
    """The text of the fragment file, a chromosome at a time; writes the universe on the way."""
    names = pa.array(draw_barcodes(rng, n_barcodes))
    depth = rng.lognormal(0, 0.5, n_barcodes).cumsum()
    with open(folder / "universe.bed", "w") as bed:
        for chrom, size, n_lines, n_regions in zip(CHROMS, SIZES, split(lines), split(regions), strict=True):
            starts, ends = draw_regions(rng, n_regions, size)
            bed.writelines(
                f"{chrom}\t{s}\t{e}\n" for s, e in zip(starts.tolist(), ends.tolist(), strict=True)
            )
            start, end = draw_fragments(rng, n_lines, size, (starts, ends))
            who = np.searchsorted(depth, rng.random(n_lines) * depth[-1])
            reads = rng.geometric(0.6, n_lines)
            columns = [pa.array([chrom]).take(pa.array(np.zeros(n_lines, np.int32))), start, end]
            table = pa.table([*columns, names.take(pa.array(who)), reads], list("abcde"))
            text = io.BytesIO()
            how = csv.WriteOptions(include_header=False, delimiter="\t", quoting_style="none")
            csv.write_csv(table, text, how)
            yield text.getvalue()


def bgzip_block(text: bytes) -> bytes:
    """One BGZF block (SAM specification, section 4.1)."""
    deflate = zlib.compressobj(6, zlib.DEFLATED, -15)
    body = deflate.compress(text) + deflate.flush()
    head = b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x06\0BC\x02\0" + struct.pack("<H", len(body) + 25)
    return head + body + struct.pack("<II", zlib.crc32(text), len(text))


def main() -> None:
    """Write the three files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--lines", type=int, default=20_000_000)
    parser.add_argument("--barcodes", type=int, default=2_000)
    parser.add_argument("--regions", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    rng = np.random.default_rng(given.seed)
    with (
        open(given.folder / "fragments.tsv.gz", "wb") as handle,
        ThreadPoolExecutor(os.cpu_count()) as pool,
    ):
        rest = b""
        for number, chunk in enumerate(chunks(rng, given.lines, given.barcodes, given.folder, given.regions)):
            if number == 0:
                (given.folder / "small.tsv").write_bytes(b"".join(chunk[:100_000].splitlines(True)[:SMALL]))
            text = rest + chunk
            whole = len(text) // BLOCK * BLOCK
            blocks = (text[at : at + BLOCK] for at in range(0, whole, BLOCK))
            handle.writelines(pool.map(bgzip_block, blocks))
            rest = text[whole:]
        handle.write(bgzip_block(rest) + BGZF_END)


if __name__ == "__main__":
    main()
