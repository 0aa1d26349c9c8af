"""From labelled BED files to a model with label heads: what `atacsearch train bulk` does."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from ...model.checkpoints.checkpoint import Model
from ...tokens.token_sets import TokenSets
from ..bulk.fit import fit_plain, fit_residual
from ..bulk.labels import LabelTable
from ..bulk.train import BulkSettings, check_labels, train_bulk
from ..loops.metric_learning import Progress
from ..loops.pretraining import PretrainSettings, pretrain
from ..trainer.state import check_out
from ..trainer.warm_start import warm_start
from .card import Card, sources, write_card
from .inputs import prepare, say_groups
from .plan import describe, duration, size

Say = Callable[[str], None]


def bulk_files(
    inputs: Sequence[str | Path],
    labels: Sequence[str],
    out: str | Path,
    *,
    group: str | None = None,
    unlabelled: Sequence[str | Path] = (),
    settings: BulkSettings | None = None,
    warm: bool = True,
    pretraining: PretrainSettings | None = None,
    device: str = "auto",
    restart: bool = False,
    dry_run: bool = False,
    command: str | None = None,
    say: Say = lambda text: None,
    progress: Progress | None = None,
    **preparation: Any,
) -> dict[str, Any]:
    """Read labelled BED files, start a model, and fit a vector for each label.

    Args:
        inputs: BED files or manifests.
        labels: label columns, each of which gets a head.
        out: folder for the checkpoint.
        group: column of the collection; the kinds of heads are chosen on whole ones where there are three.
        unlabelled: further files, which join the universe, the warm start and the pretraining.
        settings: of the heads.
        warm: start a fresh model from the SVD of its input.
        pretraining: settings of an unlabelled pretraining of the network on subsamples; none where None. It
            changes the general vector alone.
        device: `auto`, `cpu` or `cuda`, of the pretraining.
        restart: begin anew where an unfinished run lies in `out`.
        dry_run: say sizes and the expected time, from one timed fit of each kind, and write nothing.
        command: the command line, for the model card.
        say, progress: told what happens.
        **preparation: see `prepare`.

    Returns:
        The summary of `train_bulk`; empty for a dry run.
    """
    settings = settings or BulkSettings()
    labels = list(dict.fromkeys(labels))
    check_out(out)
    work = prepare(
        inputs,
        unlabelled=unlabelled,
        discriminator=pretraining is not None,
        seed=settings.seed,
        say=say,
        **preparation,
    )
    columns: dict[str, Sequence[str | None]] = {label: work.labels(label) for label in labels}
    groups = work.labels(group) if group is not None else None
    if groups is not None:
        say_groups(f"--group {group}", groups, say)
    check_labels(LabelTable(columns))
    if dry_run:
        _say_plan(work.model, work.sets, columns, settings, pretraining, say)
        return {}
    if work.fresh and warm and pretraining is None:
        warm_start(work.model, work.all_sets, seed=settings.seed)
    if pretraining is not None:
        _pretrain(work, Path(out) / "pretraining", pretraining, warm, device, restart, progress)
    work.model.own["labels"] = labels
    summary = train_bulk(
        work.model, work.sets, columns, out, settings, groups=groups, restart=restart, progress=progress
    )
    write_card(
        work.model,
        out,
        Card(
            task=f"BED files, with a vector for each of {', '.join(labels)}",
            data=sources(work.items) + sources(work.others, "unlabelled"),
            split=f"files that the heads were not fitted on: {summary['held_out']}",
            figures={
                f"{label}: {found['head']}": {
                    "accuracy of the nearest file": found["held_out_accuracy"],
                    "files": found["files"],
                    "classes": found["classes"],
                }
                for label, found in summary["labels"].items()
            },
            settings=asdict(settings),
            notes=[
                "The kind of each head was chosen by these figures, which are therefore a little too good.",
                "The accuracy is the mean of two: over all other files, and over those whose crossing labels differ; "
                "with --group of a third, over those of other groups.",
            ],
            command=command,
        ),
    )
    return summary


def _say_plan(
    model: Model,
    sets: TokenSets,
    columns: dict[str, Sequence[str | None]],
    settings: BulkSettings,
    pretraining: PretrainSettings | None,
    say: Say,
) -> None:
    """Say what the heads would cost, from one fit of each kind on all files."""
    for line in describe(model, len(sets), len(sets.tokens)):
        say(line)
    table, n_regions, fit = LabelTable(columns), model.config.n_regions, settings.fit(settings.shrinks[0])
    label = next(iter(columns))
    started = time.perf_counter()
    fit_plain(sets, table, label, settings.powers[0], n_regions, fit)
    plain, started = time.perf_counter() - started, time.perf_counter()
    crossed = [name for name in columns if settings.residual and table.crossing(name)]
    if crossed:
        fit_residual(sets, table, crossed[0], n_regions, fit)
    residual = time.perf_counter() - started
    seconds = plain * (len(settings.powers) + len(columns)) + residual * len(crossed) * (settings.folds + 1)
    width = min(settings.rank, max(len(sets) - 1, 1))
    say(
        f"heads: {len(columns)} of width {width}, {size(2 * n_regions * width)} each, twice that for a residual head"
    )
    say(f"heads: expected {duration(seconds)}, for {settings.folds} folds")
    if pretraining is not None:
        say("the pretraining comes on top: see atacsearch train pretrain --dry-run")


def _pretrain(
    work: Any,
    folder: Path,
    settings: PretrainSettings,
    warm: bool,
    device: str,
    restart: bool,
    progress: Progress | None,
) -> None:
    """Replaced-token detection on subsamples of the same files."""
    pretrain(
        work.model,
        work.all_sets,
        folder,
        replace(settings, warm=warm and work.fresh),
        device=device,
        restart=restart,
        progress=progress,
    )
