"""What `annotate` adds to calls: quality of the query, doublets, Cell Ontology terms, markers, a copy of the h5ad."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import InputError
from ..session import Progress, no_progress
from .doublets import DOUBLET, reference_doublets
from .h5ad import Annotation, write_annotated
from .markers import marker_regions, read_markers, rivals, verdicts
from .ontology import answers, cell_ontology, ids_by_label, terms_of_classes
from .quality import LOW_QUALITY, is_low_quality, reference_limit, sampled

if TYPE_CHECKING:
    from ...readers.items import Items
    from ..session import Session
    from .calls import LabelCalls, Transfer

TERM_COLUMN = "_ontology_term_id"  # `cell_type_ontology_term_id`, as CELLxGENE has it
SURE_TERM = 0.8
MARKER_SAMPLE = 2000  # reference items whose openness marker genes are compared with


@dataclass(frozen=True)
class Extras:
    """What to add.

    Attributes:
        doublets: look for two cells in one droplet.
        ontology: answer with Cell Ontology terms of at least this probability; None for no terms.
        markers: table of marker genes by type.
        clusters: label column of the query whose values are clusters that get a majority call, too.
    """

    doublets: bool = False
    ontology: float | None = None
    markers: str | Path | None = None
    clusters: str | None = None

    def __post_init__(self) -> None:
        if self.ontology is not None and not 0 < self.ontology <= 1:
            raise InputError(
                f"--ontology-confidence {self.ontology:g}: expected a probability above 0, at most 1"
            )


def annotate_with(
    session: Session,
    items: Sequence[Items],
    labels: Sequence[str],
    extras: Extras,
    *,
    copy: tuple[Path, Path] | None = None,
    coverage: float | None = None,
    progress: Progress = no_progress,
    **options: Any,
) -> Any:
    """Transfer labels and add what was asked for.

    Args:
        session, items, labels, progress: see `transfer.transfer`.
        extras: what to add.
        copy: input h5ad and the annotated copy of it to be written.
        coverage: adds `label_set`, the labels that hold the truth at this rate.
        **options: of `transfer.TransferOptions`.

    Returns:
        The table of `complete`.
    """
    from ..reference.exclusions import values_of
    from .clusters import check_clusters, cluster_calls
    from .transfer import TransferOptions, check_coverage, transfer

    for name in ("where", "only", "without"):
        options[name] = tuple(options.get(name, ()))
    check_coverage_rate(coverage)
    if extras.markers is not None:
        read_markers(extras.markers)  # what cannot be read is said before the work
    clusters = None
    if extras.clusters is not None:
        clusters = check_clusters(extras.clusters, values_of(items, extras.clusters))
    found = transfer(session, items, labels, TransferOptions(**options), progress)
    if coverage is not None:
        check_coverage(session, found, coverage)
    table = complete(session, found, extras, coverage)
    if clusters is not None:
        pairs = [cluster_calls(calls, clusters) for calls in found.calls]
        columns: dict[str, list[list[Any]]] = {
            "cluster_label": [p[0] for p in pairs],
            "cluster_share": [p[1] for p in pairs],
        }
        table = _appended(table, columns)
    if copy is not None:
        settings = {**options, "coverage": coverage, **asdict(extras)}
        write_copy(session, copy[0], copy[1], table, found, settings)
    return table


def check_coverage_rate(coverage: float | None) -> None:
    """Refuse a rate that is none."""
    if coverage is not None and not 0 < coverage < 1:
        raise InputError(f"--coverage {coverage:g}: expected a rate between 0 and 1, such as 0.9")


def complete(
    session: Session, found: Transfer, extras: Extras | None = None, coverage: float | None = None
) -> Any:
    """The table of calls with what was asked for.

    `status` may be `low_quality` (see `queryquality`) or, where doublets are looked for, `doublet` (of two values of
    the first label; see `doublets`), whatever the call; too few regions come first. Added columns, in this order:
    `doublet_score`; `ontology_term_id, ontology_label, ontology_confidence`; `markers, marker_score, marker_best`.

    Raises:
        InputError: doublets among BED files or of a label with one value; unreadable or useless markers.
    """
    extras = extras or Extras()
    snapshot = session.snapshot()
    lengths = found.token_sets.lengths
    limit = reference_limit(session, snapshot, found.reference, found.kind == found.reference)
    low = is_low_quality(lengths, limit)
    if low.any():
        session.say(
            f"{int(low.sum()):,} of {len(low):,} items have fewer than {limit:.0f} open regions: low_quality"
        )
    statuses: list[str | None] = [LOW_QUALITY if x else None for x in low]
    columns: dict[str, list[list[Any]]] = {}
    if extras.doublets:
        if found.kind != "cells" or found.reference != "cells":
            raise InputError(
                "--doublets: only cells can be doublets, and only cells say what two of them are like"
            )
        doublets = reference_doublets(session, snapshot, found.reference, found.calls[0].label)
        scores = doublets.scores(found.token_sets)
        both = np.nan_to_num(scores, nan=0.0) > doublets.limit
        statuses = [own or (DOUBLET if d else None) for own, d in zip(statuses, both, strict=True)]
        shown = [None if np.isnan(s) else float(s) for s in scores]
        columns["doublet_score"] = [shown] * len(found.calls)
    if extras.ontology is not None:
        for name, lists in _ontology(session, found, extras.ontology).items():
            columns[name] = lists
    if extras.markers is not None:
        for name, lists in _markers(session, found, extras.markers).items():
            columns[name] = lists
    return _appended(found.table(coverage, statuses), columns)


def _appended(table: Any, columns: Mapping[str, list[list[Any]]]) -> Any:
    """Columns given as one list a label, interleaved as the table has its rows."""
    import pyarrow as pa

    for name, lists in columns.items():
        rows = [value for values in zip(*lists, strict=True) for value in values]
        number = name.endswith(("_score", "_confidence", "_share"))
        table = table.append_column(name, pa.array(rows, pa.float64() if number else pa.string()))
    return table


def terms_of(session: Session, kind: str, calls: LabelCalls) -> dict[str, str]:
    """Cell Ontology ids of a label's values: by the reference's column `LABEL_ontology_term_id`, else by name."""
    snapshot = session.snapshot()
    column = f"{calls.label}{TERM_COLUMN}"
    given: dict[str, str] = {}
    if column in snapshot.columns(kind):
        table = snapshot.table(kind, [calls.label, column])
        values = [[None if v is None else str(v) for v in table[c].to_pylist()] for c in table.column_names]
        given = ids_by_label(values[0], values[1])
    return terms_of_classes(calls.classes, cell_ontology(), given)


def _ontology(session: Session, found: Transfer, confidence: float) -> dict[str, list[list[Any]]]:
    ontology = cell_ontology()
    columns: dict[str, list[list[Any]]] = {
        "ontology_term_id": [],
        "ontology_label": [],
        "ontology_confidence": [],
    }
    anything = False
    for calls in found.calls:
        terms = terms_of(session, found.reference, calls)
        anything |= bool(terms)
        without = [name for name in calls.classes if name not in terms]
        session.say(
            f"{calls.label}: {len(terms)} of {len(calls.classes)} labels are terms of the Cell Ontology "
            f"({ontology.release})" + (f"; not {', '.join(without[:6])}" if terms and without else "")
        )
        got = answers(calls.classes, calls.probabilities, terms, ontology, confidence)
        columns["ontology_term_id"].append([a.term for a in got])
        columns["ontology_label"].append([a.name for a in got])
        columns["ontology_confidence"].append([a.confidence if a.name else None for a in got])
    if not anything:
        raise InputError(
            f"--ontology: no label of {', '.join(c.label for c in found.calls)} is a term of the Cell Ontology; add a "
            f"column {found.calls[0].label}{TERM_COLUMN} with ids (CL:0000236) to the reference"
        )
    return columns


def _markers(session: Session, found: Transfer, path: str | Path) -> dict[str, list[list[Any]]]:
    wanted = read_markers(path)
    snapshot = session.snapshot()
    reference = snapshot.tokens(found.reference, sampled(snapshot.all_ids(found.reference), MARKER_SAMPLE))
    columns: dict[str, list[list[Any]]] = {"markers": [], "marker_score": [], "marker_best": []}
    for calls in found.calls:
        regions = marker_regions(
            wanted, session.genes, session.universe, reference, calls.classes, session.say
        )
        got = verdicts(found.token_sets, calls.names, regions)
        counts = {word: sum(v.says == word for v in got) for word in ("agree", "disagree", "none")}
        session.say(
            f"{calls.label}: markers agree with {counts['agree']:,} calls, disagree with {counts['disagree']:,}, "
            f"say nothing of {counts['none']:,}"
        )
        for label, (other, theirs, own) in rivals(found.token_sets, calls.names, regions).items():
            session.say(
                f"{calls.label}: together, cells called {label} have the markers of {other} more open "
                f"(score {theirs:.2f}) than their own ({own:.2f})"
            )
        columns["markers"].append([v.says for v in got])
        columns["marker_score"].append([None if np.isnan(v.score) else v.score for v in got])
        columns["marker_best"].append([v.best for v in got])
    return columns


def write_copy(
    session: Session,
    source: str | Path,
    path: str | Path,
    table: Any,
    found: Transfer,
    settings: Mapping[str, Any],
) -> None:
    """Write the calls into a copy of the input h5ad; see `annotated.write_annotated`."""
    from ..._version import __version__

    index = session.index
    about = {
        "version": __version__,
        "index": index.path.name,
        "generation": session.snapshot().generation,
        "model_digest": index.info.model_digest,
        "universe_digest": index.info.universe_digest,
        "genome": index.info.genome,
        "labels": [calls.label for calls in found.calls],
        "ontology": f"Cell Ontology {cell_ontology().release}",
        "settings": _plain(settings),
    }
    terms = {calls.label: terms_of(session, found.reference, calls) for calls in found.calls}
    labels = [calls.label for calls in found.calls]
    for note in write_annotated(source, path, Annotation(table, labels, found.vectors, about, terms)):
        session.say(note)


def _plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings that say something, as text, numbers and lists."""
    kept: dict[str, Any] = {}
    for name, value in settings.items():
        if value is None or (isinstance(value, Sequence) and not len(value)):
            continue
        kept[name] = value if isinstance(value, str | bool | int | float | list | tuple) else str(value)
    return kept
