"""Droplets that held two cells of different types: `doublet`.

A cell is compared with every type alone and with every even mixture of two, by the likelihood of its open regions
(multinomial; a region's share of a type's openings in the reference, smoothed towards the whole reference), as
demuxlet (Kang et al. 2018, doi:10.1038/nbt.4042) tells droplets of two donors from those of one by their genotypes. How
that gain in likelihood, the lead of the best type and the number of open regions make a score is fitted on simulated
doublets, as in Scrublet (Wolock et al. 2019, doi:10.1016/j.cels.2018.11.005), DoubletFinder (McGinnis et al. 2019,
doi:10.1016/j.cels.2019.03.003) and scDblFinder (Germain et al. 2021, doi:10.12688/f1000research.73600): the union of
the open regions of two reference cells of different labels (regions are open or not; a droplet with two nuclei
has the fragments of both). Their share among a cell's nearest neighbours in the model's vectors, which those methods
count, tells less here (docs/results/query-quality.md).

The limit is the quantile of the scores of the reference's own cells under profiles that they had no part in, so that
the rate of false alarms among cells like the reference's is what was asked for (2 %), less what doublets the reference
itself holds. Two cells of one type cannot be told from one cell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ...tokens.token_sets import TokenSets
from .quality import sampled

if TYPE_CHECKING:
    from ...store.index.snapshot import Snapshot
    from ..session import Session

DOUBLET = "doublet"
FALSE_RATE = 0.02
SAMPLE = 4000  # reference cells that profiles and limit come from
MIN_CELLS = 5  # of a type, within the sample
MAX_TYPES = 60  # the commonest ones
PARTS = 5
STRENGTHS = (300.0, 1000.0, 3000.0, 10_000.0, 30_000.0)  # of the smoothing, in openings
OWN_MEDIAN = 100  # cells from which on a query's depth is seen relative to its own median
_BLOCK = 4096

Floats = npt.NDArray[np.float64]


def pairs_of_types(labels: Sequence[str], n: int, seed: int = 0) -> npt.NDArray[np.int64]:
    """[n, 2] int64 rows of random pairs with different labels; [0, 2] where all labels are the same.

    Rows are drawn evenly, so types meet as often as their sizes say.
    """
    codes = np.unique(np.asarray(labels, str), return_inverse=True)[1]
    if not len(codes) or codes.max() == 0:
        return np.empty((0, 2), np.int64)
    rng = np.random.default_rng(seed)
    found = np.empty((0, 2), np.int64)
    while len(found) < n:
        drawn = rng.integers(0, len(codes), (2 * n, 2))
        found = np.concatenate([found, drawn[codes[drawn[:, 0]] != codes[drawn[:, 1]]]])
    return found[:n]


def unions(sets: TokenSets, pairs: npt.NDArray[np.int64]) -> TokenSets:
    """The union of the tokens of each pair of sets.

    Example:
        >>> sets = TokenSets.from_lists([[1, 5], [2, 5]])
        >>> unions(sets, np.array([[0, 1]]))[0].tolist()
        [1, 2, 5]
    """
    joined: list[Any] = [np.union1d(sets[a], sets[b]) for a, b in pairs]
    return TokenSets.from_lists(joined, universe_digest=sets.universe_digest)


def profiles(
    sets: TokenSets, labels: npt.NDArray[np.str_], types: Sequence[str], n_regions: int, strength: float
) -> npt.NDArray[np.float32]:
    """[C, V] float32: each region's share of the openings of a type, with `strength` openings of the whole added."""
    matrix = sets.to_csr(n_regions)
    whole = np.asarray(matrix.sum(0)).ravel() + 0.1
    whole /= whole.sum()
    out = np.empty((len(types), n_regions), np.float32)
    for row, name in enumerate(types):
        counts = np.asarray(matrix[np.flatnonzero(labels == name)].sum(0)).ravel()
        out[row] = (counts + strength * whole) / (counts.sum() + strength)
    return out


