"""Pictures of a report: UMAP layout of vectors and scatter panels as transparent PNG.

A panel holds dots alone. Words (titles, legends, names of types) are laid over it by the page, in the
reader's own font and colour, so that a picture reads on a light and on a dark background alike.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .palette import BACKDROP

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
MARGIN = 0.03  # around the points, as a share of the longer side


@dataclass(frozen=True)
class Panel:
    """One scatter picture.

    Attributes:
        title: what is shown.
        note: a line under the title.
        image: data URI of the PNG.
        shape: its width and height in pixels.
        names: (text, left, top): where to write the name of a label, in percent of the picture.
        legend: (text, colour, number of cells).
    """

    title: str
    note: str
    image: str
    shape: tuple[int, int]
    names: tuple[tuple[str, float, float], ...]
    legend: tuple[tuple[str, str, int], ...]


def umap_layout(vectors: Floats, seed: int = 0) -> Floats:
    """Lay vectors out in the plane, for looking at only.

    Args:
        vectors: [n, d] float32.
        seed: makes the layout the same in every run on the same machine.

    Returns:
        [n, 2] float32 from 0, the larger range to 1 and both axes on one scale.

    Reference: McInnes et al. 2018, arXiv:1802.03426; cosine distance, as search uses.
    """
    import warnings

    from sklearn.neighbors import NearestNeighbors

    # Exact neighbours and a start from principal components: at this size faster than umap's own ways, which
    # compile for most of a minute first.
    near = NearestNeighbors(n_neighbors=min(15, len(vectors) - 1), metric="cosine").fit(vectors)
    distance, neighbour = near.kneighbors(vectors)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a seed turns threads off, and umap says so each time
        import umap

        mapper = umap.UMAP(
            n_neighbors=neighbour.shape[1],
            min_dist=0.3,
            metric="cosine",
            n_epochs=300,
            init="pca",
            precomputed_knn=(neighbour, distance.astype(np.float32)),
            random_state=seed,
            n_jobs=1,
        )
        xy = np.asarray(mapper.fit_transform(vectors), np.float32)
    # A stray point or two must not shrink everything else: the frame is drawn around the others.
    low, high = np.percentile(xy, [0.02, 99.98], axis=0)
    span = float((high - low).max()) or 1.0
    return np.asarray((np.clip(xy, low, high) - low) / span, np.float32)


def scatter(
    title: str,
    note: str,
    xy: Floats,
    labels: Sequence[str | None],
    shown: Mask,
    colours: Mapping[str, str],
    *,
    hollow: Mask | None = None,
    name_labels: bool = True,
    size_px: int = 960,
) -> Panel:
    """Draw the shown points in the colours of their labels over all others in pale grey.

    Args:
        title: of the panel.
        note: a line under it.
        xy: [n, 2] in 0..1, from `umap_layout`; the picture is as wide and high as they reach.
        labels: [n] label of each point; None is drawn like a backdrop point.
        shown: [n] points to colour.
        colours: colour of each label.
        hollow: [n] points to draw as rings (calls that are not trusted).
        name_labels: write the names beside the points.
        size_px: the longer side of the picture.
    """
    from matplotlib.figure import Figure

    reach = np.maximum(xy.max(axis=0), 0.4) + 2 * MARGIN
    width, height = (round(size_px * float(r) / (1 + 2 * MARGIN)) for r in reach)
    figure = Figure(figsize=(width / 100, height / 100), dpi=100)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set(xlim=(-MARGIN, reach[0] - MARGIN), ylim=(-MARGIN, reach[1] - MARGIN))
    axes.set_axis_off()
    figure.patch.set_alpha(0)
    dot = float(np.clip(45_000 / max(1, shown.sum()), 9, 30))

    back = ~shown
    axes.scatter(xy[back, 0], xy[back, 1], s=dot * 0.6, c=BACKDROP, alpha=0.28, linewidths=0)
    own = np.array([colours.get(x, BACKDROP) if x is not None else BACKDROP for x in labels], dtype=object)
    rings = np.zeros(len(xy), bool) if hollow is None else hollow
    # In random order, so that no type lies on top of all others only because it comes last.
    order = np.random.default_rng(0).permutation(np.flatnonzero(shown & ~rings))
    axes.scatter(xy[order, 0], xy[order, 1], s=dot, c=list(own[order]), alpha=0.85, linewidths=0)
    unsure = np.flatnonzero(shown & rings)
    axes.scatter(
        xy[unsure, 0], xy[unsure, 1], s=dot, facecolors="none", edgecolors=list(own[unsure]), linewidths=1.0
    )
    stream = io.BytesIO()
    figure.savefig(stream, format="png")

    counts = {
        x: sum(label == x for label, drawn in zip(labels, shown, strict=True) if drawn) for x in colours
    }
    legend = tuple((x, colours[x], n) for x, n in counts.items() if n)
    names = _places(xy, labels, shown, [x for x, _, _ in legend], reach) if name_labels else ()
    return Panel(title, note, data_uri(stream.getvalue(), "image/png"), (width, height), names, legend)


def data_uri(content: bytes, kind: str) -> str:
    """`content` as a `data:` address, so that a page needs no other file."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _places(
    xy: Floats,
    labels: Sequence[str | None],
    shown: Mask,
    names: Sequence[str],
    reach: npt.NDArray[np.float32],
) -> tuple[tuple[str, float, float], ...]:
    """Where to write each name: the middle of its points in percent from the left and top, pushed apart."""
    text = np.asarray(labels, dtype=object)
    centre = np.array([np.median(xy[shown & (text == x)], axis=0) for x in names]).reshape(-1, 2)
    place = (centre + MARGIN) / reach
    place[:, 1] = 1 - place[:, 1]
    # Bold text of 12 px in a picture about 420 px wide, as shares of its width and height.
    half_width = np.array([(3.7 * len(x) + 5) / 420 for x in names])
    line = 17 / (420 * float(reach[1] / reach[0]))
    for _ in range(300):
        moved = False
        for i in range(len(names)):
            for j in range(i):
                gap = place[i] - place[j]
                if abs(gap[1]) < line and abs(gap[0]) < half_width[i] + half_width[j]:
                    step = 0.003 if gap[1] >= 0 else -0.003
                    place[i, 1] += step
                    place[j, 1] -= step
                    moved = True
        if not moved:
            break
    for i, reach_x in enumerate(half_width):  # a name stays inside its picture
        place[i] = np.clip(place[i], [min(reach_x, 0.5), 0.03], [max(1 - reach_x, 0.5), 0.97])
    return tuple((x, float(p[0] * 100), float(p[1] * 100)) for x, p in zip(names, place, strict=True))
