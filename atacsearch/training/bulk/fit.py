"""Fitting label heads: features of all files, their inner products, the linear map, the table over the universe."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ...model.heads.files import Head
from ...model.heads.label_head import (
    Kinds,
    PlainHead,
    ResidualHead,
    Residuals,
    regions_of,
    stretches,
    token_digest,
    unit,
)
from ...model.heads.token_runs import Runs
from ...tokens.token_sets import TokenSets
from .labels import Codes, LabelTable
from .space import Matrix, Space, fit_space

GUIDE_POWER = 1.0  # coverage power of the head that guesses a file's kind
GUIDE_SHRINK = 1.0
LEAST_KINDS = 4  # finer kinds from which their means span enough directions to compare files by angle


@dataclass(frozen=True)
class Fit:
    """How to fit a head.

    Attributes:
        rank: width of the vectors at the most.
        shrink: see `fit_space`.
        weight: see `fit_space`.
        prior: see `Kinds`.
        eps: see `ResidualHead`.
    """

    rank: int = 192
    shrink: float = 1.0
    weight: float = 10.0
    prior: float = 0.3
    eps: float = 0.005


class Features(Protocol):
    """[n, V] unit rows that are only ever looked at in stretches of regions."""

    @property
    def n_rows(self) -> int:
        """Number n of rows."""

    @property
    def n_regions(self) -> int:
        """Size V of the universe."""

    def columns(self, part: slice) -> npt.NDArray[np.float32]:
        """[n, part] features, not necessarily at unit length."""


def gram_of(features: Features) -> tuple[Matrix, npt.NDArray[np.float64]]:
    """Inner products [n, n] of the features at unit length, and the norms [n] they had."""
    raw = np.zeros((features.n_rows, features.n_rows))
    for part in stretches(features.n_regions, features.n_rows):
        part_features = features.columns(part)
        raw += part_features @ part_features.T
    norms = np.sqrt(np.maximum(np.diag(raw), 1e-300))
    return raw / np.outer(norms, norms), norms


def table_of(
    features: Features, mixing: Matrix, norms: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float16], float]:
    """[V, d] float16 of the map, unit features^T x mixing, and the factor that brought it to the range of float16.

    The factor is the same for all of a head, whose vectors are compared by angle.
    """
    weights = (mixing / norms[:, None]).astype(np.float32)
    out = np.empty((features.n_regions, mixing.shape[1]), np.float32)
    for part in stretches(features.n_regions, features.n_rows):
        out[part] = features.columns(part).T @ weights
    size = float(np.sqrt(np.mean(out**2, dtype=np.float64)))
    factor = 1.0 / size if size > 0 else 1.0
    return (out * factor).astype(np.float16), factor


class OpenRegions:
    """Open regions of sets, each times a weight."""

    def __init__(self, sets: TokenSets, weights: npt.NDArray[np.float32]) -> None:
        self.weights, self.n_regions, self.n_rows = weights, len(weights), len(sets)
        self.tokens = [regions_of(tokens, len(weights)) for tokens in sets]

    def columns(self, part: slice) -> npt.NDArray[np.float32]:
        """[n, part] float32."""
        x = np.zeros((self.n_rows, part.stop - part.start), np.float32)
        for i, tokens in enumerate(self.tokens):
            first, last = np.searchsorted(tokens, [part.start, part.stop])
            x[i, tokens[first:last] - part.start] = 1.0
        return x * self.weights[part]


class ResidualFeatures(Residuals):
    """Residuals as `Features`."""

    @property
    def n_rows(self) -> int:
        """Number of sets."""
        return len(self.tokens)

    @property
    def n_regions(self) -> int:
        """Size of the universe."""
        return int(self.kinds.counts.shape[1])


def coverage_weights(sets: TokenSets, n_regions: int, power: float) -> npt.NDArray[np.float32]:
    """[V] float32 share of the sets that open a region, to a power; 0 for one that none opens."""
    counts = np.zeros(n_regions)
    for tokens in sets:
        counts[regions_of(tokens, n_regions)] += 1.0
    share = counts / max(len(sets), 1)
    return np.where(counts > 0, np.maximum(share, 1e-12) ** power, 0.0).astype(np.float32)


def count_kinds(
    sets: TokenSets, labels: LabelTable, names: list[str], n_regions: int, prior: float
) -> tuple[Kinds, Codes, npt.NDArray[np.int64]]:
    """Counts of regions by kind: all files, then by the first label, by the first two, and so on.

    Returns:
        The counts; the finest kind of each file (kind 0 where it has no label); the finest kinds there are.
    """
    total = np.array([len(regions_of(tokens, n_regions)) for tokens in sets], np.float64)
    levels = [np.zeros(len(sets), np.int64)]
    parent = [-1]
    for depth in range(1, len(names) + 1):
        codes, found = labels.codes(names[:depth])
        first = len(parent)
        for code in range(len(found)):
            parent.append(int(levels[-1][np.flatnonzero(codes == code)[0]]))
        levels.append(np.where(codes >= 0, codes + first, levels[-1]))
    counts = np.zeros((len(parent), n_regions), np.int32)
    sums = np.zeros(len(parent))
    for i, tokens in enumerate(sets):
        known = regions_of(tokens, n_regions)
        for kind in {int(level[i]) for level in levels}:
            counts[kind, known] += 1
            sums[kind] += total[i]
    kinds = Kinds(counts, sums, np.array(parent, np.int64), prior, float(total.mean()))
    return kinds, levels[-1], np.unique(levels[-1])


def plain_head(
    sets: TokenSets,
    weights: npt.NDArray[np.float32],
    gram: Matrix,
    norms: Matrix,
    space: Space,
    runs: Runs | None = None,
) -> PlainHead:
    """The head of a fitted space over weighted open regions, and over `runs` where the space was fitted with it."""
    table, factor = table_of(OpenRegions(sets, weights), space.mixing, norms)
    along = None if runs is None else (runs.of(sets) @ space.mixing * factor).astype(np.float32)
    return PlainHead(weights, table, (space.offset(gram) * factor).astype(np.float32), runs, along)


def kinds_of(labels: LabelTable, label: str) -> Codes | None:
    """[n] finer kind of each file where other labels refine `label` into enough of them, else None."""
    finer = labels.settling(label)
    if not finer:
        return None
    codes, found = labels.codes([label, *finer])
    return codes if len(found) >= LEAST_KINDS else None


def residual_frame(
    sets: TokenSets, labels: LabelTable, label: str, n_regions: int, fit: Fit
) -> tuple[ResidualHead, ResidualFeatures]:
    """A `ResidualHead` without its table, and the features of the files it is fitted on."""
    crossing = labels.crossing(label)
    kinds, leaf, leaves = count_kinds(sets, labels, crossing, n_regions, fit.prior)
    weights = coverage_weights(sets, n_regions, GUIDE_POWER)
    gram, norms = gram_of(OpenRegions(sets, weights))
    space = guide_space(gram, labels, crossing, fit)
    guide = plain_head(sets, weights, gram, norms, space)
    known = {token_digest(tokens): int(kind) for tokens, kind in zip(sets, leaf, strict=True)}
    head = ResidualHead(kinds, leaves, guide, kind_centres(space, leaf, leaves), known, fit.eps)
    own = np.ones(len(sets), bool)
    return head, ResidualFeatures(kinds, sets, leaf, own, fit.eps)


def guide_space(gram: Matrix, labels: LabelTable, crossing: list[str], fit: Fit) -> Space:
    """The space in which a file's kind, its labels `crossing` together, is guessed."""
    guided = replace(fit, shrink=GUIDE_SHRINK)
    return space_for(gram, labels, crossing, labels.crossing(crossing[-1]), guided)


