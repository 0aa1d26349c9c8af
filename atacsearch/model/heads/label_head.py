"""Label heads: further vectors of a BED file, one for each label, made from its token set alone.

A head maps a set to features over the universe and those linearly to its vector. There are two kinds of features:

- `PlainHead`: the open regions, each weighted by a power of its coverage, at unit length. Powers above zero look
  at regions that many files open (what tells targets apart), zero at all alike.
  A head for a coarse label also sees whether the open regions lie in runs (`token_runs`).
- `ResidualHead`: what the file opens beyond what files of its kind open: (x - p) / sqrt(p (1 - p) + eps), a Pearson
  residual, p being the share of files of the same assay and target that open a region, at this file's size. The
  kind is guessed by another head. So a strong assay signal does not hide the cell type.

Files that a head was fitted on are known to it by the digest of their tokens; their own counts are left out of p,
so that no file explains itself.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from ...tokens.token_sets import TokenSets
from .token_runs import Runs

Floats = npt.NDArray[np.floating[Any]]
CHUNK_CELLS = 8_000_000  # features held at once, 4 bytes each
MOST_OPEN = 0.98  # p at the most: no region is certain


def token_digest(tokens: npt.NDArray[np.uint32]) -> str:
    """32 hexadecimal digits that name a set of tokens."""
    return hashlib.sha256(np.unique(tokens).astype("<u4").tobytes()).hexdigest()[:32]


def unit(vectors: Floats) -> Floats:
    """Rows at length 1; rows of zeros stay zeros."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(norms > 0, norms, 1.0)


@dataclass(frozen=True)
class PlainHead:
    """Weighted open regions at unit length, times a table.

    Attributes:
        weights: [V] float32 weight of each region.
        table: [V, d] float16.
        offset: [d] float32, taken off every vector: the mean of the files that it was fitted on.
        runs: how the open regions lie beside each other; None where the head does not look at it.
        along: [d] float32 direction of `runs`.
    """

    weights: npt.NDArray[np.float32]
    table: npt.NDArray[np.float16]
    offset: npt.NDArray[np.float32]
    runs: Runs | None = None
    along: npt.NDArray[np.float32] | None = None

    kind: ClassVar[str] = "bedfiles"  # the collection whose items get this vector

    @property
    def dim(self) -> int:
        """Width d of the vectors."""
        return int(self.table.shape[1])

    def vectors(self, sets: TokenSets) -> npt.NDArray[np.float32]:
        """[n, d] float32; zeros for a set without any region of weight."""
        out = np.zeros((len(sets), self.dim), np.float32)
        lying = None if self.runs is None else self.runs.of(sets)
        for row, tokens in enumerate(sets):
            known = regions_of(tokens, len(self.weights))
            w = self.weights[known]
            norm = float(np.linalg.norm(w))
            if norm > 0:
                out[row] = (w / norm) @ self.table[known].astype(np.float32) - self.offset
                if lying is not None and self.along is not None:
                    out[row] += np.float32(lying[row]) * self.along
        return out

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """What is to be stored."""
        out: dict[str, npt.NDArray[Any]] = {
            "weights": self.weights,
            "table": self.table,
            "offset": self.offset,
        }
        if self.runs is not None and self.along is not None:
            out |= {"along": self.along, **self.runs.arrays()}
        return out


@dataclass(frozen=True)
class Kinds:
    """How often files of each kind open each region, kinds nested in coarser ones.

    Attributes:
        counts: [C, V] int32 number of files of a kind that open a region; kind 0 is all files.
        totals: [C] float64 tokens of all files of a kind.
        parent: [C] int64 the coarser kind; -1 for kind 0.
        prior: weight of the coarser kind's shares, in files of mean size.
        mean_size: tokens of a file on average.
    """

    counts: npt.NDArray[np.int32]
    totals: npt.NDArray[np.float64]
    parent: npt.NDArray[np.int64]
    prior: float
    mean_size: float

    def chain(self, kind: int) -> list[int]:
        """`kind` and all coarser ones, coarsest first."""
        out = [kind]
        while self.parent[out[-1]] >= 0:
            out.append(int(self.parent[out[-1]]))
        return out[::-1]

    @cached_property
    def _counts(self) -> npt.NDArray[np.float32]:
        return self.counts.astype(np.float32)

    def odds(self, kind: int, size: int, own: Floats | None, part: slice) -> Floats:
        """[part] expected openings of each region in a file of `size` tokens, p / (1 - p) before scaling.

        Args:
            kind: of the file.
            size: its tokens.
            own: [part] 0 or 1, its own regions, where it is among the counted files; else None.
            part: columns.
        """
        share: Floats = np.zeros(part.stop - part.start, np.float32)
        weight = self.prior * self.mean_size
        for c in self.chain(kind):
            top: Floats = self._counts[c, part]
            if own is not None:
                top = top - own
            prior = 0.0 if c == 0 else weight
            total = float(self.totals[c]) - (0 if own is None else size) + prior
            share *= np.float32(prior)
            share += top
            share *= np.float32(1.0 / max(total, 1.0))
        share *= np.float32(size)
        return share


