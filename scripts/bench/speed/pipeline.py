"""From a fragment file of 10,000 cells to an index that answers: seconds of each stage, and its share.

    python scripts/bench/speed/pipeline.py [--lines 20000000] [--cells 10000]
        [--json docs/results/records/pipeline.json]

The same calls as `atacsearch index add-cells` makes, one after another in a process of their own: start and
universe, reading and tokenising, encoding, the shard, publishing, opening and the first answer. The encoder has
the sizes that training on a CPU has by default, or those of --sizes, and random weights: speed does not depend on
them.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the folder of `bench`

from bench.common.measuring import Row, finish, options, run
from bench.speed.fragments import draw

STAGES = (
    "start and universe",
    "read and tokenise",
    "encode",
    "write the shard",
    "publish",
    "open and first answer",
)


def run_stages(universe: str, path: str, target: str, size: str) -> dict[str, Any]:
    """The whole way, once."""
    marks = [(time.perf_counter(), time.process_time())]

    def mark() -> None:
        marks.append((time.perf_counter(), time.process_time()))

    from atacsearch.model.checkpoints.checkpoint import new_model
    from atacsearch.model.config import sized_config
    from atacsearch.model.encoding.encoder import Encoder
    from atacsearch.readers.inputs.open import open_input
    from atacsearch.readers.options import ReadOptions
    from atacsearch.store.index.folder import IndexFolder
    from atacsearch.store.types import Batch, Source
    from atacsearch.tokens.universe import Universe

    regions = Universe.from_bed(universe)
    model = new_model(sized_config(size, len(regions)), regions)
    encoder = Encoder(model)
    mark()
    (items,) = open_input(path, regions, ReadOptions(min_fragments=1))
    mark()
    vectors = encoder.encode(items.sets)
    mark()
    index = IndexFolder.create(
        Path(target),
        model_dir=None,
        model_digest=model.digest,
        universe_digest=regions.digest,
        vectors={"general": vectors.shape[1]},
    )
    writer = index.writer()
    batch = Batch(items.ids, items.sets.names, items.labels, items.sets, {"general": vectors})
    writer.add("cells", batch, Source("s", path, items.content_digest))
    mark()
    writer.publish()
    writer.close()
    mark()
    found = IndexFolder.open(Path(target)).snapshot().knn("cells", vectors[0], 10)
    mark()
    spent = {name: (b[0] - a[0], b[1] - a[1]) for name, a, b in zip(STAGES, marks, marks[1:], strict=False)}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    return {
        "spent": spent,
        "peak_mb": peak,
        "cells": len(items.sets),
        "tokens": len(items.sets.tokens),
        "found": len(found.ids[0]),
    }


def main() -> None:
    """Draw the file, measure and print."""
    parser = options(__doc__, repeats=2)
    parser.add_argument("--lines", type=int, default=20_000_000)
    parser.add_argument("--cells", type=int, default=10_000)
    parser.add_argument(
        "--sizes", default="tiny", help="sizes of the encoder, separated by commas (default tiny)"
    )
    given = parser.parse_args()
    lines, cells = (500_000, 500) if given.quick else (given.lines, given.cells)
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        place = draw(folder, lines, cells)
        rows = []
        for size in given.sizes.split(","):
            case = f"{cells:,} cells, {lines / 1e6:g} M fragments, encoder {size}"
            spent: dict[str, list[tuple[float, float]]] = {name: [] for name in STAGES}
            peak, facts = 0.0, {}
            for number in range(given.repeats + 1):
                with tempfile.TemporaryDirectory() as target:
                    words = [
                        place / "universe.bed",
                        place / "fragments.tsv.gz",
                        Path(target) / "x.index",
                        size,
                    ]
                    found = run([sys.executable, __file__, "--once", *words])
                if number:
                    for name, seconds in found["spent"].items():
                        spent[name].append(tuple(seconds))
                    peak = max(peak, found["peak_mb"])
                    facts = {"cells": found["cells"], "tokens": found["tokens"]}
            totals = [sum(walls) for walls in zip(*([w for w, _ in spent[n]] for n in STAGES), strict=True)]
            cpu = [sum(cpus) for cpus in zip(*([c for _, c in spent[n]] for n in STAGES), strict=True)]
            rows.append(
                Row(
                    case,
                    "all stages",
                    totals,
                    cpu=cpu,
                    peak_mb=peak,
                    threads=2,
                    size=cells,
                    per="cells",
                    facts=facts,
                )
            )
            for name in STAGES:
                walls = [w for w, _ in spent[name]]
                share = f"{sum(walls) / sum(totals):.1%}"
                cpus = [c for _, c in spent[name]]
                rows.append(
                    Row(f"{case}: {name}", "this stage", walls, cpu=cpus, threads=2, facts={"share": share})
                )
        finish("pipeline", rows, given.json)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--once"]:
        print(json.dumps(run_stages(*sys.argv[2:6])))
    else:
        main()
