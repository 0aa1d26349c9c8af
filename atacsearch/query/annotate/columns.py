"""Columns added to the calls: doublets, Cell Ontology terms, markers, clusters; and which statuses overrule the call's.

The columns that are always there (`item, label, confidence` ...) are made in `calls.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...errors import InputError
from .clusters import cluster_calls
from .doublets import DOUBLET, reference_doublets
from .markers import marker_regions, read_markers, rivals, verdicts
from .ontology import answers, cell_ontology, ids_by_label, terms_of_classes
from .quality import LOW_QUALITY, is_low_quality, reference_limit, sampled

if TYPE_CHECKING:
    import pyarrow as pa

    from ..session import Session
    from .calls import Transfer

TERM_COLUMN = "_ontology_term_id"  # `cell_type_ontology_term_id`, as CELLxGENE has it
MARKER_SAMPLE = 2000  # reference items whose openness marker genes are compared with

Texts = list[str | None]
Numbers = list[float | None]


def statuses_of(session: Session, found: Transfer, doublets: bool) -> tuple[Texts, Numbers | None]:
    """What overrules the status of calls: `low_quality`, then `doublet`.

    Returns:
        [n] statuses, None where the call's own stays; and [n] doublet scores where doublets are looked for.

    Raises:
        InputError: doublets among BED files, or by BED files.
    """
    snapshot = session.snapshot()
    lengths = found.token_sets.lengths
    limit = reference_limit(session, snapshot, found.reference, found.kind == found.reference)
    low = is_low_quality(lengths, limit)
    if low.any():
        session.notify(
            f"{int(low.sum()):,} of {len(low):,} items have fewer than {limit:.0f} open regions: low_quality"
        )
    statuses: Texts = [LOW_QUALITY if x else None for x in low]
    if not doublets:
        return statuses, None
    if found.kind != "cells" or found.reference != "cells":
        raise InputError(
            "--doublets: only cells can be doublets, and only cells say what two of them are like"
        )
    fitted = reference_doublets(session, snapshot, found.reference, found.calls[0].label)
    scores = fitted.scores(found.token_sets)
    both = np.nan_to_num(scores, nan=0.0) > fitted.limit
    statuses = [own or (DOUBLET if d else None) for own, d in zip(statuses, both, strict=True)]
    return statuses, [None if np.isnan(s) else float(s) for s in scores]


def added_columns(
    session: Session,
    found: Transfer,
    doublet_scores: Numbers | None,
    ontology: float | None,
    markers: str | Path | None,
    clusters: Sequence[str | None] | None,
) -> Iterator[tuple[str, pa.Array]]:
    """Names and values of the columns that were asked for, in the order of the table's rows.

    Args:
        session: the open index.
        found: the calls.
        doublet_scores: [n] of the items; None where they were not asked for.
        ontology: least probability of a term; None for no terms.
        markers: table of marker genes.
        clusters: [n] cluster of each item.
    """
    n_labels = len(found.calls)
    if doublet_scores is not None:
        yield "doublet_score", _by_item([doublet_scores] * n_labels, number=True)
    if ontology is not None:
        yield from _ontology(session, found, ontology).items()
    if markers is not None:
        yield from _markers(session, found, markers).items()
    if clusters is not None:
        pairs = [cluster_calls(calls, clusters) for calls in found.calls]
        yield "cluster_label", _by_item([labels for labels, _ in pairs])
        yield "cluster_share", _by_item([shares for _, shares in pairs], number=True)


def _by_item(lists: Sequence[Sequence[str | float | None]], number: bool = False) -> pa.Array:
    """Columns given as one list a label, interleaved as the table has its rows."""
    import pyarrow as pa

    rows = [value for values in zip(*lists, strict=True) for value in values]
    return pa.array(rows, pa.float64() if number else pa.string())


def terms_of(session: Session, kind: str, label: str, classes: Sequence[str]) -> dict[str, str]:
    """Cell Ontology ids of a label's values: by the reference's column `LABEL_ontology_term_id`, else by name."""
    snapshot = session.snapshot()
    column = f"{label}{TERM_COLUMN}"
    given: dict[str, str] = {}
    if column in snapshot.columns(kind):
        table = snapshot.table(kind, [label, column])
        values = [[None if v is None else str(v) for v in table[c].to_pylist()] for c in table.column_names]
        given = ids_by_label(values[0], values[1])
    return terms_of_classes(classes, cell_ontology(), given)


def _ontology(session: Session, found: Transfer, confidence: float) -> Mapping[str, pa.Array]:
    ontology = cell_ontology()
    ids: list[Texts] = []
    names: list[Texts] = []
    sure: list[Numbers] = []
    anything = False
    for calls in found.calls:
        terms = terms_of(session, found.reference, calls.label, calls.classes)
        anything |= bool(terms)
        without = [name for name in calls.classes if name not in terms]
        session.notify(
            f"{calls.label}: {len(terms)} of {len(calls.classes)} labels are terms of the Cell Ontology "
            f"({ontology.release})" + (f"; not {', '.join(without[:6])}" if terms and without else "")
        )
        got = answers(calls.classes, calls.probabilities, terms, ontology, confidence)
        ids.append([a.term for a in got])
        names.append([a.name for a in got])
        sure.append([a.confidence if a.name else None for a in got])
    if not anything:
        raise InputError(
            f"--ontology: no label of {', '.join(c.label for c in found.calls)} is a term of the Cell Ontology; add a "
            f"column {found.calls[0].label}{TERM_COLUMN} with ids (CL:0000236) to the reference"
        )
    return {
        "ontology_term_id": _by_item(ids),
        "ontology_label": _by_item(names),
        "ontology_confidence": _by_item(sure, number=True),
    }


def _markers(session: Session, found: Transfer, path: str | Path) -> Mapping[str, pa.Array]:
    wanted = read_markers(path)
    snapshot = session.snapshot()
    reference = snapshot.tokens(found.reference, sampled(snapshot.all_ids(found.reference), MARKER_SAMPLE))
    says: list[Texts] = []
    scores: list[Numbers] = []
    best: list[Texts] = []
    for calls in found.calls:
        regions = marker_regions(
            wanted, session.genes, session.universe, reference, calls.classes, session.notify
        )
        got = verdicts(found.token_sets, calls.names, regions)
        counts = {word: sum(v.says == word for v in got) for word in ("agree", "disagree", "none")}
        session.notify(
            f"{calls.label}: markers agree with {counts['agree']:,} calls, disagree with {counts['disagree']:,}, "
            f"say nothing of {counts['none']:,}"
        )
        for label, (other, theirs, own) in rivals(found.token_sets, calls.names, regions).items():
            session.notify(
                f"{calls.label}: together, cells called {label} have the markers of {other} more open "
                f"(score {theirs:.2f}) than their own ({own:.2f})"
            )
        says.append([v.says for v in got])
        scores.append([None if np.isnan(v.score) else v.score for v in got])
        best.append([v.best for v in got])
    return {
        "markers": _by_item(says),
        "marker_score": _by_item(scores, number=True),
        "marker_best": _by_item(best),
    }
