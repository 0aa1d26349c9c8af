"""The page of the ablation: tables in Markdown, from the record alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

MIXING = {
    "knn_accuracy": "kNN accuracy",
    "knn_other_batches": "kNN, other batches",
    "clisi": "cLISI (1 is best)",
    "ilisi": "iLISI, median",
    "mixed": "mixed",
    "mixed_within_labels": "mixed within labels",
    "kbet": "kBET within labels",
}


def page(record: dict[str, Any]) -> str:
    """All tables, and how they were made."""
    made = f"{record['date']}, {record['cores']} cores of {record['processor']}"
    parts = [f"Made by `scripts/bench/training/ablation.py`, {made}."]
    if record["steps"]:
        parts += ["## What each step adds", _about(record["steps"]), _steps(record["steps"])]
    if record["batch"]:
        parts += ["## Batch correction", _trained(record["batch"], False), _batches(record["batch"])]
    if record["clusters"]:
        parts += ["## Clusters of vectors that saw no label", _clusters(record["clusters"])]
    return "\n\n".join(parts) + "\n"


def _trained(rows: Sequence[dict[str, Any]], pretrained: bool = True) -> str:
    """How much the rows were trained, one sentence for each extent that occurs."""
    extents = {tuple(row["extent"].items()): row["extent"] for row in rows}
    kind = "reference cells and as many query cells" if pretrained else "cells"
    return " ".join(
        f"At most {e['cells']:,} {kind}, drawn; "
        + (f"pretraining {e['epochs']} epoch(s), fine-tuning " if pretrained else "epochs of correction ")
        + f"{e['tuning']}, {e['max_tokens']} tokens of a cell in a step."
        for e in extents.values()
    )


def _about(rows: Sequence[dict[str, Any]]) -> str:
    return _trained(rows) + (
        " kNN: the 15 nearest reference cells name the query's; ARI: k-means with as many clusters as there are types."
    )


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def _mean(rows: Sequence[dict[str, Any]], name: str) -> str:
    values = [row[name] for row in rows if row.get(name) is not None]
    if not values:
        return ""
    spread = f" ± {np.std(values, ddof=1):.3f}" if len(values) > 1 else ""
    return f"{np.mean(values):.3f}{spread}"


def _grouped(rows: Sequence[dict[str, Any]], *names: str) -> dict[tuple[Any, ...], list[dict[str, Any]]]:
    found: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault(tuple(row[name] for name in names), []).append(row)
    return found


def _steps(rows: Sequence[dict[str, Any]]) -> str:
    header = (
        "data", "reference → query", "cells", "step", "kNN accuracy", "macro-F1",
        "ARI, all cells", "ARI, query", "seconds",
    )  # fmt: skip
    lines = []
    for (dataset, line, step), found in _grouped(rows, "dataset", "line", "step").items():
        cells = f"{found[0]['cells']:,} / {found[0]['query_cells']:,}"
        scores = [_mean(found, name) for name in ("accuracy", "macro_f1", "ari_all", "ari_query")]
        lines.append((dataset, line, cells, step.strip(), *scores, f"{found[0]['seconds']:.0f}"))
    return table(header, lines)


def _batches(rows: Sequence[dict[str, Any]]) -> str:
    lines = []
    for (dataset, method), found in _grouped(rows, "dataset", "method").items():
        about = (dataset, f"{found[0]['cells']:,} / {found[0]['scored']:,} / {found[0]['batches']}", method)
        lines.append((*about, *(_mean(found, name) for name in MIXING), f"{found[0]['seconds']:.0f}"))
    return table(("data", "cells / scored / batches", "vectors", *MIXING.values(), "seconds"), lines)


def _clusters(rows: Sequence[dict[str, Any]]) -> str:
    header = ("data", "vectors", "clusters", "found", "seeds", "ARI", "AMI", "ARI minus best baseline's")
    lines = []
    for row in rows:
        name = f"**{row['vectors']}**" if row["ours"] else row["vectors"]
        scores = [
            f"{row[m]:.3f}" + (f" ± {row[f'{m}_sd']:.3f}" if row.get(f"{m}_sd") is not None else "")
            for m in ("ari", "ami")
        ]
        found = f"{row['n_clusters']:g}"
        gain = ""
        if row.get("gain") is not None:
            gain = "{:+.3f} [{:+.3f}, {:+.3f}]".format(row["gain"], *row["gain_interval"])
        lines.append((row["dataset"], name, row["clusters"], found, str(row["seeds"]), *scores, gain))
    return table(header, lines)
