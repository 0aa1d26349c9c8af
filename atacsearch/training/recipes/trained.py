"""What a recipe gives back: where the model lies, and how well it does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Trained:
    """A finished training.

    Attributes:
        path: folder of the checkpoint; its `README.md` is the model card.
        digest: of the model; empty for a dry run, which leaves none.
        summary: figures on held-out items and what they are of, as in the model card.
        lines: the same in words, one line each.
    """

    path: Path
    digest: str = ""
    summary: Mapping[str, Any] = field(default_factory=dict)
    lines: tuple[str, ...] = ()