def kind_centres(space: Space, leaf: Codes, leaves: Codes) -> npt.NDArray[np.float32]:
    """[L, d] unit vector of each kind: the mean of its files' unit vectors."""
    vectors = unit(space.vectors)
    return unit(np.stack([vectors[leaf == kind].mean(0) for kind in leaves])).astype(np.float32)


def space_for(
    gram: Matrix,
    labels: LabelTable,
    wanted: list[str],
    crossing: list[str],
    fit: Fit,
    kinds: Codes | None = None,
) -> Space:
    """`fit_space` for labels by name."""
    return fit_space(
        gram,
        labels.codes(wanted)[0],
        labels.codes(crossing)[0] if crossing else None,
        rank=fit.rank,
        shrink=fit.shrink,
        weight=fit.weight,
        kinds=kinds,
    )


def fit_plain(
    sets: TokenSets,
    labels: LabelTable,
    label: str,
    power: float,
    n_regions: int,
    fit: Fit,
    followed: npt.NDArray[np.bool_] | None = None,
) -> Head:
    """Fit a `PlainHead` for one label; where others refine it, with the runs of open regions (needs `followed`)."""
    weights = coverage_weights(sets, n_regions, power)
    gram, norms = gram_of(OpenRegions(sets, weights))
    wanted, crossing = [*labels.settled_by(label), label], labels.crossing(label)
    kinds = kinds_of(labels, label)
    runs = Runs.fit(followed, sets) if kinds is not None and followed is not None else None
    if runs is not None:
        gram = gram + np.outer(runs.of(sets), runs.of(sets))
    return plain_head(sets, weights, gram, norms, space_for(gram, labels, wanted, crossing, fit, kinds), runs)


def fit_residual(sets: TokenSets, labels: LabelTable, label: str, n_regions: int, fit: Fit) -> Head:
    """Fit a `ResidualHead` for one label that others cross."""
    head, features = residual_frame(sets, labels, label, n_regions, fit)
    gram, norms = gram_of(features)
    space = space_for(gram, labels, [*labels.settled_by(label), label], labels.crossing(label), fit)
    table, factor = table_of(features, space.mixing, norms)
    return replace(head, table=table, offset=(space.offset(gram) * factor).astype(np.float32))
