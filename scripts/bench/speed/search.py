"""Latency and recall of nearest neighbours by size, filter and batch, beside numpy and qdrant-client's local mode.

Indexes are those that index.py builds in `--folder`; missing ones are built first. Queries are made of real cells
that no indexed cell was made of. Recall@10 is against the exact neighbours in float32. Filters draw cells at
random (`site`, `percentile`), which is the harder case for a graph: matching cells lie anywhere.

    python scripts/bench/speed/search.py --folder WORK --json docs/results/records/search.json
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the folder of `bench`

from atacsearch.store.index.folder import IndexFolder
from atacsearch.store.index.snapshot import Snapshot
from bench.common.measuring import Row, finish, options, run
from bench.common.mixtures import DIM, SHARES, Mixtures, open_mixtures
from bench.speed.index import SIZES, index_path

K = 10
ASKED = 300  # single queries timed and compared with the exact answer
PEER_ASKED = 20
LOCAL_MOST = 100_000
BATCH = 10_000
BATCH_K = 15


class Timed:
    """An opened part that adds up the time spent inside the engine."""

    def __init__(self, shard: Any) -> None:
        self.shard = shard
        self.seconds = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.shard, name)

    def query_batch(self, request: Any) -> Any:
        """As the part's own."""
        began = time.perf_counter()
        answer = self.shard.query_batch(request)
        self.seconds += time.perf_counter() - began
        return answer


def filters() -> list[tuple[str, str, float]]:
    """What is filtered by: description, condition, share of the cells."""
    text = [(f"text filter, {share:.1%}", f"site={name}", share) for name, share in SHARES]
    number = [(f"number filter, {share:.1%}", f"percentile<{100 * share:g}", share) for _, share in SHARES]
    return [*text, *number, ("text filter, one cell type", "cell_type=EX3", 0.25)]


def exact(
    vectors: npt.NDArray[np.float32], queries: npt.NDArray[np.float32], rows: npt.NDArray[np.int64] | None
) -> npt.NDArray[np.int64]:
    """[q, 10] rows of the nearest vectors of length 1, in no order."""
    some = vectors if rows is None else vectors[rows]
    scores = queries @ some.T
    k = min(K, scores.shape[1])
    best = np.argpartition(scores, scores.shape[1] - k, axis=1)[:, -k:]
    return best if rows is None else rows[best]


def single_rows(
    snapshot: Snapshot,
    timers: list[Timed],
    vectors: npt.NDArray[np.float32],
    queries: npt.NDArray[np.float32],
    ids: npt.NDArray[np.object_],
) -> list[Row]:
    """One query at a time through `Snapshot.knn`, unfiltered and with each filter, and the numpy scan of the same."""
    n = len(vectors)
    labels = snapshot.table("cells", ["site", "percentile", "cell_type"])
    site = np.array(labels["site"].to_pylist(), object)
    percentile = labels["percentile"].to_numpy()
    cell_type = np.array(labels["cell_type"].to_pylist(), object)
    rows = []
    for what, where, share in [("unfiltered", None, 1.0), *filters()]:
        chosen = None
        if where is not None:
            column, _, value = where.replace("<", "=").partition("=")
            if column == "percentile":
                mask = percentile < float(value)
            else:
                mask = (site if column == "site" else cell_type) == value
            chosen = np.flatnonzero(mask)
        if chosen is not None and len(chosen) < K:
            continue
        truth = exact(vectors, queries, chosen)
        first, walls, hits = [], [], []
        for query in queries:  # a first round, in which what it touches is read from the disk
            began = time.perf_counter()
            snapshot.knn("cells", query, K, where)
            first.append(time.perf_counter() - began)
        for timer in timers:
            timer.seconds = 0.0
        for query, near in zip(queries, truth, strict=True):
            began = time.perf_counter()
            answer = snapshot.knn("cells", query, K, where)
            walls.append(time.perf_counter() - began)
            hits.append(len(set(answer.ids[0]) & set(ids[near])) / K)
        engine = sum(timer.seconds for timer in timers) / len(queries)
        facts: dict[str, Any] = {"recall_at_10": round(float(np.mean(hits)), 4)}
        facts["first_round_p50_ms"] = round(float(np.median(first)) * 1e3, 2)
        if engine:
            facts |= {
                "engine_mean_ms": round(engine * 1e3, 3),
                "ours_mean_ms": round((float(np.mean(walls)) - engine) * 1e3, 3),
            }
        if chosen is not None:
            facts["matching"] = len(chosen)
        stage = "search" if where is None else ""
        case = f"{n:,} x {DIM}, {what}"
        floor = "random reads of links and int8 vectors"
        rows.append(
            Row(case, "Snapshot.knn", walls, size=n, per="vectors", stage=stage, floor=floor, facts=facts)
        )
        if where is None or share == 0.1:
            some = vectors if chosen is None else vectors[chosen]
            walls = [_scan(some, query) for query in queries[:PEER_ASKED]]
            rows.append(Row(case, "numpy exact scan", walls, ours=False, facts={"recall_at_10": 1.0}))
    return rows


