"""Search: the nearest cells, BED files or regions of an index to a query, by cosine distance.

`asking.py` resolves the query to vectors and token sets, `candidates.py` fetches the nearest items in a stable order,
`answers.py` makes the table. A query is left out of its own answers, a region in all contexts.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from .answers import answer_table
from .asking import resolve
from .rerank import Ranking, ranked
from .session import KINDS, VECTOR, Progress, Session, no_progress

if TYPE_CHECKING:
    from ..readers.inputs import ReadOptions
    from ..store.snapshot import Snapshot

PLAIN = Ranking()


def search(
    session: Session,
    kind: str,
    query: str | Path,
    *,
    k: int = 10,
    where: Sequence[str] = (),
    items: Sequence[str] = (),
    contexts: Sequence[str] = (),
    columns: Sequence[str] | None = None,
    vector: str = VECTOR,
    ranking: Ranking = PLAIN,
    options: ReadOptions | None = None,
    progress: Progress = no_progress,
) -> Any:
    """The k nearest items of a collection.

    Args:
        session: the open index.
        kind: `cells`, `beds` or `regions`.
        query: a file, an indexed id, a region string (1-based inclusive) or a gene symbol.
        k: number of answers for each query.
        where: conditions on the answers, and-ed.
        items: of a file with several items, those that ask; empty for all.
        contexts: for a region or gene in the collection `regions`, the contexts in which it asks; empty for
            all.
        columns: label columns to show; None for all.
        vector: name of the vectors that are compared: `general`, or a label that the model was trained for.
        ranking: the order of the answers, and what is counted; see `rerank.py`.
        options: how a file is read.
        progress: called with the number of items encoded.

    Returns:
        A `pyarrow.Table`, nearest first: `query, rank, id, distance` and the label columns; for a region or
        gene also the BED interval that it was resolved to (`query_chrom, query_start, query_end`), and where
        regions were counted the columns of `statistics.py`.

    Raises:
        InputError: the query is none of these, the collection is empty or lacks the vector, or a filter has no
            index.
    """
    if kind not in KINDS:
        raise InputError(f"search {kind!r}: expected cells, beds or regions")
    collection = KINDS[kind]
    snapshot = session.snapshot()
    if not snapshot.count(collection):
        raise InputError(f"the index holds no {kind}: add some with `atacsearch index add-{kind}`")
    if columns is not None:
        _check_columns(snapshot, collection, columns)
    if vector != VECTOR and not snapshot.points(collection, vector):
        raise InputError(
            f"the {kind} of this index have no vector {vector!r}; it is there for cells and BED files that were "
            "added to an index made with a model that `atacsearch train celltype` or `train bulk` trained for this "
            "label"
        )
    asked = resolve(session, snapshot, collection, str(query), vector, items, contexts, options, progress)
    hits = ranked(session, snapshot, collection, asked, k, where, vector, ranking)
    if where and not any(hits):
        session.say(f"No answers: none of the {collection} meets --where {' and '.join(where)}")
    return answer_table(session, snapshot, collection, asked, hits, columns)


def _check_columns(snapshot: Snapshot, collection: str, columns: Sequence[str]) -> None:
    known = snapshot.columns(collection)
    missing = [c for c in columns if c not in known]
    if missing:
        raise InputError(
            f"no column {missing[0]!r} among the {collection} of this index; there are: {', '.join(known)}"
        )
