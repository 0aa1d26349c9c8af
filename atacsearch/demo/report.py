"""From the outcome of a demo run to one HTML page, self-contained, for the screen and for paper.

The page is in `templates/`; here is what it shows beside the plain data of an outcome.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from atacsearch.files import to_file

from .formatting import duration, is_number, number
from .outcome import Example, Experiment, Outcome
from .palette import BACKDROP, colours
from .scores import NO_CALL, Scores

PAPER = (
    "LeRoy NJ, Zheng G, Khoroshevskyi O, Campbell DR, Zhang A, Sheffield NC. Atacformer: A transformer-based "
    "foundation model for analysis and interpretation of ATAC-seq data. bioRxiv 2025.11.03.685753, "
    "doi:10.1101/2025.11.03.685753"
)


@dataclass(frozen=True)
class MatrixRow:
    """The query cells of one true type, in the confusion matrix.

    Attributes:
        label: the true type.
        cells: (share of the row, number of cells) of each transferred type.
        support: number of cells of the type.
    """

    label: str
    cells: tuple[tuple[float, int], ...]
    support: int


@dataclass(frozen=True)
class TypeRow:
    """How well the cells of one type are called.

    Attributes:
        label: the type.
        colour: of its dots in the pictures.
        support: number of query cells of the type.
        recall: of atacsearch; NaN where there is none, as in the next two.
        baseline_recall: of the first method it is compared to.
        precision: of atacsearch.
    """

    label: str
    colour: str
    support: int
    recall: float
    baseline_recall: float
    precision: float


def write_report(outcome: Outcome, path: Path) -> Path:
    """Write the report of a run.

    Args:
        outcome: of the run.
        path: the HTML file; replaced if there is one.

    Returns:
        `path`.
    """
    page = _environment().get_template("report.html.j2").render(outcome=outcome, paper=PAPER)
    to_file(path, lambda temporary: temporary.write_text(page, "utf-8"))
    return path


def label_colours(scores: Scores) -> Mapping[str, str]:
    """The colours of an experiment: labels in the order of its scores, the same for pictures and tables."""
    return colours(x for x in scores.labels if x != NO_CALL)


def matrix_rows(scores: Scores) -> Iterator[MatrixRow]:
    """The rows of the confusion matrix, of types that some query cell truly has."""
    share = scores.confusion / scores.support.clip(min=1)[:, None]
    for i, label in enumerate(scores.labels):
        if scores.support[i]:
            cells = zip(share[i].tolist(), scores.confusion[i].tolist(), strict=True)
            yield MatrixRow(label, tuple(cells), int(scores.support[i]))


def type_rows(experiment: Experiment) -> Iterator[TypeRow]:
    """Recall and precision of each type that some query cell truly has."""
    ours, other = experiment.ours.scores, experiment.baseline.scores
    colour = label_colours(ours)
    theirs = dict(zip(other.labels, other.recall.tolist(), strict=True))
    for i, label in enumerate(ours.labels):
        if ours.support[i]:
            yield TypeRow(
                label,
                colour.get(label, BACKDROP),
                int(ours.support[i]),
                float(ours.recall[i]),
                theirs.get(label, float("nan")),
                float(ours.precision[i]),
            )


def numeric_columns(example: Example) -> list[int]:
    """The columns of an answer in which every cell is a number."""
    if not example.rows:
        return []
    return [i for i in range(len(example.columns)) if all(is_number(row[i]) for row in example.rows)]


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader(__package__ or "atacsearch.demo"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(number=number, duration=duration)
    environment.globals.update(matrix_rows=matrix_rows, type_rows=type_rows, numeric_columns=numeric_columns)
    return environment