@dataclass(frozen=True)
class ResidualHead:
    """Pearson residuals against files of the same kind, times a table.

    Attributes:
        kinds: the counts behind the expectation.
        leaves: [L] int64 the finest kinds, those that a file can be of.
        guide: gives vectors by which a file's kind is guessed.
        centres: [L, dg] float32 unit vector of each leaf in the guide's space.
        known: token digest of each fitted file -> its leaf.
        eps: keeps rare regions from dominating.
        table: [V, d] float16.
        offset: [d] float32, taken off every vector.
    """

    kinds: Kinds
    leaves: npt.NDArray[np.int64]
    guide: PlainHead
    centres: npt.NDArray[np.float32]
    known: dict[str, int]
    eps: float
    table: npt.NDArray[np.float16] = field(default_factory=lambda: np.zeros((0, 0), np.float16))
    offset: npt.NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))

    kind: ClassVar[str] = "bedfiles"

    @property
    def dim(self) -> int:
        """Width d of the vectors."""
        return int(self.table.shape[1])

    @cached_property
    def _table(self) -> npt.NDArray[np.float32]:
        return self.table.astype(np.float32)

    def vectors(self, sets: TokenSets) -> npt.NDArray[np.float32]:
        """[n, d] float32; zeros for a set without regions."""
        out = np.zeros((len(sets), self.dim), np.float32)
        n_regions = self.kinds.counts.shape[1]
        chunk = max(1, CHUNK_CELLS // max(n_regions, 1))
        filled = np.flatnonzero([len(regions_of(tokens, n_regions)) > 0 for tokens in sets])
        for first in range(0, len(filled), chunk):
            rows = filled[first : first + chunk]
            part = sets.take(rows)
            leaf, own = self.guess(part)
            features = Residuals(self.kinds, part, leaf, own, self.eps).columns(slice(0, n_regions))
            out[rows] = unit(features) @ self._table - self.offset
        return out

    def guess(self, sets: TokenSets) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """[n] kind of each set, and whether it is one of the fitted files (its kind is then known)."""
        near = unit(self.guide.vectors(sets)) @ self.centres.T
        leaf = self.leaves[near.argmax(1)]
        names = [self.known.get(token_digest(tokens)) for tokens in sets]
        own = np.array([name is not None for name in names], bool)
        leaf[own] = [name for name in names if name is not None]
        return leaf, own

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """What is to be stored as arrays; `facts` has the rest."""
        out: dict[str, npt.NDArray[Any]] = {
            "counts": self.kinds.counts,
            "totals": self.kinds.totals,
            "parent": self.kinds.parent,
            "leaves": self.leaves,
            "centres": self.centres,
            "table": self.table,
            "offset": self.offset,
        }
        return out | {f"guide.{name}": value for name, value in self.guide.arrays().items()}

    def facts(self) -> dict[str, Any]:
        """What is to be stored as JSON."""
        kinds = self.kinds
        return {"eps": self.eps, "prior": kinds.prior, "mean_size": kinds.mean_size, "known": self.known}


class Residuals:
    """Features of several sets for a `ResidualHead`, a stretch of regions at a time.

    Args:
        kinds: the counts behind the expectation.
        sets: [n] token sets, none of them empty.
        leaf: [n] kind of each.
        own: [n] whether it is among the counted files.
        eps: see `ResidualHead`.
    """

    def __init__(
        self,
        kinds: Kinds,
        sets: TokenSets,
        leaf: npt.NDArray[np.int64],
        own: npt.NDArray[np.bool_],
        eps: float,
    ) -> None:
        self.kinds, self.leaf, self.own, self.eps = kinds, leaf, own, eps
        n_regions = kinds.counts.shape[1]
        self.tokens = [regions_of(tokens, n_regions) for tokens in sets]
        self.sizes = np.array([len(t) for t in self.tokens], np.int64)

    @cached_property
    def scale(self) -> npt.NDArray[np.float32]:
        """[n] factor of the expectations: saturated ones do not add up to the file's size without it."""
        sums = np.zeros(len(self.tokens))
        for part in stretches(self.kinds.counts.shape[1], len(self.tokens)):
            sums += self._expected(part)[1].sum(1, dtype=np.float64)
        return (self.sizes / np.maximum(sums, 1e-12)).astype(np.float32)

    def _expected(self, part: slice) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """[n, part] open regions, and their expectation before scaling."""
        x = np.zeros((len(self.tokens), part.stop - part.start), np.float32)
        p = np.empty_like(x)
        for i, tokens in enumerate(self.tokens):
            first, last = np.searchsorted(tokens, [part.start, part.stop])
            x[i, tokens[first:last] - part.start] = 1.0
            mu = self.kinds.odds(int(self.leaf[i]), int(self.sizes[i]), x[i] if self.own[i] else None, part)
            p[i] = mu / (1.0 + mu)
        return x, p

    def columns(self, part: slice) -> npt.NDArray[np.float32]:
        """[n, part] float32 residuals, not yet at unit length."""
        x, p = self._expected(part)
        p = np.minimum(p * self.scale[:, None], np.float32(MOST_OPEN))
        spread = p * (1.0 - p)
        spread += np.float32(self.eps)
        x -= p
        x /= np.sqrt(spread, out=spread)
        return x


def regions_of(tokens: npt.NDArray[np.uint32], n_regions: int) -> npt.NDArray[np.int64]:
    """Distinct regions of a set, ascending; special tokens left out."""
    found = np.unique(tokens).astype(np.int64)
    return found[found < n_regions]


def stretches(n_regions: int, n_rows: int) -> list[slice]:
    """The universe in stretches that keep [n_rows, stretch] features within `CHUNK_CELLS`."""
    step = max(1024, CHUNK_CELLS // max(n_rows, 1))
    return [slice(i, min(i + step, n_regions)) for i in range(0, n_regions, step)]
