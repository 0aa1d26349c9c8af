"""Tables of the tasks on BED files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.accuracy.shared.words import spread
from bench.common.markdown import markdown_table

NAMED = "without predicted"  # part of the name of the baseline that predicts assay and target first


def beds_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Markdown of all tasks: the best of each side, then every method, then gains."""
    scored = [row for row in rows if "baseline" not in row]
    parts = [
        headline(scored),
        "",
        "### every method on BED files",
        "",
        markdown_table(
            (
                "task",
                "also left out",
                "method",
                "eligible of total",
                "accuracy",
                "95 %",
                "macro-F1",
                "balanced",
            ),
            [
                (
                    row["task"],
                    row["left_out"],
                    f"**{row['method']}**" if row["ours"] else row["method"],
                    f"{row['eligible']} of {row['total']}",
                    spread(row, "accuracy"),
                    "{:.3f} to {:.3f}".format(*row["accuracy_interval"]),
                    spread(row, "macro_f1"),
                    spread(row, "balanced_accuracy"),
                )
                for row in scored
            ],
        ),
    ]
    gained = [row for row in rows if "baseline" in row]
    if gained:
        parts += [
            "",
            "### ours minus a simple method, accuracy",
            "",
            markdown_table(
                ("task", "also left out", "baseline", "gain"),
                [
                    (
                        r["task"],
                        r["left_out"],
                        r["baseline"],
                        "{:+.3f} [{:+.3f}, {:+.3f}]".format(r["gain"], *r["interval"]),
                    )
                    for r in gained
                ],
            ),
        ]
    return "\n".join(parts)


def headline(rows: Sequence[Mapping[str, Any]]) -> str:
    """Markdown with a line for each task and rule: the best simple method, the named baseline and ours.

    The best one is picked by its accuracy on the files asked, which favours it.
    """
    lines = []
    for task, left_out in dict.fromkeys((row["task"], row["left_out"]) for row in rows):
        own = [row for row in rows if (row["task"], row["left_out"]) == (task, left_out)]
        simple = [row for row in own if not row["ours"]]
        named = [row for row in simple if NAMED in row["method"]]
        best = max(simple, key=lambda row: row["accuracy"]) if simple else None
        ours = [row for row in own if row["ours"]]
        rivals: list[Mapping[str, Any] | None] = [*ours] or [None]
        for row in rivals:
            some = row or best
            if some is None:
                continue
            lines.append(
                (
                    task,
                    left_out,
                    f"{some['eligible']} of {some['total']}",
                    _figures(best, True),
                    _figures(max(named, key=lambda r: r["accuracy"]) if named else None),
                    _figures(row, True),
                )
            )
    return markdown_table(
        (
            "task",
            "also left out",
            "eligible of total",
            "best simple method",
            "without the predicted assay and target",
            "ours",
        ),
        lines,
    )


def _figures(row: Mapping[str, Any] | None, name: bool = False) -> str:
    """Accuracy with its interval, macro-F1 and balanced accuracy."""
    if row is None:
        return ""
    low, high = row["accuracy_interval"]
    words = f"{row['accuracy']:.3f} [{low:.3f}, {high:.3f}] / {row['macro_f1']:.3f} / {row['balanced_accuracy']:.3f}"
    return f"{row['method']}: {words}" if name else words
