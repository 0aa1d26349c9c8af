"""Lifting real peak files between hg19 and hg38: loss, agreement of the way there and back, and speed beside a peer.

    python scripts/bench/regions/liftover.py [--data DATA] [--json docs/results/records/liftover.json]
        [--page docs/results/liftover.md]

DATA holds `annotation/*.chain.gz` and `bulk/` (BED files with `labels.tsv`). Every file is lifted to the other assembly
and back. The peer is pyliftover (`pip install --group peers`), which maps single bases; it is asked for both ends of
regions, and so does less. Without it its rows are left out.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the folder of `bench`

from bench.common.paths import PAGES, RECORDS, shared_data

if TYPE_CHECKING:
    from atacsearch.genome.chain import Chains
    from atacsearch.genome.intervals import Intervals
    from atacsearch.genome.liftover import Lifted


PEER_REGIONS = 20_000  # regions that the peer maps, of one file after another
REPEATS = 5
WAYS = {"hg19": "hg19ToHg38", "hg38": "hg38ToHg19"}


def main() -> None:
    """Measure, write the JSON and the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=shared_data())
    parser.add_argument("--json", type=Path, default=RECORDS / "liftover.json")
    parser.add_argument("--page", type=Path, default=PAGES / "liftover.md")
    given = parser.parse_args()
    found = measure(given.data)
    given.json.write_text(json.dumps(found, indent=1) + "\n")
    given.page.write_text(page(found))


def measure(data: Path) -> dict[str, Any]:
    """Loss and agreement for each assembly and assay, and times."""
    from atacsearch.genome.chain import read_chains
    from atacsearch.readers.bed import read_bed

    chains, opening = {}, {}
    for old, name in WAYS.items():
        path = data / "annotation" / f"{name}.over.chain.gz"
        chains[old] = read_chains(path)
        opening[old] = best_of(partial(fresh, path))
    rows: dict[tuple[str, str], Counter[str]] = {}
    regions, seconds = 0, 0.0
    peer_asked: list[tuple[str, int, int]] = []
    with open(data / "bulk" / "labels.tsv") as handle:
        files = [r for r in csv.DictReader(handle, delimiter="\t") if r["genome"] in WAYS]
    for file in files:
        old = file["genome"]
        peaks = read_bed(data / "bulk" / file["file"])
        counts = rows.setdefault((old, file["assay"]), Counter())
        there_and_back(peaks, chains[old], chains["hg38" if old == "hg19" else "hg19"], counts)
        if old == "hg19":
            regions += len(peaks)
            seconds += best_of(partial(lift_all, peaks, chains["hg19"]), 2)
            room = max(PEER_REGIONS - len(peer_asked), 0)
            names = peaks.names()[:room].tolist()
            peer_asked += zip(names, peaks.start[:room].tolist(), peaks.end[:room].tolist(), strict=True)
    return {
        "benchmark": "liftover",
        "date": date.today().isoformat(),
        "files": Counter(file["genome"] for file in files),
        "rows": [{"from": old, "assay": assay, **counts} for (old, assay), counts in sorted(rows.items())],
        "opening_seconds": opening,
        "lift": {"regions": regions, "seconds": seconds},
        "peer": peer(data, peer_asked, chains["hg19"]),
    }


def fresh(path: Path) -> None:
    """Read a chain file that is not held."""
    from atacsearch.genome import chain

    chain._read.cache_clear()
    chain.read_chains(path)


def lift_all(peaks: Intervals, chains: Chains) -> Lifted:
    """Lift without looking at the answer."""
    from atacsearch.genome.liftover import lift

    return lift(peaks, chains)


def there_and_back(peaks: Intervals, up: Chains, down: Chains, counts: Counter[str]) -> None:
    """Add what became of the regions of a file."""
    there = lift_all(peaks, up)
    back = lift_all(there.intervals, down)
    mine = peaks.take(there.rows[back.rows])
    same = canonical(back.intervals) == canonical(mine)  # chr23 is chrX in some files
    exact = same & (back.intervals.start == mine.start) & (back.intervals.end == mine.end)
    low = np.maximum(back.intervals.start, mine.start)
    high = np.minimum(back.intervals.end, mine.end)
    counts.update(
        files=1,
        regions=len(peaks),
        lost=len(peaks) - len(there.rows),
        lost_back=len(there.rows) - len(back.rows),
        exact=int(exact.sum()),
        overlapping=int((same & (high > low)).sum()),
    )
    counts.update({f"lost: {why}": n for why, n in there.lost.items()})


def canonical(intervals: Intervals) -> npt.NDArray[np.object_]:
    """[n] UCSC name of each interval's chromosome."""
    from atacsearch.genome.aliases import canonical_chrom

    return np.array([canonical_chrom(c, "hg38") for c in intervals.chroms], object)[intervals.chrom]


