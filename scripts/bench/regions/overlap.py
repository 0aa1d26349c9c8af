"""The inverted index behind `overlap`: bytes a posting, seconds to build, latency, beside bedtools and DuckDB.

Real: the shared hg19 BED files (a universe of all their regions) and the bone-marrow cells, through `overlap`.
Synthetic: lists of a growing number of BED files, each region open as often as among the real files and files
independent of each other, which is the hardest case for the code; through `Postings`, without tables of answers.

    python scripts/bench/regions/overlap.py --folder WORK --json docs/results/records/overlap.json
"""

from __future__ import annotations

import csv
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the folder of `bench`

from atacsearch.genome.intervals import Intervals
from atacsearch.index import Index
from atacsearch.query.session import Session
from atacsearch.readers.bed import read_bed
from atacsearch.store.index.folder import IndexFolder
from atacsearch.store.manifest import ShardEntry
from atacsearch.store.postings.build import build
from atacsearch.store.postings.file import PostingsFile, PostingsWriter, Shards
from atacsearch.store.postings.reader import Postings
from atacsearch.store.types import Batch, Source
from atacsearch.tokens.token_sets import TokenSets
from atacsearch.tokens.universe import Universe
from bench.common.measuring import Input, Row, finish, options, program, timed
from bench.common.paths import shared_data

ASKED = 300  # single regions
BED = 10_000  # regions of the long query
GROUPS = 50  # of the synthetic files
FULL_SCALE = (170_000, 7_000_000_000)  # files and postings that the figures are written out to
CHUNK = 10_000_000  # synthetic postings drawn at a time


def bulk(data: Path, folder: Path) -> tuple[Universe, list[str], list[Path], TokenSets]:
    """Universe, names, paths and token sets of the hg19 files."""
    with (data / "bulk" / "labels.tsv").open() as handle:
        rows = [r for r in csv.DictReader(handle, delimiter="\t") if r["genome"] == "hg19"]
    paths = [data / "bulk" / "files" / Path(r["file"]).name for r in rows]
    beds = [read_bed(path) for path in paths]
    place = folder / "hg19.bed.gz"
    if not place.exists():
        from atacsearch.tokens.build import build_universe

        build_universe(beds, genome="hg19", max_regions=10_000_000).save(place)
    universe = Universe.from_bed(place, genome="hg19")
    sets = universe.tokenize(beds)
    return universe, [r["assay"] for r in rows], paths, sets


def make_index(
    path: Path, universe: Universe, kind: str, sets: TokenSets, label: dict[str, list[str]]
) -> Session:
    """An index of token sets without vectors, a source an item for BED files."""
    import pyarrow as pa

    index = IndexFolder.create(
        path, model_dir=None, model_digest="m" * 64, universe_digest=universe.digest, vectors={"general": 4}
    )
    labels = pa.table(label)
    step = 1 if kind == "bedfiles" else len(sets)
    with index.writer() as writer:
        for first in range(0, len(sets), step):
            rows = np.arange(first, min(first + step, len(sets)))
            part = sets.take(rows)
            part = TokenSets(part.offsets, part.tokens, part.names, universe.digest)
            batch = Batch(part.names, part.names, labels.slice(first, len(rows)), part, {})
            writer.add(kind, batch, Source(id=f"s{first}", name=f"s{first}"))
    session = Session(index)
    session.__dict__["universe"] = universe
    return session


class Latencies(TypedDict):
    """Fields of a row of many calls; see `Row`."""

    wall: list[float]
    cpu: list[float]
    facts: dict[str, Any]


def latencies(call: Callable[[int], object], n: int = ASKED) -> Latencies:
    """Wall and CPU seconds of each of n calls, after a few that do not count, as fields of a row."""
    for i in range(3):
        call(i)
    walls, cpus = [], []
    for i in range(n):
        wall, cpu = time.perf_counter(), time.thread_time()
        call(i)
        walls.append(time.perf_counter() - wall)
        cpus.append(time.thread_time() - cpu)
    half, most = (round(1e3 * float(x), 3) for x in np.percentile(cpus, [50, 99]))
    return {"wall": walls, "cpu": cpus, "facts": {"cpu_p50_ms": half, "cpu_p99_ms": most}}


def facts_of(postings: Postings) -> dict[str, Any]:
    """Size of the lists on disk."""
    held = postings.summary()
    return {
        "postings": held["postings"],
        "mb": round(held["bytes"] / 1e6, 2),
        "bytes_per_posting": round(held["bytes"] / held["postings"], 4),
    }


