"""Why an item got its label: who voted, from which source, how near, and the regions that they share with it.

Regions are ranked by inverse document frequency, `ln(1 + n / (1 + items that open it))` over a seeded sample of the
reference: what an item and a voter both open, and few others do, makes them alike; promoters that all open say nothing.
This is exact set arithmetic on the stored token sets, no attribution through the network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ...answers import Answer, Explanation
from ...errors import InputError
from ...files import to_file
from ...spelling import did_you_mean
from ...tokens.tfidf import inverse_document_frequency
from ..inputs import pick, read_for
from ..reference.calibrate import neighbourhood_of
from ..reference.exclusions import QueryItems
from ..reference.neighbourhood import K
from ..reference.reference import reference_of
from ..reference.sample_groups import IDENTITY
from ..session import VECTOR
from .annotate import report, transfer
from .options import AnnotateOptions, AnnotateQuery
from .quality import sampled
from .voters import voters_of

if TYPE_CHECKING:
    import pyarrow as pa

    from ...readers.items import Items
    from ...store.index.snapshot import Snapshot
    from ...tokens.token_sets import TokenSets
    from ..session import Session

SAMPLE = 2000  # reference items that document frequencies are counted over
SHOWN = 3  # regions a voter in the table
ORIGIN = ("study", "accession", "collection", "donor", "sample", "batch", "library", "replicate", "file")

Tokens = npt.NDArray[np.integer]


@dataclass(frozen=True)
class Votes:
    """The voters on one label of one item.

    Attributes:
        label: column.
        kind: collection of the voters.
        ids: [k] of the voters, nearest first.
        values: [k] what each votes for.
        distance: [k] cosine distances in the vectors that were compared.
        weight: [k] of each vote.
    """

    label: str
    kind: str
    ids: Sequence[str]
    values: Sequence[str]
    distance: npt.NDArray[np.floating]
    weight: npt.NDArray[np.floating]


def shared_regions(
    tokens: Tokens, voters: TokenSets, weight: npt.NDArray[np.floating], idf: npt.NDArray[np.floating]
) -> tuple[list[Tokens], Tokens, npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """What an item shares with its voters.

    Args:
        tokens: of the item, any order.
        voters: token sets [k].
        weight: [k] of the votes.
        idf: [V] of the regions; tokens beyond them (special ones) do not count.

    Returns:
        For each voter the tokens that it shares, the rarest first; the tokens that any shares, in the order of
        falling score; their scores (IDF times the share of the votes that hold them); the number of voters
        that hold them. Equal ones in the order of the universe.
    """
    mine = np.unique(tokens)
    mine = mine[mine < len(idf)].astype(np.int64)
    votes, holders = np.zeros(len(mine)), np.zeros(len(mine), np.int64)
    each = []
    for row, w in enumerate(weight):
        held = np.isin(mine, voters[row])
        both = mine[held]
        each.append(both[np.argsort(-idf[both], kind="stable")])
        votes[held] += w
        holders[held] += 1
    total = float(np.sum(weight))
    score = idf[mine] * votes / (total if total > 0 else 1.0)
    order = np.argsort(-score, kind="stable")
    order = order[holders[order] > 0]
    return each, mine[order], score[order].astype(np.float64), holders[order]


def explain(session: Session, snapshot: Snapshot, tokens: Tokens, votes: Votes) -> tuple[pa.Table, pa.Table]:
    """Tables of the voters and of the regions that made them alike.

    Args:
        session: universe and gene table.
        snapshot: the generation.
        tokens: of the item.
        votes: who voted.

    Returns:
        The voters, one row each, nearest first: `rank, id, label, source`, origin columns that the index has (study,
        donor ...), `distance, weight` (share of the votes), `n_regions` (of the voter), `shared`, `jaccard`, and
        `regions` (the three rarest shared ones as BED intervals, with the nearest gene where there is a gene table).
        And the shared regions, falling score: `chrom, start, end, gene, tss_distance, idf, voters, score`, 0-based
        half-open; `gene` and `tss_distance` are null without a gene table.
    """
    import pyarrow as pa

    sets = snapshot.tokens(votes.kind, list(votes.ids))
    idf = reference_idf(session, snapshot, votes.kind)
    each, shared, score, holders = shared_regions(tokens, sets, votes.weight, idf)
    regions = _regions(session, shared)
    named = dict(zip(shared.tolist(), _names(regions), strict=True))
    known = [c for c in ORIGIN if c in snapshot.columns(votes.kind) and c != votes.label]
    rows = snapshot.rows(votes.kind, list(votes.ids), ["source_id", *known])
    sources = snapshot.sources().to_pylist()
    names = {s["source_id"]: s["name"] for s in sources if s["kind"] == votes.kind}
    own = len(np.unique(tokens))
    n_shared = np.array([len(x) for x in each], np.int64)
    n_voter = np.array([len(np.unique(x)) for x in sets], np.int64)
    total = float(np.sum(votes.weight)) or 1.0
    columns: dict[str, Any] = {
        "rank": pa.array(np.arange(1, len(votes.ids) + 1)),
        "id": pa.array(list(votes.ids), pa.string()),
        "label": pa.array(list(votes.values), pa.string()),
        "source": pa.array([names.get(s, s) for s in rows["source_id"].to_pylist()], pa.string()),
    }
    columns |= {name: rows[name] for name in known}
    columns |= {
        "distance": pa.array(np.asarray(votes.distance, np.float64)),
        "weight": pa.array(np.asarray(votes.weight, np.float64) / total),
        "n_regions": pa.array(n_voter),
        "shared": pa.array(n_shared),
        "jaccard": pa.array(n_shared / np.maximum(own + n_voter - n_shared, 1)),
        "regions": pa.array(["; ".join(named[t] for t in x[:SHOWN].tolist()) for x in each], pa.string()),
    }
    about = {
        "idf": pa.array(idf[shared].astype(np.float64)),
        "voters": pa.array(holders),
        "score": pa.array(score),
    }
    for name, column in about.items():
        regions = regions.append_column(name, column)
    return pa.table(columns), regions


def write_regions(table: pa.Table, path: Path) -> None:
    """Write shared regions as BED6 and two columns more: gene (or `.`), voters; score is 0 to 1,000 of the largest.

    Columns: chrom, start, end, name (gene or `.`), score, strand (`.`), number of voters, IDF.
    """
    rows = table.to_pylist()
    highest = max((r["score"] for r in rows), default=1.0) or 1.0

    def write(temporary: Path) -> None:
        with temporary.open("w", encoding="utf-8") as handle:
            for r in rows:
                score = round(1000 * r["score"] / highest)
                fields = (r["chrom"], r["start"], r["end"], r["gene"] or ".", score, ".", r["voters"])
                handle.write("\t".join(map(str, fields)) + f"\t{r['idf']:.4g}\n")

    to_file(path, write)


def reference_idf(session: Session, snapshot: Snapshot, kind: str) -> npt.NDArray[np.float32]:
    """[V] float32 inverse document frequency over a seeded sample of a collection; kept for the generation."""
    key: Any = ("idf", snapshot.generation, kind)
    if key not in session.fitted:
        sets = snapshot.tokens(kind, sampled(snapshot.all_ids(kind), SAMPLE))
        session.fitted[key] = inverse_document_frequency(sets, len(session.universe))
    found: npt.NDArray[np.float32] = session.fitted[key]
    return found


def _regions(session: Session, tokens: Tokens) -> pa.Table:
    import pyarrow as pa

    intervals = session.universe.intervals.take(tokens)
    genes = session.genes
    near = genes.nearest_tss(intervals) if genes is not None and len(tokens) else None
    nothing = pa.nulls(len(tokens), pa.string()), pa.nulls(len(tokens), pa.int64())
    return pa.table(
        {
            "chrom": pa.array(intervals.names().tolist(), pa.string()),
            "start": pa.array(intervals.start),
            "end": pa.array(intervals.end),
            "gene": nothing[0] if near is None else near["gene"],
            "tss_distance": nothing[1] if near is None else near["distance"],
        }
    )


def _names(regions: pa.Table) -> list[str]:
    """Each region as text: its BED interval, and its gene in brackets."""
    return [
        f"{r['chrom']}:{r['start']}-{r['end']}" + (f" ({r['gene']})" if r["gene"] else "")
        for r in regions.to_pylist()
    ]


def explain_item(session: Session, query: AnnotateQuery, item: str, options: AnnotateOptions) -> Explanation:
    """Everything about the call of one item.

    Where the model's class head names items, the nearest neighbours in the general vector are shown: they are the
    evidence that one can look at, not what made the call.

    Args:
        session: the open index.
        query: the inputs and one label column.
        item: the item as the user knows it, or its id.
        options: as for the transfer.

    Raises:
        InputError: no such item, or one without open regions.
    """
    one = _only(read_for(session, query.inputs, options.read), item)
    (label,) = query.labels
    found = transfer(session, [one], [label], options)
    calls = found.calls[0]
    if not found.token_sets.lengths[0]:
        raise InputError(f"--explain {item}: it has no region of the universe, so nobody voted")
    snapshot = session.snapshot()
    reference = reference_of(
        session,
        snapshot,
        found.reference,
        label,
        where=options.where,
        only=options.only,
        without=options.without,
    )
    vectors, width, k = found.vectors, np.inf, options.k or K
    if calls.by == "head":
        # Neighbours did not vote, so they weigh the same; those in probabilities would be alike by making.
        reference = replace(reference, vector=VECTOR)
        session.notify(
            f"{label}: the class head made the call; shown are its nearest neighbours in the general vector, "
            "weighing the same"
        )
    else:
        near = neighbourhood_of(session, snapshot, reference, options.k)
        width, k = near.width, near.k
        if reference.vector != VECTOR:
            vectors = session.encode(one.sets, name=reference.vector)
    asked = QueryItems(snapshot, found.reference, [one], () if options.same_group else IDENTITY)
    ((ids, distance),) = voters_of(snapshot, reference, vectors, k, lambda q, i, d: asked.barred(0, i, d))
    weight = np.exp(-(distance - distance.min(initial=2.0)) / width)
    values = [reference.classes[reference.codes[i]] for i in ids]
    votes = Votes(label, found.reference, ids, values, distance, weight)
    voters, regions = explain(session, snapshot, found.token_sets[0], votes)
    plain = replace(options, coverage=None, doublets=False, ontology=False, markers=None, clusters=None)
    return Explanation(report(session, found, plain), Answer(voters), Answer(regions))


def _only(items: Sequence[Items], item: str) -> Items:
    """The inputs cut down to one item."""
    for one in items:
        if item in one.sets.names or item in one.ids:
            (row,) = pick(one, [item])
            labels = one.labels.slice(row, 1) if one.labels is not None else None
            return replace(one, sets=one.sets.take([row]), ids=(one.ids[row],), labels=labels)
    names = ", ".join(name for one in items for name in one.sets.names[:5])
    near = did_you_mean(item, (name for one in items for name in one.sets.names))
    raise InputError(f"--explain {item}: no such item in the input (the first: {names}){near}")
