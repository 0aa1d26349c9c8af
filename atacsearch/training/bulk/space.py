"""The linear part of a label head: principal components of the files' features, whitened by what is nuisance.

An additive model of the files (mean + effect of the label + effect of what crosses it + rest; ridge, so that a
class of one file counts half) gives two scatters: that of the crossing effects and that of the rest. Whitening
by their weighted sum, shrunk towards a multiple of the identity, makes directions in which files of one class
differ short: within-class covariance normalisation, as speakers are told apart whatever they say on whatever
line (Hatch et al., Interspeech 2006, doi:10.21437/Interspeech.2006-183), with the crossing label's effects
weighed up. Classes of one file are carried by what the others taught.

For a label that another one refines, such as the assay, which the target refines, the vector can be kept to the
directions in which the means of the finer kinds differ: what else tells two files apart is of no use to the label,
and much of it is how their collection was made.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]
RIDGE = 1.0  # of the effects, in files
_SMALL = 1e-6  # directions of means below this share of the longest are noise
_TINY = 1e-9  # components below this share of the largest are noise


@dataclass(frozen=True)
class Space:
    """A fitted linear map.

    Attributes:
        mixing: [n, d] weights of the fitted files' features; features x (mixing-weighted features) = vector.
        vectors: [n, d] vectors of the fitted files, of mean zero.
    """

    mixing: Matrix
    vectors: Matrix

    def project(self, products: Matrix) -> Matrix:
        """[q, d] vectors from [q, n] inner products of new features with those of the fitted files.

        The offset, the same for all, is left to the caller: `offset(gram)`.
        """
        return np.asarray(products @ self.mixing)

    def offset(self, gram: Matrix) -> Matrix:
        """[d] what to take off a projected vector: the mean over the fitted files."""
        return np.asarray((gram @ self.mixing).mean(0))


def fit_space(
    gram: Matrix,
    wanted: Codes,
    crossing: Codes | None,
    *,
    rank: int,
    shrink: float,
    weight: float,
    kinds: Codes | None = None,
) -> Space:
    """Fit the map from inner products of features.

    Args:
        gram: [n, n] inner products of the files' unit features.
        wanted: [n] class of each file, -1 where it has none.
        crossing: [n] class by the crossing labels, or None.
        rank: components at the most.
        shrink: multiple of the rest's mean variance that is added in all directions.
        weight: of the crossing effects' scatter against the rest's.
        kinds: [n] finer class of each file, -1 where it has none: keep to the directions of their means.
    """
    n = len(gram)
    centre = np.eye(n) - 1.0 / n
    values, axes = np.linalg.eigh(centre @ gram @ centre)
    order = np.argsort(-values)[:rank]
    order = order[values[order] > _TINY * max(float(values.max()), 1e-300)]
    root = np.sqrt(values[order])
    coordinates = axes[:, order] * root  # [n, r]
    effects, rest = _effects(coordinates, [wanted] if crossing is None else [wanted, crossing])
    scatter = rest.T @ rest / n
    mean_variance = np.trace(scatter) / max(len(scatter), 1)
    if crossing is not None:
        rows = effects[1]
        scatter = scatter + weight * rows.T @ rows / n
    floor = shrink * mean_variance if mean_variance > 0 else 1.0
    spread, turn = np.linalg.eigh(scatter + floor * np.eye(len(scatter)))
    whitening = turn / np.sqrt(spread)
    if kinds is not None:
        whitening = whitening @ _mean_directions(coordinates @ whitening, kinds)
    return Space(centre @ (axes[:, order] / root) @ whitening, coordinates @ whitening)


def _mean_directions(vectors: Matrix, kinds: Codes) -> Matrix:
    """[r, d] orthonormal directions in which the means of the kinds differ."""
    means = np.stack([vectors[kinds == kind].mean(0) for kind in np.unique(kinds[kinds >= 0])])
    _, sizes, directions = np.linalg.svd(means - means.mean(0), full_matrices=False)
    return np.transpose(directions[sizes > _SMALL * sizes[0]])


def _effects(x: Matrix, codes: list[Codes]) -> tuple[list[Matrix], Matrix]:
    """Ridge fit of additive class effects: [n, r] each file's own effect for each set of codes, and the rest."""
    designs = [c[:, None] == np.arange(max(int(c.max(initial=-1)) + 1, 0)) for c in codes]
    full = np.concatenate([np.ones((len(x), 1)), *[d.astype(np.float64) for d in designs]], 1)
    penalty = np.full(full.shape[1], RIDGE)
    penalty[0] = 1e-6
    solved = np.linalg.solve(full.T @ full + np.diag(penalty), full.T @ x)
    out, first = [], 1
    for design in designs:
        out.append(design @ solved[first : first + design.shape[1]])
        first += design.shape[1]
    return out, x - full @ solved