def build_row(case: str, session: Session, kind: str) -> Row:
    """Making the lists from the shards."""
    snapshot = session.snapshot()
    entries = snapshot.manifest.shards_of(kind)
    with tempfile.TemporaryDirectory() as folder:
        walls, cpus, _ = timed(
            lambda: build(snapshot.index, Path(folder), kind, entries, snapshot.info.universe_digest), 3
        )
    size = snapshot.postings(kind).summary()["postings"]
    return Row(case, "atacsearch: build from shards", walls, cpu=cpus, size=size, per="postings", threads=1,
               facts=facts_of(snapshot.postings(kind)))  # fmt: skip


def ask_rows(case: str, session: Session, regions: Intervals, folder: Path, collection: str) -> list[Row]:
    """One region at a time, and a long BED file."""
    index, names = Index(session), regions.names()
    texts = [f"{names[i]}:{regions.start[i] + 1}-{regions.end[i]}" for i in range(ASKED + 3)]
    single = latencies(lambda i: index.overlap(texts[i], collections=collection))
    rows = [Row(f"{case}, one region", "atacsearch", threads=1, **single)]
    path = folder / "asking.bed"
    lines = zip(names[:BED], regions.start[:BED], regions.end[:BED], strict=True)
    path.write_text("".join(f"{c}\t{s}\t{e}\n" for c, s, e in lines))
    walls, cpus, table = timed(lambda: index.overlap(path, collections=collection), 5)
    rows.append(Row(f"{case}, {BED:,} regions", "atacsearch", walls, cpu=cpus, threads=1,
                    facts={"answers": len(table)}))  # fmt: skip
    return rows


def bedtools_rows(case: str, paths: list[Path], folder: Path, session: Session) -> list[Row]:
    """The same questions to bedtools, all files in one command; and how its answers differ from ours."""
    if program("bedtools") is None:
        return []
    one = folder / "one.bed"
    one.write_text((folder / "asking.bed").read_text().splitlines()[0] + "\n")
    rows = []
    for query, label, times in ((one, "one region", 1), (folder / "asking.bed", f"{BED:,} regions", 1)):
        call = ["bedtools", "intersect", "-wa", "-wb", "-filenames", "-a", str(query), "-b", *map(str, paths)]
        ask = partial(subprocess.run, call, capture_output=True, text=True, check=True)
        walls, _, got = timed(ask, times, 0)
        lines = [line.split("\t") for line in got.stdout.splitlines()]
        theirs = {(r[0], int(r[1]), int(r[2]), Path(r[3]).name) for r in lines}
        table = Index(session).overlap(query, collections="beds").table
        columns = (table[c].to_pylist() for c in ("query_chrom", "query_start", "query_end", "value"))
        ours = set(zip(*columns, strict=True))
        facts = {
            "pairs": len(theirs),
            "of_them_ours": round(len(theirs & ours) / max(len(theirs), 1), 4),
            "ours_beside": len(ours - theirs),
        }
        rows.append(Row(f"{case}, {label}", "bedtools intersect", walls, ours=False, threads=1, facts=facts))
    return rows


def duckdb_rows(case: str, sets: TokenSets, session: Session, regions: Intervals, folder: Path) -> list[Row]:
    """A DuckDB table of (token, item) sorted by token, one thread: its size and the same questions, as counts."""
    import duckdb
    import pyarrow as pa

    path = folder / "pairs.duckdb"
    path.unlink(missing_ok=True)
    pairs = pa.table(
        {"token": sets.tokens, "item": np.repeat(np.arange(len(sets)), sets.lengths).astype(np.uint32)}
    )
    began = time.perf_counter()
    con = duckdb.connect(str(path), config={"threads": 1})
    con.register("pairs", pairs)
    con.execute("create table postings as select * from pairs order by token, item")
    con.execute("checkpoint")
    made = time.perf_counter() - began
    n = len(sets.tokens)
    size = path.stat().st_size
    facts = {"postings": n, "mb": round(size / 1e6, 2), "bytes_per_posting": round(size / n, 4)}
    rows = [
        Row(case, "DuckDB: sorted table", [made], ours=False, threads=1, size=n, per="postings", facts=facts)
    ]
    asked = [session.universe.unique_tokens(regions.take(np.array([i]))) for i in range(ASKED + 3)]
    ask = "select item, count(*) from postings where token between $low and $high group by item"
    single = latencies(
        lambda i: con.sql(ask, params={"low": int(asked[i][0]), "high": int(asked[i][-1])}).to_arrow_table()
    )
    rows.append(Row(f"{case}, one region", "DuckDB: sorted table", ours=False, threads=1, **single))
    query, tokens = session.universe.overlap(regions.take(np.arange(BED)))
    con.register("wanted", pa.table({"query": query, "token": tokens}))
    join = "select query, item, count(*) from wanted join postings using (token) group by query, item"
    walls, cpus, table = timed(lambda: con.sql(join).to_arrow_table(), 3)
    facts = {"answers": len(table)}
    rows.append(Row(f"{case}, {BED:,} regions", "DuckDB: sorted table", walls, ours=False, cpu=cpus, threads=1,
                    facts=facts))  # fmt: skip
    con.close()
    return rows


