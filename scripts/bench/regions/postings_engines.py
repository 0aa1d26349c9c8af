"""The hand-written posting files beside libraries that could hold the same pairs: sorted Parquet and DuckDB.

All are made of the same shards and answer the same questions with the same rows, one thread each: which items have
the regions of one query, and how many of them. Real: the shared hg19 BED files over a universe of all their regions.
Synthetic: files that are independent of each other, each region open in as many of them as among the real files.

    python scripts/bench/regions/postings_engines.py --folder WORK --json postings_engines.json
"""

from __future__ import annotations

import ast
import inspect
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the folder of `bench`

import atacsearch
from atacsearch.arrow import numbers_of
from atacsearch.store.index.folder import IndexFolder
from atacsearch.store.manifest import ShardEntry
from atacsearch.store.postings.build import build, token_pieces
from atacsearch.store.postings.reader import Postings
from atacsearch.store.types import Batch, Source
from atacsearch.tokens.token_sets import TokenSets
from bench.common.measuring import Fields, Row, finish, options
from bench.common.paths import shared_data
from bench.regions.overlap import bulk

KIND = "bedfiles"
DIGEST = "u" * 64
QUERIES = 300  # of each length; the last of them decide the 99th percentile
ENOUGH = 10.0  # seconds after which no more are asked of a slow engine, but for the first 30
LONG = 100  # regions of the longer query
GROUP_ROWS = 1 << 16  # pairs of a Parquet row group: what one question reads at the least
ART_POSTINGS = 2e7  # above it DuckDB's index in memory is larger than a laptop's
SYNTHETIC = ((200, 1), (20_000, 8))  # files, and of how many regions one is kept, so that it fits

Rows = npt.NDArray[np.int64]
Counts = npt.NDArray[np.int64]


class Engine(Protocol):
    """One way to hold (token, item) pairs.

    Attributes:
        name: what the table calls it.
    """

    name: str

    def make(self, index: Path, entries: list[ShardEntry], folder: Path) -> int:
        """Make its files of the shards; returns their bytes."""

    def open(self, folder: Path) -> Callable[[npt.NDArray[np.uint32]], tuple[Rows, Counts]]:
        """A function that gives the items of ascending tokens, ascending, and how many of the tokens each has."""


class OurFiles:
    """The posting files of atacsearch."""

    name = "atacsearch"

    def make(self, index: Path, entries: list[ShardEntry], folder: Path) -> int:
        """Encoded lists, a directory, checksums."""
        self._entries = entries
        self._file = build(index, folder / "index" / "postings", KIND, entries, DIGEST)
        return self._file.path.stat().st_size

    def open(self, folder: Path) -> Callable[[npt.NDArray[np.uint32]], tuple[Rows, Counts]]:
        """Map the file."""
        postings = Postings([type(self._file)(self._file.path)], self._entries)

        def ask(tokens: npt.NDArray[np.uint32]) -> tuple[Rows, Counts]:
            _, rows, counts = postings.items(np.array([0, len(tokens)]), tokens)
            return rows, counts

        return ask


def sorted_pairs(index: Path, entries: list[ShardEntry]) -> pa.Table:
    """Columns token and item (uint32) of all shards, ascending."""
    keys = []
    row = 0
    for offsets, tokens in token_pieces(index, entries):
        items = np.repeat(np.arange(row, row + len(offsets) - 1, dtype=np.uint64), np.diff(offsets))
        keys.append(tokens.astype(np.uint64) << np.uint64(32) | items)
        row += len(offsets) - 1
    joined = np.concatenate(keys)
    joined.sort()
    return pa.table({"token": (joined >> np.uint64(32)).astype(np.uint32), "item": joined.astype(np.uint32)})


class ParquetDataset:
    """A sorted Parquet file, asked through pyarrow's dataset filters."""

    name = "Parquet, dataset filter"

    def make(self, index: Path, entries: list[ShardEntry], folder: Path) -> int:
        """Delta encoding and zstd, with page checksums."""
        path = folder / "pairs.parquet"
        pq.write_table(
            sorted_pairs(index, entries),
            path,
            row_group_size=GROUP_ROWS,
            compression="zstd",
            use_dictionary=False,
            column_encoding={"token": "DELTA_BINARY_PACKED", "item": "DELTA_BINARY_PACKED"},
            write_page_checksum=True,
        )
        return path.stat().st_size

    def open(self, folder: Path) -> Callable[[npt.NDArray[np.uint32]], tuple[Rows, Counts]]:
        """Read the footer's statistics once."""
        data = ds.dataset(folder / "pairs.parquet")
        (fragment,) = data.get_fragments()
        fragment.ensure_complete_metadata()

        def ask(tokens: npt.NDArray[np.uint32]) -> tuple[Rows, Counts]:
            wanted = pc.field("token").isin(pa.array(tokens))
            table = fragment.to_table(columns=["item"], filter=wanted, use_threads=False)
            return counted(numbers_of(table["item"]))

        return ask


