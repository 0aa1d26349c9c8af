"""Small files in all the shapes that readers meet."""

import gzip
import zlib
from pathlib import Path

import numpy as np

from atacsearch.genome.intervals import Intervals
from atacsearch.tokens.universe import Universe

BGZF_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")


def universe_of(regions, genome=None):
    """A universe of (chrom, start, end) triples, in that order."""
    chrom, start, end = zip(*regions, strict=True)
    return Universe(Intervals.from_columns(chrom, start, end), genome)


def bgzip(data, block=300):
    """BGZF bytes of `data`, in blocks of a few lines."""
    out = b""
    for at in range(0, len(data), block):
        part = data[at : at + block]
        deflate = zlib.compressobj(6, zlib.DEFLATED, -15)
        body = deflate.compress(part) + deflate.flush()
        head = b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x06\0BC\x02\0" + (len(body) + 25).to_bytes(2, "little")
        out += head + body + zlib.crc32(part).to_bytes(4, "little") + len(part).to_bytes(4, "little")
    return out + BGZF_END


def write(path, text, how="plain"):
    """Write text (or bytes) plain, gzip, bgzip, or as a gzip of two members."""
    data = text.encode() if isinstance(text, str) else text
    if how == "gzip":
        data = gzip.compress(data)
    elif how == "members":
        data = gzip.compress(data[: len(data) // 2]) + gzip.compress(data[len(data) // 2 :])
    elif how == "bgzip":
        data = bgzip(data)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def fragments(rng, regions, n, barcodes, junk=True):
    """Random fragment lines near the regions, some of them broken."""
    lines = []
    for _ in range(n):
        chrom, start, _ = regions[rng.integers(len(regions))]
        at = max(0, int(start + rng.integers(-400, 400)))
        lines.append(
            f"{chrom}\t{at}\t{at + int(rng.integers(1, 700))}\t{barcodes[rng.integers(len(barcodes))]}\t1"
        )
    if junk:
        bad = [
            "# a comment", "", "track name=x", "chr1\t5", "chr1\tx\t9\tAA\t1", "chr1\t9\t9\tAA\t1",
            "chr1\t-4\t9\tAA\t1", "chr1\t1\t99999999999\tAA\t1", "chr1\t1\t9\t.\t1", "chrOther\t5\t900\tAA\t1",
            "chr1\t5\t", "chr1", "\t\t\t\t", "chr1\t7\t90\tAA\t1\textra\tcolumns", "chr1\t1\t2.5\tAA\t1",
        ]  # fmt: skip
        for line in bad:
            lines.insert(int(rng.integers(len(lines) + 1)), line)
    return lines


def random_regions(rng, n, overlapping=True, chroms=("chr1", "chr2", "chr1_KI270706v1_random")):
    """(chrom, start, end) triples; in no order and overlapping, or sorted and apart."""
    if overlapping:
        starts = rng.integers(0, 20_000, n)
        widths = np.where(rng.random(n) < 0.05, rng.integers(1, 15_000, n), rng.integers(1, 600, n))
        return [
            (chroms[rng.integers(len(chroms))], int(a), int(a + w))
            for a, w in zip(starts, widths, strict=True)
        ]
    return [(c, 500 + 1000 * i, 1000 + 1000 * i) for c in chroms for i in range(n // len(chroms))]
