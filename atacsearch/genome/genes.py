"""Genes: their TSS from a BED6 table or a GTF, the nearest one to each region, and promoters of a symbol.

The nearest TSS is found by pyranges; the sign of a distance follows the gene's strand. Chromosome names of
regions and annotation are matched through their aliases, so an Ensembl GTF serves UCSC regions.
"""

from __future__ import annotations

import gzip
import io
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from atacsearch.errors import InputError

from .aliases import canonical_chrom
from .intervals import Intervals

PROMOTER_BP = 1000  # on both sides of a TSS
UPSTREAM_BP = 2000  # of a gene body, where its activity is looked at
AROUND_BP = 5000  # on both sides of a TSS, where the table has no gene bodies
_ATTRIBUTE = re.compile(r'(gene_name|gene_id|transcript_id) "([^"]*)"')


@dataclass(frozen=True)
class GeneAnnotation:
    """Transcription start sites with their genes.

    Attributes:
        sites: [n] one base a TSS, 0-based half-open.
        strand: [n] bool, True on the forward strand.
        genes: [n] gene symbol of each.
        transcripts: [n] transcript name of each, empty where the table has none.
        bodies: [n] transcripts from start to end, one base where the table has TSS alone; None as if all were so.
    """

    sites: Intervals
    strand: npt.NDArray[np.bool_]
    genes: tuple[str, ...]
    transcripts: tuple[str, ...]
    bodies: Intervals | None = None

    def __len__(self) -> int:
        return len(self.sites)

    @classmethod
    def from_file(cls, path: str | Path) -> GeneAnnotation:
        """Read a BED6 of TSS (name `gene|transcript` or `gene`) or a GTF, plain or gzip.

        A BED row wider than one base is taken for a transcript: its TSS is the start on `+`, the last base on
        `-`. A GTF gives its `transcript` rows, or its `gene` rows where it has no transcripts.

        Raises:
            InputError: a file that cannot be read or holds no gene, or a row without 6 columns, coordinates
                or strand.
        """
        path = Path(path)
        lines = _read_lines(path)
        stem = path.name.lower().removesuffix(".gz").removesuffix(".bgz")
        rows = _gtf_rows(lines, path) if stem.endswith((".gtf", ".gff")) else _bed_rows(lines, path)
        if not rows:
            raise InputError(f"{path}: holds no gene; expected a BED6 of TSS (name gene|transcript) or a GTF")
        chrom, start, end, forward, genes, transcripts = zip(*rows, strict=True)
        strand = np.array(forward, bool)
        tss = np.where(strand, np.array(start, np.int64), np.array(end, np.int64) - 1)
        sites = Intervals.from_columns(chrom, tss, tss + 1)
        bodies = Intervals(sites.chroms, sites.chrom, np.array(start, np.int64), np.array(end, np.int64))
        return cls(sites, strand, tuple(genes), tuple(transcripts), bodies)

    def nearest_tss(self, regions: Intervals) -> Any:
        """The nearest TSS of every region.

        Args:
            regions: [n] any order; aliases of chromosome names are known.

        Returns:
            Arrow table [n], in the order of the regions: `gene` (string), `transcript` (string), `distance`
            (int64, bp from the TSS to the nearest base of the region; 0 where it is inside, negative upstream
            of the gene, positive downstream), `promoter` (bool, within 1,000 bp). All but `promoter` are null
            on a chromosome without genes. Of transcripts that start at one base the first in the table counts.
        """
        import pyarrow as pa

        row = self._nearest_rows(regions)
        found = row >= 0
        site = np.where(found, row, 0)
        tss = self.sites.start[site]
        before, after = (
            tss - (regions.end - 1),
            regions.start - tss,
        )  # > 0: region ends before, begins after the TSS
        gap = np.maximum(np.maximum(before, after), 0)
        upstream = (before > 0) == self.strand[site]
        distance = np.where(upstream, -gap, gap)
        genes, transcripts = (np.array(x, dtype=object)[site] for x in (self.genes, self.transcripts))
        return pa.table(
            {
                "gene": pa.array(genes, pa.string(), mask=~found),
                "transcript": pa.array(transcripts, pa.string(), mask=~found),
                "distance": pa.array(distance, pa.int64(), mask=~found),
                "promoter": pa.array(found & (gap <= PROMOTER_BP)),
            }
        )

    def activity_windows(self, symbol: str) -> Intervals:
        """Where openness speaks for a gene being active, by its symbol in any case; empty where it is not known.

        Each transcript from 2,000 bp upstream of its TSS to its end, as Signac's gene activity (Stuart et al. 2021,
        doi:10.1038/s41592-021-01282-5); TSS +- 5,000 bp where the table says no more than the TSS.
        """
        rows = self._found(symbol)
        sites, forward = self.sites.take(rows), self.strand[rows]
        bodies = sites if self.bodies is None else self.bodies.take(rows)
        alone = bodies.end - bodies.start <= 1
        before = np.where(alone, AROUND_BP, np.where(forward, UPSTREAM_BP, 0))
        after = np.where(alone, AROUND_BP, np.where(forward, 0, UPSTREAM_BP))
        return Intervals(sites.chroms, sites.chrom, np.maximum(bodies.start - before, 0), bodies.end + after)

    def _found(self, symbol: str) -> npt.NDArray[np.int64]:
        rows = self._rows_of.get(symbol) or self._rows_of_folded.get(symbol.casefold()) or []
        return np.array(rows, np.int64)

    def promoters(self, symbol: str) -> Intervals:
        """TSS +- 1,000 bp of a gene, by its symbol in any case; empty where it is not known."""
        sites = self.sites.take(self._found(symbol))
        return Intervals(
            sites.chroms, sites.chrom, np.maximum(sites.start - PROMOTER_BP, 0), sites.end + PROMOTER_BP
        )

    @cached_property
    def _rows_of(self) -> dict[str, list[int]]:
        rows: dict[str, list[int]] = {}
        for i, gene in enumerate(self.genes):
            rows.setdefault(gene, []).append(i)
        return rows

    @cached_property
    def _rows_of_folded(self) -> dict[str, list[int]]:
        rows: dict[str, list[int]] = {}
        for i, gene in enumerate(self.genes):
            rows.setdefault(gene.casefold(), []).append(i)
        return rows

    def _nearest_rows(self, regions: Intervals) -> npt.NDArray[np.int64]:
        """[n] row of the nearest TSS, -1 where the chromosome has none."""
        nearest = np.full(len(regions), -1, np.int64)
        if not len(regions):
            return nearest
        joined = _ranges(regions, np.arange(len(regions))).nearest(
            self._distinct_sites, overlap=True, apply_strand_suffix=False
        )
        if len(joined):
            nearest[joined.df["row"].to_numpy()] = joined.df["site"].to_numpy()
        return nearest

    @cached_property
    def _distinct_sites(self) -> Any:
        """PyRanges of the TSS, the first of those at one base."""
        order = np.lexsort((self.sites.start, self.sites.chrom))  # stable: the first in the table leads
        chrom, start = self.sites.chrom[order], self.sites.start[order]
        first = np.concatenate([[True], (chrom[1:] != chrom[:-1]) | (start[1:] != start[:-1])])
        rows = np.sort(order[first])
        return _ranges(self.sites.take(rows), rows, "site")


