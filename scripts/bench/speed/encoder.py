"""Times of the encoder beside geniml's Atacformer and torch's own padded layers, on CPU and, where there is one, GPU.

    python scripts/bench/speed/encoder.py [--peer-python PEER/bin/python] [--cases cells,long] [--json out.json]

PEER is an environment of its own: `python -m venv PEER && PEER/bin/pip install torch==2.13.0 && PEER/bin/pip
install 'geniml[ml]==0.8.4' 'transformers<5'`. Token sets are drawn at random from a universe of 200,000 regions
and networks have random weights, written as checkpoints that ours and geniml both load; their vectors are
compared. Every row is a process of its own, kept to its cores; the clock runs from token sets in memory to
vectors in memory, after start, load and a warm-up; the peak is the whole process with imports and model. Rounds
go through all rows of a case in turn. With --cases, the rows of other cases that the JSON file holds are kept.

Floors: a network's arithmetic at the rate that the best matrix product reaches here, and its exponentials at the
rate of torch's softmax in cache, both measured in the same run. The two add up on a CPU; on a GPU they overlap.
"""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the folder of `bench`

from bench.common import measuring
from bench.common.measuring import Row

ROWS = Path(__file__).with_name("encoder_rows.py")
REGIONS = 200_000
CASES = ("cells", "scaling", "long", "sizes", "growth", "gpu")
# hidden, layers, heads; the feed-forward layer is four times as wide
NETWORKS = {"384 x 6": (384, 6, 8), "192 x 6 (base)": (192, 6, 8), "128 x 2 (small)": (128, 2, 4)}
NETWORKS["64 x 1 (tiny)"] = (64, 1, 4)
NAMES = {"ours": "atacsearch", "torch": "torch nn.TransformerEncoder, padded", "geniml": "geniml Atacformer"}
GPU_TOKENS, GPU_CELLS = 2_048, 8_192


@dataclass(frozen=True)
class Line:
    """What to measure: who encodes which sets with which network, on how many cores."""

    case: str
    who: str
    network: str
    lengths: tuple[int, ...]
    threads: int = 1
    dtype: str = "float32"
    device: str = "cpu"
    stage: str = ""
    per: str = "cells"
    extra: tuple[tuple[str, Any], ...] = ()

    @property
    def size(self) -> int:
        """Cells or tokens."""
        return len(self.lengths) if self.per == "cells" else sum(self.lengths)

    @property
    def gflop(self) -> float:
        """10^9 multiplications and additions: four projections, two feed-forward layers, two attention products."""
        d, layers, _ = NETWORKS[self.network]
        return layers * sum(n * 2 * 12 * d * d + 4 * n * n * d for n in self.lengths) / 1e9

    @property
    def exponentials(self) -> float:
        """One for each head and pair of tokens of a set."""
        _, layers, heads = NETWORKS[self.network]
        return float(layers * heads * sum(n * n for n in self.lengths))

    @property
    def gigabytes(self) -> float:
        """Activations that the layers read and write, each operation by itself: 38 d numbers a token and layer."""
        d, layers, _ = NETWORKS[self.network]
        return 38 * d * layers * sum(self.lengths) * (2 if self.dtype == "bfloat16" else 4) / 1e9


