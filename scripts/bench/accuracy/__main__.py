"""Command line of the quality benchmark; see `scripts/bench/quality --help`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from atacsearch.cache import cache_folder
from bench.accuracy.beds.methods import BedFiles, read_files
from bench.accuracy.beds.runs import run_tasks
from bench.accuracy.beds.tables import beds_table
from bench.accuracy.beds.tasks import TASKS, Task, with_families
from bench.accuracy.cells.baselines import methods
from bench.accuracy.cells.clusters import run_clusters
from bench.accuracy.cells.runs import Result, run_lines
from bench.accuracy.cells.tables import cells_table, gains, summary
from bench.accuracy.cells.two_files import read_pair
from bench.accuracy.shared.plan import KINDS, Plan
from bench.accuracy.shared.words import gain_words, spread
from bench.common.cache import Cache
from bench.common.datasets import DATASETS
from bench.common.markdown import markdown_table
from bench.common.measuring import machine
from bench.common.messages import note
from bench.common.paths import shared_data

ABOUT = """Labels for held-out cells and BED files, by atacsearch and by simple methods, in one table.

  quality                                  every split of the table, single cells and BED files
  quality --quick --only forebrain,granja  one seed, two data sets
  quality cells --reference A.h5ad --query B.h5ad --label cell_type
  quality beds --reference labels.tsv --query labels.tsv --label target
  quality ... --vectors other.parquet      also the vectors of any other method (columns id, vector)