class ParquetGroups:
    """The same file; the row groups are chosen by their statistics and searched here."""

    name = "Parquet, row groups chosen here"

    def make(self, index: Path, entries: list[ShardEntry], folder: Path) -> int:
        """As `ParquetDataset`."""
        return ParquetDataset().make(index, entries, folder)

    def open(self, folder: Path) -> Callable[[npt.NDArray[np.uint32]], tuple[Rows, Counts]]:
        """Read first and last token of every row group."""
        file = pq.ParquetFile(folder / "pairs.parquet", memory_map=True, page_checksum_verification=True)
        groups = [file.metadata.row_group(i).column(0).statistics for i in range(file.num_row_groups)]
        first, last = np.array([g.min for g in groups]), np.array([g.max for g in groups])

        def ask(tokens: npt.NDArray[np.uint32]) -> tuple[Rows, Counts]:
            begin = np.searchsorted(last, tokens)
            end = np.searchsorted(first, tokens, side="right")
            chosen = np.unique(np.concatenate([np.arange(a, b) for a, b in zip(begin, end, strict=True)]))
            table = file.read_row_groups(chosen.tolist(), use_threads=False)
            held = numbers_of(table["token"])
            starts, stops = np.searchsorted(held, tokens), np.searchsorted(held, tokens, side="right")
            items = numbers_of(table["item"])
            return counted(np.concatenate([items[a:b] for a, b in zip(starts, stops, strict=True)]))

        return ask


class DuckTable:
    """A DuckDB table sorted by token: zone maps tell which row groups a token may be in."""

    name = "DuckDB, sorted table"
    file = "pairs.duckdb"
    index_sql = ""

    def make(self, index: Path, entries: list[ShardEntry], folder: Path) -> int:
        """One table in one file."""
        path = folder / self.file
        pairs = sorted_pairs(index, entries)
        with duckdb.connect(str(path), config={"threads": 1, "memory_limit": "4GB"}) as con:
            con.register("pairs", pairs)
            con.execute("create table postings as from pairs")
            if self.index_sql:
                con.execute(self.index_sql)
            con.execute("checkpoint")
        return path.stat().st_size

    def open(self, folder: Path) -> Callable[[npt.NDArray[np.uint32]], tuple[Rows, Counts]]:
        """Connect; a single token is compared by value, several are joined."""
        con = duckdb.connect(str(folder / self.file), read_only=True, config={"threads": 1})
        many = (
            "select item, count(*) as n from postings where token in (select token from wanted) "
            "group by item order by item"
        )

        def ask(tokens: npt.NDArray[np.uint32]) -> tuple[Rows, Counts]:
            if len(tokens) == 1:
                found = con.sql("select item from postings where token = $t", params={"t": int(tokens[0])})
                return counted(numbers_of(found.to_arrow_table()["item"]))
            con.register("wanted", pa.table({"token": tokens}))
            table = con.sql(many).to_arrow_table()
            return numbers_of(table["item"]).astype(np.int64), numbers_of(table["n"]).astype(np.int64)

        return ask


class DuckIndexed(DuckTable):
    """The same table with an index (adaptive radix tree) on the token."""

    name = "DuckDB, sorted table with an index"
    file = "indexed.duckdb"
    index_sql = "create index by_token on postings (token)"


ENGINES: tuple[Engine, ...] = (OurFiles(), ParquetDataset(), ParquetGroups(), DuckTable(), DuckIndexed())


def counted(items: npt.NDArray[np.uint32]) -> tuple[Rows, Counts]:
    """Each item once, ascending, and how often it occurs."""
    times = np.bincount(items)
    rows = np.flatnonzero(times)
    return rows, times[rows]


def write_shards(path: Path, sets: TokenSets) -> tuple[Path, list[ShardEntry]]:
    """An index that holds these token sets, without vectors: its folder and shards."""
    index = IndexFolder.create(
        path, model_dir=None, model_digest="m" * 64, universe_digest=DIGEST, vectors={"general": 4}
    )
    named = TokenSets(sets.offsets, sets.tokens, sets.names, DIGEST)
    with index.writer() as writer:
        writer.add(KIND, Batch(named.names, named.names, None, named, {}), Source("made", "made"))
    return path, list(index.snapshot().manifest.shards_of(KIND))


def synthetic(share: npt.NDArray[np.float64], n_files: int) -> TokenSets:
    """Token sets of independent files; each holds region t with the probability `share[t]`."""
    rng = np.random.default_rng(0)
    odds = share.astype(np.float32)
    sets = [
        np.flatnonzero(rng.random(len(odds), dtype=np.float32) < odds).astype(np.uint32)
        for _ in range(n_files)
    ]
    offsets = np.cumsum([0, *map(len, sets)]).astype(np.int64)
    return TokenSets(offsets, np.concatenate(sets), tuple(f"f{i}" for i in range(n_files)), DIGEST)


