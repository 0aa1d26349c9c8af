"""What `annotate` is asked, and how it is to be done: one table for the command line and for Python."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ...errors import InputError
from ...options import Options, option
from ...readers.options import ReadOptions

if TYPE_CHECKING:
    from ...readers.inputs.memory import Input

FALSE_UNKNOWN = 0.05
SURE_TERM = 0.8


@dataclass(frozen=True)
class AnnotateQuery:
    """What is asked: the names of these items in these label columns.

    Attributes:
        inputs: files, tables or token sets.
        labels: label columns of the index, each once.
    """

    inputs: tuple[Input, ...]
    labels: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.labels:
            raise InputError("no label: give one label column of the index or more")


@dataclass(frozen=True)
class AnnotateOptions(Options):
    """How labels are transferred, and what is added to the calls."""

    k: int | None = option(
        None,
        "Neighbours that may vote, where neighbours name the items [default: 30, weighted by distance].",
        flag="-k/--k",
        metavar="N",
        minimum=1,
    )
    where: tuple[str, ...] = option(
        (),
        "Only items with e.g. 'assay=ATAC-seq', 'n_fragments>=1000', 'cell_type in (B, NK)'; joined by `and`; "
        "may be repeated.",
        metavar="CONDITION",
        multiple=True,
    )
    reference: Literal["cells", "beds"] | None = option(
        None, "Collection that votes [default: that of the input's kind].", choices=("cells", "beds")
    )
    only: tuple[str, ...] = option(
        (), "Only this label may be an answer; may be repeated.", metavar="VALUE", multiple=True
    )
    without: tuple[str, ...] = option(
        (),
        "This label may not be an answer; may be repeated.",
        flag="--except",
        metavar="VALUE",
        multiple=True,
    )
    by: Literal["auto", "head", "neighbours"] = option(
        "auto",
        "What names the items: the class head of the model, or neighbours in the index.",
        choices=("auto", "head", "neighbours"),
    )
    same_group: bool = option(False, "Let reference items of the query's own study or donor vote, too.")
    coverage: float | None = option(
        None,
        "Add label_set: the labels that together hold the truth at this rate, such as 0.9.",
        metavar="RATE",
    )
    false_unknown: float = option(
        FALSE_UNKNOWN, "Share of items like the reference that may be called unknown.", metavar="SHARE"
    )
    min_confidence: float = option(0.0, "Items whose confidence is lower are unknown, too.", metavar="P")
    doublets: bool = option(False, "Look for droplets that held cells of two types: status doublet.")
    ontology: bool = option(
        False,
        "Add the most specific term of the Cell Ontology that is probable enough, also above all labels.",
    )
    ontology_confidence: float = option(SURE_TERM, "What is probable enough for --ontology.", metavar="P")
    markers: str | Path | None = option(
        None,
        "Marker genes (columns cell_type and gene): add whether their activity agrees with the call.",
        metavar="GENES.tsv",
    )
    clusters: str | None = option(
        None,
        "Column of the input with clusters: add the majority call of each, beside the calls of single items.",
        metavar="COLUMN",
    )
    read: ReadOptions = field(default_factory=ReadOptions)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.false_unknown < 1:
            raise InputError(f"--false-unknown {self.false_unknown:g}: expected a share between 0 and 1")
        if not 0 <= self.min_confidence <= 1:
            raise InputError(f"--min-confidence {self.min_confidence:g}: expected a number from 0 to 1")
        if not 0 < self.ontology_confidence <= 1:
            raise InputError(
                f"--ontology-confidence {self.ontology_confidence:g}: expected a probability above 0, at most 1"
            )
        if self.coverage is not None and not 0 < self.coverage < 1:
            raise InputError(f"--coverage {self.coverage:g}: expected a rate between 0 and 1, such as 0.9")

    def settings(self) -> dict[str, Any]:
        """The options that say something, as text, numbers and lists: what a file records of its making."""
        named = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "read"}
        sure = named.pop("ontology_confidence")
        named["ontology"] = sure if self.ontology else None
        kept = {name: value for name, value in named.items() if value is not None and value != ()}
        return {k: str(v) if isinstance(v, Path) else v for k, v in kept.items()}
