"""The page of `retrieval.py`: its record in Markdown."""

from __future__ import annotations

from typing import Any

HEAD = """# Retrieval: one BED file against all others

**Question.** Which order finds the files of the same cell line, target or assay: distance, overlap or both?

**Answer.** Distance is best for cell lines, overlap for assays, and both together for targets; no order wins
everywhere.

Made by `scripts/bench/regions/retrieval.py`, {date}, {cores} cores of {processor}, shared with other work. {files}
BED files of hg19 (five collections: ChIP-seq of transcription factors (127) and histone marks (48), ATAC (20), DNase
(7)). Each file asks an index of all with its stored vector and regions and is left out of its own answers. The
vectors know no label: the model is the SVD warm start over the files themselves, with which every training begins.
All other files are candidates.

- *recall@10*: how many of the first ten answers are right, of as many as could be; *MAP*: mean average precision.
- *overlap* orders by the Jaccard index adjusted for chance, *fused* by 0.3 of the standardised cosine similarity and
  0.7 of the standardised enrichment of shared regions over what their openness lets expect
  (`atacsearch/query/search/fusion.py`).
- Overlap counts regions of the universe; `bedtools jaccard` divides base pairs.

The order of overlap, the kind of fusion and its weight were looked for on the first half of the files
(factornet, heme ATAC), by the least gain over the better part; figures of the other half (svMIL, Nott 2019,
preciseTAD) were in view meanwhile, so they favour the choice a little too. A file of either half is answered
by files of both.
"""


def page(record: dict[str, Any]) -> str:
    """The whole page."""
    parts = [HEAD.format(**record)]
    for half, queries in record["queries"].items():
        asked = ", ".join(f"{task} {n}" for task, n in queries.items())
        parts += [f"\n## {half.capitalize()} (queries: {asked})\n", _scores(record, half)]
    parts += ["\n## Fused against the better of its parts\n", _gains(record)]
    parts += ["\n## Agreement with the base-pair Jaccard index, mean over queries\n", _agreement(record)]
    parts += ["\n## Time a query against all files\n", _times(record)]
    return "\n".join(parts)


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _scores(record: dict[str, Any], half: str) -> str:
    tasks = list(record["queries"][half])
    head = ["method", *(f"{task}: recall@10 / MAP" for task in tasks)]
    rows = []
    for row in record["rows"]:
        pairs = [row[half][task] for task in tasks]
        rows.append([row["method"], *(f"{p['recall@10']:.3f} / {p['MAP']:.3f}" for p in pairs)])
    return _table(head, rows)


def _gains(record: dict[str, Any]) -> str:
    rows = [
        [g["half"], g["task"], g["metric"], g["better part"].removeprefix("ours, "),
         f"{g['gain']:+.3f} [{g['low']:+.3f}, {g['high']:+.3f}]"]
        for g in record["fused_against_better_part"]
    ]  # fmt: skip
    note = "Intervals are 95 %, of a paired bootstrap over queries.\n\n"
    return note + _table(["half", "task", "metric", "better part", "gain of fused"], rows)


def _agreement(record: dict[str, Any]) -> str:
    rows = [[r["method"], f"{r['spearman']:.3f}", f"{r['top10']:.3f}"] for r in record["rows"]]
    return _table(["method", "Spearman", "common in the first ten"], rows)


def _times(record: dict[str, Any]) -> str:
    rows = [
        [f"ours, {mode}", f"{1e3 * s['median']:.1f} ms", f"{1e3 * s['min']:.1f} to {1e3 * s['max']:.1f} ms"]
        for mode, s in record["seconds_a_query"].items()
    ]
    bedtools = record["bedtools_seconds_a_query"]
    if bedtools:
        rows.append(["bedtools jaccard", f"{min(bedtools):.2f} s", f"queries timed: {len(bedtools)}"])
    note = (
        "\n\nOurs is an index that is open in Python, asked with stored vectors and regions: reading and encoding a "
        "file are not in it; tokens of the indexed files stay in memory after the first query. bedtools reads every "
        "file anew, one process a pair."
    )
    if record["bedtools_largest_difference"] is not None:
        note += (
            f" The base-pair Jaccard index of all pairs was computed by the script; on "
            f"{record['bedtools_pairs_checked']} pairs it differs from what bedtools prints by at most "
            f"{record['bedtools_largest_difference']:.1e}."
        )
    return _table(["method", "median", "range"], rows) + note + "\n"
