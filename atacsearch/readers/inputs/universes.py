"""A universe from input files: what `universe build` does, and training where no universe is given."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import GenomeError
from ...tokens.options import MAX_REGIONS
from .open import input_genome, input_intervals

if TYPE_CHECKING:
    from ...tokens.universe import Universe


def universe_from_inputs(
    inputs: Sequence[str | Path],
    genome: str | None = None,
    *,
    max_regions: int = MAX_REGIONS,
    min_width: int | None = None,
    max_width: int | None = None,
    cutoff: int | None = None,
) -> Universe:
    """Build a universe from BED files, fragments, matrices or manifests of them.

    Args:
        inputs: paths.
        genome: assembly of all of them; where None, the one that the inputs themselves name.
        max_regions: keep this many regions, by coverage.
        min_width: narrower regions are widened to this many bp; default 200.
        max_width: wider regions are split to at most this many bp; default 1,000.
        cutoff: least number of inputs that cover a region; default 1 up to 9 inputs, 2 from 10 on.

    See `tokens.build.build_universe` for how regions are made.

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
    return build_universe(
        [source for path in inputs for source in input_intervals(path)],
        genome=genome,
        max_regions=max_regions,
        min_width=min_width,
        max_width=max_width,
        cutoff=cutoff,
    )