def gains(sets: TokenSets, shares: npt.NDArray[np.float32]) -> Floats:
    """What a mixture of two types explains better than one, and how clear the one is.

    Args:
        sets: cells.
        shares: [C, V] profiles of types.

    Returns:
        [n, 2] float64, both over the square root of the number of open regions n: the log-likelihood of the best
        even mixture of the best type and another, less that of the best type; that of the best type less that
        of the second one. Zeros for an empty cell.
    """
    out = np.zeros((len(sets), 2))
    logs = np.log(shares).T
    for first in range(0, len(sets), _BLOCK):
        rows = np.arange(first, min(first + _BLOCK, len(sets)))
        matrix = sets.take(rows).to_csr(shares.shape[1])
        alone = matrix @ logs
        best = alone.argmax(axis=1)
        ranked = np.sort(alone, axis=1)
        root = np.sqrt(np.maximum(np.diff(matrix.indptr), 1))
        out[rows, 1] = (ranked[:, -1] - ranked[:, -2]) / root
        for one in np.unique(best):
            mine = np.flatnonzero(best == one)
            others = np.arange(len(shares)) != one
            mixed = matrix[mine] @ np.log((shares[one] + shares[others]) / 2).T
            out[rows[mine], 0] = (mixed.max(axis=1) - ranked[mine, -1]) / root[mine]
    return out


@dataclass(frozen=True)
class Doublets:
    """How doublets are told from cells of one type.

    Attributes:
        shares: [C, V] float32 profiles of the types.
        weights: [4] float64 of the two `gains`, of ln(open regions / median), and a constant.
        median: of the reference's open regions.
        limit: score above which a cell is a doublet.
        auroc: of the scores, simulated doublets of the reference against its cells, profiles made without both.
    """

    shares: npt.NDArray[np.float32]
    weights: Floats
    median: float
    limit: float = 1.0
    auroc: float = float("nan")

    def scores(self, sets: TokenSets) -> Floats:
        """[n] probability of a doublet if half of all cells were doublets; NaN for an empty cell.

        Depth is relative to the median of these cells where they are 100 or more, else to the reference's, so that a
        query that was sequenced deeper than the reference is not full of doublets.
        """
        lengths = sets.lengths
        some = lengths[lengths > 0]
        median = float(np.median(some)) if len(some) >= OWN_MEDIAN else self.median
        out = _probability(_features(gains(sets, self.shares), lengths, median), self.weights)
        out[lengths == 0] = np.nan
        return out

    def found(self, sets: TokenSets) -> npt.NDArray[np.bool_]:
        """[n] whether cells are doublets; False for empty ones."""
        return np.nan_to_num(self.scores(sets), nan=0.0) > self.limit


def fit_doublets(
    sets: TokenSets,
    labels: Sequence[str],
    n_regions: int,
    *,
    false_rate: float = FALSE_RATE,
    seed: int = 0,
) -> Doublets:
    """Learn from reference cells what doublets of them look like.

    The reference is cut into five parts; cells and simulated doublets of one are scored by profiles of the others (with
    two parts, profiles of half the cells were so much worse than the final ones that 5 % of other cells of the
    reference were called doublets instead of 2 %). The strength of the smoothing is the one by which they are told
    apart best.

    Args:
        sets: reference cells, none of them empty.
        labels: [n] their types.
        n_regions: size of the universe.
        false_rate: share of the reference's cells that are allowed to be called doublets.
        seed: of parts and pairs.

    Raises:
        ValueError: fewer than two types with `MIN_CELLS` cells.
    """
    types, sets, known = _common(sets, np.asarray(labels, str))
    if len(types) < 2:
        raise ValueError(f"doublets need two types with at least {MIN_CELLS} cells each")
    part_of = np.random.default_rng(seed).permutation(len(sets)) % PARTS
    median = float(np.median(sets.lengths))
    parts = []
    for fold in range(PARTS):
        mine = np.flatnonzero(part_of == fold)
        cells, other = sets.take(mine), np.flatnonzero(part_of != fold)
        pairs = pairs_of_types(known[mine].tolist(), len(mine), seed + fold)
        parts.append((cells, unions(cells, pairs), other))
    is_double = np.concatenate([np.repeat([0, 1], [len(c), len(d)]) for c, d, _ in parts])
    best: Doublets | None = None
    for strength in STRENGTHS:
        made = []
        for cells, doubles, other in parts:
            shares = profiles(sets.take(other), known[other], types, n_regions, strength)
            made += [_features(gains(x, shares), x.lengths, median) for x in (cells, doubles)]
        weights, score, auroc = _fit(np.concatenate(made), is_double)
        if best is None or auroc > best.auroc:
            limit = float(np.quantile(score[is_double == 0], 1 - false_rate, method="higher"))
            shares = profiles(sets, known, types, n_regions, strength)
            best = Doublets(shares, weights, median, limit, auroc)
    assert best is not None
    return best