Every finished row is kept (--folder), so a run that was stopped goes on where it was, and the table can be built
bit by bit; --cached prints what is there. Optional packages: harmonypy (Harmony), igraph (Leiden).
"""


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(
        prog="quality", description=ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    _common(parser)
    parser.add_argument("--only", default="", help=f"of {','.join([*DATASETS, 'beds'])}")
    parser.add_argument(
        "--part", choices=("labels", "clusters"), action="append", help="label transfer or clusters; both"
    )
    parser.add_argument("--list", action="store_true", help="print data sets, lines and methods, run nothing")
    parser.set_defaults(call=_everything)
    modes = parser.add_subparsers(metavar="MODE")

    cells = modes.add_parser("cells", help="one reference and one query of cells")
    _common(cells)
    cells.add_argument("--reference", type=Path, required=True, help="h5ad with the labels")
    cells.add_argument(
        "--query", type=Path, required=True, help="h5ad with true labels, seen by the scores alone"
    )
    cells.add_argument("--label", required=True, help="column of the labels in both")
    cells.add_argument("--batch", help="column of donor, library or replicate")
    cells.add_argument(
        "--universe", type=Path, help="BED file of the regions [default: the reference's peaks]"
    )
    cells.add_argument("--genome", help="assembly of both")
    cells.set_defaults(call=_two_files)

    beds = modes.add_parser("beds", help="BED files with labels, against one another or a reference")
    _common(beds)
    beds.add_argument("--reference", type=Path, required=True, help="manifest (TSV: file and labels)")
    beds.add_argument(
        "--query", type=Path, required=True, help="manifest; the same one asks for leave-one-out"
    )
    beds.add_argument("--label", required=True, help="column of the label")
    beds.add_argument("--group", default="collection", help="also leave out files of the same group")
    beds.add_argument("--apart", default="", help="columns: files with the same values never answer")
    beds.add_argument("--where", default="", help="COLUMN=VALUE: these files only")
    beds.add_argument("--genome", help="files of this genome [default: the most frequent]")
    beds.set_defaults(call=_bed_tables)

    arguments = parser.parse_args()
    arguments.call(arguments)


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--quick", action="store_true", help="one seed")
    parser.add_argument("--seeds", type=int, default=3, help="seeds of methods that draw (default 3)")
    parser.add_argument("--methods", default="", help="parts of names, separated by commas")
    parser.add_argument(
        "--kind", choices=("inductive", "transductive"), action="append", help="both by default"
    )
    parser.add_argument("--vectors", type=Path, action="append", default=[], metavar="PARQUET")
    parser.add_argument("--recipe", default="", help="more words for `train celltype`, as one string")
    parser.add_argument("--folder", type=Path, default=cache_folder() / "quality", help="where rows are kept")
    parser.add_argument("--cached", action="store_true", help="print what is there, run nothing")
    parser.add_argument("--json", type=Path, help="write the table here too")


def _plan(arguments: argparse.Namespace) -> Plan:
    return Plan(
        Cache(arguments.folder),
        tuple(range(1 if arguments.quick else arguments.seeds)),
        _words(arguments.methods),
        arguments.kind or KINDS,
        {path.stem: read_vectors(path) for path in arguments.vectors},
        arguments.recipe.split(),
        arguments.cached,
    )


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def read_vectors(path: Path) -> dict[str, Any]:
    """Vectors by id, of a Parquet file with columns `id` and `vector`."""
    import numpy as np
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    if not {"id", "vector"} <= set(table.column_names):
        sys.exit(f"{path}: expected columns id and vector, found {', '.join(table.column_names)}")
    vectors = np.array(table["vector"].to_pylist(), np.float64)
    return dict(zip(table["id"].to_pylist(), vectors, strict=True))


def _everything(arguments: argparse.Namespace) -> None:
    only = _words(arguments.only) or [*DATASETS, "beds"]
    unknown = set(only) - {*DATASETS, "beds"}
    if unknown:
        sys.exit(
            f"--only: no data set {', '.join(sorted(unknown))}; there are {', '.join([*DATASETS, 'beds'])}"
        )
    plan = _plan(arguments)
    if arguments.list:
        _list(only, plan.cache.folder)
        return
    parts = arguments.part or ["labels", "clusters"]
    results: list[Result] = []
    clusters: list[dict[str, Any]] = []
    abouts: dict[str, dict[str, Any]] = {}
    for name in only:
        if name not in DATASETS:
            continue
        dataset = DATASETS[name]
        cells = dataset.read(shared_data(), plan.cache.folder)
        abouts[name] = {"split": dataset.split, "labels": dataset.labels, "headline": dataset.headline}
        if "labels" in parts:
            results += run_lines(cells, dataset.lines(name, cells), plan)
        if "clusters" in parts:
            seeds = (0,) if arguments.quick else tuple(range(5))
            clusters += run_clusters(name, cells, plan.cache, plan.wanted, seeds, plan.only_cached)
    rows = [summary(result, abouts[result.line.dataset]) for result in results]
    gained = gains(results, {name: about["headline"] for name, about in abouts.items()})
    page = ["# Quality", "", cells_table(rows, gained)] if rows else ["# Quality"]
    if clusters:
        page += ["", "### clusters of vectors that saw no label", "", _clusters_table(clusters)]
    bed_rows: list[dict[str, Any]] = []
    if "beds" in only and "labels" in parts:
        bed_rows = run_tasks(_bed_files(shared_data() / "bulk" / "labels.tsv", plan), plan)
        page += ["", "## BED files", "", beds_table(bed_rows)]
    _finish(arguments, page, {"cells": rows, "gains": gained, "clusters": clusters, "beds": bed_rows})


def _bed_files(table: Path, plan: Plan, genome: str | None = None, query: Path | None = None) -> BedFiles:
    files, others = read_files(table, plan.cache.folder, genome, query)
    note(f"{table}: {files.matrix.shape[0]} files of {files.genome}, {others} of another genome left out")
    return files


def _bed_tables(arguments: argparse.Namespace) -> None:
    plan = _plan(arguments)
    files = _bed_files(arguments.reference, plan, arguments.genome, arguments.query)
    columns = with_families(files.columns)
    column, _, value = arguments.where.partition("=")
    among = {column.strip(): (value.strip(),)} if column else {}
    apart = tuple(_words(arguments.apart))
    unknown = sorted({arguments.label, *apart, *among} - set(columns))
    if unknown:
        sys.exit(f"{arguments.reference}: no column {', '.join(unknown)}; columns: {', '.join(columns)}")
    rows = run_tasks(files, plan, [Task(arguments.label, arguments.label, among, apart)], arguments.group)
    _finish(arguments, [f"# {arguments.label}", "", beds_table(rows)], {"beds": rows})


def _clusters_table(rows: list[dict[str, Any]]) -> str:
    return markdown_table(
        ("data", "vectors", "clusters", "found", "ARI", "AMI"),
        [
            (
                r["dataset"],
                f"**{r['vectors']}**" if r["ours"] else r["vectors"],
                r["clusters"],
                r["n_clusters"],
                spread(r, "ari"),
                spread(r, "ami"),
            )
            for r in rows
        ],
    )


def _list(only: list[str], folder: Path) -> None:
    for name in only:
        if name in DATASETS:
            dataset = DATASETS[name]
            cells = dataset.read(shared_data(), folder)
            for line in dataset.lines(name, cells):
                print(f"{line.key}: {len(line.folds)} folds, {dataset.split}, labels: {dataset.labels}")
        else:
            print(*(f"beds: {task.name}" for task in TASKS), sep="\n")
    for method in methods():
        print(f"{method.kind}: {method.name}" + (f" (no {method.needs} here)" if method.missing else ""))


def _two_files(arguments: argparse.Namespace) -> None:
    plan = _plan(arguments)
    cells, line = read_pair(
        arguments.reference,
        arguments.query,
        arguments.label,
        batch=arguments.batch,
        universe=arguments.universe,
        genome=arguments.genome,
    )
    results = run_lines(cells, [line], plan)
    rows = [summary(result, {}) for result in results]
    gained = gains(results, {})
    page = [f"# {line.key}", cells_table(rows, gained), "", "### ours minus each baseline", ""]
    page.append(_gains_table(gained))
    _finish(arguments, page, {"cells": rows, "gains": gained})


def _gains_table(gained: list[dict[str, Any]]) -> str:
    return markdown_table(
        ("kind", "baseline", "accuracy", "macro-F1"),
        [(g["kind"], g["baseline"], gain_words(g, "accuracy"), gain_words(g, "macro_f1")) for g in gained],
    )


def _finish(arguments: argparse.Namespace, page: list[str], record: dict[str, Any]) -> None:
    print("\n".join(page))
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        whole = {"benchmark": "quality", **machine(), **record}
        arguments.json.write_text(json.dumps(whole, indent=1) + "\n")
        note(f"wrote {arguments.json}")


if __name__ == "__main__":
    main()
