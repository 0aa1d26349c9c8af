"""The questions that can be put to an open index: search, annotate, explain, overlap, compare.

A method puts its arguments into two frozen objects, a query (what is asked) and options (how), and hands both to one
function in `query/`. Answers are frozen objects, too (`answers.py`). `Index` (`index.py`) adds what changes an index.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from .options import words_of
from .query.session import Progress, Session, no_progress

if TYPE_CHECKING:
    from .answers import Calls, Differences, Explanation, Hits, Overlaps
    from .readers.inputs.memory import Inputs
    from .readers.options import Counting

Kind = Literal["cells", "beds", "regions"]


class Questions:
    """The questions of an open index. It is not made by itself: an `Index` has them."""

    _session: Session

    def search(
        self,
        kind: Kind,
        query: Inputs | None = None,
        *,
        text: str | None = None,
        centroid: bool = False,
        items: str | Sequence[str] = (),
        contexts: str | Sequence[str] = (),
        k: int = 10,
        offset: int = 0,
        where: str | Sequence[str] = (),
        group_by: str | None = None,
        diverse: bool = False,
        mmr_lambda: float | None = None,
        columns: str | Sequence[str] = (),
        vector: str = "general",
        rank: Literal["cosine", "overlap", "fused"] = "cosine",
        statistics: bool = False,
        candidates: int = 500,
        background: Literal["universe", "indexed"] = "universe",
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
    ) -> Hits:
        """The nearest cells, BED files or regions.

        Args:
            kind: what is looked for.
            query: one or several of: a file, an AnnData, a table of intervals or barcodes, token sets, an indexed id, a
                region string (1-based inclusive), a gene symbol (all its promoters); None with a text alone.
            text: words that the labels of the answers must have; alone, it ranks by them (BM25).
            centroid: ask once with the mean vector of all queries.
            items: of a file with several items, those that ask.
            contexts: for a region or gene among `regions`, the contexts in which it asks.
            k: answers for each query.
            offset: answers left out before them.
            where: conditions on the answers, such as `assay=ATAC-seq`.
            group_by: label column of which each value gives its best answer only.
            diverse: choose answers that differ from one another (maximal marginal relevance).
            mmr_lambda: with `diverse`, weight of likeness to the query, 0 to 1; default 0.5.
            columns: label columns of the answer; all where it is empty.
            vector: the vectors that are compared: `general`, or a label of a model of `train bulk` or `celltype`.
            rank: order by `cosine` distance, `overlap` (chance-adjusted Jaccard index), or both (`fused`).
            statistics: exact overlap statistics also with `rank="cosine"`.
            candidates: nearest items that overlap is counted of.
            background: regions that overlap is tested against: the universe, or those open in any indexed item.
            genome, strict_genome, liftover, min_fragments, whitelist, tss, blacklist, counting, sample: how files are
                read, see `atacsearch.tokenize`.
            progress: called with the number of items encoded.

        Returns:
            `query, rank, id, distance` (cosine, 0 to 2) and label columns, nearest first; for a region or gene also
            its BED interval (0-based half-open).

        Raises:
            InputError: an unknown query, column or context, or an empty collection.

        Example:
            >>> hits = index.search("beds", "f0.bed", k=2, columns="assay")
            >>> hits.to_pandas()[["rank", "id", "assay"]].values.tolist()
            [[1, 'f0.bed', 'ATAC-seq'], [2, 'f2.bed', 'ATAC-seq']]
        """
        from .query.search.options import SearchOptions, SearchQuery
        from .query.search.search import search
        from .readers.inputs.memory import as_inputs
        from .readers.options import ReadOptions

        asked = SearchQuery(
            kind,
            () if query is None else as_inputs(query),
            text=text,
            centroid=centroid,
            items=words_of(items),
            contexts=words_of(contexts),
        )
        options = SearchOptions(
            k=k,
            offset=offset,
            where=words_of(where),
            group_by=group_by,
            diverse=diverse,
            mmr_lambda=mmr_lambda,
            columns=words_of(columns),
            vector=vector,
            rank=rank,
            statistics=statistics,
            candidates=candidates,
            background=background,
            read=ReadOptions(
                genome, strict_genome, liftover, min_fragments, whitelist, tss, blacklist, counting, sample
            ),
        )
        return search(self._session, asked, options, progress)

    def annotate(
        self,
        inputs: Inputs,
        label: str | Sequence[str],
        *,
        k: int | None = None,
        where: str | Sequence[str] = (),
        reference: Literal["cells", "beds"] | None = None,
        only: str | Sequence[str] = (),
        without: str | Sequence[str] = (),
        by: Literal["auto", "head", "neighbours"] = "auto",
        same_group: bool = False,
        coverage: float | None = None,
        false_unknown: float = 0.05,
        min_confidence: float = 0.0,
        doublets: bool = False,
        ontology: bool = False,
        ontology_confidence: float = 0.8,
        markers: str | Path | None = None,
        clusters: str | None = None,
        genome: str | None = None,
        strict_genome: bool = False,
        liftover: str | Path | None = None,
        min_fragments: int | None = None,
        whitelist: str | Path | None = None,
        tss: str | Path | None = None,
        blacklist: str | Path | None = None,
        counting: Counting | None = None,
        sample: str | None = None,
        output: str | Path | None = None,
        inplace: bool = False,
        progress: Progress = no_progress,
    ) -> Calls:
        """Name cells or BED files by label transfer.

        Args:
            inputs: one input or several: h5ad, fragments, BED or narrowPeak files, manifests, an AnnData, a table of
                intervals or barcodes, token sets.
            label: one label column of the index, or several.
            k: neighbours that may vote, where neighbours name the items; as fitted by default (30).
            where: conditions that voters must meet.
            reference: collection that votes; by default that of the input's kind.
            only, without: values that may, and may not, be answers.
            by: what names the items: the class head of the model, or neighbours in the index.
            same_group: let reference items of the query's own study or donor vote.
            coverage: adds `label_set`, the labels that hold the truth at this rate, such as 0.9.
            false_unknown: share of items like the reference that may be called unknown.
            min_confidence: items whose confidence is lower are unknown, too.
            doublets: look for droplets of two cells, of two values of the first label: `status` is `doublet`.
            ontology: add the most specific term of the Cell Ontology that is probable enough.
            ontology_confidence: what is probable enough for it.
            markers: table of marker genes (columns `cell_type` and `gene`); adds whether they agree.
            clusters: column of the input with clusters: adds the majority call of each beside the single calls.
            genome, strict_genome, liftover, min_fragments, whitelist, tss, blacklist, counting, sample: how files are
                read, see `atacsearch.tokenize`.
            output: an h5ad to be written: a copy of the one input h5ad with the calls in it.
            inplace: write the calls into the one input AnnData: `obs` columns `atacsearch_LABEL` (`unknown` unless
                assigned), `_best`, `_confidence`, `_status` ..., `obsm["X_atacsearch"]`, `uns["atacsearch"]`.
            progress: called with the number of items encoded.

        Returns:
            `item, label, confidence` (0 to 1)`, margin, nearest_distance` (cosine)`, status`, one row an item in input
            order; with several labels `label_name` after `item`.

        Raises:
            InputError: an unreadable input, or a label column that does not exist (those that do are listed).
            DigestError: another model than the index's.

        Example:
            >>> calls = index.annotate("query.h5ad", label="cell_type")
            >>> calls.label[:2].tolist(), calls.status[:2].tolist()
            (['B', 'NK'], ['assigned', 'assigned'])
        """
        from .query.annotate.annotate import annotate
        from .query.annotate.h5ad import check_in_place, check_target, write_in_place, write_to
        from .query.annotate.options import AnnotateOptions, AnnotateQuery
        from .readers.inputs.memory import as_inputs
        from .readers.options import ReadOptions

        query = AnnotateQuery(as_inputs(inputs), tuple(dict.fromkeys(words_of(label))))
        source = None if output is None else check_target(query.inputs, output)
        adata = check_in_place(query.inputs) if inplace else None
        options = AnnotateOptions(
            k=k,
            where=words_of(where),
            reference=reference,
            only=words_of(only),
            without=words_of(without),
            by=by,
            same_group=same_group,
            coverage=coverage,
            false_unknown=false_unknown,
            min_confidence=min_confidence,
            doublets=doublets,
            ontology=ontology,
            ontology_confidence=ontology_confidence,
            markers=markers,
            clusters=clusters,
            read=ReadOptions(
                genome, strict_genome, liftover, min_fragments, whitelist, tss, blacklist, counting, sample
            ),
        )
        calls = annotate(self._session, query, options, progress)
        if output is not None and source is not None:
            write_to(self._session, source, output, calls)
        if adata is not None:
            write_in_place(self._session, adata, calls)
        return calls

    def explain(
        self,
        inputs: Inputs,
        label: str,
        item: str,
        *,
        k: int | None = None,
        where: str | Sequence[str] = (),
        reference: Literal["cells", "beds"] | None = None,
        only: str | Sequence[str] = (),
        without: str | Sequence[str] = (),
        by: Literal["auto", "head", "neighbours"] = "auto",
        same_group: bool = False,
        false_unknown: float = 0.05,
        min_confidence: float = 0.0,
        genome: str | None = None,
        strict_genome: bool = False,
        liftover: str | Path | None = None,
        min_fragments: int | None = None,
        whitelist: str | Path | None = None,
        tss: str | Path | None = None,
        blacklist: str | Path | None = None,
        counting: Counting | None = None,
        sample: str | None = None,
    ) -> Explanation:
        """Why an item gets its label: its voters, and the regions that they share with it.

        Args:
            inputs: as for `annotate`.
            label: one label column.
            item: the item, by its name in the input or by its id.
            k, where, reference, only, without, by, same_group, false_unknown, min_confidence: as for `annotate`.
            genome, strict_genome, liftover, min_fragments, whitelist, tss, blacklist, counting, sample: how files are
                read, see `atacsearch.tokenize`.

        Returns:
            Its call; its voters, nearest first; the regions that they share with it, the most telling first.

        Raises:
            InputError: no such item, or one without regions.

        Example:
            >>> why = index.explain("query.h5ad", "cell_type", "s2-0")
            >>> why.voters.label[:2].tolist()
            ['B', 'B']
        """
        from .query.annotate.explain import explain_item
        from .query.annotate.options import AnnotateOptions, AnnotateQuery
        from .readers.inputs.memory import as_inputs
        from .readers.options import ReadOptions

        options = AnnotateOptions(
            k=k,
            where=words_of(where),
            reference=reference,
            only=words_of(only),
            without=words_of(without),
            by=by,
            same_group=same_group,
            false_unknown=false_unknown,
            min_confidence=min_confidence,
            read=ReadOptions(
                genome, strict_genome, liftover, min_fragments, whitelist, tss, blacklist, counting, sample
            ),
        )
        return explain_item(self._session, AnnotateQuery(as_inputs(inputs), words_of(label)), item, options)

    def overlap(
        self,
        query: str | Path,
        *,
        collections: str | Sequence[str] = (),
        by: str | None = None,
        where: str | Sequence[str] = (),
        together: bool = False,
        every: bool = False,
        k: int | None = None,
        columns: str | Sequence[str] = (),
        genome: str | None = None,
        strict_genome: bool = False,
        liftover: str | Path | None = None,
    ) -> Overlaps:
        """Which files, cell types and contexts have the universe regions of a query, exactly.

        Args:
            query: a region string (1-based inclusive), a gene symbol, or a BED file (each region asks).
            collections: of `cells`, `beds` and `regions` (contexts); all that hold something where it is empty.
            by: label column by which cells and BED files are counted, or `id` for one row an item.
            where: conditions on the items that are counted.
            together: ask with all regions of the query at once.
            every: give groups in which nothing is open, too.
            k: at most so many rows for each query and collection.
            columns: label columns to add to rows of single items.
            genome, strict_genome, liftover: of the query, see `atacsearch.tokenize`.

        Returns:
            `query`, its BED interval (0-based half-open), `query_regions, collection, by, value, n_open, n_all,
            fraction, n_regions`.

        Raises:
            InputError: an unknown query or column, no overlap with the universe, an empty index, a damaged file.

        Example:
            >>> found = index.overlap("chr1:1,000,001-1,000,400", collections="cells")
            >>> found.to_pandas()[["value", "n_open", "n_all"]].values.tolist()
            [['B', 4, 30]]
        """
        from .query.regions.options import OverlapOptions, OverlapQuery
        from .query.regions.overlap import overlap
        from .readers.options import ReadOptions

        options = OverlapOptions(
            by=by,
            where=words_of(where),
            together=together,
            every=every,
            k=k,
            columns=words_of(columns),
            read=ReadOptions(genome, strict_genome, liftover),
        )
        return overlap(self._session, OverlapQuery(query, words_of(collections)), options)

    def compare(
        self,
        a: str | Path,
        b: str | Path,
        *,
        collection: Literal["cells", "beds"] | None = None,
        min_difference: float = 0.1,
        q: float = 0.05,
        k: int | None = None,
        genome: str | None = None,
        liftover: str | Path | None = None,
    ) -> Differences:
        """The universe regions that set A and B apart, in both directions.

        Args:
            a, b: each a BED file, an indexed id, a condition as `cell_type=B`, a context, or (one of them) `rest`.
            collection: whose items conditions mean.
            min_difference: least difference of the fractions of items that have a region.
            q: largest q value (Fisher's exact test, Benjamini and Hochberg); not used for two single sets.
            k: at most so many regions in each direction.
            genome, liftover: of a BED file, see `atacsearch.tokenize`.

        Returns:
            `chrom, start, end` (0-based half-open)`, name, score, strand, n_a, n_b, fraction_a, fraction_b, difference,
            log2_odds_ratio, p_value, q_value`, largest difference first.

        Raises:
            InputError: a side that is nothing, has no items, or shares items with the other.

        Example:
            >>> differences = index.compare("cell_type=B", "rest", k=1, collection="cells")
            >>> differences.name.tolist(), differences.n_a.tolist() > differences.n_b.tolist()
            (['cell_type=B'], True)
        """
        from .query.regions.compare import compare
        from .query.regions.options import CompareOptions, CompareQuery
        from .readers.options import ReadOptions

        options = CompareOptions(
            min_difference=min_difference, q=q, k=k, read=ReadOptions(genome, liftover=liftover)
        )
        return compare(self._session, CompareQuery(a, b, collection), options)
