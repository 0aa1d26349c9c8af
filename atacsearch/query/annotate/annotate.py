"""Label transfer, from question to calls: read the items, find who may vote, embed, decide, report.

A class head of the model names the items (`by_head.py`), if the model was trained for the label (`train celltype`)
and its head knows every value that the voters have. Otherwise the nearest neighbours vote (`by_neighbours.py`); how
many, and how much each counts, is in `reference/neighbourhood.py`. They are compared by the vector that was made for
the label (`train bulk`), or else by the general one.

Either way, confidence was fitted on held-out groups of the reference. An item is unknown if it is less like its best
class than 95 % of the reference's own held-out items are like theirs.

What `annotate` prints is the table of `Transfer.table` (`calls.py`) with the columns that were asked for behind it
(`columns.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import numpy as np
import numpy.typing as npt

from ...answers import Calls
from ...errors import InputError
from ..inputs import read_for
from ..reference.calibrate import neighbourhood_of
from ..reference.exclusions import QueryItems, values_of
from ..reference.reference import Reference, reference_of
from ..reference.sample_groups import IDENTITY
from ..session import VECTOR, Progress, Session, kind_of, no_progress
from .by_head import called_by_head
from .by_neighbours import called_by_neighbours
from .calls import LabelCalls, Transfer
from .clusters import check_clusters
from .columns import added_columns, statuses_of
from .markers import read_markers
from .options import AnnotateOptions, AnnotateQuery

if TYPE_CHECKING:
    from ...model.heads.class_head import ClassHead
    from ...readers.items import Items
    from ...store.index.snapshot import Snapshot


def annotate(
    session: Session, query: AnnotateQuery, options: AnnotateOptions, progress: Progress = no_progress
) -> Calls:
    """Name items by label transfer.

    A reference item does not vote for itself: it is left out where its id is the item's id, or where it has
    exactly the same regions as the item and, for cells, the same barcode. Nor do items of the same study or donor as
    the item, where both say so in a column of that name. Items without a value in a label column never vote on it,
    and neither do predicted labels.

    Args:
        session: the open index.
        query: the items, all of one kind, and the label columns.
        options: how.
        progress: called with the number of items encoded.

    Returns:
        One row an item in input order; with several labels one an item and label.

    Raises:
        InputError: an input that cannot be read; a label column that does not exist or that no voter has a value of.
        DigestError: the session's model is not the index's.
    """
    if options.markers is not None:
        read_markers(options.markers)  # what cannot be read is said before the work
    items = read_for(session, query.inputs, options.read)
    clusters = None
    if options.clusters is not None:
        clusters = check_clusters(options.clusters, values_of(items, options.clusters))
    found = transfer(session, items, query.labels, options, progress)
    if options.coverage is not None:
        _check_coverage(session, found, options.coverage)
    return report(session, found, options, clusters)


def transfer(
    session: Session,
    items: Sequence[Items],
    labels: Sequence[str],
    options: AnnotateOptions,
    progress: Progress = no_progress,
) -> Transfer:
    """Find the voters, embed the items, decide: the calls on each label, in input order."""
    snapshot = session.snapshot()
    kind = (
        kind_of(options.reference)
        if options.reference
        else _kind_that_votes(session, snapshot, items[0].kind)
    )
    references = [
        reference_of(
            session, snapshot, kind, label, where=options.where, only=options.only, without=options.without
        )
        for label in labels
    ]
    asked = QueryItems(snapshot, kind, items, () if options.same_group else IDENTITY)
    heads = [_head_for(session, reference, options, asked) for reference in references]
    vectors = _embedded(session, items, references, heads, progress)
    calls = tuple(
        _decided(session, snapshot, reference, asked, head, vectors, options)
        for reference, head in zip(references, heads, strict=True)
    )
    note = asked.exclusion_note()
    if note is not None:
        session.notify(note)
    return Transfer(
        items[0].kind, tuple(asked.names), tuple(asked.ids), asked.token_sets, vectors[VECTOR], calls, kind
    )


def _kind_that_votes(session: Session, snapshot: Snapshot, kind: str) -> str:
    """The collection of the items' own kind, or the other one where that is empty."""
    if snapshot.count(kind):
        return kind
    other = "bedfiles" if kind == "cells" else "cells"
    if not snapshot.count(other):
        raise InputError(
            "the index holds neither cells nor BED files: add a reference with "
            "`atacsearch index add-cells` or `add-beds`"
        )
    session.notify(f"The index holds no {kind}: {other} are the reference")
    return other


