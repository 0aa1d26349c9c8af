"""BED files to items: each file is one item, and its token set holds the regions that it overlaps."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..arrow import number_array
from ..genome.bounds import extents
from ..genome.intervals import Intervals
from ..tokens.gtars import gtars_tokens
from ..tokens.token_sets import TokenSets
from .bed import read_bed_hashed
from .genome_check import SourceGenome, check_genome, report_chroms, resolve_genome
from .items import Items
from .labels import empty_table, with_constants
from .liftover import lift_intervals
from .manifest import Manifest
from .options import ReadOptions
from .report import ReadReport, first_names

if TYPE_CHECKING:
    import pyarrow as pa

    from ..tokens.universe import Universe


def read_bed_sets(
    files: Sequence[tuple[str, Path]],
    universe: Universe,
    options: ReadOptions,
    source: str,
    manifest: Manifest | None = None,
) -> Items:
    """Read BED files, one item each.

    Args:
        files: name of the item and path of the file.
        universe: regions that the tokens stand for.
        options: genome, strictness, parity and chain file.
        source: the file or manifest as the user gave it.
        manifest: where the files are listed, with their labels; None for one file.

    Raises:
        InputError: a file that cannot be read.
        GenomeError: data of another genome than the universe.
    """
    report = ReadReport(source, "bed")
    stated = manifest.genome if manifest is not None else None
    genome = resolve_genome(options.genome, stated, universe.genome, report, options.liftover)
    digest = hashlib.sha256(manifest.digest.encode() if manifest is not None else b"")
    token_lists: list[npt.NDArray[np.uint32]] = []
    counts: list[tuple[int, float]] = []
    notes: dict[str, list[str]] = {}  # note -> items that it is about
    n_mapped = 0
    for name, path in files:
        one = ReadReport(name, "bed")
        intervals, file_digest = read_bed_hashed(path, one)
        if genome.lift is not None:
            intervals, _ = lift_intervals(intervals, genome.lift, one)
        tokens, n_hit = _tokens_of(intervals, universe, genome, one, options)
        digest.update(file_digest.encode())
        token_lists.append(tokens)
        counts.append((len(intervals), n_hit / len(intervals)))
        n_mapped += n_hit
        _add_report(report, one, len(files) > 1)
        for text in filter(None, (one.assembly, *one.notes)):
            common = _without_details(text, str(path), name) if len(files) > 1 else text
            notes.setdefault(common, []).append(name)
    _report_notes(report, notes, len(files))
    report.n_cells = None
    report.mapped_fraction = n_mapped / max(sum(n for n, _ in counts), 1)
    names = tuple(name for name, _ in files)
    labels = manifest.labels() if manifest is not None else empty_table(len(files))
    labels = with_constants(_with_counts(labels, counts), {"lifted_from": genome.lifted_from})
    return Items(
        kind="bedfiles",
        sets=TokenSets.from_lists(token_lists, names, universe.digest),
        ids=names,
        labels=labels,
        report=report,
        genome=genome.name,
        source=source,
        content_digest=digest.hexdigest() if manifest is not None else file_digest,
    )


def _tokens_of(
    intervals: Intervals, universe: Universe, genome: SourceGenome, report: ReadReport, options: ReadOptions
) -> tuple[npt.NDArray[np.uint32], int]:
    """Tokens of one file, and how many of its regions overlap the universe."""
    lines = np.bincount(intervals.chrom, minlength=len(intervals.chroms))
    report_chroms(dict(zip(intervals.chroms, lines.tolist(), strict=True)), universe, report)
    check_genome(genome, universe, intervals, extents(intervals), report, options.strict_genome)
    tokens, n_hit = universe.tokens_and_hits(intervals)
    return (gtars_tokens(universe, intervals) if options.parity == "gtars" else tokens), n_hit


def _without_details(text: str, *names: str) -> str:
    """A note without the file's name and the figures in brackets, so that many files share it."""
    for name in names:
        text = text.replace(f"{name}: ", "")
    return re.sub(r" \([^()]*\)", "", text)


def _report_notes(report: ReadReport, notes: dict[str, list[str]], n_files: int) -> None:
    """Report each note once, with the files that it is about where there are several."""
    for text, of in notes.items():
        about = "" if n_files == 1 else f" ({len(of):,} of {n_files:,} files: {first_names(of, 3)})"
        report.note(f"{text}{about}")


def _with_counts(labels: pa.Table, counts: list[tuple[int, float]]) -> pa.Table:
    """Add what was read of each file: its regions, and the fraction of them in the universe."""
    columns = {
        "n_regions": number_array([n for n, _ in counts]),
        "frac_in_universe": number_array([fraction for _, fraction in counts]),
    }
    for name, column in columns.items():
        if name not in labels.column_names:
            labels = labels.append_column(name, column)
    return labels


def _add_report(report: ReadReport, one: ReadReport, several: bool) -> None:
    """Add the report of one file to that of all."""
    report.n_lines += one.n_lines
    report.n_read += one.n_read
    report.lifted = one.lifted
    report.n_to_lift += one.n_to_lift
    for why, n in one.lost.items():
        report.lost[why] = report.lost.get(why, 0) + n
    for reason, n in one.skipped.items():
        report.skip(reason, n)
    for example in one.examples:
        report.skip("", 0, f"{one.source}: {example}" if several else example)
    report.aliases.update(one.aliases)
    for name, n in one.foreign_chroms.items():
        report.foreign_chroms[name] = report.foreign_chroms.get(name, 0) + n