def _scan(vectors: npt.NDArray[np.float32], query: npt.NDArray[np.float32]) -> float:
    began = time.perf_counter()
    scores = vectors @ query
    best = np.argpartition(scores, len(scores) - K)[-K:]
    best[np.argsort(-scores[best])]
    return time.perf_counter() - began


def local_rows(
    snapshot: Snapshot, vectors: npt.NDArray[np.float32], queries: npt.NDArray[np.float32]
) -> list[Row]:
    """qdrant-client's in-process mode on the same vectors, in memory."""
    import warnings
    from importlib.metadata import version

    from qdrant_client import QdrantClient, models

    n = len(vectors)
    labels = snapshot.table("cells", ["site", "percentile"])
    payload = [
        {"site": site, "percentile": percentile}
        for site, percentile in zip(labels["site"].to_pylist(), labels["percentile"].to_pylist(), strict=True)
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that this mode is not meant for so many points
        client = QdrantClient(":memory:")
        client.create_collection(
            "cells", vectors_config=models.VectorParams(size=DIM, distance=models.Distance.COSINE)
        )
        client.upload_collection("cells", vectors, payload, ids=range(n))
    tenth = models.FieldCondition(key="site", match=models.MatchValue(value="tenth"))
    part = models.FieldCondition(key="percentile", range=models.Range(lt=10.0))
    asked = {"unfiltered": None, "text filter, 10.0%": tenth, "number filter, 10.0%": part}
    rows = []
    for what, condition in asked.items():
        chosen = None if condition is None else models.Filter(must=[condition])
        walls = []
        for query in queries[: PEER_ASKED // 2]:
            began = time.perf_counter()
            client.query_points("cells", query=query, limit=K, query_filter=chosen)
            walls.append(time.perf_counter() - began)
        name = f"qdrant-client {version('qdrant-client')} local mode"
        rows.append(Row(f"{n:,} x {DIM}, {what}", name, walls, ours=False, facts={"recall_at_10": 1.0}))
    return rows


def batch_row(
    snapshot: Snapshot, vectors: npt.NDArray[np.float32], queries: npt.NDArray[np.float32], count: int
) -> Row:
    """Many queries in one call; recall of the first ones."""
    asked = queries[:count]
    wall, cpu = time.perf_counter(), time.process_time()
    answer = snapshot.knn("cells", asked, BATCH_K)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    ids = np.array(snapshot.all_ids("cells"), object)
    near = exact(vectors, asked[:ASKED], None)
    found = zip(answer.ids[:ASKED], near, strict=True)
    hits = [len(set(some[:K]) & set(ids[rows])) / K for some, rows in found]
    facts = {"ms_a_query": round(wall / count * 1e3, 3), "recall_at_10": round(float(np.mean(hits)), 4)}
    case = f"{len(vectors):,} x {DIM}, {count:,} queries in one call, k = {BATCH_K}"
    return Row(case, "Snapshot.knn", [wall], cpu=[cpu], threads=2, size=count, per="queries", facts=facts)


def measure(made: Mixtures, n: int, batch: int) -> list[Row]:
    """All rows of one size."""
    vectors = made.vectors(n).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    queries = made.queries / np.linalg.norm(made.queries, axis=1, keepdims=True)
    with IndexFolder.open(index_path(made.folder, n)) as index:
        snapshot = index.snapshot()
        ids = np.array(snapshot.all_ids("cells")[:n], object)
        store: Any = index.store
        snapshot.knn("cells", queries[0], K, engine="qdrant")
        timers = [Timed(shard) for shard in store._open.values()]
        store._open = dict(zip(store._open, timers, strict=True))
        rows = single_rows(snapshot, timers, vectors, queries[:ASKED], ids)
        rows.append(batch_row(snapshot, vectors, queries, batch))
        if n <= LOCAL_MOST:
            rows += local_rows(snapshot, vectors, queries)
    return rows


def main() -> None:
    """Measure and print."""
    parser = options(__doc__, 1)
    parser.add_argument("--input", type=Path, help="h5ad of real cells (default: the demo's forebrain set)")
    parser.add_argument("--label", default="celltype", help="its column of cell types")
    parser.add_argument(
        "--untrained", action="store_true", help="the model as the warm start leaves it: harder"
    )
    parser.add_argument("--sizes", help="numbers of cells, joined by commas")
    asked = parser.parse_args()
    folder = asked.folder or Path(tempfile.mkdtemp(prefix="atacsearch-bench-"))
    given = [int(n) for n in asked.sizes.split(",")] if asked.sizes else SIZES[:1] if asked.quick else SIZES
    source = ["--label", asked.label, *(["--input", str(asked.input)] if asked.input else [])]
    source += ["--untrained"] if asked.untrained else []
    script = Path(__file__).with_name("index.py")
    for n in given:
        if not index_path(folder, n).exists():
            run([sys.executable, script, "--folder", folder, "--build", str(n), *source])
    made = open_mixtures(folder, asked.input, asked.label, not asked.untrained)
    rows = [row for n in given for row in measure(made, n, 1_000 if asked.quick else BATCH)]
    model = "warm start" if asked.untrained else "trained"
    finish("search", rows, asked.json, input=str(asked.input or "forebrain"), model=model)


if __name__ == "__main__":
    main()