class Bench:
    """Makes inputs, runs lines and collects rows."""

    def __init__(self, folder: Path, peer: str | None, repeats: int) -> None:
        self.folder, self.peer, self.repeats = folder, peer, repeats
        self.rows: list[Row] = []
        self.peaks: dict[tuple[str, int], dict[str, float]] = {}

    def model(self, network: str) -> Path:
        """A checkpoint folder with weights of the size that training leaves."""
        from atacsearch.genome.intervals import Intervals
        from atacsearch.model.checkpoints.checkpoint import new_model
        from atacsearch.model.config import sized_config
        from atacsearch.tokens.universe import Universe

        d, layers, heads = NETWORKS[network]
        path = self.folder / f"model-{d}-{layers}"
        if not (path / "config.json").exists():
            starts = np.arange(REGIONS) * 1000
            universe = Universe(Intervals.from_columns(["chr1"] * REGIONS, starts, starts + 500))
            config = sized_config(
                "base",
                REGIONS,
                hidden_size=d,
                intermediate_size=4 * d,
                num_attention_heads=heads,
                num_hidden_layers=layers,
                max_position_embeddings=8192,
            )
            made = new_model(config, universe, seed=1)
            generator = torch.Generator().manual_seed(2)
            with torch.no_grad():
                for name, parameter in made.module.named_parameters():
                    scale = 1.0 if "embeddings" in name else parameter.shape[-1] ** -0.5
                    parameter.add_(scale * torch.randn(parameter.shape, generator=generator))
            made.save(path)
        return path

    def sets(self, lengths: tuple[int, ...]) -> Path:
        """Random token sets of these lengths."""
        path = self.folder / f"sets-{len(lengths)}-{sum(lengths)}-{lengths[0]}.npz"
        if not path.exists():
            rng = np.random.default_rng(3)
            tokens = [np.sort(rng.choice(REGIONS, n, replace=False)).astype(np.uint32) for n in lengths]
            np.savez(path, tokens=np.concatenate(tokens), offsets=np.cumsum([0, *lengths]))
        return path

    def run(self, lines: list[Line]) -> None:
        """Rounds through all lines; then one row each, with floors and the distance to our float32 vectors."""
        lines = [x for x in lines if x.who != "geniml" or self.peer]
        found: dict[int, list[dict[str, Any]]] = {i: [] for i in range(len(lines))}
        for _ in range(self.repeats):
            for key in sorted({(x.device, x.threads) for x in lines}):
                spec = {"who": "peaks", "device": key[0], "threads": key[1]}
                rates = self._child(sys.executable, spec, None if key[0] == "cuda" else key[1])
                del rates["wall"], rates["cpu"], rates["peak_mb"]
                known = self.peaks.setdefault(key, {})
                known.update({k: max(v, known.get(k, 0)) for k, v in rates.items()})
            for i, line in enumerate(lines):
                found[i].append(self._measured(line, i))
                print(f"{line.case}: {line.who} {line.dtype} {found[i][-1]['wall']}", file=sys.stderr)
        for i, line in enumerate(lines):
            self.rows.append(self._row(line, found[i], self._distance(lines, i)))

    def _measured(self, line: Line, i: int) -> dict[str, Any]:
        spec = {
            "who": line.who,
            "model": str(self.model(line.network)),
            "sets": str(self.sets(line.lengths)),
            "threads": line.threads,
            "dtype": line.dtype,
            "device": line.device,
            "times": 3 if line.device == "cuda" else 2 if line.who == "ours" and not line.stage else 1,
            "save": str(self.folder / f"vectors-{i}.npy"),
            **dict(line.extra),
        }
        python = self.peer if line.who == "geniml" and self.peer else sys.executable
        return self._child(python, spec, None if line.device == "cuda" else line.threads)

    def _child(self, python: str, spec: dict[str, Any], cores: int | None) -> dict[str, Any]:
        return measuring.run([python, ROWS, json.dumps(spec)], cores=cores)

    def _distance(self, lines: list[Line], i: int) -> float | None:
        """Largest distance of a vector to ours in float32, as a share of its length; None where there is none."""
        same = [
            j
            for j, x in enumerate(lines)
            if (x.who, x.dtype, x.lengths, x.network)
            == ("ours", "float32", lines[i].lengths, lines[i].network)
        ]
        paths = [self.folder / f"vectors-{j}.npy" for j in (*same[:1], i)]
        if not same or same[0] == i or not all(p.exists() for p in paths):
            return None
        exact, other = (np.load(p) for p in paths)
        return float((np.linalg.norm(other - exact, axis=1) / np.linalg.norm(exact, axis=1)).max())

    def _row(self, line: Line, found: list[dict[str, Any]], distance: float | None) -> Row:
        walls = [w for x in found for w in x["wall"]]
        facts: dict[str, Any] = {"dtype": line.dtype, "tokens": sum(line.lengths), **dict(line.extra)}
        if distance is not None:
            facts["relative distance to ours in float32"] = float(f"{distance:.2g}")
            limit = 2e-2 if line.dtype == "bfloat16" else 1e-4
            if distance > limit:
                sys.exit(f"{line.case}: vectors of {line.who} in {line.dtype} differ by {distance:.2g}")
        floor = self._floor(line, min(walls), facts) if line.who == "ours" else ""
        what = NAMES.get(line.who, "attention kernel alone")
        return Row(
            line.case,
            f"{what}, {line.dtype}" + "".join(f", {k} {v}" for k, v in line.extra if k == "head"),
            walls,
            ours=line.who == "ours",
            cpu=[c for x in found for c in x["cpu"]],
            peak_mb=max(x["peak_mb"] for x in found),
            threads=line.threads,
            size=line.size,
            per=line.per,
            stage=line.stage,
            floor=floor,
            facts=facts,
        )

    def _floor(self, line: Line, wall: float, facts: dict[str, Any]) -> str:
        """Words for what bounds a row; the shares of the fastest run go into its facts."""
        peak = self.peaks[line.device, line.threads]
        rate = peak[f"flops_{line.dtype}"]
        shares = {"matrix products": line.gflop * 1e9 / rate / wall}
        if line.device == "cuda":
            shares["exponentials"] = line.exponentials / peak["exponentials_per_s"] / wall
            shares["memory"] = line.gigabytes * 1e9 / peak["bytes_per_s"] / wall
        else:
            shares["softmax"] = line.exponentials / peak["softmax_per_s"] / wall
        facts["GFLOP/s"] = round(line.gflop / wall, 1)
        facts["GFLOP/s of the best matrix product"] = round(rate / 1e9, 1)
        facts |= {f"share of {name}": round(value, 3) for name, value in shares.items()}
        words = ", ".join(f"{name} {value:.0%}" for name, value in shares.items())
        rest = "" if line.device == "cuda" else "; the rest is small products, norms and sums"
        return f"floors as shares of the time: {words}{rest}"


