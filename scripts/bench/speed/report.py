"""docs/results/benchmarks.md, its growth plots and the README's figures, from the JSON of the benchmarks.

    python scripts/bench/speed/report.py [docs/results/records]

Reads every `*.json` that `scripts/bench/all` wrote into the folder, and writes `../benchmarks.md` and
`growth.png` there; for the folder of this checkout also the table between the marks in README.md. No figure of
these pages is typed by hand.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the folder of `bench`

from bench.common.measuring import seconds, short
from bench.common.paths import RECORDS, ROOT

ORDER = ("fragments", "beds", "encoder", "search", "annotate", "index", "pipeline")
TITLES = {
    "fragments": "fragment files",
    "beds": "BED files",
    "universe": "loading a universe",
    "search": "one query",
    "annotate": "label transfer",
    "index": "adding and publishing",
    "pipeline": "from fragments to answers",
}
ABOUT = {
    "fragments": "Fragment files to token sets. Files are drawn by `fragment_file.py`; rows marked * count the "
    "reading alone, the others whole commands. All tools that give sets gave the same number of (cell, region) "
    "pairs. A third of the CPU time is inflation (the igzip row), most of the rest one compiled loop that parses, "
    "finds the barcode and looks regions up; both cores do both, so the floor is memory and branch latency a line.",
    "beds": "BED files and matrices to token sets, and loading of universes. Small BED files cost what recognising "
    "them and checking their genome costs; from 300,000 regions on time grows with the lines that are parsed.",
    "encoder": "Token sets to vectors. Parity of ours and the peers is checked in the run.",
    "search": "Nearest neighbours of one vector and of batches, with and without filters. Collections are mixtures of "
    "thinned real token sets, encoded; queries are mixtures of cells that are not in the collection.",
    "annotate": "10,000 query cells, an h5ad file, against a published index: reading, encoding, neighbours, calling "
    "and the table, in a process of its own. The model has no class head, so neighbours vote.",
    "index": "What an index costs: adding and publishing, opening, metadata, memory while it serves.",
    "pipeline": "From a fragment file to an index that answers, and the share of each stage.",
}
READS = ("open_input", "read_items")  # the same function; older records have its older name
# README: words, benchmark, and how case and what of our row and of the peer's begin
HEADLINES: tuple[tuple[str, str, str, str | tuple[str, ...], str], ...] = (
    ("fragment file to token sets", "fragments", "20 M fragments, bgzip", READS, "gtars"),
    ("the same, the whole command", "fragments", "20 M fragments, whole command", "atacsearch", "gunzip"),
    (
        "BED file of 100,000 regions, 890,000-region universe",
        "beds",
        "BED of 100 k regions",
        READS,
        "gtars",
    ),
    (
        "cells x peaks (h5ad) to token sets",
        "beds",
        "h5ad of cells x peaks, CSR",
        READS,
        "a Python loop",
    ),
    (
        "cells to vectors (384 wide, 6 layers, ~500 tokens)",
        "encoder",
        "384 x 6, ~500",
        "atacsearch, float32",
        "geniml",
    ),
    (
        "nearest of 100,000 vectors, one query",
        "search",
        "100,000 x 192, unfiltered",
        "Snapshot.knn",
        "qdrant-client",
    ),
    ("nearest of 1,000,000 vectors, one query", "search", "1,000,000 x 192, unf", "Snapshot.knn", "numpy"),
    (
        "open an index of 1,000,000 cells, first answer",
        "index",
        "open 1,000,000 cells",
        "new process, warm",
        "",
    ),
)
_KNOWN = ("benchmark", "date", "processor", "cores", "memory_gb", "python", "atacsearch")
_MARKS = ("<!-- speed: written by scripts/bench/speed/report.py -->", "<!-- /speed -->")
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
        "**Question.** How fast is each stage, and how does its time grow?",
        "",
        "**Answer.** Each whole stage is faster than or level with the tools that do the same work, and grows"
        " in proportion to its input; an exact scan in memory is faster than the vector store where a filter "
        "keeps a tenth of the vectors or where vectors are few.",
        "",
        "Made by the benchmarks of `bash scripts/bench/all` (`scripts/bench/speed/report.py` writes this page from",
        "their results). Measurements were repeated after a warm-up, but for rows that say *one run* (slow peers and",
        "the largest sizes). *median* and *least to most* are wall times, CPU is user and system",
        "seconds, peak the largest resident memory, *per s* items of the input in a second, *ratio* the wall time over",
        "that of the first row of ours for the same work: above 1, that row is slower. The machine was shared, and did",
        "other work beside the rows of single queries: trust ratios within a table before times.",
        "",
        "![time against size, a panel a stage](records/growth.png)",
        "",
        "Dotted lines grow in proportion to size.",
    ]
    for record in records:
        name = record["benchmark"]
        title = TITLES.get(name, name)
        lines += ["", f"## {title[0].upper()}{title[1:]}", "", ABOUT.get(name, ""), "", _where(record), ""]
        lines += ["| " + " | ".join(_COLUMNS) + " |", "|" + "---|" * len(_COLUMNS)]
        lines += [_line(row) for row in record["rows"]]
        floors = dict.fromkeys(
            f"- {row['case']}, {row['what']}: {row['floor']}" for row in record["rows"] if row["floor"]
        )
        if floors:
            lines += ["", "What bounds it:", "", *floors]
    return "\n".join(lines) + "\n"


def _where(record: dict[str, Any]) -> str:
    rest = ", ".join(f"{key} {value}" for key, value in record.items() if key not in (*_KNOWN, "rows"))
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


def headlines(records: list[dict[str, Any]]) -> str:
    """The README's table: our median, the peer's, and how many times longer the peer took."""
    lines = ["| work | atacsearch | peer | ratio |", "|---|---|---|---|"]
    for words, benchmark, case, ours, peer in HEADLINES:
        rows = [
            row
            for r in records
            if r["benchmark"] == benchmark
            for row in r["rows"]
            if row["case"].startswith(case)
        ]
        mine = next((row for row in rows if row["ours"] and row["what"].startswith(ours)), None)
        if mine is None:
            continue
        found = (
            r
            for r in rows
            if not r["ours"] and r["case"] == mine["case"] and peer and r["what"].startswith(peer)
        )
        other = next(found, None)
        cores = f" ({mine['threads']} core{'s' * (mine['threads'] > 1)})" if mine["threads"] else ""
        cells = (words + cores, _speed(mine, benchmark), "", "")
        if other is not None:
            name = other["what"].removesuffix(" *")
            cells = (
                *cells[:2],
                f"{name}: {_speed(other, benchmark)}",
                f"{other['wall_s'] / mine['wall_s']:.1f}",
            )
        lines.append("| " + " | ".join(cells) + " |")
    where = _where({k: v for k, v in records[0].items() if k in _KNOWN})
    return "\n".join([*lines, "", f"Medians of `scripts/bench/all`, {where}"])


def _speed(row: dict[str, Any], benchmark: str) -> str:
    """Items a second where that is what people ask, else the time."""
    rate = benchmark in ("fragments", "encoder") and row["per_s"]
    return f"{short(row['per_s'])} {row['per']}/s" if rate else seconds(row["wall_s"])


def write_readme(records: list[dict[str, Any]]) -> None:
    """Put the table between the marks of README.md."""
    readme = ROOT / "README.md"
    before, mark, rest = readme.read_text().partition(_MARKS[0])
    _, end, after = rest.partition(_MARKS[1])
    if not mark or not end:
        sys.exit(f"{readme}: holds no {' … '.join(_MARKS)}")
    readme.write_text(f"{before}{mark}\n{headlines(records)}\n{end}{after}")


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
        axis.set(
            xscale="log", yscale="log", title=TITLES.get(panel, panel), xlabel=unit[panel], ylabel="seconds"
        )
        axis.grid(alpha=0.3)
        axis.set_ylim(top=axis.get_ylim()[1] * 4)  # room for the legend
        axis.legend(loc="upper left", fontsize=8, frameon=False)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def read_records(folder: Path) -> list[dict[str, Any]]:
    """The records of the speed benchmarks in a folder, in the order of the page; others have a page of their own."""
    records = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    found = [record for record in records if record.get("benchmark") in ORDER]
    return sorted(found, key=lambda record: ORDER.index(record["benchmark"]))


def main() -> None:
    """Write page and plots."""
    folder = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else RECORDS
    records = read_records(folder)
    if not records:
        sys.exit(f"{folder}: holds no *.json; run scripts/bench/all first")
    (folder.parent / "benchmarks.md").write_text(page(records))
    growth(records, folder / "growth.png")
    if folder == RECORDS:
        write_readme(records)


if __name__ == "__main__":
    main()
