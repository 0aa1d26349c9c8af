"""Times of turning a fragment file into token sets: ours, bare inflation, gtars and SnapATAC2.

    python scripts/bench/speed/fragments.py [--lines 20000000] [--large 200000000] [--peer-python PEER/bin/python]

PEER is an environment of its own (`python -m venv PEER && PEER/bin/pip install gtars snapatac2`). Files are
drawn by `fragment_file.py`. Every measurement is a process of its own. Rows marked * count the reading alone,
after start, universe and a small file; the others are whole commands. Rounds go through all rows in turn, the
first is a warm-up; peers run once. CPU is user and system time, peak the resident memory of the process.
"""

from __future__ import annotations

import gzip
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the folder of `bench`

from bench.common.measuring import Input, Row, finish, options, peer_version, program, run

TOKENIZE = Path(sys.executable).with_name("atacsearch")
_TIMER = """
import json, resource, sys, time
def timed(call):
    wall, cpu = time.perf_counter(), time.process_time()
    answer = call()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return answer, {"wall": wall, "cpu": cpu, "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3}
universe, small, path = sys.argv[1:4]
"""
READ = (
    _TIMER
    + """
from atacsearch.tokens.universe import Universe
from atacsearch.readers.inputs.open import ReadOptions, open_input
universe = Universe.from_bed(universe)
options = ReadOptions(min_fragments=1, tss=sys.argv[4] if len(sys.argv) > 4 else None)
open_input(small, universe, options)
(items,), found = timed(lambda: open_input(path, universe, options))
print(json.dumps({**found, "items": len(items.sets), "tokens": len(items.sets.tokens)}))
"""
)
GTARS = (
    _TIMER
    + """
from gtars.tokenizers import Tokenizer, tokenize_fragment_file
tokenizer = Tokenizer.from_bed(universe)
tokenize_fragment_file(small, tokenizer)
sets, found = timed(lambda: tokenize_fragment_file(path, tokenizer))
tokens = sum(len(set(ids) - {tokenizer.unk_token_id}) for ids in sets.values())
print(json.dumps({**found, "items": len(sets), "tokens": tokens}))
"""
)
SNAPATAC2 = (
    _TIMER
    + """
import snapatac2 as snap
def work():
    data = snap.pp.import_fragments(path, snap.genome.hg38, min_num_fragments=1, sorted_by_barcode=False)
    return snap.pp.make_peak_matrix(data, peak_file=universe, counting_strategy="fragment")
matrix, found = timed(work)
print(json.dumps({**found, "items": matrix.n_obs, "tokens": int((matrix.X > 0).sum())}))
"""
)


INFLATE = """
import sys
from isal import igzip
with igzip.open(sys.argv[1]) as text:
    while text.read(1 << 20):
        pass
"""


def draw(folder: Path, lines: int, barcodes: int = 2_000) -> Path:
    """The folder of a file of so many fragments; drawn unless it is there."""
    place = folder / (str(lines) if barcodes == 2_000 else f"{lines}-{barcodes}")
    done = place / "drawn"
    if not done.exists():
        place.mkdir(parents=True, exist_ok=True)
        script = Path(__file__).with_name("fragment_file.py")
        size = ["--lines", str(lines), "--barcodes", str(barcodes)]
        subprocess.run([sys.executable, script, place, *size], check=True)
        _tss(place / "universe.bed", place / "tss.bed")
        done.touch()
    return place


def _tss(universe: Path, target: Path) -> None:
    """A transcription start site in the middle of every eighth region."""
    with universe.open() as regions, target.open("w") as sites:
        for number, line in enumerate(regions):
            if number % 8 == 0:
                chrom, start, end = line.split("\t")[:3]
                middle = (int(start) + int(end)) // 2
                sites.write(f"{chrom}\t{middle}\t{middle + 1}\tg{number}\t0\t+\n")


def plain_gzip(place: Path) -> Path:
    """The same text as one gzip stream, as `gzip` writes it."""
    target = place / "one_stream.tsv.gz"
    if not target.exists():
        with gzip.open(place / "fragments.tsv.gz") as text, tempfile.NamedTemporaryFile(dir=place) as part:
            packer = subprocess.Popen(["gzip", "-6", "-c"], stdin=subprocess.PIPE, stdout=part)
            assert packer.stdin is not None
            shutil.copyfileobj(text, packer.stdin, 1 << 22)
            packer.stdin.close()
            if packer.wait():
                sys.exit("gzip failed")
            shutil.copy(part.name, target)
    return target


