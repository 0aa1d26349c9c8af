"""Small cell x peak matrices, and the token sets that their cells must have."""

import numpy as np
from sources import universe_of

from atacsearch.readers.inputs.open import open_input
from atacsearch.readers.options import ReadOptions

PEAKS = [("chr1", 100, 300), ("chr2", 50, 80), ("chr1", 500, 900), ("chr1", 5000, 5100), ("chr2", 70, 400)]
REGIONS = [("chr1", 250, 260), ("chr1", 255, 600), ("chr2", 0, 75), ("chr3", 0, 9)]
TOKENS = {0: {0, 1}, 1: {2}, 2: {1}, 3: set(), 4: {2}}


def counts(n=40, seed=0):
    rng = np.random.default_rng(seed)
    dense = (rng.random((n, len(PEAKS))) < 0.3) * rng.integers(1, 5, (n, len(PEAKS)))
    dense[3] = 0
    return dense


def expected(dense):
    return [sorted(set().union(*(TOKENS[p] for p in np.flatnonzero(row)))) for row in dense]


def read(path, **options):
    (items,) = open_input(path, universe_of(REGIONS), ReadOptions(**options))
    return items
