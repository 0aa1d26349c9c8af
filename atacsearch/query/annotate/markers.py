"""A second opinion on calls: are the marker genes of the called type more open than those of other types?

Gene activity is the number of open regions in gene body and promoter (`GeneAnnotation.activity_windows`), counted over
the markers of a type together and compared with what a cell of that many open regions would have if it were like the
whole reference: `expected = n * share`, `share` the part of all openings of the reference that lies in those regions.
The score is `log2((observed + 0.5) / (expected + 0.5))`, and evidence is the Poisson probability of at least that many.

A call's markers

- `agree` where its own type scores highest, with at least one open marker region;
- `disagree` where another type scores higher and its markers are open beyond chance (p < 0.05, Bonferroni over the
  different marker sets);
- say `none` of both else: too few open regions, or no markers for the type.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ...errors import InputError

if TYPE_CHECKING:
    from ...genome.genes import GeneAnnotation
    from ...tokens.token_sets import TokenSets
    from ...tokens.universe import Universe

AGREE, DISAGREE, NONE = "agree", "disagree", "none"
LABEL_COLUMNS = ("cell_type", "label", "type", "cluster")
GENE_COLUMNS = ("gene", "symbol", "gene_name")
P_VALUE = 0.05
PSEUDO = 0.5
TOGETHER = 10  # calls from which on a label is looked at as a whole


@dataclass(frozen=True)
class Markers:
    """Marker regions of types.

    Attributes:
        types: [C] labels.
        member: [C, V] bool, whether a region belongs to the markers of a type.
        share: [C] float64 part of the reference's openings that lies in them.
    """

    types: tuple[str, ...]
    member: npt.NDArray[np.bool_]
    share: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Verdict:
    """What markers say of one call.

    Attributes:
        says: `agree`, `disagree` or `none`.
        score: log2 of observed over expected for the called type; NaN where it has no markers.
        best: the type whose markers are most open; None where no marker region is open.
    """

    says: str
    score: float
    best: str | None


def read_markers(path: str | Path) -> dict[str, list[str]]:
    """Genes by type from a TSV (or CSV) with a column `cell_type` (or `label`, `type`, `cluster`) and a column `gene`.

    Raises:
        InputError: no such file or columns, or an empty field.
    """
    header, rows = _rows(Path(path))
    at = [_column(path, header, names) for names in (LABEL_COLUMNS, GENE_COLUMNS)]
    found: dict[str, list[str]] = {}
    for number, row in rows:
        label, gene = (row[i].strip() for i in at)
        if not label or not gene:
            raise InputError(f"{path}, line {number}: the {'type' if not label else 'gene'} is empty")
        if gene not in found.setdefault(label, []):
            found[label].append(gene)
    if not found:
        raise InputError(f"{path}: holds no marker; expected lines of a type and a gene")
    return found


def _rows(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Header and numbered lines of a TSV, or of a CSV by its suffix."""
    comma = path.name.casefold().endswith(".csv")
    try:
        with path.open(encoding="utf-8-sig", newline="") as handle:
            lines = list(csv.reader(handle, delimiter="," if comma else "\t"))
    except FileNotFoundError:
        raise InputError(
            f"{path}: no such file; --markers expects a TSV with the columns cell_type and gene"
        ) from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: cannot be read as text ({error}); expected a TSV") from None
    if not lines:
        raise InputError(f"{path}: is empty; expected a TSV with the columns cell_type and gene")
    header = [name.strip() for name in lines[0]]
    rows = [(number, row) for number, row in enumerate(lines[1:], 2) if row]
    for number, row in rows:
        if len(row) != len(header):
            raise InputError(f"{path}, line {number}: {len(row)} fields, the header has {len(header)}")
    return header, rows


def _column(path: str | Path, header: Sequence[str], names: Sequence[str]) -> int:
    folded = [name.casefold() for name in header]
    for name in names:
        if name in folded:
            return folded.index(name)
    raise InputError(
        f"{path}: has the columns {', '.join(header)}; expected one called {names[0]} ({', '.join(names[1:])})"
    )