def _common(
    sets: TokenSets, labels: npt.NDArray[np.str_]
) -> tuple[list[str], TokenSets, npt.NDArray[np.str_]]:
    """The commonest types, and the cells of those."""
    names, counts = np.unique(labels, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:MAX_TYPES]
    types = sorted(names[i] for i in order if counts[i] >= MIN_CELLS)
    rows = np.flatnonzero(np.isin(labels, types))
    return types, sets.take(rows), labels[rows]


def _features(gained: Floats, lengths: npt.NDArray[np.integer], median: float) -> Floats:
    depth = np.log(np.maximum(lengths, 1) / median)
    return np.column_stack([gained, depth, np.ones(len(depth))])


def _probability(features: Floats, weights: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-np.clip(features @ weights, -30, 30))))


def _fit(features: Floats, is_double: npt.NDArray[np.int64]) -> tuple[Floats, Floats, float]:
    """Logistic regression, classes weighing the same: weights of raw features, scores and AUROC."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score

    middle, spread = features[:, :-1].mean(0), np.maximum(features[:, :-1].std(0), 1e-9)
    model = LogisticRegression(class_weight="balanced").fit((features[:, :-1] - middle) / spread, is_double)
    slope = model.coef_[0] / spread
    weights = np.append(slope, model.intercept_[0] - slope @ middle)
    score = _probability(features, weights)
    return weights, score, float(roc_auc_score(is_double, score))


def reference_doublets(session: Session, snapshot: Snapshot, kind: str, label: str) -> Doublets:
    """`fit_doublets` on a seeded sample of a collection's labelled items; kept for the generation.

    Args:
        session: knows the universe, and keeps the result.
        snapshot: the generation.
        kind: collection that votes.
        label: column that says what different types are.

    Raises:
        InputError: fewer than two values with enough items.
    """
    key: Any = ("doublets", snapshot.generation, kind, label)
    if key in session.fitted:
        found: Doublets = session.fitted[key]
        return found
    column = snapshot.table(kind, [label])[label].to_pylist()
    values = {i: str(v) for i, v in zip(snapshot.all_ids(kind), column, strict=True) if v is not None}
    ids = sampled(list(values), SAMPLE)
    sets = snapshot.tokens(kind, ids)
    filled = np.flatnonzero(sets.lengths > 0)
    labels = [values[ids[i]] for i in filled]
    try:
        found = fit_doublets(sets.take(filled), labels, len(session.universe))
    except ValueError:
        raise InputError(
            f"doublets of two values of {label}: among {len(labels):,} reference {kind} fewer than two values have "
            f"{MIN_CELLS} or more"
        ) from None
    session.notify(
        f"Doublets of two values of {label}: limit {found.limit:.3f}, which {FALSE_RATE:.0%} of the reference exceed; "
        f"AUROC {found.auroc:.3f} for simulated ones within the reference"
    )
    session.fitted[key] = found
    return found