class Rounds:
    """Rows that are measured in turn."""

    def __init__(self, repeats: int) -> None:
        self.repeats = repeats
        self.rows: list[Row] = []
        self._work: list[tuple[Row, Sequence[object], int | None, int]] = []

    def add(self, row: Row, words: Sequence[object], once: bool = False, cores: int | None = None) -> None:
        """A row and the command that measures it; nothing where its program is not there (None among the words)."""
        if None not in words:
            self.rows.append(row)
            self._work.append((row, words, cores, 1 if once else self.repeats))

    def measure(self) -> None:
        """Measure; round 0 does not count, and leaves out what runs once."""
        for number in range(self.repeats + 1):
            for row, words, cores, times in self._work:
                if times == 1 and number != 1:
                    continue
                print(f"round {number}: {row.case}, {row.what}", file=sys.stderr)
                found = run(words, cores=cores)
                if number == 0:
                    continue
                row.wall.append(found.pop("wall"))
                row.cpu.append(found.pop("cpu"))
                row.peak_mb = max(row.peak_mb or 0, round(found.pop("peak_mb"), 1))
                row.facts.update(found)


def main() -> None:
    """Draw the files, measure and print."""
    parser = options(__doc__, repeats=3)
    parser.add_argument("--lines", type=int, default=20_000_000, help="fragments of the main rows")
    parser.add_argument(
        "--large", type=int, default=0, help="fragments of one more, larger file (200000000: 2.5 GB)"
    )
    given = parser.parse_args()
    lines = 1_000_000 if given.quick else given.lines
    gtars, snap = peer_version(given.peer_python, "gtars"), peer_version(given.peer_python, "snapatac2")
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        rounds = Rounds(given.repeats)
        place = draw(folder, lines)
        case = f"{lines / 1e6:g} M fragments"
        files = [place / name for name in ("universe.bed", "small.tsv", "fragments.tsv.gz")]
        target = place / "tokens.parquet"
        whole = [TOKENIZE, "tokenize", files[2], "--universe", files[0], "-o", target, "--min-fragments", "1"]
        facts: Input = {"size": lines, "per": "fragments"}
        python = sys.executable
        for cores in (2, 1):
            rounds.add(
                Row(
                    f"{case}, bgzip",
                    "open_input *",
                    [],
                    threads=cores,
                    stage="fragments" * (cores == 2),
                    **facts,
                ),
                [python, "-c", READ, *files],
                cores=cores,
            )
        rounds.add(Row(f"{case}, bgzip", "gtars *", [], ours=False, threads=1, stage="fragments, gtars", **facts),
                   [given.peer_python if gtars else None, "-c", GTARS, *files], once=True)  # fmt: skip
        rounds.add(Row(f"{case}, bgzip", "snapatac2 import and peak matrix *", [], ours=False, threads=2, **facts),
                   [given.peer_python if snap else None, "-c", SNAPATAC2, *files], once=True)  # fmt: skip
        rounds.add(Row(f"{case}, whole command", "atacsearch tokenize", [], threads=2, **facts), whole)
        rounds.add(Row(f"{case}, whole command", "gunzip -c", [], ours=False, threads=1, **facts),
                   [program("gunzip"), "-c", files[2]])  # fmt: skip
        rounds.add(Row(f"{case}, whole command", "isal.igzip, inflation alone", [], ours=False, threads=1, **facts),
                   [python, "-c", INFLATE, files[2]])  # fmt: skip
        for cores in (2, 1):
            rounds.add(Row(f"{case}, with quality", "open_input, TSS given *", [], threads=cores, **facts),
                       [python, "-c", READ, *files, place / "tss.bed"], cores=cores)  # fmt: skip
        if not given.quick:
            rounds.add(Row(f"{case}, one gzip stream", "open_input *", [], threads=2, **facts),
                       [python, "-c", READ, *files[:2], plain_gzip(place)])  # fmt: skip
        for n in (100_000, 1_000_000, 5_000_000, given.large):
            if given.quick or not n or n == lines:
                continue
            _grow(rounds, draw(folder, n), n, n == given.large)
        rounds.measure()
        peers = {name: version for name, version in (("gtars", gtars), ("snapatac2", snap)) if version}
        mb = round(files[2].stat().st_size / 1e6, 1)
        finish("fragments", rounds.rows, given.json, lines=lines, compressed_mb=mb, **peers)


def _grow(rounds: Rounds, place: Path, n: int, large: bool) -> None:
    """Another size: reading into memory, and where it is large the whole command, which holds parts only."""
    files = [place / name for name in ("universe.bed", "small.tsv", "fragments.tsv.gz")]
    case = f"{n / 1e6:g} M fragments"
    facts: Input = {"size": n, "per": "fragments"}
    rounds.add(Row(f"{case}, bgzip", "open_input *", [], stage="fragments", threads=2, **facts),
               [sys.executable, "-c", READ, *files], once=large)  # fmt: skip
    if large:
        target = place / "tokens.parquet"
        rounds.add(Row(f"{case}, to Parquet", "atacsearch tokenize", [], threads=2, **facts),
                   [TOKENIZE, "tokenize", files[2], "--universe", files[0], "-o", target, "--min-fragments", "1"],
                   once=True)  # fmt: skip
        rounds.add(Row(f"{case}, to Parquet", "gunzip -c", [], ours=False, threads=2, **facts),
                   [program("gunzip"), "-c", files[2]], once=True)  # fmt: skip


if __name__ == "__main__":
    main()
