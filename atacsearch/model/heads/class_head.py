"""Class head: a further vector of a cell or BED file, made to transfer one label.

The vector holds the probability of each class of the label, so that cells lie near each other where the same
classes are likely. Probabilities come from two linear views of the cell whose scores are added, after the wide
and deep model of Cheng et al. 2016 (arXiv:1606.07792):

- wide: the open regions themselves, as a TF-IDF row, which remembers what single regions say; the sum of several
  regressions, also on principal components of the row (`training/class_head/fit.py`);
- deep: the encoder's vector at unit length, which generalises over regions that are open together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ...tokens.tfidf import tfidf
from ...tokens.token_sets import TokenSets
from .calibration import Calibration
from .label_head import unit

Floats = npt.NDArray[np.floating[Any]]
CALIBRATION = "calibration"
CHUNK = 4_096  # sets whose TF-IDF rows are held at once


@dataclass(frozen=True)
class ClassHead:
    """Class probabilities of one label, as vectors.

    Attributes:
        classes: K names, in the order of the vector's components.
        idf: [V] float32 weight of each region in the rows of the wide view.
        wide: [V, K] float16 scores of regions.
        deep: [d, K] float32 scores of the encoder's components.
        offset: [K] float32.
        deep_offset: [K] float32, what of it belongs to the encoder's components; None in older heads, which say
            nothing of it.
        kind: the collection whose items get this vector, that of the items it was fitted on.
        calibration: how scores become probabilities that can be trusted; None where too few items were there.
    """

    classes: tuple[str, ...]
    idf: npt.NDArray[np.float32]
    wide: npt.NDArray[np.float16]
    deep: npt.NDArray[np.float32]
    offset: npt.NDArray[np.float32]
    deep_offset: npt.NDArray[np.float32] | None
    kind: str = "cells"
    calibration: Calibration | None = None

    @property
    def dim(self) -> int:
        """Width K of the vectors."""
        return len(self.classes)

    def scores(self, sets: TokenSets, general: Floats) -> npt.NDArray[np.float32]:
        """[n, K] float32 sum of both views' scores."""
        wide = self.wide.astype(np.float32)
        out = unit(general) @ self.deep + self.offset
        for first in range(0, len(sets), CHUNK):
            rows = np.arange(first, min(first + CHUNK, len(sets)))
            out[rows] += tfidf(sets.take(rows), self.idf) @ wide
        return out.astype(np.float32)

    def encoder_scores(self, general: Floats) -> npt.NDArray[np.float32]:
        """[n, K] float32 scores of the encoder's vectors [n, d] alone: the deep view."""
        offset = 0 if self.deep_offset is None else self.deep_offset
        return np.asarray(unit(general) @ self.deep + offset, np.float32)

    def vectors(self, sets: TokenSets, general: Floats) -> npt.NDArray[np.float32]:
        """Class probabilities.

        Args:
            sets: [n] token sets.
            general: [n, d] the encoder's vectors of the same sets.

        Returns:
            [n, K] float32, rows adding up to 1; zeros for a set without regions.
        """
        scores = self.scores(sets, general)
        odds = np.exp(scores - scores.max(1, keepdims=True))
        out = odds / odds.sum(1, keepdims=True)
        out[~np.asarray(general).any(1)] = 0.0
        return np.asarray(out, np.float32)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """What is to be stored as arrays; `facts` has the rest."""
        own: dict[str, npt.NDArray[Any]] = {
            "idf": self.idf,
            "wide": self.wide,
            "deep": self.deep,
            "offset": self.offset,
        }
        if self.deep_offset is not None:
            own["deep_offset"] = self.deep_offset
        if self.calibration is not None:
            own |= {f"{CALIBRATION}/{name}": array for name, array in self.calibration.arrays().items()}
        return own

    def facts(self) -> dict[str, Any]:
        """What is to be stored as JSON."""
        own: dict[str, Any] = {"classes": list(self.classes), "kind": self.kind}
        return own if self.calibration is None else own | {CALIBRATION: self.calibration.facts()}

    @classmethod
    def of(cls, arrays: dict[str, npt.NDArray[Any]], facts: dict[str, Any]) -> ClassHead:
        """What `arrays` and `facts` stored. Raises `KeyError` where something is missing."""
        calibration = None
        if CALIBRATION in facts:
            prefix = f"{CALIBRATION}/"
            own = {n.removeprefix(prefix): a for n, a in arrays.items() if n.startswith(prefix)}
            calibration = Calibration.of(own, facts[CALIBRATION])
        return cls(
            tuple(facts["classes"]),
            arrays["idf"],
            arrays["wide"],
            arrays["deep"],
            arrays["offset"],
            arrays.get("deep_offset"),
            facts["kind"],
            calibration,
        )
