"""One BED file against all others: cosine, overlap and fused beside the Jaccard index of base pairs.

    python scripts/bench/regions/retrieval.py --folder WORK [--data DATA] [--json OUT.json] [--page OUT.md]

Each hg19 file of DATA/bulk asks an index of all of them with its stored vector and regions. The vectors are those of
a model that has seen no label: the SVD warm start that every training begins with, over the universe that
`universe build` makes of the same files. The base-pair Jaccard index of all pairs is computed here, checked against
`bedtools jaccard` on some pairs; bedtools is timed on a few queries. WORK keeps universe, model and index.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the folder of `bench`

from bench.common.commands import command
from bench.common.measuring import machine, program
from bench.common.paths import shared_data
from bench.regions.retrieval_page import page
from bench.regions.retrieval_scores import (
    agreement,
    base_pair_jaccard,
    interval,
    merged_regions,
    reciprocal_ranks,
    relevance,
    retrieved,
)

Floats = npt.NDArray[np.float64]
CHOSEN_ON = ("factornet_dream_tfchip", "heme_atac_narrowpeak")  # the other collections are the other half
BEDTOOLS_QUERIES = 1
CHECKED = 10
MODES: tuple[Literal["cosine", "overlap", "fused"], ...] = ("cosine", "overlap", "fused")
TIMED = 10
METRICS = ("recall@10", "MAP")


def manifest(data: Path, folder: Path) -> tuple[Path, dict[str, npt.NDArray[np.str_]]]:
    """The hg19 files as a manifest, and its columns."""
    with (data / "bulk" / "labels.tsv").open(newline="") as handle:
        rows = [row for row in csv.DictReader(handle, delimiter="\t") if row["genome"] == "hg19"]
    for row in rows:
        row["file"] = str((data / "bulk" / row["file"]).resolve())
    path = folder / "hg19.tsv"
    with path.open("w", newline="") as handle:
        writer = csv.DictWriter(handle, list(rows[0]), delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path, {name: np.array([row[name] for row in rows]) for name in rows[0]}


def index_of(table: Path, folder: Path) -> Path:
    """An index of the files with vectors that no label shaped; made where it is not there yet."""
    from atacsearch.model.checkpoints.checkpoint import new_model
    from atacsearch.model.config import sized_config
    from atacsearch.tokens.token_sets import TokenSets
    from atacsearch.tokens.universe import Universe
    from atacsearch.training.trainer.warm_start import warm_start

    universe, model, index = folder / "universe.bed.gz", folder / "model", folder / "index"
    if not universe.exists():
        command("universe", "build", table, "--genome", "hg19", "-o", universe)
    if not model.exists():
        regions = Universe.load(universe, genome="hg19")
        tokens = folder / "tokens.parquet"
        command("tokenize", table, "--universe", universe, "--genome", "hg19", "-o", tokens)
        made = new_model(sized_config("tiny", len(regions)), regions, seed=0)
        warm_start(made, TokenSets.from_parquet(tokens), seed=0)
        made.save(model)
    if not index.exists():
        command("index", "create", index, "--model", model)
        command("index", "add-beds", index, table, "--genome", "hg19")
    return index


def searched(index: Path, n: int) -> tuple[dict[str, Floats], dict[str, list[float]]]:
    """[n, n] columns of the fused answers to each file, NaN at its own place, and seconds a query of each order.

    What `Index.search` does with an indexed id: the stored vector and regions ask, the item itself is no answer. (By
    its id a file could not ask here: the ids are paths of files that exist, which would be read and encoded again.)
    """
    from atacsearch.index import open_index
    from atacsearch.query.search.options import SearchOptions
    from atacsearch.query.search.query import QueryVectors, Searched
    from atacsearch.query.search.rerank import ranked

    session = open_index(index)._session
    snapshot = session.snapshot()
    searched = Searched(session, snapshot, "bedfiles", "general")
    ids = snapshot.all_ids("bedfiles")
    assert len(ids) == n

    def ask(some: list[str], mode: Literal["cosine", "overlap", "fused"]) -> tuple[Any, float]:
        own = tuple((item,) for item in some)
        vectors = snapshot.vectors("bedfiles", some)
        asked = QueryVectors(
            tuple(some), vectors, own, snapshot.tokens("bedfiles", some), (None,) * len(some)
        )
        began = time.perf_counter()
        hits = ranked(searched, asked, n, SearchOptions(rank=mode))
        return hits, time.perf_counter() - began

    place = {item: i for i, item in enumerate(ids)}
    values: dict[str, Floats] = {}
    for i, some in enumerate(ask(ids, "fused")[0]):
        at = [place[hit.id] for hit in some]
        for name in ("distance", "rank", *some[0].more):
            column = values.setdefault(name, np.full((n, n), np.nan))
            if name == "rank":
                column[i, at] = np.arange(1, len(some) + 1)
            else:
                column[i, at] = [hit.distance if name == "distance" else hit.more[name] for hit in some]
    timed = ids[:: n // TIMED]
    return values, {mode: [ask([item], mode)[1] for item in timed] for mode in MODES}


def bedtools_times(paths: list[Path], bedtools: str, ours: Floats) -> tuple[list[float], float]:
    """Seconds of some queries against all files, and the largest difference of its index from ours on some pairs."""
    rng = np.random.default_rng(0)
    seconds = []
    for query in rng.choice(len(paths), BEDTOOLS_QUERIES, replace=False):
        began = time.perf_counter()
        for path in paths:
            _bedtools(bedtools, paths[query], path)
        seconds.append(time.perf_counter() - began)
    worst = 0.0
    for i, j in rng.integers(0, len(paths), (CHECKED, 2)).tolist():
        worst = max(worst, abs(_bedtools(bedtools, paths[i], paths[j]) - ours[i, j]))
    return seconds, worst


def _bedtools(bedtools: str, a: Path, b: Path) -> float:
    done = subprocess.run([bedtools, "jaccard", "-a", a, "-b", b], capture_output=True, text=True, check=True)
    header, line = done.stdout.splitlines()[:2]
    return float(dict(zip(header.split("\t"), line.split("\t"), strict=True))["jaccard"])


def scores_of(values: Mapping[str, Floats], base_pairs: Floats) -> dict[str, Floats]:
    """[n, n] per method, the largest is the first answer."""
    distance = values["distance"]
    found = {
        "ours, cosine": -distance,
        "ours, overlap": values["adjusted_jaccard"],
        "ours, fused": -values["rank"],
        "reciprocal ranks of cosine and overlap": reciprocal_ranks(-distance, values["adjusted_jaccard"]),
        "reciprocal ranks of cosine and Jaccard": reciprocal_ranks(-distance, values["jaccard"]),
        "Jaccard of regions": values["jaccard"],
        "odds ratio": values["odds_ratio"],
        "GIGGLE's combo score": values["combo_score"],
        "Fisher's p": -values["log10_p_value"],
        "enrichment alone": values["enrichment"],
        "base-pair Jaccard (bedtools)": base_pairs,
    }
    return {name: np.nan_to_num(score, nan=-np.inf) for name, score in found.items()}


def measure(columns: Mapping[str, Any], scores: Mapping[str, Floats]) -> dict[str, Any]:
    """Recall, MAP and agreement of every method on both halves of the files, and fused against its parts."""
    tasks = relevance(columns)
    first = np.isin(columns["collection"], CHOSEN_ON)
    halves = {"chosen on": first, "the other half": ~first, "all": np.ones(len(first), bool)}
    each = {m: {t: retrieved(s, right) for t, right in tasks.items()} for m, s in scores.items()}
    rows = []
    for method, by_task in each.items():
        close = agreement(scores[method], scores["base-pair Jaccard (bedtools)"])
        row: dict[str, Any] = {"method": method, "spearman": round(close[0], 3), "top10": round(close[1], 3)}
        for half, asked in halves.items():
            row[half] = {
                task: {name: round(float(np.nanmean(of[asked, i])), 3) for i, name in enumerate(METRICS)}
                for task, of in by_task.items()
            }
        rows.append(row)
    gains = []
    for half, asked in halves.items():
        for task in tasks:
            for at, metric in enumerate(METRICS):
                parts = {m: each[m][task][asked, at] for m in ("ours, cosine", "ours, overlap")}
                better = max(parts, key=lambda m: float(np.nanmean(parts[m])))
                mean, low, high = interval(each["ours, fused"][task][asked, at] - parts[better])
                gains.append(
                    {
                        "half": half, "task": task, "metric": metric, "better part": better,
                        "gain": round(mean, 3), "low": round(low, 3), "high": round(high, 3),
                    }
                )  # fmt: skip
    queries = {
        half: {t: int((right.any(1) & asked).sum()) for t, right in tasks.items()}
        for half, asked in halves.items()
    }
    return {"queries": queries, "rows": rows, "fused_against_better_part": gains}


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="for universe, model and index")
    parser.add_argument("--data", type=Path, default=shared_data())
    parser.add_argument("--json", type=Path)
    parser.add_argument("--page", type=Path)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    table, columns = manifest(given.data, given.folder)
    paths = [Path(p) for p in columns["file"]]
    values, seconds = searched(index_of(table, given.folder), len(paths))
    base_pairs = base_pair_jaccard(merged_regions(paths))
    bedtools = program("bedtools")
    timed, worst = ([], None) if bedtools is None else bedtools_times(paths, bedtools, base_pairs)
    record = {
        "benchmark": "retrieval",
        **machine(),
        "files": len(paths),
        **measure(columns, scores_of(values, base_pairs)),
        "seconds_a_query": {
            mode: {"median": float(np.median(s)), "min": min(s), "max": max(s)} for mode, s in seconds.items()
        },
        "bedtools_seconds_a_query": timed,
        "bedtools_pairs_checked": CHECKED,
        "bedtools_largest_difference": worst,
    }
    text = page(record)
    print(text)
    if given.json:
        given.json.write_text(json.dumps(record, indent=1) + "\n")
    if given.page:
        given.page.write_text(text)


if __name__ == "__main__":
    main()
