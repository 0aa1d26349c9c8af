"""An open index together with its own model: what every question and every addition works with.

The index carries the checkpoint that made its vectors, so a session encodes with that one unless it is given
another, which is refused where its digest differs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..spelling import did_you_mean

if TYPE_CHECKING:
    from ..genome.genes import GeneAnnotation
    from ..model.checkpoints.checkpoint import Model
    from ..model.encoding.encoder import Encoder
    from ..store.index.folder import IndexFolder
    from ..store.index.snapshot import Snapshot
    from ..tokens.token_sets import TokenSets
    from ..tokens.universe import Universe

Notify = Callable[[str], None]
Progress = Callable[[int], None]

KINDS = {
    "cells": "cells",
    "beds": "bedfiles",
    "regions": "regions",
}  # what users call a collection -> its name
VECTOR = "general"
UNIVERSE = "universe.bed.gz"  # of a checkpoint folder
ENCODE_CHUNK = (
    512  # items per call of the encoder: often enough for a progress bar, rare enough to cost nothing
)


def silent(text: str) -> None:
    """Drop a message."""


def no_progress(n: int) -> None:
    """Drop a step of progress."""


def kind_of(word: str) -> str:
    """The name of the collection that users call so. Raises `InputError` for another word."""
    if word not in KINDS:
        raise InputError(
            f"{word}: no such collection; expected {', '.join(KINDS)}{did_you_mean(word, KINDS)}"
        )
    return KINDS[word]


@dataclass
class Session:
    """An index, its model, and where messages go.

    Attributes:
        index: the open index.
        device: where the encoder runs (`auto`, `cpu`, `cuda`).
        model_source: a checkpoint to encode with instead of the index's own; refused where it is another
            model.
        notify: receives messages for the user, one line each.
    """

    index: IndexFolder
    device: str = "auto"
    model_source: str | None = None
    notify: Notify = silent
    fitted: dict[Any, Any] = field(default_factory=dict)

    @cached_property
    def model(self) -> Model:
        """The model that made the index's vectors. Raises `DigestError` where it is another one."""
        from ..model.checkpoints.checkpoint import load_model

        model = load_model(self.model_source or self.index.model_path)
        self.index.check_model(model.digest, model.universe_digest)
        return model

    @cached_property
    def encoder(self) -> Encoder:
        """The encoder; its device and precision are said once."""
        from ..model.encoding.encoder import Encoder

        encoder = Encoder(self.model, device=self.device)
        self.notify(f"Encoding on {encoder.describe()}")
        return encoder

    @cached_property
    def universe(self) -> Universe:
        """The regions behind the index's tokens, read without the model where the checkpoint lies in a folder."""
        path = Path(self.index.model_path) / UNIVERSE
        if "model" not in self.__dict__ and self.model_source is None and path.is_file():
            from ..tokens.universe import Universe

            universe = Universe.from_bed(path, genome=self.index.info.genome)
            if universe.digest == self.index.info.universe_digest:
                return universe
        return self.model.universe

    @cached_property
    def genes(self) -> GeneAnnotation | None:
        """The index's gene table; None where it was made without one."""
        from ..genome.genes import GeneAnnotation

        path = self.index.genes_path
        return None if path is None else GeneAnnotation.from_file(path)

    def vector_of(self, kind: str, label: str) -> str:
        """The vector by which a label is transferred: its own where the items of `kind` have it, else `general`."""
        known = label in self.index.info.vectors and self.snapshot().points(kind, label) > 0
        return label if known else VECTOR

    def snapshot(self) -> Snapshot:
        """The generation that is current now."""
        return self.index.snapshot()

    def encode(
        self, sets: TokenSets, progress: Progress = no_progress, name: str = VECTOR
    ) -> npt.NDArray[np.float32]:
        """Vectors of token sets by name, [n, d] float32; empty sets give zeros."""
        return self.encode_as([name], sets, progress)[name]

    def encode_as(
        self, names: Sequence[str], sets: TokenSets, progress: Progress = no_progress
    ) -> dict[str, npt.NDArray[np.float32]]:
        """Several vectors of token sets by their names; see `Encoder.encode_as`."""
        widths = self.model.vectors
        chunks = {name: [np.empty((0, widths.get(name, 0)), np.float32)] for name in names}
        for first in range(0, len(sets), ENCODE_CHUNK):
            rows = np.arange(first, min(first + ENCODE_CHUNK, len(sets)))
            for name, vectors in self.encoder.encode_as(names, sets.take(rows)).items():
                chunks[name].append(vectors)
            progress(len(rows))
        return {name: np.concatenate(parts) for name, parts in chunks.items()}

    def vectors_for(self, kind: str) -> list[str]:
        """Names of the vectors that items of a collection get: `general`, and those of heads for that kind."""
        return [VECTOR, *(name for name, head in self.model.heads.items() if head.kind == kind)]

    def is_class_head(self, name: str) -> bool:
        """Whether a vector holds class probabilities, so that distances in it say nothing of unlike items."""
        from ..model.heads.class_head import ClassHead

        return isinstance(self.model.heads.get(name), ClassHead)
