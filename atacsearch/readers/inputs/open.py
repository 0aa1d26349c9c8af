"""The one door: any input to items (`open_input`), or to the intervals that a universe is built from."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ...errors import InputError
from ...genome.assemblies import canonical_genome
from ...genome.bounds import extents
from ...genome.intervals import Intervals
from ...tokens.token_sets import TokenSets
from ..bed import read_bed_hashed
from ..genome_check import Place, check_place, report_names, settle_genome
from ..items import Items
from ..labels import empty_table, with_constants
from ..liftover import lifted
from ..manifest import Manifest, read_manifest
from ..matrices.tenx import is_mtx_folder
from ..options import ReadOptions, SourceKind
from ..report import ReadReport, some
from .detect import FRAGMENT_FILES, MATRIX_FILES, MATRIX_FOLDERS, detect_kind, find_outs

if TYPE_CHECKING:
    from ...tokens.universe import Universe

__all__ = [
    "Items",
    "ReadOptions",
    "ReadReport",
    "detect_kind",
    "input_genome",
    "input_intervals",
    "open_input",
    "open_input_parts",
    "tokenize_file",
]


def open_input(input: str | Path, universe: Universe, options: ReadOptions | None = None) -> list[Items]:
    """Read an input and tokenise it.

    Args:
        input: h5ad, h5mu, fragment file, BED file, manifest, 10x .h5, 10x matrix folder or Cell Ranger outs
            folder.
        universe: regions that the tokens stand for.
        options: how to read.

    Returns:
        One `Items` a source; the BED files of a manifest make one together. One row an item, in input order.

    Raises:
        InputError: what cannot be read, named with what was expected.
        GenomeError: data of another genome than the universe or than they say.
    """
    options = options or ReadOptions()
    kind = options.kind or detect_kind(input)
    if kind == "manifest":
        return _read_manifest(read_manifest(input), universe, options, str(input))
    if kind == "bed":
        return [_read_beds([(str(input), Path(input))], universe, options, str(input), None)]
    return [_read_cells(Path(input), kind, universe, options, str(input), {})]


def tokenize_file(
    path: str | Path, universe: Universe, *, parity: Literal["gtars"] | None = None, **options: Any
) -> TokenSets:
    """The token sets of all items of a file, in order: `Universe.tokenize` of a path."""
    found = open_input(path, universe, ReadOptions(parity=parity, **options))
    return TokenSets.concat([items.sets for items in found])


def open_input_parts(
    input: str | Path, universe: Universe, options: ReadOptions | None = None
) -> Iterator[Items]:
    """As `open_input`, but the cells of a fragment file come in parts, so that memory does not grow with it.

    Parts of one source have one `report`, `source` and `content_digest`, and follow one another in order.
    """
    options = options or ReadOptions()
    kind = options.kind or detect_kind(input)
    path = Path(input)
    if kind == "cellranger":
        path, kind = _in_outs(path)
    if kind != "fragments":
        yield from open_input(input, universe, options)
        return
    from ..fragments.items import read_fragment_parts

    sample = options.sample or default_sample(input)
    yield from read_fragment_parts(path, universe, options, str(input), sample, {})


def default_sample(path: str | Path) -> str:
    """The sample that a path suggests: the file's name without suffixes, or its folder's.

    Example:
        >>> paths = "a/pbmc.fragments.tsv.gz", "run7/outs/atac_fragments.tsv.gz", "heart.h5ad"
        >>> [default_sample(path) for path in paths]
        ['pbmc', 'run7', 'heart']
    """
    path = Path(path)
    name = re.sub(r"(\.(gz|bgz|tsv|csv|txt|bed|h5ad|h5mu|h5|hdf5))+$", "", path.name, flags=re.IGNORECASE)
    name = re.sub(r"[._-]?(atac[._-])?fragments$", "", name, flags=re.IGNORECASE)
    generic = ("", "atac", "outs", "filtered_peak_bc_matrix", "filtered_feature_bc_matrix")
    if name.lower() not in generic:
        return name
    parent = path.absolute().parent
    return default_sample(parent) if parent.name else "sample"


def input_intervals(input: str | Path) -> list[Any]:
    """What a universe is built from: regions of BED files, fragments, or peaks with their coverage.

    Args:
        input: as for `open_input`.

    Returns:
        `Intervals` of each BED file, `Pileup` of each fragment file, `(Intervals, weights)` of each matrix,
        weights [n] float64 being the number of cells in which a peak is open.
    """
    return _intervals_of(Path(input), str(input))


def input_genome(input: str | Path) -> str | None:
    """The assembly that an input itself names (`uns["genome"]`, a 10x matrix, a manifest's column), or None."""
    path = Path(input)
    kind = detect_kind(path)
    if kind == "manifest":
        return read_manifest(path).genome
    if kind == "cellranger":
        path, kind = _in_outs(path)
    if kind in ("h5ad", "h5mu"):
        from ..matrices.h5ad import read_genome

        return canonical_genome(read_genome(path))
    if kind == "tenx_h5":
        from ..matrices.tenx import read_genome as read_tenx_genome

        return canonical_genome(read_tenx_genome(path))
    return None


def _intervals_of(path: Path, source: str) -> list[Any]:
    kind = detect_kind(path)
    report = ReadReport(source, kind)
    if kind == "manifest":
        manifest = read_manifest(path)
        parts = zip(manifest.paths, manifest.files, strict=True)
        return [found for place, file in parts for found in _intervals_of(place, file)]
    if kind == "cellranger":
        path, kind = _in_outs(path)
    if kind == "bed":
        return [read_bed_hashed(path, report)[0]]
    if kind == "fragments":
        from ...tokens.build import Pileup

        return [Pileup(read_bed_hashed(path, report)[0])]
    if kind in ("tenx_h5", "tenx_mtx"):
        from ..matrices.tenx import read_tenx_peaks

        peaks, coverage, _ = read_tenx_peaks(path, source, report)
    else:
        from ..matrices.h5ad import read_peaks

        peaks, coverage, _ = read_peaks(path, source, report)
    return [(peaks, coverage)]


def _read_cells(
    path: Path, kind: SourceKind, universe: Universe, options: ReadOptions, source: str, extra: dict[str, Any]
) -> Items:
    sample = options.sample or extra.get("sample") or default_sample(path)
    if kind == "cellranger":
        path, kind = _in_outs(path)
    if kind == "fragments":
        from ..fragments.items import read_fragments

        return read_fragments(path, universe, options, source, sample, extra)
    if kind in ("tenx_h5", "tenx_mtx"):
        from ..matrices.tenx import read_tenx

        return read_tenx(path, universe, options, source, sample, extra)
    from ..matrices.h5ad import read_h5ad

    return read_h5ad(path, universe, options, source, sample, extra)


def _in_outs(folder: Path) -> tuple[Path, SourceKind]:
    """What to read of a Cell Ranger folder: fragments before matrices."""
    outs = find_outs(folder)
    assert outs is not None
    for name in FRAGMENT_FILES:
        if (outs / name).is_file():
            return outs / name, "fragments"
    for name in MATRIX_FILES:
        if (outs / name).is_file():
            return outs / name, "tenx_h5"
    found = next(outs / name for name in MATRIX_FOLDERS if is_mtx_folder(outs / name))
    return found, "tenx_mtx"


def _read_manifest(manifest: Manifest, universe: Universe, options: ReadOptions, source: str) -> list[Items]:
    kinds = [detect_kind(path) for path in manifest.paths]
    n_beds = kinds.count("bed")
    if n_beds == len(kinds):
        files = list(zip(manifest.files, manifest.paths, strict=True))
        return [_read_beds(files, universe, options, source, manifest)]
    if n_beds or "manifest" in kinds:
        odd = manifest.files[kinds.index("bed" if n_beds else "manifest")]
        what = "BED files and files of cells" if n_beds else "another manifest"
        raise InputError(f"{manifest.path}: lists {what} ({odd}); expected one sort in one manifest")
    found = []
    for i, (path, kind) in enumerate(zip(manifest.paths, kinds, strict=True)):
        extra = manifest.row(i)
        found.append(_read_cells(path, kind, universe, options, manifest.files[i], extra))
    _refuse_repeated_ids(found, manifest.path)
    return found


def _refuse_repeated_ids(found: list[Items], manifest: Path) -> None:
    first: dict[str, str] = {}
    for items in found:
        for name in items.ids:
            if name in first:
                raise InputError(
                    f"{manifest}: the cell {name!r} is in {first[name]} and in {items.source}; give them "
                    "different names "
                    "in the column sample"
                )
            first[name] = items.source


def _read_beds(
    files: list[tuple[str, Path]],
    universe: Universe,
    options: ReadOptions,
    source: str,
    manifest: Manifest | None,
) -> Items:
    """BED files, one item each."""
    report = ReadReport(source, "bed")
    own = manifest.genome if manifest is not None else None
    place = settle_genome(options.genome, own, universe.genome, report, options.liftover)
    digest = hashlib.sha256(manifest.digest.encode() if manifest is not None else b"")
    token_lists, counts = [], []
    said: dict[str, list[str]] = {}
    mapped = 0
    for name, path in files:
        one = ReadReport(name, "bed")
        intervals, file_digest = read_bed_hashed(path, one)
        if place.lift is not None:
            intervals, _ = lifted(intervals, place.lift, one)
        tokens, n_hit = _bed_tokens(intervals, universe, place, one, options)
        digest.update(file_digest.encode())
        token_lists.append(tokens)
        counts.append((len(intervals), n_hit / len(intervals)))
        mapped += n_hit
        _add(report, one, len(files) > 1)
        for text in filter(None, (one.assembly, *one.notes)):
            said.setdefault(_kind_of(text, str(path), name) if len(files) > 1 else text, []).append(name)
    for text, of in said.items():
        report.note(
            text if len(files) == 1 else f"{text} ({len(of):,} of {len(files):,} files: {some(of, 3)})"
        )
    report.n_cells = None
    report.mapped_fraction = mapped / max(sum(n for n, _ in counts), 1)
    names = tuple(name for name, _ in files)
    sets = TokenSets.from_lists(token_lists, names, universe.digest)
    labels = manifest.labels() if manifest is not None else empty_table(len(files))
    labels = _with_counts(labels, counts)
    labels = with_constants(labels, {"lifted_from": place.lifted_from})
    content = digest.hexdigest() if manifest is not None else file_digest
    return Items("bedfiles", sets, names, labels, report, place.genome, source, content, None)


def _kind_of(text: str, *names: str) -> str:
    """A message without the file's name and the figures in brackets, so that many files' are said once."""
    for name in names:
        text = text.replace(f"{name}: ", "")
    return re.sub(r" \([^()]*\)", "", text)


def _bed_tokens(
    intervals: Intervals, universe: Universe, place: Place, report: ReadReport, options: ReadOptions
) -> tuple[Any, int]:
    """Tokens of one file, and how many of its regions overlap the universe."""
    lines = np.bincount(intervals.chrom, minlength=len(intervals.chroms))
    report_names(dict(zip(intervals.chroms, lines.tolist(), strict=True)), universe, report)
    check_place(place, universe, intervals, extents(intervals), report, options.strict_genome)
    tokens, n_hit = universe.tokens_and_hits(intervals)
    if options.parity == "gtars":
        from ...tokens.gtars import gtars_tokens

        return gtars_tokens(universe, intervals), n_hit
    return tokens, n_hit


def _with_counts(labels: Any, counts: list[tuple[int, float]]) -> Any:
    """Add what was read of each file: its regions, and the fraction of them in the universe."""
    from ...arrow import number_array

    columns = {"n_regions": [n for n, _ in counts], "frac_in_universe": [f for _, f in counts]}
    for name, values in columns.items():
        if name not in labels.column_names:
            labels = labels.append_column(name, number_array(values))
    return labels


def _add(report: ReadReport, one: ReadReport, several: bool) -> None:
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
