"""The picture of a training run: losses on the left, other held-out figures on the right, an epoch a step."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

PLOT = "training.png"
LEAST_SPAN = 0.1  # of a panel's vertical axis
COLOURS = ("#2f7ed8", "#e0457b", "#2ca25f", "#8e63ce", "#f28e2b", "#17b0c0", "#a9663d")


def curves(records: Sequence[dict[str, Any]]) -> dict[str, tuple[list[float], list[float]]]:
    """What there is to draw in a training log: for each figure, the epochs (from 1) and its values.

    Example:
        >>> curves([{"event": "epoch", "epoch": 0, "loss": 0.5}, {"event": "done", "cells": 3}])
        {'loss': ([1], [0.5])}
    """
    found: dict[str, tuple[list[float], list[float]]] = {}
    for record in records:
        if record.get("event") != "epoch":
            continue
        for name, value in record.items():
            if isinstance(value, float) and name not in ("time", "seconds"):
                xs, ys = found.setdefault(name, ([], []))
                xs.append(record["epoch"] + 1)
                ys.append(value)
    return found


def draw_log(records: Sequence[dict[str, Any]], target: str | Path) -> Path | None:
    """Draw a training log as PNG.

    Args:
        records: as `state.read_log` gives them.
        target: the file.

    Returns:
        The file, or None where the log holds no epoch.
    """
    found = curves(records)
    if not found:
        return None
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    losses = {k: v for k, v in found.items() if "loss" in k}
    others = {k: v for k, v in found.items() if "loss" not in k}
    panels = [(title, group) for title, group in (("loss", losses), ("figures", others)) if group]
    figure = Figure(figsize=(4.6 * len(panels), 3.4), layout="constrained")
    FigureCanvasAgg(figure)
    best = next((r["best_epoch"] + 1 for r in reversed(records) if "best_epoch" in r), None)
    for place, (title, group) in enumerate(panels, start=1):
        axes = figure.add_subplot(1, len(panels), place)
        for colour, (name, (xs, ys)) in zip(COLOURS * len(group), group.items(), strict=False):
            held = name.startswith("held_out")
            axes.plot(
                xs,
                ys,
                "-o" if len(xs) < 40 else "-",
                markersize=3,
                color=colour,
                linewidth=1.8 if held else 1.2,
                label=name.replace("_", " "),
            )
        low, high = axes.get_ylim()
        if high - low < LEAST_SPAN:  # or noise would look like a trend
            middle = (low + high) / 2
            axes.set_ylim(middle - LEAST_SPAN / 2, middle + LEAST_SPAN / 2)
        if best is not None:
            axes.axvline(best, color="#9aa0a8", linewidth=1, linestyle=":", label="kept epoch")
        axes.set_xlabel("epoch")
        axes.set_title(title, loc="left", fontsize=10)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color="#e4e6e8", linewidth=0.6)
        axes.legend(frameon=False, fontsize=8)
    figure.savefig(target, dpi=130)
    return Path(target)
