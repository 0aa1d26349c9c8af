"""How inputs are read: one table for the command line and for Python. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

from ..errors import InputError
from ..options import Options, option

Counting = Literal["fragment", "insertion"]
SourceKind = Literal["bed", "fragments", "h5ad", "h5mu", "tenx_h5", "tenx_mtx", "cellranger", "manifest"]

DEFAULT_MIN_FRAGMENTS = 500


@dataclass(frozen=True)
class ReadOptions(Options):
    """How inputs are read.

    Attributes:
        genome: assembly of the data (a name, or a chrom.sizes file); goes before what the data themselves
            say.
        strict_genome: make an error of what is a warning about the assembly.
        liftover: UCSC chain file from the genome of the data to that of the universe, by which BED files and peaks
            are lifted; None refuses data of another genome.
        min_fragments: fragments: fewest fragments of a cell; default 500 where no other rule tells cells.
        whitelist: fragments: file of the barcodes that are cells (a line each, a table with a column
            `barcode`, or an h5ad whose obs_names they are).
        tss: fragments: TSS table (BED6 or GTF) for the TSS enrichment.
        blacklist: fragments: BED of blacklisted regions for the blacklist ratio.
        counting: fragments: what opens a region, the whole "fragment" (default) or its two cut sites
            ("insertion").
        sample: name of the sample; the index id of a cell is `sample#barcode`. Default: from the file's name.
        parity: "gtars" for token lists exactly as gtars makes them (BED and fragment files).
        kind: what the input is, where it is not recognised rightly.
        threads: threads that read; default: the processors that may be used, 8 at most.
    """

    genome: str | None = option(
        None, "Genome of the input (hg38, hg19, mm10, mm39 ...).", metavar="NAME", text=True
    )
    strict_genome: bool = option(False, "Refuse input that fits the genome no better than by chance.")
    liftover: str | Path | None = option(
        None,
        "Lift BED files and peaks from their genome to the universe's by this UCSC chain file "
        "(hg19ToHg38.over.chain.gz).",
        metavar="CHAIN",
    )
    min_fragments: int | None = option(
        None, "Fragments: keep barcodes with at least N fragments.", metavar="N", minimum=0
    )
    whitelist: str | Path | None = option(
        None, "Fragments: keep the barcodes of this file, one a line.", metavar="FILE"
    )
    tss: str | Path | None = option(
        None, "Fragments: BED6 of transcription start sites, for TSS enrichment.", metavar="FILE"
    )
    blacklist: str | Path | None = option(
        None, "Fragments: BED of blacklisted regions, for the blacklist ratio.", metavar="FILE"
    )
    counting: Counting | None = option(
        None,
        "Fragments: what opens a region, the whole fragment or its two insertions "
        "[default: as the index or model says, else fragment].",
        choices=("fragment", "insertion"),
    )
    sample: str | None = option(
        None, "Sample name: an indexed cell is called SAMPLE#BARCODE.", metavar="NAME"
    )
    parity: Literal["gtars"] | None = None
    kind: SourceKind | None = None
    threads: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.parity not in (None, "gtars"):
            raise InputError(f"parity={self.parity!r} is not known; use None or 'gtars'")
        if self.threads is not None and self.threads < 1:
            raise InputError(f"threads={self.threads}: expected 1 or more")


READING = tuple(f.name for f in fields(ReadOptions) if "option" in f.metadata)  # what a user may set