def _head_for(
    session: Session, reference: Reference, options: AnnotateOptions, asked: QueryItems
) -> ClassHead | None:
    """The class head that is to name the items, or None where neighbours do."""
    label = reference.label
    if options.by == "neighbours" or not session.is_class_head(label):
        if options.by == "head":
            raise InputError(
                f"--by head: the index's model has no class head for {label}; train one with "
                f"`atacsearch train celltype --label {label}`"
            )
        return None
    head = cast("ClassHead", session.model.heads[label])
    strange = sorted(set(reference.classes) - set(head.classes))
    why = ""
    if strange:
        why = f"the class head of {label} does not know {', '.join(strange[:3])}"
    elif options.where:
        why = f"--where chooses who votes, and the class head of {label} was trained on all"
    elif asked.shares_identity():
        why = f"the class head of {label} was trained on the query's own {asked.shared_column}"
    if why and options.by == "head":
        hint = "; --same-group allows it" if not strange and not options.where else ""
        raise InputError(f"--by head: {why}{hint}")
    if why:
        session.notify(f"{why}: neighbours name the items")
        return None
    if options.k is not None:
        session.notify(
            f"-k {options.k}: a class head names the items, so no neighbours vote (--by neighbours)"
        )
    return head


def _embedded(
    session: Session,
    items: Sequence[Items],
    references: Sequence[Reference],
    heads: Sequence[ClassHead | None],
    progress: Progress,
) -> dict[str, npt.NDArray[np.float32]]:
    """The general vectors of the items, and those in which neighbours are compared, by name; [n, d] float32 each."""
    names = [VECTOR, *(r.vector for r, head in zip(references, heads, strict=True) if head is None)]
    names = list(dict.fromkeys(names))
    parts = [session.encode_as(names, x.sets, progress) for x in items]
    return {name: np.concatenate([part[name] for part in parts]) for name in names}


def _decided(
    session: Session,
    snapshot: Snapshot,
    reference: Reference,
    asked: QueryItems,
    head: ClassHead | None,
    vectors: dict[str, npt.NDArray[np.float32]],
    options: AnnotateOptions,
) -> LabelCalls:
    """The calls on one label."""
    limits = options.false_unknown, options.min_confidence
    label = reference.label
    if head is not None:
        calls = called_by_head(snapshot, reference, asked, head, vectors[VECTOR], *limits)
        session.notify(
            f"{label}: named by the model's class head of {len(head.classes)} labels; {calls.trust()}"
        )
        return calls
    near = neighbourhood_of(session, snapshot, reference, options.k)
    calls = called_by_neighbours(snapshot, reference, asked, near, vectors[reference.vector], *limits)
    trained = reference.vector != VECTOR
    session.notify(
        f"{label}: {len(reference.codes):,} labelled {reference.kind} vote by the vector "
        f"{reference.vector}, {near.k} at the most; {calls.trust()}"
        + ("; that vector was trained on reference items, so confidence is too high" if trained else "")
    )
    return calls


def _check_coverage(session: Session, found: Transfer, coverage: float) -> None:
    """Say what label sets assume. Raises `InputError` where there is no calibration to take them from."""
    for calls in found.calls:
        if calls.calibration is None:
            raise InputError(
                f"--coverage: {calls.label} has too few labelled reference items to calibrate label sets"
            )
    session.notify(
        f"label_set holds the truth for {coverage:.0%} of items that are to the reference what its own held-out "
        "groups are to each other; other tissues, protocols or genomes may do worse"
    )


def report(
    session: Session,
    found: Transfer,
    options: AnnotateOptions,
    clusters: Sequence[str | None] | None = None,
) -> Calls:
    """The calls as a table, with the columns that were asked for.

    `status` may be `low_quality` (see `quality.py`) or, where doublets are looked for, `doublet` (of two values of
    the first label; see `doublets.py`), whatever the call; too few regions come first. Added columns, in this order:
    `doublet_score`; `ontology_term_id, ontology_label, ontology_confidence`; `markers, marker_score, marker_best`;
    `cluster_label, cluster_share`.

    Raises:
        InputError: doublets among BED files or of a label with one value; unreadable or useless markers.
    """
    statuses, doublet_scores = statuses_of(session, found, options.doublets)
    table = found.table(options.coverage, statuses)
    sure = options.ontology_confidence if options.ontology else None
    for name, column in added_columns(session, found, doublet_scores, sure, options.markers, clusters):
        table = table.append_column(name, column)
    return Calls(
        table,
        labels=tuple(calls.label for calls in found.calls),
        vectors=found.vectors,
        classes={calls.label: calls.classes for calls in found.calls},
        reference=found.reference,
        settings=options.settings(),
    )
