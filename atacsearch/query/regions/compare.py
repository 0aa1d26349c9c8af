"""Compare: the universe regions that set two cell types, files or contexts apart.

For each region open in any item of A or B: the fraction of items that have it in each, the log2 odds ratio with half
an item added to each count (Haldane 1956, doi:10.1111/j.1469-1809.1955.tb01285.x), Fisher's exact test, two-sided,
and Benjamini and Hochberg's q over these regions. Two single files or cells are compared as sets, without a test.
Items are taken as independent: cells of one donor are not, so that q of cells ranks regions and says nothing of
other donors. Deeper items have more regions open; fractions are as they are indexed, not adjusted for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ...answers import Differences
from ...arrow import number_array, text_array
from ...errors import InputError
from ...spelling import did_you_mean
from ...store.metadata.where import parse_where
from ..inputs import is_file
from ..session import KINDS, Session, kind_of
from .interval_queries import ask
from .item_groups import groups_by, has_columns, kept_by
from .options import CompareOptions, CompareQuery
from .statistics import benjamini_hochberg, fisher

if TYPE_CHECKING:
    import pyarrow as pa

    from ...readers.options import ReadOptions
    from ...store.index.snapshot import Snapshot

REST = "rest"
PSEUDOCOUNT = 0.5
ROUNDING = 1e-12  # .3 less .2 is as much as .1
TESTS = 8_192  # tables tested at a time
WORDS = {kind: word for word, kind in KINDS.items()}
_MARKS = ("=", "<", ">", " in ")

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Side:
    """One of the two that are compared.

    Attributes:
        name: as the user wrote it.
        rows: by collection that could be meant, [n_items] bool; empty for a single set.
        tokens: of a single set.
        own: collection and row of a single set that is indexed.
        valued: by collection, [n_items] bool, the items that have the columns by which `rows` were selected.
    """

    name: str
    rows: dict[str, npt.NDArray[np.bool_]]
    tokens: npt.NDArray[np.uint32] | None = None
    own: tuple[str, int] | None = None
    valued: dict[str, npt.NDArray[np.bool_]] = field(default_factory=dict)


def compare(session: Session, query: CompareQuery, options: CompareOptions) -> Differences:
    """The universe regions that set A and B apart, in both directions.

    Args:
        session: the open index.
        query: the two sides, each a BED file, an indexed id, a selection as `cell_type=B` (any condition of
            `--where`), or a context of the collection `regions`; one of them may be `rest`: all other items that have
            the columns of the other. And whose items selections mean: by default cells where both have some, else
            BED files.
        options: which differences are shown.

    Returns:
        Largest difference first: `chrom, start, end` (BED), `name` (A or B as written, where the region is more often
        open), `score` (1,000 times the difference), `strand` (`.`), `n_a, n_b` (items that have it), `fraction_a,
        fraction_b, difference` (A minus B), `log2_odds_ratio`, `p_value, q_value` (null for two single sets).

    Raises:
        InputError: a side that is nothing indexed and no file, has no items, or shares items with the other.
    """
    snapshot = session.snapshot()
    kinds = ["cells", "bedfiles"] if query.collection is None else [kind_of(query.collection)]
    names = str(query.a), str(query.b)
    if not any(snapshot.count(kind) for kind in kinds) and not (is_file(names[0]) and is_file(names[1])):
        raise InputError(
            "the index is empty: add cells or BED files with `atacsearch index add-cells` or `add-beds`"
        )
    sides = [None if x == REST else _side(session, snapshot, x, kinds, options.read) for x in names]
    a, b = _with_rest(snapshot, sides, kinds)
    counts, sizes = _count(session, snapshot, a, b)
    tokens = np.flatnonzero(counts.any(1))
    found = tested(counts[tokens], sizes)
    rows = shown_rows(session, found, options)
    return Differences(_table(session, (a.name, b.name), tokens[rows], found.take(rows)))


def _side(
    session: Session, snapshot: Snapshot, text: str, kinds: Sequence[str], options: ReadOptions
) -> Side:
    """Find out what a side is: a file, an id, a condition, a context."""
    if is_file(text):
        return Side(text, {}, ask(session, text, options).together(text).tokens)
    for kind in kinds:
        found = snapshot.find(kind, text)
        if found is not None:
            tokens = np.unique(snapshot.tokens(kind, [found])[0])
            return Side(text, {}, tokens, (kind, snapshot.all_ids(kind).index(found)))
    contexts = groups_by(snapshot, "regions", "context") if snapshot.count("regions") else None
    if contexts is None or text not in contexts.names:
        if any(mark in text for mark in _MARKS):
            return _condition(snapshot, text, kinds)
        known = f"; contexts: {', '.join(contexts.names)}" if contexts is not None else ""
        known += did_you_mean(text, contexts.names) if contexts is not None else ""
        raise InputError(
            f"{text!r} is no file, no indexed id, no condition (column=value), no context and not `rest`{known}"
        )
    labels = groups_by(snapshot, "regions", "context_label")
    row = int(np.argmax(contexts.codes == contexts.names.index(text)))
    label = labels.names[labels.codes[row]]
    found_in, valued = {}, {}
    for kind in kinds:
        if label in snapshot.columns(kind):
            groups = groups_by(snapshot, kind, label)
            if text in groups.names:
                found_in[kind] = groups.codes == groups.names.index(text)
                valued[kind] = groups.codes >= 0
    if not found_in:
        raise InputError(f"{text!r}: no item of this index has {label}={text} any more")
    return Side(text, found_in, valued=valued)


def _condition(snapshot: Snapshot, text: str, kinds: Sequence[str]) -> Side:
    serving = [kind for kind in kinds if snapshot.count(kind) and has_columns(snapshot, kind, [text])]
    held = [kind for kind in kinds if snapshot.count(kind)]
    rows, valued = {}, {}
    for kind in serving or held[:1]:  # one that does not serve says what is wrong
        mask = kept_by(snapshot, kind, [text])
        if mask is not None and mask.any():
            rows[kind], valued[kind] = mask, _has_value(snapshot, kind, text)
    if not rows:
        known = _values_of(snapshot, serving, text)
        raise InputError(f"{text}: no item of the {' or '.join(WORDS[k] for k in serving)} meets this{known}")
    return Side(text, rows, valued=valued)


def _values_of(snapshot: Snapshot, kinds: Sequence[str], text: str) -> str:
    """The values that the first column of a condition has, for a message."""
    column = parse_where(text).conditions[0].column
    values: dict[str, None] = {}
    for kind in kinds:
        own = {name.casefold(): name for name in snapshot.columns(kind)}.get(column.casefold())
        if own is not None:
            values |= dict.fromkeys(groups_by(snapshot, kind, own).names)
    return f"; {column} is one of {', '.join(list(values)[:20])}" if values else ""


def _with_rest(snapshot: Snapshot, sides: Sequence[Side | None], kinds: Sequence[str]) -> tuple[Side, Side]:
    """Both sides, `rest` made of the other."""
    found = list(sides)
    for i, side in enumerate(sides):
        if side is not None:
            continue
        other = sides[1 - i]
        assert other is not None
        if other.own is not None:
            kind, row = other.own
            mask = np.ones(snapshot.count(kind), bool)
            mask[row] = False
            found[i] = Side(REST, {kind: mask})
        elif other.tokens is not None:
            found[i] = Side(REST, {k: np.ones(snapshot.count(k), bool) for k in kinds if snapshot.count(k)})
        else:
            found[i] = Side(REST, {kind: other.valued[kind] & ~mask for kind, mask in other.rows.items()})
    a, b = found
    assert a is not None
    assert b is not None
    return a, b


def _has_value(snapshot: Snapshot, kind: str, condition: str) -> npt.NDArray[np.bool_]:
    """[n_items] which items have a value in every column of a condition."""
    mask = np.ones(snapshot.count(kind), bool)
    own = {name.casefold(): name for name in snapshot.filterable(kind)}
    for part in parse_where(condition).conditions:
        mask &= groups_by(snapshot, kind, own[part.column.casefold()]).codes >= 0
    return mask


def _count(session: Session, snapshot: Snapshot, a: Side, b: Side) -> tuple[Ints, tuple[int, int]]:
    """[V, 2] items of each side that have each region, and the numbers of items."""
    n_regions = len(session.universe)
    counts = np.zeros((n_regions, 2), np.int64)
    sizes = [1, 1]
    kind = _kind(session, a, b)
    group = np.full(snapshot.count(kind) if kind else 0, -1, np.int32)
    for i, side in enumerate((a, b)):
        if side.tokens is not None:
            counts[side.tokens[side.tokens < n_regions], i] = 1
            continue
        assert kind is not None
        mask = side.rows[kind].copy()
        other = (b, a)[i]
        if other.own is not None and other.own[0] == kind and mask[other.own[1]]:
            mask[other.own[1]] = False
            session.notify(f"{other.name} is left out of {side.name}")
        shared = int(np.count_nonzero(group[mask] >= 0))
        if shared:
            raise InputError(
                f"{a.name} and {b.name} share {shared:,} of the {WORDS[kind]}; choose two that exclude each other"
            )
        group[mask] = i
        sizes[i] = int(np.count_nonzero(mask))
        if not sizes[i]:
            raise InputError(f"{side.name}: no item of the {WORDS[kind]} is left on this side")
    if kind is not None:
        counts += snapshot.postings(kind, session.notify).totals(group, 2, n_regions)
    words = f" ({WORDS[kind]})" if kind else ""
    session.notify(f"A: {a.name}, {sizes[0]:,} items; B: {b.name}, {sizes[1]:,} items{words}")
    return counts, (sizes[0], sizes[1])


def _kind(session: Session, a: Side, b: Side) -> str | None:
    """The collection in which both sides have items; None for two single sets."""
    selections = [side for side in (a, b) if side.tokens is None]
    if not selections:
        return None
    both = [kind for kind in ("cells", "bedfiles") if all(kind in side.rows for side in selections)]
    if not both:
        where = "; ".join(f"{s.name}: {', '.join(WORDS[k] for k in s.rows)}" for s in selections)
        raise InputError(f"{a.name} and {b.name} have no items in the same collection ({where})")
    if len(both) > 1:
        session.notify("Cells and BED files are selected: cells are compared (--in beds for the others)")
    return both[0]


def log2_odds_ratio(counts: Ints, sizes: tuple[int, int]) -> Floats:
    """[n] log2 odds ratio of having a region, A over B, half an item added to each count.

    Args:
        counts: [n, 2] items that have it.
        sizes: numbers of items.

    Example:
        >>> log2_odds_ratio(np.array([[9, 1]]), (10, 10)).round(3).tolist()
        [5.326]
    """
    has = counts + PSEUDOCOUNT
    lacks = np.array(sizes) - counts + PSEUDOCOUNT
    return np.asarray(np.log2(has[:, 0] * lacks[:, 1] / (lacks[:, 0] * has[:, 1])), np.float64)


def log_p_values(counts: Ints, sizes: tuple[int, int]) -> Floats:
    """[n] natural logarithm of the two-sided p of Fisher's exact test; each distinct table is tested once."""
    keys, back = np.unique(counts[:, 0] * (sizes[1] + 1) + counts[:, 1], return_inverse=True)
    a, b = keys // (sizes[1] + 1), keys % (sizes[1] + 1)
    found = np.zeros(len(keys))
    for first in range(0, len(keys), TESTS):
        part = slice(first, first + TESTS)
        own = np.full(len(a[part]), sizes[0], np.int64)
        found[part] = fisher(a[part], own, a[part] + b[part], sum(sizes))[1]
    return np.asarray(found[back.reshape(-1)], np.float64)


