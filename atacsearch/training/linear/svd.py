"""Truncated SVD of sparse rows by a block Lanczos iteration, on all cores.

Singular values of open-chromatin matrices fall slowly, so that power iterations stop far from the singular vectors
(figures in docs/design/decisions.md). A Krylov space that keeps every block converges in as many passes over the data.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from .multinomial import Rows

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

BLOCK = 16  # columns that are multiplied at a time
NOTHING = 5e-3  # of the first singular value: below, squares are lost in float32
LOST = 1e-4  # of a column's length, what is left of one that lies in the basis
SPACE, MORE = 400, 3  # dimensions of the space: so many, and so many for each singular vector wanted

Floats = npt.NDArray[np.float32]


def truncated_svd(matrix: csr_matrix, rank: int, *, seed: int = 0) -> tuple[Floats, Floats]:
    """The first singular values and right singular vectors.

    Block Lanczos with full orthogonalisation and one Rayleigh-Ritz step at the end (Golub & Underwood 1977; Musco &
    Musco 2015, arXiv:1504.05477), on the shorter side of the matrix.

    Args:
        matrix: scipy sparse [n, f].
        rank: number r of singular vectors, at most the smaller of n and f.
        seed: of the directions that it starts from.

    Returns:
        [r] float32 singular values, largest first, and [f, r] float32 vectors; zeros beyond the
        matrix's rank. Fewer than r where fewer columns have any entry.
    """
    rows = Rows(matrix)
    tall = rows.forward.shape[0] > rows.forward.shape[1]  # work on the side of the features then
    out, back = (rows.backward, rows.forward) if not tall else (rows.forward, rows.backward)
    n = back.shape[0]
    if not n:
        return np.zeros(0, np.float32), np.zeros((matrix.shape[1], 0), np.float32)
    size = min(n, SPACE + MORE * rank)
    with torch.no_grad():
        basis, inner = torch.empty(n, size), torch.zeros(size, size)
        block, filled = torch.randn(n, BLOCK, generator=torch.Generator().manual_seed(seed)), 0
        while filled < size:
            width = min(BLOCK, size - filled)
            block = _orthonormal(block[:, :width], basis[:, :filled])
            basis[:, filled : filled + width] = block
            block = back @ (out @ block)
            # What lies beyond the next block is zero, and that of the next block is the transpose of this one.
            inner[: filled + width, filled : filled + width] = basis[:, : filled + width].T @ block
            filled += width
        values, turn = torch.linalg.eigh(inner.triu().double() + inner.triu(1).T.double())
        turn = turn.flip(1)[:, :rank].float()
        values = values.flip(0)[:rank].clamp_min(0).sqrt().float()
        values[values < NOTHING * values[0]] = 0
        short = basis @ turn
        vectors = (short if tall else out @ short / values.clamp_min(1e-30)) * (values > 0)
    return values.numpy(), rows.spread(np.ascontiguousarray(vectors.numpy()))


def _orthonormal(block: Tensor, basis: Tensor) -> Tensor:
    """The block's columns at right angles to the basis and to each other; twice is enough (Giraud et al. 2005).

    Columns that lie in the basis, as all do once a matrix of low rank is exhausted, are drawn anew.
    """
    for last in (False, False, True):
        length = block.norm(dim=0).max()
        block, triangle = torch.linalg.qr(block - basis @ (basis.T @ block))
        lost = triangle.diagonal().abs() <= LOST * length
        if not last and lost.any():
            generator = torch.Generator().manual_seed(basis.shape[1])
            drawn = torch.randn(len(block), int(lost.sum()), generator=generator)
            block[:, lost] = drawn / len(block) ** 0.5
    return block
