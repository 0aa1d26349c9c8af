"""Makes this folder: an index in format 1 and its answers, by the code of a checkout.

Everything is synthetic: the cells, BED files, model and genes of the tests' tiny world. The folder was made by
version 0.1.0, before the package was laid out anew; the test reads it with the code of today.

    python tests/data/index-v1/make.py CHECKOUT
"""

from __future__ import annotations

import lzma
import os
import shlex
import subprocess
import sys
import tarfile
import tempfile
from functools import partial
from pathlib import Path

HERE = Path(__file__).resolve().parent
WORLD = """
from pathlib import Path
import tiny_world
data = Path("data")
data.mkdir()
universe = tiny_world.Universe(tiny_world.regions(), genome="hg38")
size = dict(hidden_size=16, intermediate_size=32, num_attention_heads=2, max_position_embeddings=256)
config = tiny_world.sized_config("tiny", len(universe), **size)
tiny_world.new_model(config, universe, seed=0).save(data / "model")
tiny_world.write_h5ad(data / "reference.h5ad", 1, 60)
tiny_world.write_h5ad(data / "query.h5ad", 2, 6, empty=4)
world = tiny_world.World(data, data, data, data, data)
rows = ["file\\tcell_type\\tassay\\n"]
for number in range(6):
    half = range(40 + number) if number % 2 == 0 else range(120, 160 + number)
    world.bed(f"f{number}.bed", half)
    rows.append(f"f{number}.bed\\t{'B' if number % 2 == 0 else 'NK'}\\t{'ATAC-seq' if number < 4 else ''}\\n")
(data / "manifest.tsv").write_text("".join(rows))
world.bed("question.bed", range(10, 45))
genes = "chr1\\t1010200\\t1010201\\tGENE1|T1\\t0\\t+\\nchr2\\t2900100\\t2900101\\tGENE2|T2\\t0\\t-\\n"
(data / "genes.bed").write_text(genes)
"""
MADE = """
index create my.index --model data/model --genes data/genes.bed
index add-cells my.index data/reference.h5ad
index add-beds my.index data/manifest.tsv
index add-regions my.index --context B
index calibrate my.index --label cell_type --group donor
"""
KEPT = ("query.h5ad", "question.bed")  # what the questions need beside the index


def main(checkout: Path) -> None:
    """Make the archive, then record the answers."""
    (helpers,) = {path.parent for path in checkout.glob("tests/**/tiny_world.py")}
    env = {**os.environ, "PYTHONPATH": f"{checkout}{os.pathsep}{helpers}"}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        run = partial(subprocess.run, env=env, cwd=folder, check=True)

        def call(line: str) -> str:
            return run(
                [sys.executable, "-m", "atacsearch", *shlex.split(line)], stdout=subprocess.PIPE, text=True
            ).stdout

        run([sys.executable, "-c", WORLD])
        for line in MADE.strip().splitlines():
            call(line)
        with (
            lzma.open(HERE / "index.tar.xz", "wb", preset=9) as packed,
            tarfile.open(fileobj=packed, mode="w") as archive,
        ):
            for name in ("my.index", *(f"data/{name}" for name in KEPT)):
                archive.add(folder / name, name)
        for line in (HERE / "questions.txt").read_text().splitlines():
            if not line.startswith("#"):
                name, _, question = line.partition(": ")
                (HERE / f"{name}.tsv").write_text(call(f"{question} --format tsv"))


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
