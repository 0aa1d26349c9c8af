"""Steps that both experiments share: score the calls, lay the cells out, read a table back."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from .baseline import Labels, transfer
from .outcome import Example, Method
from .palette import SIDES, colours
from .plots import Floats, Panel, scatter, umap_layout
from .runner import Runner, command_line
from .scores import NO_CALL, Scores, score

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

# A layout of more cells takes long and shows no more; the picture then holds a sample, and says so.
MAX_DRAWN = 5000


@dataclass(frozen=True)
class Files:
    """What the commands of an experiment write.

    Attributes:
        folder: of the experiment.
    """

    folder: Path

    @property
    def model(self) -> Path:
        """The trained model."""
        return self.folder / "model"

    @property
    def index(self) -> Path:
        """The index of the reference cells."""
        return self.folder / "index"

    @property
    def calls(self) -> Path:
        """The table of `annotate`."""
        return self.folder / "calls.tsv"

    @property
    def query_vectors(self) -> Path:
        """The vectors of the query cells."""
        return self.folder / "query.parquet"


@dataclass(frozen=True)
class Calls:
    """What `annotate` answered.

    Attributes:
        items: [n] names of the query items.
        labels: [n] best calls; None where there is none.
        status: [n] `assigned` or `unknown`.
    """

    items: tuple[str, ...]
    labels: tuple[str | None, ...]
    status: tuple[str, ...]

    def score(self, truth: Mapping[str, str]) -> Scores:
        """Compare to the true labels of the items."""
        return score([truth[item] for item in self.items], self.labels, self.status)


def read_calls(path: Path) -> Calls:
    """Read the TSV of `annotate`."""
    columns, rows = read_tsv(path)
    item, label, status = (columns.index(name) for name in ("item", "label", "status"))
    return Calls(
        tuple(row[item] for row in rows),
        tuple(row[label] or None for row in rows),
        tuple(row[status] for row in rows),
    )


def read_tsv(path: Path) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """The columns and rows of a TSV, all as text."""
    with path.open(encoding="utf-8", newline="") as handle:
        head, *rows = csv.reader(handle, delimiter="\t", quoting=csv.QUOTE_NONE)
    return tuple(head), [tuple(row) for row in rows]


def write_tsv(path: Path, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Path:
    """Write a TSV with a header line."""
    lines = ["\t".join(row) for row in (columns, *rows)]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def indexed_cells(index: Path) -> tuple[list[str], Floats]:
    """Names and vectors [n, d] float32 of the cells of an index, in its order."""
    from atacsearch.store.index.folder import IndexFolder

    with IndexFolder.open(index).snapshot() as snapshot:
        ids = snapshot.all_ids("cells")
        return snapshot.rows("cells", ids, ["item"])["item"].to_pylist(), snapshot.vectors("cells", ids)


def embedded(path: Path) -> Floats:
    """The vectors [n, d] float32 of a Parquet file of `embed`, in its order."""
    import pyarrow.parquet as pq

    return np.array(pq.read_table(path)["vector"].to_pylist(), np.float32)


def baselines(
    reference: csr_matrix, labels: Labels, query: csr_matrix, true: Sequence[str]
) -> tuple[Method, Method]:
    """Score the baseline, fitted on the reference cells alone and on reference and query cells together.

    Args:
        reference: [n_reference, n_regions] which regions are open.
        labels: [n_reference] labels of the reference cells.
        query: [n_query, n_regions].
        true: [n_query] labels of the query cells.
    """
    alone, both = (transfer(reference, labels, query, fit_on_query=fit) for fit in (False, True))
    return (
        Method("TF-IDF + SVD + kNN", "reference alone", score(true, list(alone)), False),
        Method(
            "TF-IDF + SVD + kNN, transductive", "reference and query together", score(true, list(both)), False
        ),
    )


def example(
    runner: Runner,
    experiment: str,
    title: str,
    words: Sequence[object],
    folder: Path,
    note: str,
    shown_columns: Sequence[str],
) -> Example:
    """Run a search and read its answer back.

    Args:
        runner: runs it.
        experiment: name of the experiment.
        title: the question in words.
        words: the command line after `atacsearch`, without format and output.
        folder: where the answer is written.
        note: a remark for the reader.
        shown_columns: the columns of the answer to show.
    """
    number = 1 + sum(1 for _ in folder.glob("search_*.tsv"))
    answer = folder / f"search_{number}.tsv"
    runner.command(experiment, title, [*runner.with_device(words), "-o", answer])
    columns, rows = read_tsv(answer)
    places = [columns.index(name) for name in shown_columns]
    return Example(
        title,
        command_line(words),
        tuple(shown_columns),
        tuple(tuple(row[i] for i in places) for row in rows),
        note,
    )


def panels(
    index: Path, query: Floats, calls: Calls, truth: Mapping[str, str], order: Sequence[str]
) -> tuple[Panel, ...]:
    """Four pictures of one layout: both sides, reference and query by true type, query by transferred type.

    Args:
        index: holds the reference cells.
        query: [n_query, d] float32 vectors of the query cells, in the order of `calls`.
        calls: what `annotate` answered.
        truth: true label of each cell, reference and query.
        order: labels in the order of their colours.
    """
    names, reference = indexed_cells(index)
    vectors = np.concatenate([reference, query])
    drawn = _sample(vectors)
    sampled = "" if len(drawn) == len(vectors) else f" A sample of {len(drawn):,} of {len(vectors):,} cells."
    xy = umap_layout(vectors[drawn])
    is_query = drawn >= len(names)
    cells = [*names, *calls.items]
    true = [truth[cells[i]] for i in drawn]
    called = [calls.labels[i - len(names)] if i >= len(names) else None for i in drawn]
    unsure = np.array([i >= len(names) and calls.status[i - len(names)] == "unknown" for i in drawn])
    marks = colours(label for label in order if label != NO_CALL)
    sides = ["query" if q else "reference" for q in is_query]
    everything = np.ones(len(drawn), bool)
    return (
        scatter(
            "Reference and query",
            "How well the two mix, where they hold the same types." + sampled,
            xy,
            sides,
            everything,
            SIDES,
            name_labels=False,
        ),
        scatter(
            "Reference, true type", "What the index knows. Query cells in grey.", xy, true, ~is_query, marks
        ),
        scatter(
            "Query, true type",
            "What the authors of the data say. Reference cells in grey.",
            xy,
            true,
            is_query,
            marks,
        ),
        scatter(
            "Query, transferred type",
            "What atacsearch says. Rings: status unknown. Reference cells in grey.",
            xy,
            called,
            is_query,
            marks,
            hollow=unsure,
        ),
    )


def _sample(vectors: Floats) -> npt.NDArray[np.intp]:
    """Rows to draw: cells that have a vector, at most `MAX_DRAWN` of them, in their order."""
    usable = np.flatnonzero(np.linalg.norm(vectors, axis=1) > 0)
    if len(usable) <= MAX_DRAWN:
        return usable
    return np.sort(np.random.default_rng(0).choice(usable, MAX_DRAWN, replace=False))