def realistic(n: int, middle: int = 450) -> tuple[int, ...]:
    """Lengths of `n` cells: log-normal, mean near 500 (the spread of the project's single-cell data)."""
    rng = np.random.default_rng(5)
    return tuple(np.clip(rng.lognormal(np.log(middle), 0.5, n).astype(int), 20, 8_000).tolist())


def lines_of(case: str, quick: bool) -> list[list[Line]]:
    """Groups of lines whose rounds are run together."""
    groups: list[list[Line]] = []
    if case == "cells":
        lengths, network = realistic(4 if quick else 16), "384 x 6"
        for threads in (1, 2):
            name = f"{network}, ~500 tokens a cell, {threads} core{'s' * (threads > 1)}"
            who = [("ours", "float32"), ("torch", "float32"), ("geniml", "float32")]
            who += [("ours", "bfloat16"), ("geniml", "bfloat16")] if threads == 1 else []
            groups.append([Line(name, w, network, lengths, threads, dtype) for w, dtype in who])
    elif case == "scaling":
        for network, n in (("384 x 6", 64), ("192 x 6 (base)", 128), ("64 x 1 (tiny)", 4_000)):
            lengths, name = realistic(4 if quick else n), f"{network}, ~500 tokens a cell, many cells"
            cores = ((1, "1 core"), (2, "2 cores"))
            groups.append([Line(f"{name}, {words}", "ours", network, lengths, t) for t, words in cores])
    elif case == "long":
        lengths, network = (1_000 if quick else 8_000,), "384 x 6"
        for threads in (1, 2):
            name = f"{network}, one cell of {lengths[0]:,} tokens, {threads} core{'s' * (threads > 1)}"
            who_ = ("ours", "torch", "geniml") if threads == 1 else ("ours",)
            groups.append([Line(name, w, network, lengths, threads) for w in who_])
    elif case == "sizes":
        for network, tokens, cells in (
            ("192 x 6 (base)", 2_048, 8),
            ("128 x 2 (small)", 512, 128),
            ("64 x 1 (tiny)", 512, 512),
        ):
            lengths = (tokens,) * (2 if quick else cells)
            for threads in (1, 2):
                name = f"{network}, {tokens:,} tokens a cell, {threads} core{'s' * (threads > 1)}"
                lines = [
                    Line(name, w, network, lengths, threads, per="tokens")
                    for w in ("ours", "torch", "geniml")
                ]
                groups.append(lines)
    elif case == "growth":
        groups = growth_lines(quick)
    elif case == "gpu":
        groups = gpu_lines(quick)
    return groups


