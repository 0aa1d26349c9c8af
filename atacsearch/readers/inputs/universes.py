"""A universe from input files: what `universe build` does, and training where no universe is given."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import GenomeError
from .open import input_genome, input_intervals

if TYPE_CHECKING:
    from ...tokens.universe import Universe


def universe_from_inputs(inputs: Sequence[str | Path], genome: str | None = None, **build: Any) -> Universe:
    """Build a universe from BED files, fragments, matrices or manifests of them.

    Args:
        inputs: paths.
        genome: assembly of all of them; where None, the one that the inputs themselves name.
        **build: see `tokens.build.build_universe` (`max_regions`, `min_width`, `max_width` ...).

    Raises:
        GenomeError: two inputs name different assemblies.
        InputError: an input cannot be read.
    """
    from ...tokens.build import build_universe

    if genome is None:
        named = {found: str(path) for path in inputs if (found := input_genome(path)) is not None}
        if len(named) > 1:
            (a, first), (b, second), *_ = named.items()
            raise GenomeError(f"{first} is {a}, but {second} is {b}; a universe holds regions of one genome")
        genome = next(iter(named), None)
    return build_universe([x for path in inputs for x in input_intervals(path)], genome=genome, **build)