def peer(data: Path, asked: list[tuple[str, int, int]], chains: Chains) -> dict[str, Any] | None:
    """pyliftover on the ends of regions: time, and agreement where it maps both ends to one chromosome and order."""
    try:
        from pyliftover import LiftOver
    except ImportError:
        return None
    from atacsearch.genome.intervals import Intervals

    path = data / "annotation" / "hg19ToHg38.over.chain.gz"
    start = time.perf_counter()
    with gzip.open(path) as handle:
        other = LiftOver(handle)
    opening = time.perf_counter() - start
    peaks = Intervals.from_columns(*zip(*asked, strict=True))
    start = time.perf_counter()
    theirs = [(other.convert_coordinate(c, s), other.convert_coordinate(c, e - 1)) for c, s, e in asked]
    seconds = time.perf_counter() - start
    ours = best_of(lambda: lift_all(peaks, chains))
    done = lift_all(peaks, chains)
    x = done.intervals
    mapped = zip(x.names().tolist(), x.start.tolist(), x.end.tolist(), strict=True)
    agree = both = 0
    for row, (chrom, low, high) in zip(done.rows.tolist(), mapped, strict=True):
        first, last = theirs[row]
        if first and last and first[0][0] == last[0][0]:
            both += 1
            ends = sorted((first[0][1], last[0][1]))
            agree += (first[0][0], ends[0], ends[1] + 1) == (chrom, low, high)
    return {
        "regions": len(asked),
        "seconds": seconds,
        "opening_seconds": opening,
        "ours_seconds": ours,
        "both_ends": both,
        "agree": agree,
        "ours_lifted": len(done.rows),
    }


def best_of(call: Callable[[], object], times: int = REPEATS) -> float:
    """Seconds of the fastest of some calls."""
    walls = []
    for _ in range(times):
        start = time.perf_counter()
        call()
        walls.append(time.perf_counter() - start)
    return min(walls)


def page(found: dict[str, Any]) -> str:
    """The page, of the figures alone."""
    files, lift, other = found["files"], found["lift"], found["peer"]
    lost = sum(row["lost"] for row in found["rows"]) / sum(row["regions"] for row in found["rows"])
    lines = [
        "# Lifting between genomes",
        "",
        "**Question.** How much is lost when peaks are lifted between hg19 and hg38?",
        "",
        f"**Answer.** {lost:.3%} of the regions of real peak files.",
        "",
        f"Made by `scripts/bench/regions/liftover.py` on {found['date']}, on 2 cores of an Intel Xeon 2.80 GHz that "
        "other work used too (the least of several times; the chain files of UCSC, the peak files of public "
        "repositories). "
        f"{files.get('hg19', 0)} hg19 and {files.get('hg38', 0)} hg38 files, "
        "lifted with UCSC's over.chain files to the other assembly and back; the rule and its "
        "settings (95 % of the bases, liftOver's default) were not fitted to them.",
        "",
        "| from | assay | files | regions | lost | lost on the way back | back exactly | back, overlapping |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    for row in found["rows"]:
        returned = max(row["regions"] - row["lost"] - row["lost_back"], 1)
        lines.append(
            f"| {row['from']} | {row['assay']} | {row['files']} | {row['regions']:,} | "
            f"{row['lost'] / row['regions']:.3%} | {row['lost_back'] / row['regions']:.3%} | "
            f"{row['exact'] / returned:.3%} | {row['overlapping'] / returned:.3%} |"
        )
    why: Counter[str] = Counter()
    total = 0
    for row in found["rows"]:
        total += row["regions"]
        why.update({key.removeprefix("lost: "): n for key, n in row.items() if key.startswith("lost: ")})
    reasons = ", ".join(f"{name} {n:,}" for name, n in why.most_common())
    lines += [
        "",
        f'Of {total:,} regions {sum(why.values()):,} were lost ({sum(why.values()) / total:.3%}): {reasons}. "Back '
        'exactly" are shares of the regions that came back at all.',
        "",
        f"Lifting {lift['regions']:,} hg19 regions takes {lift['seconds']:.2f} s, "
        f"{lift['regions'] / lift['seconds'] / 1e6:.1f} million regions a second; reading the chain file takes "
        f"{found['opening_seconds']['hg19']:.2f} s (hg19ToHg38) and {found['opening_seconds']['hg38']:.2f} s "
        "(hg38ToHg19), once.",
    ]
    if other is not None:
        lines += [
            "",
            f"pyliftover maps single bases: both ends of {other['regions']:,} regions take it "
            f"{other['seconds']:.2f} s, lifting them here takes {other['ours_seconds'] * 1000:.1f} ms, "
            f"{other['seconds'] / other['ours_seconds']:.0f} times less (its file is read in "
            f"{other['opening_seconds']:.2f} s). Where it maps both ends to one chromosome and the region is lifted "
            f"here ({other['both_ends']:,} of {other['ours_lifted']:,}), {other['agree']:,} agree to the base.",
        ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