def synthetic(path: Path, share: npt.NDArray[np.float64], n_files: int) -> tuple[float, float]:
    """Write lists of `n_files` independent files, region t open in a share `share[t]`; seconds drawing, and writing.

    Gaps between files that have a region are geometric.
    """
    rng = np.random.default_rng(0)
    shards = Shards(np.array([1]), np.array([n_files]), np.zeros(1, np.uint64))
    expected = n_files * share
    draws = (expected + 5 * np.sqrt(expected) + 12).astype(np.int64)
    cuts = np.searchsorted(np.cumsum(draws), np.arange(CHUNK, int(draws.sum()) + CHUNK, CHUNK), side="right")
    drawing = writing = 0.0
    first = 0
    with PostingsWriter(path, shards, {"kind": "bedfiles", "universe_digest": "u" * 64}) as writer:
        for cut in cuts.tolist():
            last = max(cut, first + 1)
            if first >= len(share):
                break
            began = time.process_time()
            own = draws[first:last]
            scale = (1 / np.log1p(-share[first:last])).astype(np.float32)
            gaps = np.log(1 - rng.random(int(own.sum()), dtype=np.float32)) * np.repeat(scale, own)
            places = np.cumsum(np.minimum(gaps, 2**30).astype(np.int64) + 1)
            starts = np.cumsum(own) - own
            before = np.where(starts > 0, places[starts - 1], 0)
            places -= np.repeat(before, own) + 1
            keep = places < n_files
            ends = np.zeros(len(own) + 1, np.int64)
            np.cumsum(np.add.reduceat(keep, starts, dtype=np.int64), out=ends[1:])
            items = places[keep].astype(np.uint32)
            drawn = time.process_time()
            writer.add(first, ends, items)
            drawing, writing = drawing + drawn - began, writing + time.process_time() - drawn
            first = last
        began = time.process_time()
        writer.finish()
        writing += time.process_time() - began
    return drawing, writing


def synthetic_rows(share: npt.NDArray[np.float64], n_postings: int, folder: Path) -> list[Row]:
    """Size, opening and latency of synthetic lists."""
    n_files = max(int(n_postings / share.sum()), 100)
    path = folder / "synthetic" / "bedfiles" / f"{n_files}.post"
    drawing, writing = synthetic(path, share, n_files)
    began = time.perf_counter()
    file = PostingsFile(path)
    entry = ShardEntry(1, "bedfiles", "", Source("s", "s"), n_files, {}, 0, "0" * 64, "")
    postings = Postings([file], [entry])
    opening = time.perf_counter() - began
    case = f"synthetic, {n_files:,} files"
    facts = {
        **facts_of(postings),
        "files": n_files,
        "open_s": round(opening, 4),
        "drawing_cpu_s": round(drawing, 1),
    }
    rows = [Row(case, "atacsearch: encode and write", [writing], cpu=[writing], size=file.n_postings, per="postings",
                threads=1, stage="overlap: encode", facts=facts)]  # fmt: skip
    rng = np.random.default_rng(1)
    tokens = np.sort(rng.choice(len(share), BED, replace=False))
    group = rng.integers(0, GROUPS, n_files).astype(np.int32)
    single = rng.permutation(tokens)
    bounds = np.array([0, 1])
    answers = np.mean([len(postings.items(bounds, single[i : i + 1])[0]) for i in range(50)])
    kind: Input = {"size": file.n_postings, "per": "postings"}
    found = latencies(lambda i: postings.items(bounds, single[i : i + 1]))
    found["facts"]["mean_answers"] = round(float(answers), 1)
    rows.append(
        Row(
            f"{case}, one region",
            "atacsearch: the files",
            stage="overlap: one region",
            threads=1,
            **kind,
            **found,
        )
    )
    counted = latencies(lambda i: postings.count_groups(bounds, single[i : i + 1], group, GROUPS))
    rows.append(
        Row(
            f"{case}, one region by label",
            f"atacsearch: counts in {GROUPS} groups",
            threads=1,
            **kind,
            **counted,
        )
    )
    every = np.arange(BED + 1)
    walls, cpus, _ = timed(lambda: postings.count_groups(every, tokens, group, GROUPS), 3)
    rows.append(Row(f"{case}, {BED:,} regions by label", f"atacsearch: counts in {GROUPS} groups", walls, cpu=cpus,
                    threads=1, size=file.n_postings, per="postings", stage="overlap: 10,000 regions"))  # fmt: skip
    walls, cpus, _ = timed(lambda: postings.items(np.array([0, BED]), tokens), 3)
    rows.append(Row(f"{case}, {BED:,} regions together", "atacsearch: shared regions of each file", walls, cpu=cpus,
                    threads=1, size=file.n_postings, per="postings"))  # fmt: skip
    walls, cpus, _ = timed(lambda: postings.totals(group % 2, 2, len(share)), 1, 0)
    rows.append(Row(f"{case}, all regions in two groups", "atacsearch: what compare counts", walls, cpu=cpus,
                    threads=1, size=file.n_postings, per="postings"))  # fmt: skip
    path.unlink()
    return rows


