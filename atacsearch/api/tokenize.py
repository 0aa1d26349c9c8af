"""`ats.tokenize`, `ats.read_fragments`, `ats.build_universe`: from files to universes and token sets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ..query.inputs import joined, read_all, token_parts
from ..query.session import Notify, silent
from ..readers.inputs.memory import as_inputs
from ..readers.options import ReadOptions
from .options import UniverseOptions
from .paths import paths_of

if TYPE_CHECKING:
    from ..readers.inputs.memory import Inputs
    from ..readers.items import Items
    from ..readers.options import Counting
    from ..tokens.token_sets import TokenSets
    from ..tokens.universe import Universe


def tokenize(
    inputs: Inputs,
    universe: Universe | str | Path,
    *,
    parity: Literal["gtars"] | None = None,
    genome: str | None = None,
    strict_genome: bool = False,
    liftover: str | Path | None = None,
    min_fragments: int | None = None,
    whitelist: str | Path | None = None,
    tss: str | Path | None = None,
    blacklist: str | Path | None = None,
    counting: Counting | None = None,
    sample: str | None = None,
    notify: Notify = silent,
) -> TokenSets:
    """Turn cells or BED files into token sets: the regions of a universe that each overlaps.

    Args:
        inputs: one input or several: h5ad, fragments, BED or narrowPeak files, manifests, an AnnData, a table of
            intervals or barcodes.
        universe: a universe, its BED file, or the name of a known public one.
        parity: `gtars` for exactly the ids that gtars gives: duplicates kept, unk where nothing is hit.
        genome: assembly of the input (`hg38`, `hg19`, `mm10`, `mm39` ..., or a chrom.sizes file).
        strict_genome: refuse input that fits the genome no better than by chance.
        liftover: UCSC chain file by which BED files and peaks are lifted from their genome to the universe's.
        min_fragments: of fragment files: fewest fragments of a cell; 500 where nothing else tells cells.
        whitelist: of fragment files: a file of the barcodes that are cells, one a line.
        tss: of fragment files: BED6 of transcription start sites, for TSS enrichment.
        blacklist: of fragment files: BED of blacklisted regions, for the blacklist ratio.
        counting: of fragment files: what opens a region, the whole `fragment` (default) or its two cut sites
            (`insertion`).
        sample: name of the sample; an indexed cell is called `sample#barcode`.
        notify: receives messages (what readers skipped, what fraction mapped), one line each.

    Returns:
        One set an item, in input order: ascending token ids, uint32, each once.

    Raises:
        InputError: an input that cannot be read. GenomeError: data of another genome.

    Example:
        >>> sets = ats.tokenize("f0.bed", "universe.bed.gz")
        >>> sets.names, sets[0][:4].tolist()
        (('f0.bed',), [0, 1, 2, 3])
    """
    read = ReadOptions(
        genome, strict_genome, liftover, min_fragments, whitelist, tss, blacklist, counting, sample, parity
    )
    return joined(read_all(as_inputs(inputs), _loaded(universe, read), read, notify))


def write_tokens(
    inputs: Sequence[str | Path], universe: str | Path, path: Path, read: ReadOptions, notify: Notify
) -> tuple[int, int, int]:
    """Tokenise files into a Parquet file (`id, tokens`) in bounded memory.

    Returns:
        Numbers of items, tokens and empty items.
    """
    from ..files import to_file
    from ..tokens.token_sets import write_sets

    parts = token_parts(inputs, _loaded(universe, read), read, notify)
    counts: list[tuple[int, int, int]] = []
    to_file(path, lambda temporary: counts.append(write_sets(parts, temporary)))
    return counts[0]


def _loaded(universe: Universe | str | Path, read: ReadOptions) -> Universe:
    from ..tokens.universe import Universe

    if isinstance(universe, Universe):
        return universe
    (universe,) = paths_of(universe)
    # With a chain file, the genome is that of the data, not of the universe.
    return Universe.load(universe, genome=None if read.liftover is not None else read.genome)


def read_fragments(
    path: str | Path,
    universe: Universe | str | Path,
    *,
    genome: str | None = None,
    strict_genome: bool = False,
    min_fragments: int | None = None,
    whitelist: str | Path | None = None,
    tss: str | Path | None = None,
    blacklist: str | Path | None = None,
    counting: Counting | None = None,
    sample: str | None = None,
) -> Items:
    """Read a fragment file: which barcodes are cells, their token sets and their quality.

    Args:
        path: plain, gzip or bgzip; sorted by position, by barcode, or not at all.
        universe: a universe, its BED file, or the name of a known public one.
        genome, strict_genome, min_fragments, whitelist, tss, blacklist, counting, sample: see `tokenize`.

    Returns:
        One item a cell: `sets` (token sets), `ids`, `labels` (a `pyarrow.Table` of quality: fragments, fraction in
        regions, TSS enrichment ...), and `report`, what was read, skipped and dropped.

    Raises:
        InputError: it cannot be read, or is no fragment file.

    Example:
        >>> cells = ats.read_fragments("fragments.tsv.gz", "universe.bed.gz", min_fragments=1)
        >>> len(cells.sets), cells.sets.names[0], cells.labels["n_fragments"][0].as_py()
        (4, 'BC0000-1', 96)
    """
    from ..readers.inputs.open import read_fragments as read_file

    (path,) = paths_of(path)
    return read_file(
        path,
        _loaded(universe, ReadOptions(genome=genome)),
        genome=genome,
        strict_genome=strict_genome,
        min_fragments=min_fragments,
        whitelist=whitelist,
        tss=tss,
        blacklist=blacklist,
        counting=counting,
        sample=sample,
    )


def build_universe(
    inputs: str | Path | Sequence[str | Path],
    *,
    genome: str | None = None,
    max_regions: int = 250_000,
    min_width: int | None = None,
    max_width: int | None = None,
) -> Universe:
    """Build a universe from BED files, fragments or matrices.

    Regions open in more than a cut-off of the inputs are merged, split or widened to the stated widths, sorted, and
    made not to overlap. The peaks of one matrix are kept by the number of cells in which they are open.

    Args:
        inputs: files or manifests.
        genome: assembly of all of them; by default what the inputs themselves name.
        max_regions: keep at most this many regions, those covered by most inputs.
        min_width: narrowest region in bp; default 200.
        max_width: widest region in bp, wider ones are split; default 1,000.

    Raises:
        InputError: an input cannot be read. GenomeError: two inputs name different assemblies.

    Example:
        >>> universe = ats.build_universe(["f0.bed", "f1.bed"], genome="hg38")
        >>> len(universe), universe.genome
        (81, 'hg38')
    """
    from ..readers.inputs.universes import universe_from_inputs

    options = UniverseOptions(genome, max_regions, min_width, max_width)
    return universe_from_inputs(
        paths_of(inputs),
        options.genome,
        max_regions=options.max_regions,
        min_width=options.min_width,
        max_width=options.max_width,
    )