@dataclass(frozen=True)
class TestedRegions:
    """Regions with what was counted and tested.

    Attributes:
        counts: [n, 2] items of each side that have the region.
        sizes: numbers of items.
        difference: [n] float64 fraction of A less that of B.
        log_p, log_q: [n] float64 natural logarithms; zeros for two single sets, which are not tested.
    """

    counts: Ints
    sizes: tuple[int, int]
    difference: Floats
    log_p: Floats
    log_q: Floats

    @property
    def is_tested(self) -> bool:
        """Whether there is anything to test: more than one item on a side."""
        return max(self.sizes) > 1

    @property
    def fraction(self) -> Floats:
        """[n, 2] fraction of the items of each side."""
        return np.asarray(self.counts / np.array(self.sizes, np.float64), np.float64)

    def take(self, rows: Ints) -> TestedRegions:
        """Some of the regions."""
        return TestedRegions(
            self.counts[rows], self.sizes, self.difference[rows], self.log_p[rows], self.log_q[rows]
        )


def tested(counts: Ints, sizes: tuple[int, int]) -> TestedRegions:
    """Fractions, and Fisher's exact test of every region."""
    fraction = counts / np.array(sizes, np.float64)
    log_p = log_p_values(counts, sizes) if max(sizes) > 1 else np.zeros(len(counts))
    return TestedRegions(counts, sizes, fraction[:, 0] - fraction[:, 1], log_p, benjamini_hochberg(log_p))