def growth_lines(quick: bool) -> list[list[Line]]:
    """More and more cells, and longer and longer ones."""
    groups: list[list[Line]] = []
    for network, counts in (
        ("192 x 6 (base)", (20, 200, 1_000)),
        ("64 x 1 (tiny)", (20, 200, 2_000, 20_000)),
    ):
        for n in counts[: 1 if quick else None]:
            stage = f"encoder, {network}, ~500 tokens a cell"
            lengths, name = realistic(n), f"{network}, {n:,} cells of ~500 tokens"
            groups.append([Line(name, "ours", network, lengths, 2, stage=stage, per="tokens")])
    for n in (512, 1_024, 2_048, 4_096, 8_192)[: 1 if quick else None]:
        stage, name = (
            "encoder, 192 x 6 (base), one cell",
            f"192 x 6 (base), one cell of {n:,} tokens, 2 cores",
        )
        line = Line(name, "ours", "192 x 6 (base)", (n,), 2, stage=stage, per="tokens")
        groups.append([line])
    return groups


def gpu_lines(quick: bool) -> list[list[Line]]:
    """Many cells on a GPU, beside torch's padded layers, geniml and the attention kernel alone."""
    groups: list[list[Line]] = []
    network, lengths = "192 x 6 (base)", (GPU_TOKENS,) * (64 if quick else GPU_CELLS)
    name = f"{network}, {GPU_TOKENS:,} tokens a cell, GPU"
    more = {"device": "cuda", "threads": measuring.machine()["cores"], "dtype": "bfloat16"}
    groups.append([Line(name, w, network, lengths, **more) for w in ("ours", "torch")])
    few = lengths[: 64 if quick else 512]  # geniml takes minutes for what ours takes a second for
    groups.append([Line(f"{name}, {len(few)} cells", w, network, few, **more) for w in ("ours", "geniml")])
    _, layers, heads = NETWORKS[network]
    for head in (24, 32):
        extra = (("head", head), ("heads", heads), ("layers", layers))
        groups[0].append(Line(name, "kernel", network, lengths, extra=extra, **more))
    exact = Line(f"{name}, {len(few)} cells", "ours", network, few, **{**more, "dtype": "float32"})
    groups[1].append(exact)  # what the distances of bfloat16 are taken to
    return groups


def main() -> None:
    """Measure and print."""
    parser = measuring.options(__doc__, repeats=3)
    parser.add_argument(
        "--cases", default=",".join(CASES), help="which to run, joined by commas (default all)"
    )
    given = parser.parse_args()
    version = measuring.peer_version(given.peer_python, "geniml")
    before: list[dict[str, Any]] = []
    if given.json and given.json.exists():
        before = json.loads(given.json.read_text())["rows"]
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        bench = Bench(folder, given.peer_python if version else None, 1 if given.quick else given.repeats)
        for case in given.cases.split(","):
            if case not in CASES:
                parser.error(f"'{case}' is not one of {', '.join(CASES)}")
            if case == "gpu" and not torch.cuda.is_available():
                print("no CUDA GPU: its rows are left out", file=sys.stderr)
                continue
            for group in lines_of(case, given.quick):
                bench.run(group)
        facts = {"torch": torch.__version__, "geniml": version}
        measuring.finish("encoder", bench.rows, given.json, **facts)
    if given.json and before:
        record = json.loads(given.json.read_text())
        fresh = {row["case"] for row in record["rows"]}
        record["rows"] = [row for row in before if row["case"] not in fresh] + record["rows"]
        given.json.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