def extrapolated(rows: list[Row]) -> dict[str, Any]:
    """What the largest synthetic size says of 170,000 files with 7 x 10^9 postings, if all grows in proportion."""
    files, postings = FULL_SCALE
    last = [r for r in rows if r.case.startswith("synthetic")]
    encode = [r for r in last if "encode" in r.what][-1]
    tail = last[last.index(encode) :]
    times = postings / encode.facts["postings"]
    longer = files / encode.facts["files"]
    return {
        "files": files,
        "postings": postings,
        "gb": round(encode.facts["bytes_per_posting"] * postings / 1e9, 2),
        "encode_cpu_s": round(min(encode.wall) * times),
        "one_region_ms": round(tail[1].facts["cpu_p50_ms"] * longer, 2),
        "bed_by_label_s": round(min(tail[3].cpu) * longer, 2),
        "compare_s": round(min(tail[5].cpu) * times, 1),
    }


def main() -> None:
    """Run everything."""
    parser = options(__doc__, 3)
    parser.add_argument(
        "--data",
        type=Path,
        default=shared_data(),
        help="folder of the shared data",
    )
    parser.add_argument(
        "--postings", type=float, nargs="+", default=[1e7, 1e8, 1e9], help="sizes of the synthetic lists"
    )
    args = parser.parse_args()
    folder = args.folder or Path(tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    universe, assays, paths, sets = bulk(args.data, folder)
    named = TokenSets(sets.offsets, sets.tokens, tuple(p.name for p in paths), universe.digest)
    rng = np.random.default_rng(0)
    beds = [read_bed(path) for path in paths[:: 10 if args.quick else 1]]
    names = np.concatenate([x.names() for x in beds])
    starts, ends = (np.concatenate([getattr(x, c) for x in beds]) for c in ("start", "end"))
    chosen = rng.choice(len(names), 2 * BED, replace=False)
    regions = Intervals.from_columns(names[chosen], starts[chosen], ends[chosen])
    within = np.unique(universe.overlap(regions)[0])
    inside = len(within) / len(regions)
    regions = regions.take(within[:BED])
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        work = Path(scratch)
        session = make_index(work / "beds", universe, "bedfiles", named, {"assay": assays})
        case = f"{len(paths)} hg19 BED files"
        rows = [build_row(case, session, "bedfiles")]
        rows += ask_rows(case, session, regions, work, "beds")
        rows += bedtools_rows(case, paths, work, session)
        rows += duckdb_rows(case, named, session, regions, work)
        rows += cell_rows(args.data, work, rng)
        share = np.bincount(sets.tokens, minlength=len(universe)) / len(paths)
        share = np.minimum(share, 0.98)
        for size in [1e6] if args.quick else args.postings:
            rows += synthetic_rows(share, int(size), work)
            print(f"{size:g} postings done", file=sys.stderr)
    finish("overlap", rows, args.json, regions_in_universe=round(inside, 4), extrapolation=extrapolated(rows))


def cell_rows(data: Path, work: Path, rng: np.random.Generator) -> list[Row]:
    """The bone-marrow cells, counted by cell type."""
    import anndata

    cells = anndata.read_h5ad(data / "sc" / "granja_bmmc.h5ad")
    var = cells.var_names.str.extract(r"^(\w+)[:_-](\d+)[-_](\d+)$")
    regions = Intervals.from_columns(
        var[0].to_numpy(), var[1].astype(int).to_numpy(), var[2].astype(int).to_numpy()
    )
    universe = Universe(regions)
    matrix = cells.X.tocsr()
    matrix.sort_indices()
    sets = TokenSets(
        matrix.indptr.astype(np.int64),
        matrix.indices.astype(np.uint32),
        tuple(cells.obs_names),
        universe.digest,
    )
    types = {"cell_type": cells.obs["cell_type"].astype(str).tolist()}
    session = make_index(work / "cells", universe, "cells", sets, types)
    case = f"{len(sets):,} bone-marrow cells"
    rows = [build_row(case, session, "cells")]
    asked = regions.take(rng.permutation(len(regions)))
    return rows + ask_rows(f"{case} by type", session, asked, work, "cells")


if __name__ == "__main__":
    main()