def latencies(
    ask: Callable[[npt.NDArray[np.uint32]], Any], queries: list[npt.NDArray[np.uint32]]
) -> dict[str, Any]:
    """Wall and CPU seconds of each query, after three that do not count, as fields of a row."""
    for tokens in queries[:3]:
        ask(tokens)
    walls, cpus = [], []
    for tokens in queries:
        wall, cpu = time.perf_counter(), time.process_time()
        ask(tokens)
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
        if sum(walls) > ENOUGH and len(walls) >= 30:
            break
    half, most = (round(1e3 * float(x), 3) for x in np.percentile(cpus, [50, 99]))
    return {"wall": walls, "cpu": cpus, "facts": {"cpu_p50_ms": half, "cpu_p99_ms": most}}


def measure(case: str, sets: TokenSets, work: Path) -> list[Row]:
    """All engines over one collection; their answers must be equal."""
    index, entries = write_shards(work / "index", sets)
    n = len(sets.tokens)
    rng = np.random.default_rng(1)
    held = np.unique(sets.tokens)
    single = [held[rng.integers(len(held), size=1)] for _ in range(QUERIES)]
    long = [np.sort(rng.choice(held, LONG, replace=False)) for _ in range(QUERIES)]
    rows: list[Row] = []
    expected: list[tuple[Rows, Counts]] = []
    for engine in ENGINES:
        if isinstance(engine, DuckIndexed) and n > ART_POSTINGS:
            continue
        wall, cpu = time.perf_counter(), time.process_time()
        size = engine.make(index, entries, work)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        facts = {"postings": n, "mb": round(size / 1e6, 2), "bytes_per_posting": round(size / n, 4)}
        common: Fields = {"ours": engine is ENGINES[0], "threads": 1}
        built = Row(f"{case}: build", engine.name, [wall], cpu=[cpu], facts=facts, **common)
        built.size, built.per = n, "postings"
        rows.append(built)
        wall = time.perf_counter()
        ask = engine.open(work)
        answers = [ask(single[0])]
        rows.append(Row(f"{case}: open and answer once", engine.name, [time.perf_counter() - wall], **common))
        answers = [ask(tokens) for tokens in (*single[:5], *long[:5])]
        expected = expected or answers
        for (rows_, counts), (true_rows, true_counts) in zip(answers, expected, strict=True):
            if not (np.array_equal(rows_, true_rows) and np.array_equal(counts, true_counts)):
                raise SystemExit(f"{engine.name} answers otherwise")
        rows.append(Row(f"{case}: one region", engine.name, **latencies(ask, single), **common))
        rows.append(Row(f"{case}: {LONG} regions", engine.name, **latencies(ask, long), **common))
        print(f"{case}: {engine.name} done", flush=True)
    return rows


def code_lines(text: str) -> int:
    """Lines that hold code: no docstrings, comments or blank lines."""
    lines: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        documents = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if isinstance(node, ast.stmt) and not documents:
            own = range(node.lineno, (node.end_lineno or node.lineno) + 1)
            compound = isinstance(
                node, (ast.FunctionDef, ast.ClassDef, ast.For, ast.While, ast.If, ast.With, ast.Try)
            )
            lines.update(own[:1] if compound else own)
    return len(lines)


def lines_of_code() -> dict[str, int]:
    """Of the hand-written engine, and of what this file needs to make and ask the others."""
    package = Path(atacsearch.__file__).parent
    ours = [package / "kernels" / "postings.py", *sorted((package / "store" / "postings").glob("*.py"))]
    own = {path.relative_to(package).as_posix(): code_lines(path.read_text()) for path in ours}
    pairs = code_lines(inspect.getsource(sorted_pairs)) + code_lines(inspect.getsource(counted))
    needs: dict[type[Engine], tuple[type, ...]] = {
        ParquetDataset: (ParquetDataset,),
        ParquetGroups: (ParquetDataset, ParquetGroups),
        DuckTable: (DuckTable,),
        DuckIndexed: (DuckTable, DuckIndexed),
    }
    here = {e.name: pairs + sum(code_lines(inspect.getsource(c)) for c in uses) for e, uses in needs.items()}
    return {**own, **here}


def main() -> None:
    """Run everything."""
    parser = options(__doc__, 1)
    parser.add_argument("--data", type=Path, default=shared_data(), help="folder of the shared data")
    args = parser.parse_args()
    folder = args.folder or Path(tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    pa.set_cpu_count(1)
    universe, _, paths, sets = bulk(args.data, folder)
    share = np.minimum(np.bincount(sets.tokens, minlength=len(universe)) / len(paths), 0.98)
    rows: list[Row] = []
    cases: list[tuple[str, Callable[[], TokenSets]]] = [(f"{len(paths)} hg19 BED files", lambda: sets)]
    for n_files, step in SYNTHETIC[: 1 if args.quick else None]:
        cases.append((f"{n_files:,} synthetic files", partial(synthetic, share[::step], n_files)))
    for case, make in cases:
        with tempfile.TemporaryDirectory(dir=folder) as work:
            rows += measure(case, make(), Path(work))
        finish("postings_engines", rows, args.json, regions=len(universe), lines_of_code=lines_of_code())


if __name__ == "__main__":
    main()
