"""The public index: open or create one, ask it, add to it.

    import atacsearch as ats

    with ats.open_index("my.index") as index:
        calls = index.annotate("new_cells.h5ad", label="cell_type")
        hits = index.search("beds", "peaks.bed", k=5)

Every method does what the command of its name does, with the same options. The questions are in `questions.py`; here
is what adds to an index, checks and repairs it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from .options import words_of
from .query.session import Notify, Progress, Session, no_progress, silent
from .questions import Questions

if TYPE_CHECKING:
    from .query.ingest.add import Added
    from .query.reference.calibrate import Fitted
    from .query.regions.contexts import RegionsAdded
    from .readers.inputs.memory import Inputs
    from .readers.options import Counting, ReadOptions
    from .store.index.status import IndexStatus
    from .store.index.verify import Verification


class Index(Questions):
    """An open index: search, annotate, overlap, compare, add. Made by `open_index` or `create_index`.

    It is a context manager; `close` lets go of files and connections. An index may be open in several processes at
    once, of which one may add.

    Example:
        >>> index
        Index('demo.index')
        >>> index.search("cells", "reference#s1-0", k=2).id.tolist()     # the cells most like an indexed one
        ['reference#s1-10', 'reference#s1-2']
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    def __repr__(self) -> str:
        return f"Index({str(self.path)!r})"

    @property
    def path(self) -> Path:
        """The index folder."""
        return self._session.index.path

    @property
    def genome(self) -> str | None:
        """The assembly of the index; None where it is not known."""
        return self._session.index.info.genome

    # -- additions ------------------------------------------------------------------------------------

    def add_cells(
        self,
        inputs: Inputs,
        *,
        labels: str | Path | None = None,
        replace: bool = False,
        genome: str | None = None,
        strict_genome: bool = False,
        liftover: str | Path | None = None,
        min_fragments: int | None = None,
        whitelist: str | Path | None = None,
        tss: str | Path | None = None,
        blacklist: str | Path | None = None,
        counting: Counting | None = None,
        sample: str | None = None,
        progress: Progress = no_progress,
    ) -> Added:
        """Add the cells of h5ad or fragment files.

        All `obs` columns are stored as labels. A source that is indexed already (the same content) is skipped. The
        confidence of labels is fitted again at the end.

        Args:
            inputs: one input or several.
            labels: a TSV of label columns by item, added to the items' own or replacing them.
            replace: replace sources that are indexed already, by content or by path, instead of skipping them.
            genome, strict_genome, liftover, min_fragments, whitelist, tss, blacklist, counting, sample: how files are
                read, see `atacsearch.tokenize`.
            progress: called with the number of items encoded.

        Returns:
            What was added by source, what was there before, and how many items have no region of the universe.

        Raises:
            InputError: an input that cannot be read, is of the other kind, or holds an id that another source has.
            LockedError: another process writes to this index.

        Example:
            >>> index.add_cells("reference.h5ad").skipped
            ('reference.h5ad',)
        """
        from .readers.options import ReadOptions

        read = ReadOptions(
            genome, strict_genome, liftover, min_fragments, whitelist, tss, blacklist, counting, sample
        )
        return self._add("cells", inputs, labels, replace, read, progress)

    def add_beds(
        self,
        inputs: Inputs,
        *,
        labels: str | Path | None = None,
        replace: bool = False,
        genome: str | None = None,
        strict_genome: bool = False,
        liftover: str | Path | None = None,
        min_fragments: int | None = None,
        whitelist: str | Path | None = None,
        tss: str | Path | None = None,
        blacklist: str | Path | None = None,
        counting: Counting | None = None,
        sample: str | None = None,
        progress: Progress = no_progress,
    ) -> Added:
        """Add BED files, one by one or by a manifest, whose other columns are stored as labels.

        Args:
            inputs: BED or narrowPeak files, manifests, tables of intervals.
            labels: a TSV of label columns by item, added to the items' own or replacing them.
            replace: replace sources that are indexed already, by content or by path, instead of skipping them.
            genome, strict_genome, liftover, min_fragments, whitelist, tss, blacklist, counting, sample: how files are
                read, see `atacsearch.tokenize`; `sample` is also the id of a table of intervals.
            progress: called with the number of items encoded.

        Returns:
            What was added by source, what was there before, and how many items have no region of the universe.

        Raises:
            InputError: an input that cannot be read, is of the other kind, or holds an id that another source has.
            LockedError: another process writes to this index.

        Example:
            >>> index.add_beds("manifest.tsv").skipped
            ('manifest.tsv',)
        """
        from .readers.options import ReadOptions

        read = ReadOptions(
            genome, strict_genome, liftover, min_fragments, whitelist, tss, blacklist, counting, sample
        )
        return self._add("bedfiles", inputs, labels, replace, read, progress)

    def _add(
        self,
        kind: str,
        inputs: Inputs,
        labels: str | Path | None,
        replace: bool,
        read: ReadOptions,
        progress: Progress,
    ) -> Added:
        from .query.ingest.add import add_items
        from .query.ingest.options import AddOptions
        from .query.reference.calibrate import calibrate
        from .readers.inputs.memory import as_inputs

        added = add_items(self._session, kind, as_inputs(inputs), AddOptions(labels, replace, read), progress)
        if added.added:
            calibrate(self._session, kind)
        return added

    def add_regions(
        self,
        context_label: str = "cell_type",
        *,
        contexts: str | Sequence[str] = (),
        genes: str | Path | None = None,
        progress: Progress = no_progress,
    ) -> RegionsAdded:
        """Add regions in context, from everything that is indexed.

        A region belongs to a context where it is open in any of its items; its vector is the mean of its contextual
        vectors over them. A context whose items have not changed is left alone.

        Args:
            context_label: label column; items that share a value form one context.
            contexts: only these values; all where it is empty.
            genes: a gene table (BED6 of TSS, or GTF) to keep with the index.
            progress: called with the number of items encoded.

        Returns:
            Regions by context, and the contexts that were up to date.

        Raises:
            InputError: the index is empty or has no such column.
            LockedError: another process writes to this index.

        Example:
            >>> index.add_regions("cell_type").unchanged
            ('B', 'NK')
        """
        from .query.ingest.options import RegionsOptions
        from .query.regions.contexts import add_regions

        options = RegionsOptions(context_label, words_of(contexts), genes)
        if genes is not None:
            self.set_genes(genes)
        return add_regions(self._session, options.context_label, contexts=options.contexts, progress=progress)

    def set_genes(self, genes: str | Path) -> None:
        """Keep a gene table with the index, for gene symbols as queries.

        Args:
            genes: BED6 of transcription start sites (name = gene|transcript), or GTF.

        Raises:
            InputError: the table cannot be read.
            LockedError: another process writes to this index.
        """
        from .query.ingest.gene_table import keep_genes

        keep_genes(self._session, genes)

    def calibrate(
        self,
        kind: Literal["cells", "beds"] = "cells",
        label: str | Sequence[str] = (),
        group: str | None = None,
    ) -> Fitted:
        """Fit the confidence of labels that neighbours transfer anew, for another column of groups.

        Args:
            kind: the collection.
            label: label columns; by default all text columns of 2 to 500 values.
            group: column of donor, library, study or collection, whole ones of which are held out; by default found
                by its name.

        Returns:
            By label the items, groups, share named right, and the expected calibration error on them.

        Raises:
            InputError: the collection is empty; a label or group column that does not exist.

        Example:
            >>> fitted = index.calibrate("cells", "cell_type", group="donor")
            >>> fitted.label.tolist(), fitted.groups.tolist()
            (['cell_type'], [3])
        """
        from .query.ingest.options import CalibrateOptions
        from .query.reference.calibrate import calibrate, summary
        from .query.session import kind_of

        options = CalibrateOptions(kind, words_of(label), group)
        return summary(calibrate(self._session, kind_of(options.kind), options.label or None, options.group))

    # -- the index itself -----------------------------------------------------------------------------

    def status(self) -> IndexStatus:
        """What the index holds: digests, generation, and for each collection items, labels and filters.

        Example:
            >>> index.status().collections["cells"].items
            60
        """
        return self._session.index.status()

    def verify(self) -> Verification:
        """Prove that shards, metadata, vectors and the inverted index agree.

        Example:
            >>> index.verify().ok
            True
        """
        from .store.index.verify import verify_index

        return verify_index(self._session.index)

    def repair(self, drop_damaged: bool = False) -> Verification:
        """Rebuild metadata, vectors and the inverted index from the shards.

        Args:
            drop_damaged: leave out shards that are damaged themselves; their items are lost.
        """
        from .store.index.repair import repair_index

        return repair_index(self._session.index, drop_damaged)

    def close(self) -> None:
        """Let go of files and connections."""
        self._session.index.close()

    def __enter__(self) -> Index:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_index(
    path: str | Path,
    *,
    metadata: str | Path | None = None,
    device: str = "auto",
    model: str | Path | None = None,
    notify: Notify = silent,
) -> Index:
    """Open an index.

    Args:
        path: the index folder, or the URL of the Qdrant server that holds its vectors (an index that was made
            for a server names it, so its folder is enough where the server has not moved).
        metadata: with a URL, the index folder.
        device: where the encoder runs: `auto`, `cpu`, `cuda`.
        model: encode with this checkpoint instead of the index's own; refused unless it is the same model.
        notify: receives messages (what readers skipped, what fraction mapped, the device), one line each.

    Returns:
        The index. Its model is loaded when it is first needed.

    Raises:
        InputError: no index there, or one of a newer format.

    Example:
        >>> with open_index("demo.index", device="cpu") as index:
        ...     index.genome
        'hg38'
    """
    from .errors import InputError
    from .store.index.folder import IndexFolder

    url = str(path) if "://" in str(path) else None
    if url is not None and metadata is None:
        raise InputError(f"{url}: a server holds the vectors only; give the index folder as metadata=")
    folder = Path(path) if metadata is None else Path(metadata)
    return Index(
        Session(IndexFolder.open(folder, url=url), device, None if model is None else str(model), notify)
    )


