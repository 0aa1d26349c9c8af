"""Label heads from labelled BED files to a checkpoint: `atacsearch train bulk`."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from ...model.checkpoints.checkpoint import Model
from ...readers.options import ReadOptions
from ...tokens.token_sets import TokenSets
from ..bulk.fit import fit_plain, fit_residual
from ..bulk.labels import LabelTable
from ..bulk.train import BulkSettings, BulkSummary, check_labels, train_bulk
from ..loops.pretraining import PretrainSettings, pretrain
from ..trainer.progress import Progress
from ..trainer.state import check_out
from ..trainer.warm_start import warm_start
from .card import Card, sources, write_card
from .inputs import Notify, Training, notify_groups, prepare, silent
from .options import BulkOptions
from .plan import describe, duration, size
from .trained import Trained


def bulk_files(
    inputs: Sequence[str | Path],
    labels: Sequence[str],
    out: str | Path,
    options: BulkOptions,
    read: ReadOptions | None = None,
    *,
    settings: BulkSettings | None = None,
    command: str | None = None,
    notify: Notify = silent,
    progress: Progress | None = None,
) -> Trained:
    """Read labelled BED files, start a model, and fit a vector for each label.

    Args:
        inputs: BED files or manifests.
        labels: label columns, each of which gets a head.
        out: folder for the checkpoint.
        options: column of the collection, whole ones of which are held out to choose where there are three; unlabelled
            files; a pretraining, which changes the general vector alone. A dry run says sizes and the expected time,
            from one timed fit of each kind, and writes nothing.
        read: how inputs are read.
        settings: all settings of the heads.
        command: the command line, for the model card.
        notify: receives messages.
        progress: called with a record after every step and epoch.
    """
    settings = settings or BulkSettings(seed=options.seed)
    labels = list(dict.fromkeys(labels))
    pretraining = None
    if options.pretrain_epochs:
        pretraining = PretrainSettings(epochs=options.pretrain_epochs, seed=settings.seed)
    check_out(out)
    work = prepare(
        inputs,
        options,
        read,
        seed=settings.seed,
        unlabelled=options.unlabelled,
        discriminator=pretraining is not None,
        notify=notify,
    )
    columns: dict[str, Sequence[str | None]] = {label: work.labels(label) for label in labels}
    groups = work.labels(options.group) if options.group is not None else None
    if groups is not None:
        notify_groups(f"--group {options.group}", groups, notify)
    check_labels(LabelTable(columns))
    if options.dry_run:
        _plan(work.model, work.sets, columns, settings, pretraining, notify)
        return Trained(Path(out))
    _learn_unlabelled(work, Path(out) / "pretraining", options, pretraining, settings.seed, progress)
    work.model.own["labels"] = labels
    summary = train_bulk(
        work.model,
        work.sets,
        columns,
        out,
        settings,
        groups=groups,
        restart=options.restart,
        progress=progress,
    )
    write_card(work.model, out, _card(work, labels, settings, summary, command))
    return Trained(Path(out), work.model.digest, summary, tuple(_in_words(out, summary)))


def _learn_unlabelled(
    work: Training,
    folder: Path,
    options: BulkOptions,
    pretraining: PretrainSettings | None,
    seed: int,
    progress: Progress | None,
) -> None:
    """The warm start, or replaced-token detection on subsamples of the same files."""
    warm = options.warm_start and work.fresh
    if pretraining is None:
        if warm:
            warm_start(work.model, work.all_sets, seed=seed)
        return
    pretrain(
        work.model,
        work.all_sets,
        folder,
        replace(pretraining, warm=warm),
        device=options.device,
        restart=options.restart,
        progress=progress,
    )


def _card(
    work: Training,
    labels: Sequence[str],
    settings: BulkSettings,
    summary: BulkSummary,
    command: str | None,
) -> Card:
    return Card(
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
    )


def _in_words(out: str | Path, summary: BulkSummary) -> Iterator[str]:
    """The outcome, a line a label."""
    yield f"{out}: {summary['files']:,} files; held out to choose: {summary['held_out']}"
    for label, found in summary["labels"].items():
        right = found["held_out_accuracy"]
        measured = "no file could be held out to choose or to measure"
        if right is not None:
            measured = f"{right:.3f} of held-out files nearest to their own value"
        yield f"  {label}: {found['classes']} values of {found['files']:,} files, {found['head']}; {measured}"


def _plan(
    model: Model,
    sets: TokenSets,
    columns: dict[str, Sequence[str | None]],
    settings: BulkSettings,
    pretraining: PretrainSettings | None,
    notify: Notify,
) -> None:
    """Say what the heads would cost, from one fit of each kind on all files."""
    for line in describe(model, len(sets), len(sets.tokens)):
        notify(line)
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
    notify(
        f"heads: {len(columns)} of width {width}, {size(2 * n_regions * width)} each, twice that for a residual head"
    )
    notify(f"heads: expected {duration(seconds)}, for {settings.folds} folds")
    if pretraining is not None:
        notify("the pretraining comes on top: see atacsearch train pretrain --dry-run")