def shown_rows(session: Session, found: TestedRegions, options: CompareOptions) -> Ints:
    """Rows of the regions that differ enough and surely enough, largest difference first."""
    least, q, k = options.min_difference, options.q, options.k
    difference = found.difference
    keep = (difference != 0) & (np.abs(difference) >= least - ROUNDING)
    if found.is_tested:
        sure = np.exp(found.log_q) <= q
        if not (keep & sure).any() and keep.any():
            session.notify(
                f"{np.count_nonzero(keep):,} regions differ by at least {least:g}, none of them at "
                f"q <= {q:g}; with few items no test can tell: --q 1 shows them all"
            )
        keep &= sure
    rows = np.flatnonzero(keep)
    rows = rows[np.lexsort((rows, found.log_p[rows], -np.abs(difference[rows])))]
    if k is not None:
        up = difference[rows] > 0
        rows = rows[np.where(up, np.cumsum(up), np.cumsum(~up)) <= k]
    n_up = int(np.count_nonzero(difference[rows] > 0))
    session.notify(
        f"{len(difference):,} regions are open in A or B; {n_up:,} more often in A, {len(rows) - n_up:,} in B"
    )
    return rows


def _table(session: Session, names: tuple[str, str], tokens: Ints, found: TestedRegions) -> pa.Table:
    """The regions as a table in the columns of BED6 and more."""
    import pyarrow as pa

    regions = session.universe.intervals.take(tokens)
    n = len(tokens)
    valid = np.full(n, found.is_tested)
    more = found.difference > 0
    return pa.table(
        {
            "chrom": text_array([regions.chroms[c] for c in regions.chrom.tolist()]),
            "start": number_array(regions.start),
            "end": number_array(regions.end),
            "name": text_array([names[0] if up else names[1] for up in more.tolist()]),
            "score": number_array(np.round(1000 * np.abs(found.difference)).astype(np.int64)),
            "strand": text_array(["."] * n),
            "n_a": number_array(found.counts[:, 0]),
            "n_b": number_array(found.counts[:, 1]),
            "fraction_a": number_array(found.fraction[:, 0]),
            "fraction_b": number_array(found.fraction[:, 1]),
            "difference": number_array(found.difference),
            "log2_odds_ratio": number_array(log2_odds_ratio(found.counts, found.sizes)),
            "p_value": number_array(np.exp(found.log_p), valid),
            "q_value": number_array(np.exp(found.log_q), valid),
        }
    )


def write_bed(table: pa.Table, path: Path) -> None:
    """Write an answer as BED: by position, columns named in a line that begins with `#`."""
    from ...files import to_file
    from ...tables import write_table

    ordered = table.sort_by([("chrom", "ascending"), ("start", "ascending"), ("end", "ascending")])
    ordered = ordered.rename_columns([f"#{ordered.column_names[0]}", *ordered.column_names[1:]])

    def write(temporary: Path) -> None:
        with temporary.open("w", encoding="utf-8") as handle:
            write_table(ordered, "tsv", stream=handle)

    to_file(path, write)
