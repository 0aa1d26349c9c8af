"""The page of the calibration benchmark."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def page(record: dict[str, Any]) -> str:
    """Markdown of what was measured."""
    rows = record["rows"]
    lines = [r for r in rows if r["part"] == "calibration"]
    unknown = [r for r in rows if r["part"] == "unknown"]
    where = f"{record['cores']} cores of {record['processor']}"
    out = [
        "# How far `annotate` can be trusted",
        "",
        "**Question.** How far can a confidence, a label set and an `unknown` be trusted?",
        "",
        "**Answer.** On data like the reference, and with three groups held out, far; with one group "
        "confidence may be too high on another donor, and a type that has a relative in the reference is "
        "seldom called unknown.",
        "",
        f"Made by `scripts/bench/trust/calibration.py`, {record['date']}, {where}, one seed. Reference and query "
        "are those of [quality](quality.md); confidence, label sets and the limit of the unknown were "
        "fitted on the reference alone. ECE: expected calibration error, 15 bins of equal mass, 95 % "
        "bootstrap interval; AURC: area under the risk-coverage curve (less is better). *Groups* are the "
        "donors, libraries or replicates of the reference that were held out while fitting; with fewer "
        "than three the tool says that confidence is uncalibrated, and cross-donor lines show why.",
        "",
    ]
    out += _in_short(lines, unknown)
    if lines:
        out += [
            "## Confidence",
            "",
            _confidence(lines),
            "",
            "## Before and after, in tenths of the cells",
            "",
        ]
        out += [
            _curves(lines),
            "",
            "## Label sets (`--coverage 0.9`) and false unknowns",
            "",
            _coverage(lines),
            "",
        ]
        out += ["### by held-out group of the query", "", _groups(lines), ""]
        out += ["### label sets by class", "", _classes(lines), ""]
    if unknown:
        out += ["## A type that the reference lacks", "", _unknown(unknown)]
    return "\n".join(out) + "\n"


def _in_short(lines: list[dict[str, Any]], unknown: list[dict[str, Any]]) -> list[str]:
    """What the tables come to, counted."""
    said = []
    trusted = [line for line in lines if line["held_out"]["groups"] >= 3]
    for some, words in (
        (trusted, "three groups or more"),
        ([x for x in lines if x not in trusted], "one group"),
    ):
        if some:
            good = sum(line["methods"]["atacsearch"]["ece"] <= 0.05 for line in some)
            covered = [line["coverage"]["measured"] for line in some]
            said.append(
                f"- Fitted on {words}: ECE at most .05 on {good} of {len(some)} lines; label sets asked to hold "
                f"90 % of the truths hold {min(covered):.1%} to {max(covered):.1%}."
            )
    if lines:
        least = [min(line["methods"], key=lambda m: line["methods"][m]["aurc"]) for line in lines]
        said.append(f"- AURC is least with atacsearch on {least.count('atacsearch')} of {len(lines)} lines.")
    for near, words in ((False, "without"), (True, "with")):
        some_types = [r["auroc"] for r in unknown if r["near"] == near]
        if some_types:
            means = {name: np.mean([a[name] for a in some_types]) for name in some_types[0]}
            shown = ", ".join(f"{name} {value:.2f}" for name, value in means.items())
            median = np.median([a["atacsearch"] for a in some_types])
            said.append(
                f"- Types {words} a relative in the reference, left out ({len(some_types)}): mean AUROC {shown}; "
                f"median of atacsearch {median:.2f}."
            )
    return ["In short:", "", *said, ""] if said else []


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    def cell(x: Any) -> str:
        return f"{x:.3f}" if isinstance(x, float) else str(x)

    bars = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(bars + ["| " + " | ".join(map(cell, r)) + " |" for r in rows])


def _title(row: dict[str, Any]) -> str:
    # A line of one fold is its own fold.
    return f"{row['dataset']} {row['line']}" + ("" if row["fold"] in ("all", "") else f", {row['fold']}")


def _confidence(lines: list[dict[str, Any]]) -> str:
    rows = []
    for line in lines:
        for name, m in line["methods"].items():
            low, high = m["ece_interval"]
            shown = f"**{name}**" if name == "atacsearch" else name
            rows.append(
                (
                    _title(line),
                    line["split"],
                    line["held_out"]["groups"],
                    shown,
                    m["accuracy"],
                    f"{m['ece']:.3f} [{low:.3f}, {high:.3f}]",
                    m["brier"],
                    m["log_loss"],
                    f"{m['aurc']:.4f}",
                )
            )
    head = ("line", "split", "groups", "method", "accuracy", "ECE", "Brier", "log loss", "AURC")
    return _table(head, rows)


def _curves(lines: list[dict[str, Any]]) -> str:
    rows = []
    for line in lines:
        for name in ("share of 15 votes, TF-IDF + SVD", "atacsearch"):
            curve = line["methods"][name]["curve"]
            rows.append((_title(line), name, *(f"{c:.2f} → {a:.2f}" for c, a in curve)))
    return "Mean confidence → share named right, the least sure tenth first.\n\n" + _table(
        ("line", "method", *(str(i) for i in range(1, 11))), rows
    )


def _coverage(lines: list[dict[str, Any]]) -> str:
    rows = [
        (
            _title(line),
            line["split"],
            line["coverage"]["asked"],
            line["coverage"]["measured"],
            f"{line['coverage']['size']:.2f}",
            line["false_unknown"],
            "-" if line["unknown_right"] is None else line["unknown_right"],
        )
        for line in lines
    ]
    head = (
        "line",
        "split",
        "asked",
        "covered",
        "labels in a set",
        "called unknown (asked 0.05)",
        "of these right",
    )
    return _table(head, rows)


def _groups(lines: list[dict[str, Any]]) -> str:
    rows = [
        (
            _title(line),
            name,
            g["accuracy"],
            g["ece"],
            g["aurc"],
            g["covered"],
            f"{g['size']:.2f}",
            g["false_unknown"],
        )
        for line in lines
        for name, g in line["groups"].items()
    ]
    return _table(("line", "group", "accuracy", "ECE", "AURC", "covered", "set size", "unknown"), rows)


def _classes(lines: list[dict[str, Any]]) -> str:
    rows = [
        (_title(line), name, c["n"], c["covered"], f"{c['size']:.2f}")
        for line in lines
        for name, c in line["coverage"]["by_class"].items()
    ]
    return _table(("line", "class", "cells", "covered", "set size"), rows)


def _unknown(rows: list[dict[str, Any]]) -> str:
    names = list(rows[0]["auroc"])
    parts = []
    for near, words in (
        (False, "Far types (no relative in the reference)"),
        (True, "Near types (a relative stays)"),
    ):
        some = [r for r in rows if r["near"] == near]
        if not some:
            continue
        means = [float(np.mean([r["auroc"][n] for r in some])) for n in names]
        least = [float(np.min([r["auroc"][n] for r in some])) for n in names]
        body = [
            (
                _title(r),
                r["without"],
                r["n_new"],
                *(r["auroc"][n] for n in names),
                r["found"],
                r["false_unknown"],
            )
            for r in some
        ]
        mean_of = [float(np.mean([r[k] for r in some])) for k in ("found", "false_unknown")]
        body += [("**mean**", "", "", *means, *mean_of), ("**minimum**", "", "", *least, "", "")]
        head = ("line", "left out", "new cells", *(f"AUROC, {n}" for n in names), "found", "false unknown")
        parts += [words + ".", "", _table(head, body), ""]
    return "\n".join(parts)
