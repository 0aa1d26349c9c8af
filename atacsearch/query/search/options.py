"""What `search` is asked, and how it is to be answered: one table for the command line and for Python."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from ...errors import InputError
from ...options import Options, option
from ...readers.options import ReadOptions

if TYPE_CHECKING:
    from ...readers.inputs.memory import Input

LAMBDA = 0.5  # weight of likeness to the query in maximal marginal relevance; 1 is the order by distance
CANDIDATES = 500
POOL = 100  # nearest items (or groups) that diverse answers are chosen from
RANKS = ("cosine", "overlap", "fused")
BACKGROUNDS = ("universe", "indexed")


@dataclass(frozen=True)
class SearchQuery(Options):
    """What is asked.

    Attributes:
        kind: what is looked for: `cells`, `beds` or `regions`.
        queries: each a file, table or token sets; an indexed id; a region string (1-based inclusive); a gene symbol.
            Empty with a text alone.
        text: words that the labels of the answers must have; alone, they rank the answers.
        centroid: ask once with the mean vector of all queries.
        items: of a file with several items, those that ask; empty for all.
        contexts: for a region or gene among `regions`, the contexts in which it asks; empty for all.
    """

    kind: str
    queries: tuple[Input, ...]
    text: str | None = option(
        None,
        "Only answers whose labels have all these words; without a QUERY, ranked by them.",
        metavar="WORDS",
    )
    centroid: bool = option(False, "Ask once with the mean vector of all queries.")
    items: tuple[str, ...] = option(
        (),
        "Of a file with several items (cells of an h5ad, barcodes), ask with this one; may be repeated.",
        flag="--item",
        metavar="NAME",
        multiple=True,
    )
    contexts: tuple[str, ...] = option(
        (),
        "Ask with the region as it is in this context [default: in each]; may be repeated.",
        flag="--context",
        metavar="NAME",
        multiple=True,
    )


@dataclass(frozen=True)
class SearchOptions(Options):
    """How the answers are found, ordered and shown."""

    k: int = option(10, "Number of nearest neighbours.", flag="-k/--k", metavar="N", minimum=1)
    offset: int = option(
        0, "Leave out the first N answers of each query, for the next page.", metavar="N", minimum=0
    )
    where: tuple[str, ...] = option(
        (),
        "Only items with e.g. 'assay=ATAC-seq', 'n_fragments>=1000', 'cell_type in (B, NK)'; joined by `and`; "
        "may be repeated.",
        metavar="CONDITION",
        multiple=True,
    )
    group_by: str | None = option(
        None, "One answer, the best, for each value of this label column, such as study.", metavar="COLUMN"
    )
    diverse: bool = option(False, "Choose answers that differ from one another (maximal marginal relevance).")
    mmr_lambda: float | None = option(
        None,
        "With --diverse, weight of likeness to the query; 1 is the order by distance [default: 0.5].",
        metavar="X",
        minimum=0,
        maximum=1,
    )
    columns: tuple[str, ...] = option(
        (),
        "Label columns to show, separated by commas, or all [default: all; a few in a table for reading].",
        metavar="A,B|all",
    )
    vector: str = option(
        "general",
        "Vectors to compare: general, or a label that the model was trained for, such as cell_type.",
        metavar="NAME",
    )
    rank: Literal["cosine", "overlap", "fused"] = option(
        "cosine",
        "Order: cosine distance; overlap, the chance-adjusted Jaccard index of the regions; or fused, both.",
        choices=RANKS,
    )
    statistics: bool = option(False, "Exact overlap statistics of each answer, also with --rank cosine.")
    candidates: int = option(
        CANDIDATES,
        "Nearest items that overlap is counted of; all where there are no more.",
        metavar="N",
        minimum=1,
    )
    background: Literal["universe", "indexed"] = option(
        "universe",
        "Regions that overlap is tested against: all of the universe, or those open in any indexed item.",
        choices=BACKGROUNDS,
    )
    read: ReadOptions = field(default_factory=ReadOptions)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.mmr_lambda is not None and not self.diverse:
            raise InputError("--mmr-lambda is the weight of --diverse, which is not given")
        if self.diverse:
            self._check_diverse()

    def _check_diverse(self) -> None:
        if self.end > POOL:
            raise InputError(
                f"--diverse chooses among the nearest {POOL}; offset and k together are {self.end}: ask for at most "
                f"{POOL}"
            )
        if self.rank != "cosine":
            raise InputError(f"--diverse weighs cosine distances and does not go with --rank {self.rank}")

    @property
    def end(self) -> int:
        """Answers needed of each query, from the first on."""
        return self.offset + self.k

    @property
    def weight(self) -> float:
        """Weight of likeness to the query, where answers are to be diverse."""
        return LAMBDA if self.mmr_lambda is None else self.mmr_lambda

    @property
    def counts(self) -> bool:
        """Whether regions have to be counted."""
        return self.statistics or self.rank != "cosine"
