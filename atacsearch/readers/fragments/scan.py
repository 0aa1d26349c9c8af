"""One pass over a fragment file: pairs of barcode and token, and quality counters (compiled in `kernels.fragments`).

Chunks of text are read in order and shared out among threads; the lines that chunks cut in two are joined
and read last. Nothing in the result depends on the size of chunks, the number of threads or the order of lines.
Format: 10x Genomics fragments.tsv (chrom, start, end, barcode, count), 0-based half-open.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ...genome.intervals import Intervals
from ...kernels import fragments as kernel
from ..compressed import ByteSource, Chunk
from ..report import EXAMPLES, ReadReport
from .bins import BinIndex, empty_bins
from .pairs import PairStore, common_prefix
from .worker import ChromNames, Piece, Settings, Worker

_LAYOUT_BYTES = 1 << 16  # text that the layout of columns is told from
_HEADERS = (b"#", b"track", b"browser")
EXPECTED = "a fragment file (chromosome, start, end, barcode, count; tab-separated)"


@dataclass
class Scan:
    """Everything that one pass over a fragment file found.

    Attributes:
        barcodes: [n] the barcodes, in no stated order.
        counters: [n, 8] uint32 quality counters, columns of `kernels.fragment_tables`.
        pairs: (barcode, token) pairs, with barcode codes of each thread; to be closed.
        rows: of each thread, [n] int32 row in `barcodes` of its barcode codes.
        keys: of each thread, [n] uint64 sort keys of its barcode codes.
        chroms: chromosome name in the file -> (fragments, largest end).
        sample: some of the fragments, picked by a hash, in no stated order.
        digest: sha256 of the file.
    """

    barcodes: npt.NDArray[np.object_]
    counters: npt.NDArray[np.uint32]
    pairs: PairStore
    rows: list[npt.NDArray[np.int32]]
    keys: list[npt.NDArray[np.uint64]]
    chroms: dict[str, tuple[int, int]]
    sample: Intervals
    digest: str


def scan_fragments(
    path: str | Path,
    report: ReadReport,
    *,
    universe: BinIndex,
    chrom_code: Callable[[str], int],
    tss: BinIndex | None = None,
    blacklist: BinIndex | None = None,
    insertions: bool = False,
    unk: int | None = None,
    only: list[bytes] | None = None,
    listed: bool = False,
    threads: int = 2,
    chunk_bytes: int | None = None,
) -> Scan:
    """Read a fragment file once.

    Args:
        path: plain, gzip or bgzip; sorted in any way.
        report: gets lines read, skipped and the first bad ones.
        universe: index of the regions; `value` is the token id.
        chrom_code: code of a chromosome name of the file in `universe`, -1 where it has none; called once a
            name.
        tss: index of TSS windows (value 0) and flanks (value 1).
        blacklist: index of blacklisted regions.
        insertions: count cut sites (`start` and `end - 1`) instead of whole fragments.
        unk: where given, fragments that hit nothing yield this token, and the order of pairs is kept.
        only: barcodes whose pairs are kept (default all); counters are kept for all.
        listed: items will come in the order of `only`, not of their names.
        threads: threads that parse.
        chunk_bytes: bytes read at a time; default 1 MB compressed, 4 MB plain.

    Raises:
        InputError: missing, empty, cut-off or foreign file; no line that is a fragment.
    """
    source = ByteSource(path, EXPECTED, chunk_bytes)
    settings = Settings(
        delimiter=0,
        prefix=b"",
        insertions=insertions,
        unk=unk,
        only=only,
        universe=universe,
        tss=tss or empty_bins(),
        blacklist=blacklist or empty_bins(),
        names=ChromNames(chrom_code, path),
        listed=listed and only is not None,
        in_order=unk is not None,
    )
    store = PairStore()
    try:
        return _scan(source, settings, store, report, max(threads, 1))
    except BaseException:
        store.close()
        raise


def _scan(source: ByteSource, settings: Settings, store: PairStore, report: ReadReport, threads: int) -> Scan:
    pool = _Pool(source, settings, store, threads)
    pool.run()
    edge_worker = Worker(threads, settings, store)
    chunks = pool.in_order
    _read_edges(chunks, edge_worker)
    for worker in (*pool.workers, edge_worker):
        worker.flush()
    _report_lines(chunks, report)
    report.notes.extend(source.notes)
    if pool.n_columns == 4:
        report.note(f"{report.source}: has 4 columns, no count of reads; every line is taken as one fragment")
    if not report.n_read:
        seen = f"{report.n_lines:,} lines, none of them a fragment" if report.n_lines else "no lines"
        example = f"; {report.examples[0]}" if report.examples else ""
        raise InputError(f"{source.path}: holds {seen}; expected {EXPECTED}{example}")
    return _join([*pool.workers, edge_worker], store, source.digest)


@dataclass
class _ParsedChunk:
    """A chunk: its parsed middle, and the text of the lines that are cut at its ends.

    Attributes:
        head: the end of a line that began before, with its newline; None where the chunk has no newline at all.
        tail: the start of a line that ends later.
        middle: the whole lines between.
        edge: the line that ends in `head`, read last.
    """

    head: bytes | None
    tail: bytes
    middle: Piece | None
    edge: Piece | None = None


class _Pool:
    """The threads of the pass: one reads, the others parse."""

    def __init__(self, source: ByteSource, settings: Settings, store: PairStore, threads: int) -> None:
        self.source = source
        self.settings = settings
        self.workers = [Worker(number, settings, store) for number in range(threads)]
        self.chunks: dict[int, _ParsedChunk] = {}
        self._queue: queue.Queue[tuple[int, Chunk] | None] = queue.Queue(maxsize=2 * threads)
        self._errors: list[BaseException] = []
        self.n_columns = 0

    @property
    def in_order(self) -> list[_ParsedChunk]:
        """The chunks in file order."""
        return [self.chunks[i] for i in range(len(self.chunks))]

    def run(self) -> None:
        """Read and parse all chunks; raises the first error."""
        tasks = [self._read, *(partial(self._parse, worker) for worker in self.workers)]
        threads = [threading.Thread(target=self._guard, args=(task,), daemon=True) for task in tasks]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        if self._errors:
            raise self._errors[0]

    def _guard(self, task: Callable[[], None]) -> None:
        try:
            task()
        except BaseException as error:  # handed to the caller of `run`
            self._errors.append(error)

    def _read(self) -> None:
        try:
            chunks = self.source.chunks()
            head: list[bytes] = []
            while sum(map(len, head)) < _LAYOUT_BYTES and (chunk := next(chunks, None)) is not None:
                head.append(chunk())
            start = b"".join(head)
            self.settings.delimiter, self.n_columns = guess_layout(start)
            self.settings.prefix = common_prefix(_first_barcodes(start, self.settings.delimiter))
            first: Iterator[Chunk] = (partial(bytes, data) for data in head)
            for item in enumerate(chain(first, chunks)):
                self._put(item)
                if self._errors:
                    return
        finally:
            for _ in self.workers:
                self._put(None)

    def _put(self, item: tuple[int, Chunk] | None) -> None:
        while not self._errors:
            try:
                self._queue.put(item, timeout=0.1)
                return
            except queue.Full:
                continue

    def _parse(self, worker: Worker) -> None:
        while not self._errors:
            try:
                item = self._queue.get(timeout=0.1)
            except queue.Empty:
                continue
            if item is None:
                return
            number, chunk = item
            data = chunk()
            last = data.rfind(b"\n") + 1
            if last == 0:
                self.chunks[number] = _ParsedChunk(None, data, None)
                continue
            first = 0 if number == 0 else data.index(b"\n") + 1
            middle = worker.parse(data, first, last, 2 * number + 1, number == 0) if last > first else None
            self.chunks[number] = _ParsedChunk(data[:first], data[last:], middle)


def guess_layout(data: bytes) -> tuple[int, int]:
    """Byte between the columns (tab, else comma, else space) and their number, from the first data lines."""
    lines = [x for x in data[:_LAYOUT_BYTES].split(b"\n") if x.strip() and not x.startswith(_HEADERS)]
    for delimiter in (b"\t", b",", b" "):
        for line in lines:
            if line.count(delimiter) >= 3:
                return delimiter[0], line.count(delimiter) + 1
    return ord("\t"), 0


def _first_barcodes(data: bytes, delimiter: int) -> list[bytes]:
    """Barcodes of the first lines, as far as they are lines of fragments."""
    lines = [x for x in data[:_LAYOUT_BYTES].split(b"\n")[:-1] if not x.startswith(_HEADERS)]
    fields = [line.split(bytes([delimiter]), 4) for line in lines]
    return [f[3].rstrip(b"\r") for f in fields if len(f) > 3 and f[1].isdigit()]


def _read_edges(chunks: list[_ParsedChunk], worker: Worker) -> None:
    """Join the lines that were cut between chunks, and read them."""
    carry = b""
    at_start = not (chunks and chunks[0].head is not None)  # the first line of the file is still to be read
    for number, chunk in enumerate(chunks):
        if chunk.head is None:
            carry += chunk.tail
            continue
        if line := carry + chunk.head:
            chunk.edge = worker.parse(line, 0, len(line), 2 * number, at_start)
            at_start = False
        carry = chunk.tail
    if carry:
        line = carry + b"\n"
        edge = worker.parse(line, 0, len(line), 2 * len(chunks), at_start)
        chunks.append(_ParsedChunk(b"", b"", None, edge))


def _report_lines(chunks: list[_ParsedChunk], report: ReadReport) -> None:
    """Add up lines, and number the first bad ones through the file."""
    examples: list[tuple[int, str]] = []
    bad = np.zeros(kernel.N_REASONS, np.int64)
    for piece in _pieces(chunks):
        for reason, (line, text) in piece.examples.items():
            number = report.n_lines + line + 1
            examples.append((number, f"line {number:,}, {kernel.REASONS[reason]}: {text}"))
        report.n_lines += piece.n_lines
        report.n_read += piece.n_fragments
        bad += piece.bad
    for reason in np.flatnonzero(bad).tolist():
        report.skip(kernel.REASONS[reason], int(bad[reason]))
    report.examples.extend(text for _, text in sorted(examples)[:EXAMPLES])


def _pieces(chunks: list[_ParsedChunk]) -> list[Piece]:
    """What was parsed, in file order."""
    return [piece for chunk in chunks for piece in (chunk.edge, chunk.middle) if piece is not None]


def _join(workers: list[Worker], store: PairStore, digest: str) -> Scan:
    """Merge the tables of the threads; the worker that read the cut lines is the last."""
    home = workers[0]
    keys = [w.keys() for w in workers]
    maps = [home.merge(w) for w in workers[1:]]
    maps.insert(0, np.arange(len(keys[0]), dtype=np.int32))
    chroms: dict[str, tuple[int, int]] = {}
    for worker in workers:
        for name, n, end in zip(worker.names, worker.tables.name_lines, worker.tables.name_end, strict=True):
            text = name.decode("utf-8", "replace")
            before = chroms.get(text, (0, 0))
            chroms[text] = (before[0] + int(n), max(before[1], int(end)))
    barcodes, counters = home.barcodes(), home.tables.counters[: home.n_barcodes]
    return Scan(barcodes, counters, store, maps, keys, chroms, _join_samples(workers), digest)


def _join_samples(workers: list[Worker]) -> Intervals:
    """One sample of fragments: those that the strictest of the threads' masks lets through."""
    mask = max(int(w.state[kernel.SAMPLE_MASK]) for w in workers)
    names: list[str] = []
    rows: list[npt.NDArray[np.int32]] = []
    for worker in workers:
        n = kernel.KERNELS("thin_sample", worker.sample, int(worker.state[kernel.N_SAMPLE]), mask)
        part = worker.sample[:n].copy()
        part[:, 0] += len(names)
        names.extend(name.decode("utf-8", "replace") for name in worker.names)
        rows.append(part)
    table = np.concatenate(rows).astype(np.int64)
    return Intervals(tuple(names), table[:, 0].astype(np.int32), table[:, 1], table[:, 2]).rename({})