def _ranges(intervals: Intervals, rows: npt.NDArray[np.int64], name: str = "row") -> Any:
    import pandas as pd
    import pyranges as pr

    canonical = np.array([canonical_chrom(c) for c in intervals.chroms], dtype=object)
    frame = pd.DataFrame(
        {
            "Chromosome": canonical[intervals.chrom],
            "Start": intervals.start,
            "End": intervals.end,
            name: rows,
        }
    )
    return pr.PyRanges(frame)


def _read_lines(path: Path) -> list[str]:
    try:
        data = path.read_bytes()
        if data[:2] == b"\x1f\x8b":
            data = gzip.decompress(data)
        return [line for line in io.StringIO(data.decode()) if line.strip()]
    except FileNotFoundError:
        raise InputError(
            f"{path}: no such file; expected a BED6 of TSS (name gene|transcript) or a GTF"
        ) from None
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as a gene table ({error})") from None


_Row = tuple[str, int, int, bool, str, str]


def _bed_rows(lines: Sequence[str], path: Path) -> list[_Row]:
    rows: list[_Row] = []
    for number, line in enumerate(lines, 1):
        if line.startswith(("#", "track", "browser")):
            continue
        fields = line.rstrip("\r\n").split("\t")
        where = f"{path}, line {number} ({line.strip()[:80]!r})"
        if len(fields) < 6:
            raise InputError(
                f"{where}: expected BED6: chromosome, start, end, gene|transcript, score, strand"
            )
        chrom, start, end, name, _, strand = fields[:6]
        if not (start.isdigit() and end.isdigit() and int(end) > int(start)):
            raise InputError(f"{where}: start and end must be whole numbers with start < end")
        if strand not in ("+", "-"):
            raise InputError(f"{where}: strand is {strand!r}, expected + or -")
        gene, _, transcript = name.partition("|")
        rows.append((chrom, int(start), int(end), strand == "+", gene, transcript))
    return rows


def _gtf_rows(lines: Sequence[str], path: Path) -> list[_Row]:
    kept: dict[str, list[_Row]] = {"transcript": [], "gene": []}
    for number, line in enumerate(lines, 1):
        if line.startswith("#"):
            continue
        fields = line.rstrip("\r\n").split("\t")
        if len(fields) < 9:
            raise InputError(
                f"{path}, line {number} ({line.strip()[:80]!r}): expected the 9 columns of a GTF"
            )
        if fields[2] not in kept:
            continue
        if not (fields[3].isdigit() and fields[4].isdigit()):
            raise InputError(
                f"{path}, line {number}: start and end must be whole numbers, found {fields[3:5]}"
            )
        named = dict(_ATTRIBUTE.findall(fields[8]))
        gene = named.get("gene_name") or named.get("gene_id")
        if not gene:
            raise InputError(
                f"{path}, line {number}: has neither gene_name nor gene_id; expected a GTF, not GFF3"
            )
        start = int(fields[3]) - 1  # GTF is 1-based inclusive
        rows = kept[fields[2]]
        rows.append(
            (fields[0], start, int(fields[4]), fields[6] != "-", gene, named.get("transcript_id", ""))
        )
    return kept["transcript"] or kept["gene"]
