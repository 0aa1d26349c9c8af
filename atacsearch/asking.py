"""What can be asked of an open index from Python: `Asking`, the half of the client that changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .query.session import Progress, Session, no_progress

if TYPE_CHECKING:
    import pandas as pd

    from .readers.options import ReadOptions

Inputs = str | Path | Sequence[str | Path]
Words = str | Sequence[str]


class Asking:
    """Search, annotate, overlap, compare; `Client` adds what changes an index."""

    session: Session

    def search(self, kind: str, query: Inputs | None = None, **options: Any) -> pd.DataFrame:
        """The nearest cells, BED files or regions; see `search_table` for the arguments."""
        return self.search_table(kind, query, **options).to_pandas()

    def search_table(
        self,
        kind: str,
        query: Inputs | None = None,
        *,
        text: str | None = None,
        centroid: bool = False,
        k: int = 10,
        offset: int = 0,
        group_by: str | None = None,
        diverse: bool | float = False,
        where: Words = (),
        items: Words = (),
        contexts: Words = (),
        columns: Sequence[str] | None = None,
        vector: str = "general",
        rank: str = "cosine",
        candidates: int | None = None,
        background: str = "universe",
        statistics: bool = False,
        options: ReadOptions | None = None,
        progress: Progress = no_progress,
    ) -> Any:
        """The nearest cells, BED files or regions, as a `pyarrow.Table`.

        Args:
            kind: `cells`, `beds` or `regions`.
            query: one or several of: a file, an indexed id, a region string (1-based inclusive), a gene symbol
                (all its promoters); None with a text alone.
            text: words that the labels of answers must have; alone, it ranks by them (BM25).
            centroid: ask with the mean vector of all queries instead of with each.
            k: answers for each query.
            offset: answers left out before them, for the next page.
            group_by: label column of which each value gives its best answer only.
            diverse: choose answers that differ from one another; a number is the lambda of maximal marginal
                relevance, True for 0.5.
            where: conditions on the answers, such as `assay=ATAC-seq`.
            items: of a file with several items, those that ask.
            contexts: for a region or gene in `regions`, the contexts in which it asks.
            columns: label columns to show; None for all.
            vector: name of the vectors that are compared: `general`, or a label of a model of `train bulk`.
            rank: order by `cosine` distance, `overlap` (chance-adjusted Jaccard index), or both (`fused`).
            candidates: items that the vector search fetches for each query to be ranked anew; by default 500.
            background: of the tests: `universe`, or `indexed`, regions open in any item of the collection.
            statistics: exact overlap statistics also with `rank="cosine"`; see `query/regions/statistics.py`.
            options: how a file is read.
            progress: called with the number of items encoded.

        Returns:
            `query, rank, id, distance` and label columns; with the resolved BED interval for a region or
            gene.

        Raises:
            InputError: an unknown query, column or context, or an empty collection.
        """
        from .query.search.diversity import LAMBDA
        from .query.search.paging import Page
        from .query.search.rerank import CANDIDATES, Ranking
        from .query.search.search import search

        return search(
            self.session,
            kind,
            query,
            text=text,
            centroid=centroid,
            page=Page(
                k,
                offset,
                group_by,
                (LAMBDA if diverse is True else diverse) if diverse is not False else None,
            ),
            where=words_of(where),
            items=words_of(items),
            contexts=words_of(contexts),
            columns=None if columns is None else words_of(columns),
            vector=vector,
            ranking=Ranking(rank, CANDIDATES if candidates is None else candidates, background, statistics),
            options=options,
            progress=progress,
        )

    def for_reading(self, kind: str, table: Any, keep: Words = ()) -> Any:
        """A table of `search_table` with the columns that are read on a terminal; see `query.search.terminal_columns`."""
        from .query.search.terminal_columns import for_reading
        from .query.session import kind_of

        snapshot = self.session.snapshot()
        name = kind_of(kind)
        known, items = snapshot.columns(name), snapshot.count(name)
        return for_reading(table, known, items, words_of(keep))

    def annotate(self, inputs: Inputs, label: Words, **options: Any) -> pd.DataFrame:
        """Names for cells or BED files by label transfer; see `annotate_table` for the arguments."""
        return self.annotate_table(inputs, label, **options).to_pandas()

    def annotate_table(
        self,
        inputs: Inputs,
        label: Words,
        *,
        coverage: float | None = None,
        doublets: bool = False,
        ontology: bool | float = False,
        markers: str | Path | None = None,
        clusters: str | None = None,
        output: str | Path | None = None,
        options: ReadOptions | None = None,
        progress: Progress = no_progress,
        **how: Any,
    ) -> Any:
        """Names for cells or BED files by label transfer, as a `pyarrow.Table`.

        Args:
            inputs: one input or several: h5ad, fragments, BED or narrowPeak files, manifests.
            label: one label column or several.
            coverage: adds `label_set`, the labels that hold the truth at this rate, such as 0.9.
            doublets: look for droplets of two cells, of two values of the first label: `status` is `doublet`.
            ontology: adds the most specific term of the Cell Ontology that is as probable as this number (True: 0.8).
            markers: table of marker genes (columns `cell_type` and `gene`); adds whether they agree.
            clusters: column of the input with clusters: adds the majority call of each beside the single calls.
            output: an h5ad to be written: a copy of the one input h5ad with the calls in it.
            options: how files are read.
            progress: called with the number of items encoded.
            **how: `k, where, only, without, reference, by, same_group, false_unknown, min_confidence`; see
                `query.annotate.transfer.TransferOptions`.

        Returns:
            `item, label, confidence, margin, nearest_distance, status`, one row per input item in input
            order; with several labels `label_name` after `item`.

        Raises:
            InputError: an unreadable input, or a label column that does not exist (those that do are listed).
            DigestError: another model than the index's.
        """
        from .query.annotate.annotate import SURE_TERM, Extras, annotate_with
        from .query.annotate.h5ad import check_target

        sure = None if ontology is False else SURE_TERM if ontology is True else float(ontology)
        extras = Extras(doublets, sure, markers, clusters)
        copy = None if output is None else (check_target(inputs_of(inputs), output), Path(output))
        return annotate_with(
            self.session,
            self._read(inputs, options),
            list(dict.fromkeys(words_of(label))),
            extras,
            copy=copy,
            coverage=coverage,
            progress=progress,
            **lists_of(how),
        )

    def explain(
        self, inputs: Inputs, label: str, item: str, **options: Any
    ) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Why an item gets its label: its voters, and the regions that they share with it; see `explain_tables`."""
        _, voters, regions = self.explain_tables(inputs, label, item, **options)
        return voters.to_pandas(), regions.to_pandas()

    def explain_tables(
        self, inputs: Inputs, label: str, item: str, *, options: ReadOptions | None = None, **how: Any
    ) -> tuple[Any, Any, Any]:
        """Why an item gets its label, as three `pyarrow.Table`s.

        Args:
            inputs: as for `annotate_table`.
            label: one label column.
            item: the item, by its name in the input or by its id.
            options: how files are read.
            **how: as for `annotate_table`.

        Returns:
            Its call; its voters (`rank, id, label, source, distance, weight, shared, jaccard, regions` and columns of
            origin); the regions that they share with it (BED interval, nearest gene, IDF, voters, score).

        Raises:
            InputError: no such item, or one without regions.
        """
        from .query.annotate.explain import explain_item
        from .query.annotate.transfer import TransferOptions

        lists: dict[str, Any] = {
            name: tuple(v) if isinstance(v, list) else v for name, v in lists_of(how).items()
        }
        items = self._read(inputs, options)
        return explain_item(self.session, items, label, item, TransferOptions(**lists))

    def overlap(self, query: str | Path, **options: Any) -> pd.DataFrame:
        """Which files, cell types and contexts have a region; see `overlap_table` for the arguments."""
        return self.overlap_table(query, **options).to_pandas()

    def overlap_table(
        self,
        query: str | Path,
        *,
        collections: Words = (),
        by: str | None = None,
        where: Words = (),
        together: bool = False,
        every: bool = False,
        k: int | None = None,
        columns: Words = (),
        options: ReadOptions | None = None,
    ) -> Any:
        """Which files, cell types and contexts have the universe regions of a query, as a `pyarrow.Table`.

        Args:
            query: a region string (1-based inclusive), a gene symbol, or a BED file (each region asks).
            collections: of `cells`, `beds` and `regions` (contexts); all that hold something where it is empty.
            by: label column by which cells and BED files are counted, or `id` for one row an item.
            where: conditions on the items that are counted.
            together: ask with all regions of the query at once.
            every: give groups in which nothing is open, too.
            k: at most so many rows for each query and collection.
            columns: label columns to add to rows of single items.
            options: genome of the query, chain file.

        Returns:
            `query`, its BED interval, `query_regions, collection, by, value, n_open, n_all, fraction, n_regions`;
            see `query.regions.overlap`.

        Raises:
            InputError: an unknown query or column, no overlap with the universe, an empty index, a damaged file.

        Example:
            >>> index.overlap("chr11:118,340,001-118,345,000", by="cell_type")     # doctest: +SKIP
        """
        from .query.regions.overlap import overlap

        return overlap(
            self.session,
            query,
            collections=words_of(collections),
            by=by,
            where=words_of(where),
            together=together,
            every=every,
            k=k,
            columns=words_of(columns),
            options=options,
        )

    def compare(self, a: str | Path, b: str | Path, **options: Any) -> pd.DataFrame:
        """The regions that set two cell types, files or contexts apart; see `compare_table` for the arguments."""
        return self.compare_table(a, b, **options).to_pandas()

    def compare_table(
        self,
        a: str | Path,
        b: str | Path,
        *,
        collection: str | None = None,
        min_difference: float = 0.1,
        q: float = 0.05,
        k: int | None = None,
        options: ReadOptions | None = None,
    ) -> Any:
        """The universe regions that set A and B apart, in both directions, as a `pyarrow.Table`.

        Args:
            a, b: each a BED file, an indexed id, a condition as `cell_type=B`, a context, or (one of them) `rest`.
            collection: `cells` or `beds`, whose items conditions mean.
            min_difference: least difference of the fractions of items that have a region.
            q: largest q value; not used for two single sets.
            k: at most so many regions in each direction.
            options: genome of a file, chain file.

        Returns:
            `chrom, start, end, name, score, strand, n_a, n_b, fraction_a, fraction_b, difference, log2_odds_ratio,
            p_value, q_value`, largest difference first; see `query.regions.compare`.

        Raises:
            InputError: a side that is nothing, has no items, or shares items with the other.

        Example:
            >>> index.compare("cell_type=B", "rest", k=20)                         # doctest: +SKIP
        """
        from .query.regions.compare import compare

        return compare(
            self.session,
            a,
            b,
            collection=collection,
            min_difference=min_difference,
            q=q,
            k=k,
            options=options,
        )

    def _read(self, inputs: Inputs, options: ReadOptions | None) -> Any:
        from .query.inputs import read_for
        from .readers.options import ReadOptions

        return read_for(self.session, inputs_of(inputs), options or ReadOptions())


def inputs_of(inputs: Inputs) -> list[str | Path]:
    """One input or several, as a list."""
    return [inputs] if isinstance(inputs, str | Path) else list(inputs)


def words_of(words: Words) -> list[str]:
    """One word or several, as a list."""
    return [words] if isinstance(words, str) else list(words)


def lists_of(how: dict[str, Any]) -> dict[str, Any]:
    """Options of label transfer, one word or several as a list."""
    return {name: words_of(v) if name in ("where", "only", "without") else v for name, v in how.items()}
