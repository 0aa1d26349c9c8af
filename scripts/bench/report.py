"""docs/benchmarks.md and its growth plots, from the JSON of the benchmarks.

    python scripts/bench/report.py [docs/benchmarks]

Reads every `*.json` that `scripts/bench/all` wrote into the folder, and writes `../benchmarks.md` and
`growth.png` there. No figure of that page is typed by hand.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from measuring import seconds, short

ORDER = ("fragments", "beds", "encoder", "search", "index", "pipeline")
ABOUT = {
    "fragments": "Fragment files to token sets. Files are drawn by `fragment_file.py`; rows marked * count the "
    "reading alone, the others whole commands. All tools that give sets gave the same number of (cell, region) "
    "pairs.",
    "beds": "BED files and matrices to token sets, and loading of universes.",
    "encoder": "Token sets to vectors. Parity of ours and the peers is checked in the run.",
    "search": "Nearest neighbours of one vector and of batches, with and without filters. Collections are mixtures of "
    "thinned real token sets, encoded; queries are mixtures of cells that are not in the collection.",
    "index": "What an index costs: adding and publishing, opening, metadata, memory while it serves.",
    "pipeline": "From a fragment file to an index that answers, and the share of each stage.",
}
_COLUMNS = (
    "case",
    "what",
    "cores",
    "median",
    "least to most",
    "p99",
    "CPU s",
    "peak MB",
    "per s",
    "ratio",
    "also",
)


def page(records: list[dict[str, Any]]) -> str:
    """The page."""
    lines = [
        "# Benchmarks",
        "",
        "Made by `bash scripts/bench/all` (`scripts/bench/report.py` writes this page from its results). Every",
        "measurement was repeated after a warm-up; *median* and *least to most* are wall times, CPU is user and system",
        "seconds, peak the largest resident memory, *per s* items of the input in a second, *ratio* the wall time over",
        "that of the first row of ours for the same work: above 1, that row is slower. Machines that are shared are",
        "noisy: trust ratios within a table before times.",
        "",
        "![time against size, a panel a stage](benchmarks/growth.png)",
        "",
        "Dotted lines grow in proportion to size.",
    ]
    for record in records:
        name = record["benchmark"]
        lines += ["", f"## {name.capitalize()}", "", ABOUT.get(name, ""), "", _where(record), ""]
        lines += ["| " + " | ".join(_COLUMNS) + " |", "|" + "---|" * len(_COLUMNS)]
        lines += [_line(row) for row in record["rows"]]
        floors = dict.fromkeys(
            f"- {row['case']}, {row['what']}: {row['floor']}" for row in record["rows"] if row["floor"]
        )
        if floors:
            lines += ["", "What bounds it:", "", *floors]
    return "\n".join(lines) + "\n"


def _where(record: dict[str, Any]) -> str:
    known = ("benchmark", "rows", "date", "processor", "cores", "memory_gb", "python", "atacsearch")
    rest = ", ".join(f"{key} {value}" for key, value in record.items() if key not in known)
    return (
        f"{record['date']}, {record['cores']} cores of {record['processor']}, {record['memory_gb']:.0f} GB, "
        f"Python {record['python']}, atacsearch {record['atacsearch']}" + (f"; {rest}" if rest else "") + "."
    )


def _line(row: dict[str, Any]) -> str:
    what = row["what"] if row["ours"] else f"*{row['what'].replace('*', chr(92) + '*')}*"
    spread = f"{seconds(row['wall_min_s'])} to {seconds(row['wall_max_s'])}" if row["runs"] > 1 else "one run"
    also = ", ".join(f"{key.replace('_', ' ')} {_fact(value)}" for key, value in row["facts"].items())
    cells = (
        row["case"],
        what.replace(" *", r" \*") if row["ours"] else what,
        row["threads"] or "",
        seconds(row["wall_s"]),
        spread,
        seconds(row["wall_p99_s"]),
        "" if row["cpu_s"] is None else f"{row['cpu_s']:.3g}",
        "" if row["peak_mb"] is None else f"{row['peak_mb']:,.0f}",
        short(row["per_s"]) if row["per_s"] and row["runs"] < 100 else "",
        "" if row["ratio"] is None else f"{row['ratio']:.2f}",
        also,
    )
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def _fact(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def growth(records: list[dict[str, Any]], path: Path) -> None:
    """A panel a stage: wall time against size, both logarithmic."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    lines: dict[str, list[tuple[float, float]]] = {}
    unit: dict[str, str] = {}
    for row in (row for record in records for row in record["rows"]):
        if row["stage"] and row["size"]:
            lines.setdefault(row["stage"], []).append((row["size"], row["wall_s"]))
            unit[row["stage"].partition(",")[0]] = row["per"]
    panels = [
        name for name in unit if any(s.partition(",")[0] == name and len(p) > 1 for s, p in lines.items())
    ]
    n_rows = -(-len(panels) // 3)
    figure, axes = plt.subplots(n_rows, 3, figsize=(12, 3.6 * n_rows), squeeze=False)
    for axis in axes.flat[len(panels) :]:
        axis.set_visible(False)
    for axis, panel in zip(axes.flat, panels, strict=False):
        for stage, points in sorted(lines.items()):
            name, _, kind = stage.partition(",")
            if name == panel:
                x, y = zip(*sorted(points), strict=True)
                axis.plot(x, y, marker="o", markersize=4, label=kind.strip() or "atacsearch")
        ours = sorted(lines.get(panel, next(p for s, p in lines.items() if s.partition(",")[0] == panel)))
        size, wall = ours[-1]
        least = min(x for x, _ in ours)
        axis.plot([least, size], [wall * least / size, wall], ":", color="grey", linewidth=1)
        axis.set(xscale="log", yscale="log", title=panel, xlabel=unit[panel], ylabel="seconds")
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8, frameon=False)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main() -> None:
    """Write page and plots."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[2] / "docs" / "benchmarks")
    records = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    if not records:
        sys.exit(f"{folder}: holds no *.json; run scripts/bench/all first")
    records.sort(key=lambda r: ORDER.index(r["benchmark"]) if r["benchmark"] in ORDER else len(ORDER))
    (folder.parent / "benchmarks.md").write_text(page(records))
    growth(records, folder / "growth.png")


if __name__ == "__main__":
    main()
