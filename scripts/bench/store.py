"""Times of the index: publishing, opening, single and batch neighbours by graph and by scan, recall.

    python scripts/bench/store.py [--points 100000] [--dim 128] [--out store.json]

Vectors are drawn around 200 centres, as cells around cell types. Prints one table and writes it as JSON.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import tempfile
import time
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa

from atacsearch.genome.tokensets import TokenSets
from atacsearch.store import Batch, Index, Source


def batch_of(n: int, dim: int, rng: np.random.Generator, centres: np.ndarray) -> Batch:
    """Cells with four label columns and 50 tokens each."""
    which = rng.integers(0, len(centres), n)
    vectors = (centres[which] + 0.7 * rng.normal(size=(n, dim))).astype(np.float32)
    offsets = np.arange(n + 1, dtype=np.int64) * 50
    tokens = rng.integers(0, 200_000, n * 50).astype(np.uint32)
    names = [f"BC{i:09d}" for i in range(n)]
    labels = pa.table(
        {
            "cell_type": pa.array([f"type {c % 20}" for c in which]).dictionary_encode(),
            "donor": pa.array([f"d{c}" for c in rng.integers(0, 8, n)]),
            "n_fragments": rng.integers(1_000, 50_000, n),
            "tss_enrichment": rng.gamma(4, 2, n),
        }
    )
    sets = TokenSets(offsets, tokens, tuple(names), "u" * 64)
    return Batch([f"s#{b}" for b in names], names, labels, sets, {"general": vectors})


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("--out", type=Path, default=None)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(200, options.dim))
    given = batch_of(options.points, options.dim, rng, centres)
    queries = batch_of(10_000, options.dim, rng, centres).vectors["general"]
    rows: list[tuple[str, float, float, str]] = []

    def timed(what: str, unit: str, per: float, call: object, times: int = 1) -> object:
        took = []
        answer = None
        for _ in range(times):
            start, cpu = time.perf_counter(), time.process_time()
            answer = call()  # type: ignore[operator]
            took.append((time.perf_counter() - start, time.process_time() - cpu))
        wall, cpu = np.median(took, axis=0)
        rows.append((what, float(wall) / per, float(cpu) / per, unit))
        return answer

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bench.index"
        index = Index.create(
            path,
            model_dir=None,
            model_digest="m" * 64,
            universe_digest="u" * 64,
            vectors={"general": options.dim},
        )
        writer = index.writer()
        timed("add (shard on disk)", "s", 1, lambda: writer.add("cells", given, Source("s", "s")))
        timed("publish (metadata, upsert, optimise)", "s", 1, writer.publish)
        small = batch_of(1_000, options.dim, rng, centres)
        small = Batch([f"t{i}" for i in small.ids], small.items, small.labels, small.sets, small.vectors)
        writer.add("cells", small, Source("t", "t"))
        timed("publish 1,000 more", "s", 1, writer.publish)
        writer.close()
        index.close()

        index = Index.open(path)
        snap = index.snapshot()
        timed(
            "first query by graph, index closed before", "ms", 1e-3, lambda: snap.knn("cells", queries[0], 15)
        )
        once = iter(np.tile(queries[:500], (9, 1)))
        for what, extra in [
            ("p50 single query by graph, k=15", {}),
            ("p50 the same, cell_type filter", {"where": "cell_type='type 3'"}),
            ("p50 the same, number filter", {"where": "n_fragments>45000"}),
        ]:
            timed(
                what,
                "ms",
                1e-3,
                lambda extra=extra: snap.knn("cells", next(once), 15, engine="qdrant", **extra),
                500,
            )
        timed(
            "first scan (reads vectors)",
            "ms",
            1e-3,
            lambda: snap.knn("cells", queries[:1], 15, engine="scan"),
        )
        timed(
            "p50 single query by scan",
            "ms",
            1e-3,
            lambda: snap.knn("cells", next(once), 15, engine="scan"),
            50,
        )
        for n in (64, 256, 1_000, 10_000):
            for engine in ("qdrant", "scan"):
                what = f"{n:,} queries by {'graph' if engine == 'qdrant' else 'scan'}, each"
                timed(
                    what, "ms", n * 1e-3, lambda n=n, e=engine: snap.knn("cells", queries[:n], 15, engine=e)
                )
        graph = snap.knn("cells", queries[:1_000], 10, engine="qdrant")
        exact = snap.knn("cells", queries[:1_000], 10, engine="scan")
        hits = [len(set(a) & set(b)) / 10 for a, b in zip(graph.ids, exact.ids, strict=True)]
        rows.append(("recall@10 of the graph", float(np.mean(hits)), np.nan, ""))
        for where in ("cell_type='type 3'", "n_fragments>45000", "n_fragments>25000"):
            graph = snap.knn("cells", queries[:300], 10, where, engine="qdrant")
            truth = snap.knn("cells", queries[:300], 10, where, engine="scan")
            hits = [len(set(a) & set(b)) / 10 for a, b in zip(graph.ids, truth.ids, strict=True)]
            rows.append((f"recall@10 with {where}", float(np.mean(hits)), np.nan, ""))
        ids = [i for some in exact.ids for i in some]
        timed("rows of 10,000 ids", "ms", 1e-3, lambda: snap.rows("cells", ids))
        timed("vectors of 10,000 ids", "ms", 1e-3, lambda: snap.vectors("cells", ids))
        timed("tokens of 10,000 ids", "ms", 1e-3, lambda: snap.tokens("cells", ids))
        timed("verify", "s", 1, index.verify)
        held = index.status()["collections"]["cells"]
        rows.append(("bytes of shards a cell", held["shard_bytes"] / held["items"], np.nan, "B"))
        rows.append(("bytes of vector parts a cell", held["part_bytes"] / held["items"], np.nan, "B"))
        rows.append(("peak memory", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3, np.nan, "MB"))
        index.close()
    print(f"{options.points:,} x {options.dim}, {platform.node()}, {date.today()}")
    print(f"{'':45s} {'wall':>10s} {'CPU':>10s}")
    for what, wall, cpu, unit in rows:
        print(f"{what:45s} {wall:10.3f} {'' if np.isnan(cpu) else format(cpu, '.3f'):>10s} {unit}")
    if options.out:
        record = {
            "points": options.points,
            "dim": options.dim,
            "machine": platform.node(),
            "date": str(date.today()),
        }
        options.out.write_text(json.dumps({**record, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
