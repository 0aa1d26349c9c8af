"""Any input to items (`open_input`), to token sets, or to the intervals that a universe is built from."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ...errors import InputError
from ...genome.assemblies import canonical_genome
from ...tokens.token_sets import TokenSets
from ..bed import read_bed_hashed
from ..bed_sets import read_bed_sets
from ..items import Items
from ..labels import LabelValue
from ..manifest import Manifest, read_manifest
from ..options import Counting, ReadOptions, SourceKind
from ..report import ReadReport
from ..source import CellSource
from .detect import cellranger_input, detect_kind

if TYPE_CHECKING:
    from ...tokens.build import UniverseSource
    from ...tokens.universe import Universe
    from ..fragments.cells import Whitelist


def open_input(path: str | Path, universe: Universe, options: ReadOptions | None = None) -> list[Items]:
    """Read an input and tokenise it.

    Args:
        path: h5ad, h5mu, fragment file, BED file, manifest, 10x .h5, 10x matrix folder or Cell Ranger outs
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
    kind = options.kind or detect_kind(path)
    if kind == "manifest":
        return _read_manifest(read_manifest(path), universe, options, str(path))
    if kind == "bed":
        return [read_bed_sets([(str(path), Path(path))], universe, options, str(path))]
    return [_read_cells(_cell_source(Path(path), kind, str(path), options.sample), universe, options)]


def open_input_parts(
    path: str | Path, universe: Universe, options: ReadOptions | None = None
) -> Iterator[Items]:
    """As `open_input`, but the cells of a fragment file come in parts, so that memory does not grow with it.

    Parts of one source have one `report`, `source` and `content_digest`, and follow one another in order.
    """
    options = options or ReadOptions()
    kind = options.kind or detect_kind(path)
    if kind in ("fragments", "cellranger"):
        source = _cell_source(Path(path), kind, str(path), options.sample)
        if source.kind == "fragments":
            from ..fragments.items import read_fragment_parts

            yield from read_fragment_parts(source, universe, options, _whitelist(options))
            return
    yield from open_input(path, universe, options)


def read_fragments(
    path: str | Path,
    universe: Universe,
    *,
    genome: str | None = None,
    strict_genome: bool = False,
    counting: Counting | None = None,
    min_fragments: int | None = None,
    whitelist: str | Path | None = None,
    tss: str | Path | None = None,
    blacklist: str | Path | None = None,
    sample: str | None = None,
    parity: Literal["gtars"] | None = None,
    threads: int | None = None,
) -> Items:
    """Read a fragment file: the token sets of its cells, with quality measures.

    Args:
        path: fragments.tsv, plain, gzip or bgzip, sorted in any way.
        universe: regions that the tokens stand for.
        genome: assembly of the fragments, where neither the file nor the universe says it.
        strict_genome: make an error of what is a warning about the assembly.
        counting: what opens a region: the whole "fragment" (default) or its two cut sites ("insertion").
        min_fragments: fewest fragments of a cell; default 500 where no other rule tells cells.
        whitelist: file of the barcodes that are cells; default: Cell Ranger's call, where it lies beside the file.
        tss: TSS table (BED6 or GTF); adds the label `tss_enrichment`.
        blacklist: BED of blacklisted regions; adds the label `blacklist_ratio`.
        sample: first part of the cells' ids; default: from the file's name.
        parity: "gtars" for token lists exactly as gtars makes them.
        threads: threads that read; default: the processors that may be used, 8 at most.

    Returns:
        One item a cell. `labels` holds `sample`, `n_fragments`, `frac_in_universe`, `nucleosome_signal` and
        what was asked for; `report` tells what was skipped and dropped.

    Raises:
        InputError: a file that cannot be read, or no barcode that is a cell.
        GenomeError: fragments of another genome than the universe.

    Example:
        >>> from atacsearch.genome.intervals import Intervals
        >>> from atacsearch.tokens.universe import Universe
        >>> universe = Universe(Intervals.from_columns(["chr1", "chr1"], [100, 400], [200, 500]), "hg38")
        >>> lines = "chr1\\t120\\t180\\tACGT-1\\t1\\nchr1\\t150\\t410\\tTTTT-1\\t2\\n"
        >>> path = getfixture("tmp_path") / "pbmc.fragments.tsv"
        >>> written = path.write_text(lines)
        >>> cells = read_fragments(path, universe, min_fragments=1)
        >>> [(name, tokens.tolist()) for name, tokens in zip(cells.ids, cells.sets)]
        [('pbmc#ACGT-1', [0]), ('pbmc#TTTT-1', [0, 1])]
        >>> cells.labels["n_fragments"].to_pylist()
        [1, 1]
    """
    options = ReadOptions(
        genome=genome, strict_genome=strict_genome, counting=counting, min_fragments=min_fragments,
        whitelist=whitelist, tss=tss, blacklist=blacklist, sample=sample, parity=parity, kind="fragments",
        threads=threads,
    )  # fmt: skip
    (items,) = open_input(path, universe, options)
    return items


