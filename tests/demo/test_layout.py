"""The layout is the same twice, keeps groups apart and stays in its frame."""

from __future__ import annotations

import numpy as np

from atacsearch.demo.plots import umap_layout


def test_layout() -> None:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(3, 16)) * 5
    group = np.repeat(np.arange(3), 30)
    vectors = (centres[group] + rng.normal(size=(90, 16))).astype(np.float32)
    xy = umap_layout(vectors)
    assert xy.dtype == np.float32
    assert xy.shape == (90, 2)
    assert xy.min() == 0
    assert xy.max() == 1
    np.testing.assert_array_equal(xy, umap_layout(vectors))
    middle = np.array([xy[group == g].mean(axis=0) for g in range(3)])
    own = np.linalg.norm(xy - middle[group], axis=1)
    assert (own < np.linalg.norm(xy - middle[(group + 1) % 3], axis=1)).all()