def marker_regions(
    wanted: Mapping[str, Sequence[str]],
    genes: GeneAnnotation | None,
    universe: Universe,
    reference: TokenSets,
    classes: Sequence[str],
    notify: Callable[[str], None],
) -> Markers:
    """The regions of each type's markers.

    Args:
        wanted: genes by type.
        genes: the index's gene table.
        universe: regions.
        reference: token sets of reference items (a sample), for the expected openness.
        classes: labels that may be called; other types count as rivals all the same.
        notify: told about genes that are not known or have no region, and types that are never called.

    Raises:
        InputError: no gene table, or no type of the reference has a marker region.
    """
    if genes is None:
        raise InputError(
            "--markers needs a gene table in the index: give it with `atacsearch index create --genes FILE` or "
            "`atacsearch index add-regions --genes FILE`"
        )
    member = np.zeros((len(wanted), len(universe)), bool)
    lost = []
    for row, symbols in enumerate(wanted.values()):
        for symbol in symbols:
            windows = genes.activity_windows(symbol)
            tokens = universe.unique_tokens(windows) if len(windows) else np.empty(0, np.int64)
            member[row, tokens] = True
            if not len(tokens):
                lost.append(symbol)
    if lost:
        notify(
            f"Markers without a region in the universe (unknown gene, or none near it): {', '.join(sorted(set(lost)))}"
        )
    strange = sorted(set(wanted) - set(classes))
    if strange:
        notify(f"Markers of types that no reference item has: {', '.join(strange)}")
    known = [row for row, name in enumerate(wanted) if member[row].any()]
    names = list(wanted)
    if not {names[row] for row in known} & set(classes):
        raise InputError(
            f"--markers: no type of the reference has a marker region; types: {', '.join(sorted(classes)[:10])}"
        )
    counts = np.bincount(reference.tokens[reference.tokens < len(universe)], minlength=len(universe))
    share = (member[known] @ counts) / max(int(counts.sum()), 1)
    return Markers(tuple(names[row] for row in known), member[known], share)


def verdicts(sets: TokenSets, calls: Sequence[str | None], markers: Markers) -> list[Verdict]:
    """What the markers say of each call.

    Args:
        sets: tokens of the items.
        calls: the best label of each; None where there is none.
        markers: from `marker_regions`.
    """
    from scipy.stats import poisson

    observed, expected = _counts(sets, markers)
    score = np.log2((observed + PSEUDO) / (expected + PSEUDO))
    n_sets = len(np.unique(markers.member, axis=0))  # types may share their markers
    beyond = poisson.sf(observed - 1, np.maximum(expected, 1e-12)) < P_VALUE / n_sets
    at = {name: i for i, name in enumerate(markers.types)}
    out = []
    for row, call in enumerate(calls):
        best = int(np.argmax(np.where(observed[row] > 0, score[row], -np.inf)))
        seen = bool(observed[row].any())
        own = at.get(call or "")
        mine = float(score[row, own]) if own is not None else float("nan")
        if own is None or not seen:
            says = NONE
        elif observed[row, own] > 0 and mine >= score[row].max() - 1e-9:
            says = AGREE
        elif np.any(beyond[row] & (observed[row] > 0) & (score[row] > mine + 1e-9)):
            says = DISAGREE
        else:
            says = NONE
        out.append(Verdict(says, mine, markers.types[best] if seen else None))
    return out


def rivals(
    sets: TokenSets, calls: Sequence[str | None], markers: Markers
) -> dict[str, tuple[str, float, float]]:
    """Labels whose calls, taken together, look like another type.

    One cell says little; the open marker regions of all cells of a call are added up, and so is what is expected.

    Args:
        sets, calls, markers: as for `verdicts`.

    Returns:
        For each such label with at least `TOGETHER` calls and markers of its own: the type whose markers, other than
        its own ones, score highest and higher than its own, that score and its own.
    """
    observed, expected = _counts(sets, markers)
    named = np.array([call or "" for call in calls], object)
    out = {}
    for own, label in enumerate(markers.types):
        rows = np.flatnonzero(named == label)
        if len(rows) < TOGETHER:
            continue
        score = np.log2((observed[rows].sum(0) + PSEUDO) / (expected[rows].sum(0) + PSEUDO))
        other = (markers.member != markers.member[own]).any(1)
        if not other.any():
            continue
        best = int(np.argmax(np.where(other, score, -np.inf)))
        if score[best] > score[own]:
            out[label] = (markers.types[best], float(score[best]), float(score[own]))
    return out


def _counts(sets: TokenSets, markers: Markers) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """[n, C] open marker regions of each type, and how many a cell of that depth is expected to have."""
    n_regions = markers.member.shape[1]
    opened = sets.to_csr(max(n_regions, int(sets.tokens.max(initial=0)) + 1))[:, :n_regions]
    opened.sum_duplicates()
    opened.data[:] = 1
    observed = np.asarray(opened @ markers.member.T.astype(np.float32), np.float64)
    depth = np.asarray(opened.sum(1), np.float64).ravel()
    return observed, depth[:, None] * markers.share[None, :]
