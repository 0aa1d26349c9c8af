"""The Python client: the command line's words as methods of an open index.

import atacsearch as ats
index = ats.open_index("my.index")
index.search("cells", "peaks.bed", k=5, where="cell_type=B")      # pandas.DataFrame
index.annotate("new.h5ad", label="cell_type")                     # pandas.DataFrame
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from .asking import Asking, Inputs, Words, inputs_of, words_of
from .query.session import Progress, Say, Session, no_progress, silent

if TYPE_CHECKING:
    from .query.ingest.add import Added
    from .query.regions.contexts import RegionsAdded
    from .store.index.verify import Verification


def open_index(
    path: str | Path,
    *,
    metadata: str | Path | None = None,
    device: str = "auto",
    model: str | Path | None = None,
    say: Say = silent,
) -> Client:
    """Open an index.

    Args:
        path: the index folder, or the URL of the Qdrant server that holds its vectors (an index that was made
            for a server names it, so its folder is enough where the server has not moved).
        metadata: with a URL, the index folder.
        device: where the encoder runs: `auto`, `cpu`, `cuda`.
        model: encode with this checkpoint instead of the index's own; refused unless it is the same model.
        say: receives messages (what readers skipped, what fraction mapped, the device), one line each.

    Returns:
        The client. The model is loaded when it is first needed.

    Raises:
        InputError: no index there, or one of a newer format.

    Example:
        >>> index = open_index("my.index", say=print)              # doctest: +SKIP
        >>> index.annotate("new.h5ad", label="cell_type").head()   # doctest: +SKIP
    """
    from .errors import InputError
    from .store.index.folder import IndexFolder

    url = str(path) if "://" in str(path) else None
    if url is not None and metadata is None:
        raise InputError(f"{url}: a server holds the vectors only; give the index folder as metadata=")
    folder = Path(path) if metadata is None else Path(metadata)
    return Client(
        Session(IndexFolder.open(folder, url=url), device, None if model is None else str(model), say)
    )


def create_index(
    path: str | Path,
    model: str | Path,
    *,
    genes: str | Path | None = None,
    url: str | None = None,
    device: str = "auto",
    say: Say = silent,
) -> Client:
    """Make an empty index for one model and open it.

    Args:
        path: the folder to make; it must not exist, or be empty.
        model: checkpoint folder or hub name; it is copied into the index.
        genes: gene table (BED6 of TSS, or GTF), for gene symbols as queries.
        url: Qdrant server that is to hold the vectors; None keeps them in the folder.
        device: where the encoder runs.
        say: receives messages.

    Raises:
        InputError: the folder is not empty, or the model or gene table cannot be read.
    """
    from .model.checkpoints.checkpoint import load_model
    from .query.ingest.gene_table import read_genes
    from .store.index.folder import IndexFolder

    loaded = load_model(model)
    if genes is not None:
        read_genes(genes)
    index = IndexFolder.create(
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
    return Client(Session(index, device, None, say))


class Client(Asking):
    """An open index: search, annotate, add, look."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def __repr__(self) -> str:
        return f"Client({str(self.session.index.path)!r})"

    def calibrate(
        self, kind: str = "cells", label: Words | None = None, group: str | None = None
    ) -> dict[str, Any]:
        """Fit the confidence of labels anew; see `query.reference.calibrate.calibrate`.

        Args:
            kind: `cells` or `beds`.
            label: label columns; by default all text columns of 2 to 500 values.
            group: column of donor, library, study or collection, whole ones of which are held out.

        Returns:
            By label what was fitted.
        """
        from .query.reference.calibrate import calibrate
        from .query.session import kind_of

        return calibrate(self.session, kind_of(kind), None if label is None else words_of(label), group)

    def add_cells(self, inputs: Inputs, **options: Any) -> Added:
        """Index the cells of h5ad or fragment files; see `query.ingest.add.add_items` for the arguments."""
        return self._add("cells", inputs, **options)

    def add_beds(self, inputs: Inputs, **options: Any) -> Added:
        """Index BED files, one by one or by a manifest; see `query.ingest.add.add_items` for the arguments."""
        return self._add("bedfiles", inputs, **options)

    def _add(self, kind: str, inputs: Inputs, **options: Any) -> Added:
        from .query.ingest.add import add_items
        from .query.reference.calibrate import calibrate

        added = add_items(self.session, kind, inputs_of(inputs), **options)
        if added.added:
            calibrate(self.session, kind)
        return added

    def add_regions(
        self,
        context_label: str = "cell_type",
        *,
        contexts: Words = (),
        genes: str | Path | None = None,
        progress: Progress = no_progress,
    ) -> RegionsAdded:
        """Index regions in context, from everything that is indexed.

        Args:
            context_label: label column; items that share a value form one context.
            contexts: only these values; all where it is empty.
            genes: a gene table (BED6 of TSS, or GTF) to keep with the index.
            progress: called with the number of items encoded.
        """
        from .query.regions.contexts import add_regions

        if genes is not None:
            self.set_genes(genes)
        return add_regions(self.session, context_label, contexts=words_of(contexts), progress=progress)

    def set_genes(self, genes: str | Path) -> None:
        """Keep a gene table (BED6 of TSS, or GTF) with the index, for gene symbols as queries."""
        from .query.ingest.gene_table import keep_genes

        keep_genes(self.session, genes)

    def status(self) -> dict[str, Any]:
        """What the index holds: digests, generation, and for each collection items, labels and filters."""
        return self.session.index.status().to_dict()

    def verify(self) -> Verification:
        """Prove that shards, metadata and vectors agree; see `store.index.verify`."""
        from .store.index.verify import verify_index

        return verify_index(self.session.index)

    def repair(self, drop_damaged: bool = False) -> Verification:
        """Rebuild metadata and vectors from the shards; see `store.index.repair`."""
        from .store.index.repair import repair_index

        return repair_index(self.session.index, drop_damaged)

    def close(self) -> None:
        """Let go of files and connections."""
        self.session.index.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
