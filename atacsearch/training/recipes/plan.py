"""What a training run would cost: sizes, steps and expected time, from a few real steps and without a result.

The run is started for real in a folder that is thrown away, its first steps are timed through the records it
reports, and it is stopped there. What one stage of a run costs is the time of a step times its steps.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...model.checkpoints.checkpoint import Model
from ...tokens.tfidf import inverse_document_frequency
from ...tokens.token_sets import TokenSets
from ..class_head.fit import MOST_CELLS, fit_head
from ..trainer.progress import Progress, Record
from ..trainer.warm_start import warm_start

COPIES = 5  # of the parameters: weights, gradients, two moments of AdamW, the best epoch so far


class _Enough(Exception):
    """Stops a run that has been timed."""


@dataclass(frozen=True)
class Timing:
    """Measured steps of one stage.

    Attributes:
        stage: name of the stage, as its records give it.
        steps: steps of one epoch.
        seconds: median time of a step.
        timed: steps that were timed.
        before: seconds from the start of the run to the first step (warm start, first means).
    """

    stage: str
    steps: int
    seconds: float
    timed: int
    before: float


def time_steps(run: Callable[[Path, Progress], object], *, seconds: float = 3.0, most: int = 50) -> Timing:
    """Start `run`, time its steps and stop it.

    Args:
        run: called with a folder, which is removed afterwards, and a progress function that must be called
            after every step with `stage`, `step` and `steps`.
        seconds: stop after this long, but not before three steps.
        most: stop after as many steps.

    Returns:
        The timing of the first stage that reports steps. The very first step is not counted among its steps
        where there are others: it pays for memory that later ones use again.

    Raises:
        ValueError: the run ended without having reported a step.
    """
    times: list[float] = []
    first: Record = {}
    began = time.perf_counter()

    def watch(record: Record) -> None:
        if "steps" not in record:
            if times:
                raise _Enough
            return
        if first and record["stage"] != first["stage"]:
            raise _Enough
        first.update(record)
        times.append(time.perf_counter())
        if len(times) > most or (len(times) > 3 and times[-1] - times[0] > seconds):
            raise _Enough

    with tempfile.TemporaryDirectory(prefix="atacsearch-dry-run-") as folder:
        with suppress(_Enough):
            run(Path(folder), watch)
        ended = time.perf_counter()
    if not times:
        raise ValueError("the run reported no step")
    gaps = np.diff(times) if len(times) > 1 else np.array([ended - began])
    stage, steps = str(first["stage"]), first["steps"]
    assert isinstance(steps, int)
    return Timing(stage, steps, float(np.median(gaps)), len(times), times[0] - began)


def time_warm_start(model: Model, sets: TokenSets, seed: int, *, most: int = 2000) -> float:
    """Warm-start `model` from some of the sets; the seconds that all of them would take.

    The decomposition takes time in proportion to the tokens, and setting the table a time of its own.
    """
    some = sets.take(np.random.default_rng(seed).permutation(len(sets))[:most])
    began = time.perf_counter()
    warm_start(model, some, seed=seed)
    taken = time.perf_counter() - began
    return taken * max(1.0, len(sets.tokens) / max(len(some.tokens), 1))


def peak_memory() -> int:
    """Bytes of memory that this process held at the most so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def describe(model: Model, n_sets: int, n_tokens: int, *, held: TokenSets | None = None) -> list[str]:
    """The sizes of a run, a line each.

    Args:
        model: what is to be trained.
        n_sets: sets to train on.
        n_tokens: their tokens.
        held: sets that lie in memory; None where they are streamed.
    """
    n = sum(p.numel() for p in model.module.parameters())
    table = model.module.atacformer.embeddings.token_embeddings.weight.numel()
    config = model.config
    lines = [
        f"universe: {config.n_regions:,} regions, genome {model.genome or 'unknown'}",
        f"model: hidden {config.hidden_size}, {config.num_hidden_layers} layer(s), {n:,} parameters "
        f"({table / n:.0%} in the token table)",
        f"data: {n_sets:,} sets, {n_tokens:,} tokens, {n_tokens / max(n_sets, 1):,.0f} a set",
        f"memory: {size(4 * COPIES * n)} for weights, gradients, optimiser and best epoch"
        + (f", {size(held.tokens.nbytes + held.offsets.nbytes)} for the token sets" if held else ""),
    ]
    return lines


def expect(timing: Timing, epochs: int, device: str) -> list[str]:
    """Steps and time of one stage, a line each."""
    total = timing.before + timing.seconds * (timing.steps * epochs - 1)
    return [
        f"{timing.stage}: {epochs} epochs of {timing.steps:,} steps at the most, "
        f"{timing.seconds * 1e3:.0f} ms a step on {device} ({timing.timed} steps timed)",
        f"{timing.stage}: expected {duration(total)} at the most, {duration(timing.before)} of it before the "
        f"first step; this process held {size(peak_memory())} at its peak",
    ]


def size(n: float) -> str:
    """Bytes in words.

    Example:
        >>> size(2_500_000), size(3e9)
        ('2.5 MB', '3.0 GB')
    """
    return f"{n / 1e9:.1f} GB" if n >= 1e9 else f"{n / 1e6:.1f} MB"


def duration(seconds: float) -> str:
    """Seconds in words.

    Example:
        >>> duration(4.24), duration(100), duration(9000)
        ('4.2 s', '1.7 min', '2.5 h')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"


def time_head(sets: TokenSets, labels: Sequence[str | None], n_regions: int, *, most: int = 1000) -> float:
    """Seconds that fitting a class head once would take, from a part of the cells; time grows with their number."""
    rows = np.flatnonzero(
        [label is not None and n > 0 for label, n in zip(labels, sets.lengths, strict=True)]
    )
    some = np.random.default_rng(0).permutation(rows)[:most]
    names = np.array([str(labels[int(i)]) for i in some])
    if len(set(names.tolist())) < 2:
        return 0.0
    general = np.random.default_rng(0).normal(size=(len(some), 64))
    part = sets.take(some)
    began = time.perf_counter()
    fit_head(part, general, names, idf=inverse_document_frequency(part, n_regions))
    return (time.perf_counter() - began) * min(len(rows), MOST_CELLS) / len(some)