def tokenize_file(
    path: str | Path,
    universe: Universe,
    *,
    parity: Literal["gtars"] | None = None,
    genome: str | None = None,
    strict_genome: bool = False,
    counting: Counting | None = None,
    min_fragments: int | None = None,
    whitelist: str | Path | None = None,
    tss: str | Path | None = None,
    blacklist: str | Path | None = None,
    sample: str | None = None,
    liftover: str | Path | None = None,
    kind: SourceKind | None = None,
    threads: int | None = None,
) -> TokenSets:
    """The token sets of all items of a file, in order: `Universe.tokenize` of a path; see `ReadOptions`."""
    options = ReadOptions(
        genome=genome, strict_genome=strict_genome, counting=counting, min_fragments=min_fragments,
        whitelist=whitelist, tss=tss, blacklist=blacklist, sample=sample, parity=parity, liftover=liftover,
        kind=kind, threads=threads,
    )  # fmt: skip
    return TokenSets.concat([items.sets for items in open_input(path, universe, options)])


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


def input_intervals(path: str | Path) -> list[UniverseSource]:
    """What a universe is built from: regions of BED files, fragments, or peaks with their coverage.

    Args:
        path: as for `open_input`.

    Returns:
        `Intervals` of each BED file, `Pileup` of each fragment file, `(Intervals, weights)` of each matrix,
        weights [n] float64 being the number of cells in which a peak is open.
    """
    return _intervals_of(Path(path), str(path))


def input_genome(path: str | Path) -> str | None:
    """The assembly that an input itself names (`uns["genome"]`, a 10x matrix, a manifest's column), or None."""
    path = Path(path)
    kind = detect_kind(path)
    if kind == "manifest":
        return read_manifest(path).genome
    if kind == "cellranger":
        path, kind = cellranger_input(path)
    if kind in ("h5ad", "h5mu"):
        from ..matrices.h5ad import read_genome

        return canonical_genome(read_genome(path))
    if kind == "tenx_h5":
        from ..matrices.tenx import read_genome as read_tenx_genome

        return canonical_genome(read_tenx_genome(path))
    return None


def _intervals_of(path: Path, name: str) -> list[UniverseSource]:
    """As `input_intervals`; `name` is what messages call the file."""
    kind = detect_kind(path)
    report = ReadReport(name, kind)
    if kind == "manifest":
        manifest = read_manifest(path)
        files = zip(manifest.paths, manifest.files, strict=True)
        return [found for file, as_written in files for found in _intervals_of(file, as_written)]
    if kind == "cellranger":
        path, kind = cellranger_input(path)
    if kind == "bed":
        return [read_bed_hashed(path, report)[0]]
    if kind == "fragments":
        from ...tokens.build import Pileup

        return [Pileup(read_bed_hashed(path, report)[0])]
    if kind in ("tenx_h5", "tenx_mtx"):
        from ..matrices.tenx import read_tenx_peaks

        peaks, coverage, _ = read_tenx_peaks(path, kind, name, report)
    else:
        from ..matrices.h5ad import read_peaks

        peaks, coverage, _ = read_peaks(path, name, report)
    return [(peaks, coverage)]


def _cell_source(
    path: Path,
    kind: SourceKind,
    name: str,
    sample: str | None,
    labels: Mapping[str, LabelValue] | None = None,
) -> CellSource:
    """What a reader of cells is told; of a Cell Ranger folder, the file in it that is read."""
    labels = labels or {}
    sample = sample or str(labels.get("sample") or default_sample(path))
    if kind == "cellranger":
        path, kind = cellranger_input(path)
    return CellSource(path, kind, name, sample, labels)


def _read_cells(source: CellSource, universe: Universe, options: ReadOptions) -> Items:
    """Call the reader of the source's kind; h5ad and h5mu are what is left at the end."""
    if source.kind == "fragments":
        from ..fragments.items import read_fragment_items

        return read_fragment_items(source, universe, options, _whitelist(options))
    if source.kind in ("tenx_h5", "tenx_mtx"):
        from ..matrices.tenx import read_tenx

        return read_tenx(source, universe, options)
    from ..matrices.h5ad import read_h5ad

    return read_h5ad(source, universe, options)


def _whitelist(options: ReadOptions) -> Whitelist | None:
    from ..fragments.cells import Whitelist
    from .whitelist import read_whitelist

    listed = options.whitelist
    return None if listed is None else Whitelist(read_whitelist(listed), str(listed))


def _read_manifest(manifest: Manifest, universe: Universe, options: ReadOptions, name: str) -> list[Items]:
    kinds = [detect_kind(path) for path in manifest.paths]
    n_beds = kinds.count("bed")
    if n_beds == len(kinds):
        files = list(zip(manifest.files, manifest.paths, strict=True))
        return [read_bed_sets(files, universe, options, name, manifest)]
    if n_beds or "manifest" in kinds:
        odd = manifest.files[kinds.index("bed" if n_beds else "manifest")]
        what = "BED files and files of cells" if n_beds else "another manifest"
        raise InputError(f"{manifest.path}: lists {what} ({odd}); expected one sort in one manifest")
    found = []
    for i, (path, kind) in enumerate(zip(manifest.paths, kinds, strict=True)):
        source = _cell_source(path, kind, manifest.files[i], options.sample, manifest.row(i))
        found.append(_read_cells(source, universe, options))
    _refuse_repeated_ids(found, manifest.path)
    return found


def _refuse_repeated_ids(found: list[Items], manifest: Path) -> None:
    first: dict[str, str] = {}
    for items in found:
        for name in items.ids:
            if name in first:
                raise InputError(
                    f"{manifest}: the cell {name!r} is in {first[name]} and in {items.source}; give them "
                    "different names in the column sample"
                )
            first[name] = items.source