def create_index(
    path: str | Path,
    model: str | Path,
    *,
    genes: str | Path | None = None,
    url: str | None = None,
    device: str = "auto",
    notify: Notify = silent,
) -> Index:
    """Make an empty index for one model and open it.

    Args:
        path: the folder to make; it must not exist, or be empty.
        model: checkpoint folder or hub name; it is copied into the index.
        genes: gene table (BED6 of TSS, or GTF), for gene symbols as queries.
        url: Qdrant server that is to hold the vectors; None keeps them in the folder.
        device: where the encoder runs.
        notify: receives messages.

    Raises:
        InputError: the folder is not empty, or the model or gene table cannot be read.

    Example:
        >>> create_index("new.index", "model", device="cpu")
        Index('new.index')
    """
    from .genome.genes import GeneAnnotation
    from .model.checkpoints.checkpoint import load_model
    from .store.index.folder import IndexFolder

    loaded = load_model(model)
    if genes is not None:
        GeneAnnotation.from_file(genes)  # what cannot be read is said before anything is made
    folder = IndexFolder.create(
        path,
        model_dir=loaded.path,
        model_digest=loaded.digest,
        universe_digest=loaded.universe_digest,
        genome=loaded.universe.genome,
        vectors=loaded.vectors,
        counting=loaded.counting,
        url=url,
        genes=None if genes is None else Path(genes),
    )
    return Index(Session(folder, device, None, notify))
