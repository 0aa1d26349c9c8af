"""What a demo run has found, as plain data: everything the report shows, nothing about how it looks."""

from __future__ import annotations

from dataclasses import dataclass

from .plots import Panel
from .scores import Scores


@dataclass(frozen=True)
class Stage:
    """One step of the run.

    Attributes:
        experiment: name of the experiment it belongs to; "" for what serves all.
        title: what was done.
        seconds: wall-clock time.
        command: the command line, where a command of the product did it; None for the demo's own work.
    """

    experiment: str
    title: str
    seconds: float
    command: str | None = None


@dataclass(frozen=True)
class Method:
    """The scores of one way to label the query cells.

    Attributes:
        name: of the method.
        fitted_on: which cells it has seen, and in which role.
        scores: on the query cells.
        ours: whether it is atacsearch or something it is compared to.
    """

    name: str
    fitted_on: str
    scores: Scores
    ours: bool


@dataclass(frozen=True)
class Example:
    """One example search as a table.

    Attributes:
        title: what was asked, in words.
        command: the command line that asks it.
        columns: names of the columns.
        rows: cells as text.
        note: what to see in the answer.
    """

    title: str
    command: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str


@dataclass(frozen=True)
class Experiment:
    """One data set, from raw files to answers.

    Attributes:
        key: short name, used for anchors and folders.
        title: headline.
        lead: what was done, in a few sentences.
        split: which cells were reference and which query.
        facts: (name, value) pairs: numbers of cells, regions, fragments.
        notes: what the readers said about the input.
        methods: scores, ours first.
        panels: UMAP pictures.
        examples: searches.
    """

    key: str
    title: str
    lead: str
    split: str
    facts: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    methods: tuple[Method, ...]
    panels: tuple[Panel, ...]
    examples: tuple[Example, ...]

    @property
    def ours(self) -> Method:
        """The product's own scores."""
        return next(m for m in self.methods if m.ours)

    @property
    def baseline(self) -> Method:
        """The first method it is compared to."""
        return next(m for m in self.methods if not m.ours)


@dataclass(frozen=True)
class Source:
    """Where a data set comes from.

    Attributes:
        name: of the data set.
        package: PyPI package and version that carries it.
        licence: of that package.
        sha256: of the file.
        citation: the publication of the measurements.
    """

    name: str
    package: str
    licence: str
    sha256: str
    citation: str


@dataclass(frozen=True)
class Outcome:
    """A whole run.

    Attributes:
        created: date and time with zone.
        machine: processor, cores, memory, system.
        versions: (name, version) of the product, Python and the libraries that matter.
        experiments: in order.
        stages: all steps, in order.
        sources: data sets used.
        seconds: wall-clock time of everything.
    """

    created: str
    machine: str
    versions: tuple[tuple[str, str], ...]
    experiments: tuple[Experiment, ...]
    stages: tuple[Stage, ...]
    sources: tuple[Source, ...]
    seconds: float
