"""docs/results/overlap.md, from the record of `overlap.py` alone; `scripts/bench/pages.py` writes it."""

from __future__ import annotations

from typing import Any

HEAD = """# Overlap: the inverted index

**Question.** How long does it take to find the items that have a region, and how large is the index?

**Answer.** A few milliseconds of CPU time for one region, and less than a byte for each open region of each item.

Made by `scripts/bench/regions/overlap.py --postings 1e7 1e8 1e9 --json docs/results/records/overlap.json`, {date},
{cores} cores of {processor}, {memory_gb:.0f} GB, one thread each; this page by `scripts/bench/pages.py`. Other
processes used the machine at the same time: wall times are several times what they would be on an idle one, so
compare CPU times (bedtools is a process of its own: wall only), least walls, and what ran in the same run.

## Real data

{files} (`bulk/labels.tsv`, 8.2 M regions) laid over a universe of 900,549 regions built of all of them, and
{cells} (10,000 peaks). Queries are regions drawn from the files themselves and the peaks;
{regions_in_universe:.1%} of the drawn regions of files overlap the universe, and only those ask: the others
have no answer through it. *One region* is `overlap chr:start-end` in an open index, from the string to the
Arrow table (300 of them); *10,000 regions* is a BED file, read, checked for its genome and answered with one
row for each region and file.

"""
PEERS = """
- **bedtools** reads all files at each question (`intersect -wa -wb -filenames`, gzip), and needs no universe.
  Ours names the same files through the universe: `of them ours` is the share of bedtools' pairs of region and
  file that ours has (of regions that overlap the universe), `ours beside` the pairs where query and file meet
  the same universe region without sharing a base.
- **DuckDB** holds (token, item) sorted by token, asked for the same tokens without reading and checking the
  query and without names in the answer; on 10,000 regions it takes less CPU time than `overlap` with both. Its
  table is larger.

## Growth

Lists of more files, each region open as often as among the real ones, files independent of each other (the
hardest case for the code: real files of one collection resemble each other). Asked through `Postings`, so
without tables of answers; *by label* counts the files in 50 groups; *encode and write* is CPU time, of lists
that were drawn by token: turning shards into lists is in the real rows above.

"""
WRITTEN_OUT = """
## Written out to {files:,} files

From the largest size above, in proportion to files (lists of one region) or postings (everything else), at
{postings:,} postings:

| | |
|---|---|
| on disk | {gb} GB, memory-mapped |
| encoding | {encode_cpu_s} CPU s, merges not included: each posting is encoded again at every eightfold growth |
| from shards | {from_shards:.0f} CPU s at the rate of the real files, a shard a file |
| the files that have one region | {one_region_ms} ms CPU (median) |
| 10,000 regions counted by label | {bed_by_label_s} CPU s |
| all regions in two groups (`compare`) | {compare_s} CPU s |

Nothing of that size was built. Parts are merged as they grow; a question asks each part, of which there are at
most seven of a size and as many sizes as powers of eight. What grows beyond the lists: 4 bytes an item of each
part in memory, and the ids and label column of a question's answers, read from DuckDB once for each generation."""


def page(record: dict[str, Any]) -> str:
    """The whole page."""
    drawn = [row for row in record["rows"] if row["case"].startswith("synthetic")]
    real = [row for row in record["rows"] if row not in drawn]
    cases = [row["case"] for row in real if row["what"] == "atacsearch: build from shards"]
    head = HEAD.format(**record, files=cases[0], cells=cases[1])
    build, written_out = real[0], record["extrapolation"]
    rate = build["cpu_s"] / build["facts"]["postings"]
    out = WRITTEN_OUT.format(**written_out, from_shards=rate * written_out["postings"])
    return head + _table(real) + PEERS + _table(drawn) + out + "\n"


def _table(rows: list[dict[str, Any]]) -> str:
    lines = [
        "| case | what | wall: least / median / p99 | CPU: median, or p50 / p99 | facts |",
        "|" + "---|" * 5,
    ]
    for row in rows:
        facts = dict(row["facts"])
        tails = facts.pop("cpu_p50_ms", None), facts.pop("cpu_p99_ms", None)
        walls = [row["wall_min_s"], row["wall_s"], row["wall_p99_s"]]
        cpu = "" if row["cpu_s"] is None else _time(row["cpu_s"])
        if tails[0] is not None:
            cpu = f"{tails[0]:.2f} / {tails[1]:.2f} ms"
        said = ", ".join(f"{key.replace('_', ' ')} {_number(value)}" for key, value in facts.items())
        wall = " / ".join(_time(value) for value in walls if value is not None)
        lines.append(f"| {row['case']} | {row['what']} | {wall} | {cpu} | {said} |")
    return "\n".join(lines) + "\n"


def _time(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.2f} {unit}"
    return f"{seconds * 1e6:.0f} µs"


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) or value >= 1_000 else f"{value}"
