"""Tables of results: scores with their spread, ours against each baseline of its kind, the mean gain over lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bench.accuracy.cells.runs import Result
from bench.accuracy.shared.scores import interval, paired_bootstrap, score
from bench.accuracy.shared.words import gain_words, spread
from bench.common.markdown import markdown_table

MEASURES = ("accuracy", "macro_f1", "balanced_accuracy")


def summary(result: Result, about: Mapping[str, Any]) -> dict[str, Any]:
    """One row of the table: scores, mean and standard deviation over seeds."""
    scores = [score(result.truth, calls) for calls in result.calls]
    row = {
        "dataset": result.line.dataset,
        "line": result.line.title,
        **about,
        "method": result.method,
        "kind": result.kind,
        "ours": result.ours,
        "n": len(result.truth),
        "seeds": len(scores) if result.drawn else None,
        "seconds": round(result.seconds, 1),
    }
    for name in MEASURES:
        values = [s[name] for s in scores]
        row[name] = round(float(np.mean(values)), 4)
        row[f"{name}_sd"] = round(float(np.std(values, ddof=1)), 4) if len(values) > 1 else None
    return row


def gains(results: Sequence[Result], headline: Mapping[str, bool]) -> list[dict[str, Any]]:
    """Ours minus each baseline of its kind, on each line and as the mean over lines, with 95 % intervals.

    Args:
        results: of all lines.
        headline: data set to whether its lines are cross-replicate, cross-donor or cross-library.

    Returns:
        Rows of `line`, `kind`, `baseline`, and for accuracy and macro-F1 the gain, its interval and whether that
        excludes 0. `baseline` "best of the line" is the one with the best accuracy on the line's own query, a
        choice that favours the baselines. Lines "mean over lines" and "mean over headline lines" follow.
    """
    out: list[dict[str, Any]] = []
    draws: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}
    for ours in (r for r in results if r.ours):
        mine = _mean(ours)
        rivals = [r for r in results if not r.ours and r.kind == ours.kind and r.line.key == ours.line.key]
        if not rivals:
            continue
        best = max(rivals, key=lambda r: _mean(r)["accuracy"])
        for rival in rivals:
            drawn = paired_bootstrap(ours.truth, ours.calls, rival.calls)
            gain = {name: mine[name] - _mean(rival)[name] for name in drawn}
            names = [rival.method] + (["best of the line"] if rival is best else [])
            for name in names:
                entry = {"gain": gain, "drawn": drawn, "headline": headline.get(ours.line.dataset, True)}
                draws.setdefault((ours.kind, name), {})[ours.line.key] = entry
                words = {"line": ours.line.key, "kind": ours.kind, "baseline": name}
                if name == "best of the line":
                    words["which"] = rival.method
                out.append({**words, **_with_intervals(gain, drawn)})
    lines = {r.line.key for r in results if r.ours}
    for (kind, name), entries in draws.items():
        for title, some in (
            ("mean over lines", list(entries.values())),
            ("mean over headline lines", [e for e in entries.values() if e["headline"]]),
        ):
            if len(lines) > 1 and len(some) > 1:
                gain = {m: float(np.mean([e["gain"][m] for e in some])) for m in some[0]["gain"]}
                # Lines are independent data: each is resampled by itself. Both directions of a pair share cells.
                drawn = {m: np.mean([e["drawn"][m] for e in some], axis=0) for m in gain}
                row = {"line": title, "kind": kind, "baseline": name, "lines": len(some)}
                out.append({**row, **_with_intervals(gain, drawn)})
    return out


def _with_intervals(gain: Mapping[str, float], drawn: Mapping[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for name, value in gain.items():
        low, high = interval(drawn[name])
        row[f"{name}_gain"] = round(value, 4)
        row[f"{name}_interval"] = [round(low, 4), round(high, 4)]
    return row


def _mean(result: Result) -> dict[str, float]:
    scores = [score(result.truth, calls) for calls in result.calls]
    return {name: float(np.mean([s[name] for s in scores])) for name in MEASURES}


def cells_table(rows: Sequence[Mapping[str, Any]], gained: Sequence[Mapping[str, Any]]) -> str:
    """The Markdown page of the single-cell results: the short table, every method, and the gains."""
    parts = []
    for kind in dict.fromkeys(row["kind"] for row in rows):
        parts += ["", f"### {kind}: best baseline and ours", "", _short(rows, gained, kind)]
    parts += [
        "",
        "### every method",
        "",
        markdown_table(
            ("line", "kind", "method", "accuracy", "macro-F1", "balanced accuracy", "seconds"),
            [
                (
                    f"{row['dataset']} {row['line']}",
                    row["kind"],
                    f"**{row['method']}**" if row["ours"] else row["method"],
                    *(spread(row, name) for name in MEASURES),
                    row["seconds"],
                )
                for row in rows
            ],
        ),
    ]
    means = [g for g in gained if g["line"].startswith("mean over")]
    if means:
        parts += [
            "",
            "### ours minus a baseline, mean over lines",
            "",
            markdown_table(
                ("lines", "kind", "baseline", "accuracy", "macro-F1"),
                [
                    (
                        f"{g['line']} ({g['lines']})",
                        g["kind"],
                        g["baseline"],
                        gain_words(g, "accuracy"),
                        gain_words(g, "macro_f1"),
                    )
                    for g in means
                ],
            ),
        ]
    return "\n".join(parts)


def _short(rows: Sequence[Mapping[str, Any]], gained: Sequence[Mapping[str, Any]], kind: str) -> str:
    table = []
    lines = dict.fromkeys((row["dataset"], row["line"]) for row in rows)
    for dataset, title in lines:
        here = [r for r in rows if (r["dataset"], r["line"], r["kind"]) == (dataset, title, kind)]
        simple = [r for r in here if not r["ours"]]
        best = max(simple, key=lambda r: r["accuracy"]) if simple else None
        ours = next((r for r in here if r["ours"]), None)
        words = {"line": f"{dataset} {title}", "kind": kind, "baseline": "best of the line"}
        gain = next((g for g in gained if words.items() <= g.items()), None)
        some = ours or best
        if some is None:
            continue
        table.append(
            (
                f"{dataset} {title}",
                some.get("split"),
                some.get("labels"),
                f"{best['method']}: {best['accuracy']:.3f} / {best['macro_f1']:.3f}" if best else None,
                f"{spread(ours, 'accuracy')} / {spread(ours, 'macro_f1')}" if ours else None,
                gain_words(gain, "accuracy") if gain else None,
                gain_words(gain, "macro_f1") if gain else None,
            )
        )
    return markdown_table(
        ("line", "split", "labels from", "best baseline", "ours", "gain, accuracy", "gain, macro-F1"), table
    )
