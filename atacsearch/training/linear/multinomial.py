"""Multinomial regression with classes weighted evenly: the linear classifier behind class heads.

Minimises, over a table W [f, K] and offsets b [K], the mean of `weight * -log softmax(x W + b)[class]` over items,
weights such that every class counts alike, plus `|W|^2 / (2 C n)`: scikit-learn's balanced `LogisticRegression` of
inverse strength C. Solved by torch's L-BFGS in float32, an item's features multiplied as sparse rows, which takes a
sixth to a tenth of the time of scikit-learn's float64 (figures in docs/design/decisions.md).
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

ITERATIONS = 200
# Stops where no entry of the gradient is larger than this share of the largest at the start: a number that depends
# neither on how many regions a cell has nor on how many cells there are.
TOLERANCE = 0.05
HISTORY = 10  # steps that the second derivative is read from
MOST_HISTORY_BYTES = 2_000_000_000

Floats = npt.NDArray[np.float32]


class Rows:
    """Features of items, sparse or dense, ready to be multiplied from both sides.

    Args:
        features: [n, f] scipy sparse matrix or array.
    """

    def __init__(self, features: csr_matrix | npt.NDArray[np.floating[Any]]) -> None:
        import scipy.sparse as sp

        self.shape: tuple[int, int] = features.shape
        # Features that any item has; the others get rows of zeros. None: all.
        self.seen: npt.NDArray[np.int64] | None = None
        if sp.issparse(features):
            rows = sp.csr_matrix(features)
            self.seen = np.flatnonzero(np.bincount(rows.indices, minlength=rows.shape[1]))
            rows = rows[:, self.seen]
            self.forward, self.backward = _torch_csr(rows), _torch_csr(sp.csr_matrix(rows.T))
        else:
            self.forward = torch.from_numpy(np.ascontiguousarray(features, np.float32))
            self.backward = self.forward.T

    def spread(self, table: Floats) -> Floats:
        """[f, K] table of all features from that of the features that any item has."""
        if self.seen is None:
            return table
        out = np.zeros((self.shape[1], table.shape[1]), np.float32)
        out[self.seen] = table
        return out


def _torch_csr(matrix: csr_matrix) -> Tensor:
    wide = max(matrix.nnz, *matrix.shape) > np.iinfo(np.int32).max
    kind = np.int64 if wide else np.int32
    indptr, indices = (torch.from_numpy(a.astype(kind)) for a in (matrix.indptr, matrix.indices))
    values = torch.from_numpy(matrix.data.astype(np.float32))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta", UserWarning)
        return torch.sparse_csr_tensor(indptr, indices, values, matrix.shape, check_invariants=False)


def balanced_weights(codes: npt.NDArray[np.int64], n_classes: int) -> npt.NDArray[np.float64]:
    """[n] weights of items by which every class that occurs counts alike; their mean is 1."""
    counts = np.bincount(codes, minlength=n_classes)
    return np.asarray((len(codes) / (np.count_nonzero(counts) * np.maximum(counts, 1)))[codes])


def fit_multinomial(
    rows: Rows, codes: npt.NDArray[np.int64], n_classes: int, strength: float
) -> tuple[Floats, Floats]:
    """Fit a balanced multinomial regression.

    Args:
        rows: features of n items.
        codes: [n] class of each, from 0 to `n_classes` - 1.
        n_classes: number K of classes.
        strength: inverse strength C of the regularisation.

    Returns:
        [f, K] float32 scores of features and [K] offsets, the mean over classes taken off both.
    """
    n, k = len(codes), n_classes
    f = rows.forward.shape[1]
    weights = torch.from_numpy(balanced_weights(codes, k).astype(np.float32)) / n
    truth = torch.from_numpy(codes.astype(np.int64))
    ridge = 1.0 / (strength * n)
    at = torch.zeros(f * k + k)

    def value_and_gradient() -> Tensor:
        table, offset = at[: f * k].view(f, k), at[f * k :]
        log_p = torch.log_softmax(rows.forward @ table + offset, 1)  # [n, K]
        loss = -(weights * log_p.gather(1, truth[:, None])[:, 0]).sum() + 0.5 * ridge * table.square().sum()
        error = log_p.exp_()
        error[torch.arange(n), truth] -= 1.0
        error *= weights[:, None]
        if at.grad is None:
            at.grad = torch.empty_like(at)
        torch.add(rows.backward @ error, table, alpha=ridge, out=at.grad[: f * k].view(f, k))
        at.grad[f * k :] = error.sum(0)
        return loss

    with torch.no_grad():
        value_and_gradient()
        assert at.grad is not None
        history = int(min(HISTORY, max(3, MOST_HISTORY_BYTES // (8 * len(at)))))
        solver = torch.optim.LBFGS(
            [at],
            max_iter=ITERATIONS,
            tolerance_grad=TOLERANCE * float(at.grad.abs().max()),
            tolerance_change=0.0,
            history_size=history,
            line_search_fn="strong_wolfe",
        )
        solver.step(value_and_gradient)
    table, offset = at[: f * k].view(f, k).numpy(), at[f * k :].numpy()
    return rows.spread(table - table.mean(1, keepdims=True)), offset - offset.mean()
