"""Batch correction from input files to a checkpoint: `atacsearch train batch`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TypedDict

import numpy as np

from ...errors import InputError
from ...model.checkpoints.checkpoint import Model
from ...model.device import choose_device
from ...readers.options import ReadOptions
from ..loops.batch_correction import BatchSettings, BatchSummary, train_batch
from ..loops.pretraining import PretrainSettings, pretrain
from ..trainer.progress import Progress
from ..trainer.state import check_out
from ..trainer.warm_start import warm_start
from .card import Card, sources, write_card
from .inputs import Notify, Training, prepare, silent
from .options import BatchOptions
from .plan import describe, duration, expect, time_steps, time_warm_start
from .trained import Trained

MEANING = {
    "ilisi": "iLISI, median: effective number of batches among neighbours",
    "mixed": "batches mixed: (mean iLISI - 1) over that of perfect mixing of all cells",
    "mixed_within_labels": "the same within each label, which does not mind that batches differ in composition",
    "kbet": "kBET: share of neighbourhoods that hold the batches as all cells do (within each label, if given)",
    "clisi": "cLISI, mean: effective number of labels among neighbours, 1 is best",
    "knn_accuracy": "accuracy of the 15 nearest cells' vote",
    "knn_other_batches": "the same where a cell's own batch does not vote",
}


@dataclass(frozen=True)
class _Run:
    """What one run works on.

    Attributes:
        work: the model and the sets.
        batches: [n] batch of each item.
        labels: [n] label of each; None where nothing must be kept.
        options: as the user gave them.
        settings: of the correction.
        pretraining: settings of the pretraining before; None for none.
        warm: whether the token table starts from the SVD of the input.
    """

    work: Training
    batches: list[str | None]
    labels: list[str | None] | None
    options: BatchOptions
    settings: BatchSettings
    pretraining: PretrainSettings | None
    warm: bool


def batch_files(
    inputs: Sequence[str | Path],
    batch: str,
    out: str | Path,
    options: BatchOptions,
    read: ReadOptions | None = None,
    *,
    settings: BatchSettings | None = None,
    command: str | None = None,
    notify: Notify = silent,
    progress: Progress | None = None,
) -> Trained:
    """Read cells of several batches, start a model and correct it.

    Args:
        inputs: cells with a batch column.
        batch: column of donor, library or replicate.
        out: folder for the checkpoint.
        options: what must be kept, sizes, steps; a dry run says what it would cost, and writes nothing.
        read: how inputs are read.
        settings: all settings of the correction, in the place of those that `options` give.
        command: the command line, for the model card.
        notify: receives messages.
        progress: called with a record after every step and epoch.

    Raises:
        InputError: no such column, or one batch only.
    """
    run = _begin(inputs, batch, out, options, read, settings or settings_of(options), notify)
    if options.dry_run:
        _plan(run, notify)
        return Trained(Path(out))
    _learn_unlabelled(run, Path(out) / "pretraining", progress)
    uneven = None if run.labels is None else composition(run.batches, run.labels)
    if uneven is not None and uneven["alone"]:
        names = ", ".join(uneven["alone"][:5])
        notify(
            f"{len(uneven['alone'])} labels are in one batch alone ({names}): the adversary does not look at them"
        )
    model, summary = _correct(run, Path(out), progress)
    write_card(model, out, _card(run, batch, summary, uneven, command))
    told = {**summary, **({} if uneven is None else {"composition": uneven})}
    return Trained(Path(out), model.digest, told, (_in_words(out, summary),))


def settings_of(options: BatchOptions) -> BatchSettings:
    """The settings of the correction."""
    return BatchSettings(
        epochs=options.epochs,
        batch_size=options.batch_size,
        lr=options.lr,
        strength=options.strength,
        layers=options.layers,
        table_lr=options.table_lr,
        seed=options.seed,
    )


def _begin(
    inputs: Sequence[str | Path],
    batch: str,
    out: str | Path,
    options: BatchOptions,
    read: ReadOptions | None,
    settings: BatchSettings,
    notify: Notify,
) -> _Run:
    check_out(out)
    work = prepare(inputs, options, read, seed=settings.seed, discriminator=True, notify=notify)
    batches = work.labels(batch)
    found = sorted({b for b in batches if b is not None})
    if len(found) < 2:
        raise InputError(f"--batch {batch}: one value only ({found[0]}); there is nothing to correct")
    labels = None if options.label is None else work.labels(options.label)
    pretraining = None
    if options.pretrain_epochs:
        pretraining = PretrainSettings(epochs=options.pretrain_epochs, seed=settings.seed)
    warm = options.warm_start and work.fresh
    return _Run(work, batches, labels, options, settings, pretraining, warm)


def _learn_unlabelled(run: _Run, folder: Path, progress: Progress | None) -> None:
    """A pretraining, or the warm start alone."""
    work = run.work
    if run.pretraining is not None:
        how = replace(run.pretraining, warm=run.warm)
        device, restart = run.options.device, run.options.restart
        pretrain(work.model, work.sets, folder, how, device=device, restart=restart, progress=progress)
    elif run.warm:
        warm_start(work.model, work.sets, seed=run.settings.seed)


def _correct(run: _Run, folder: Path, watch: Progress | None) -> tuple[Model, BatchSummary]:
    return train_batch(
        run.work.model,
        run.work.sets,
        run.batches,
        folder,
        run.settings,
        labels=run.labels,
        device=run.options.device,
        restart=run.options.restart,
        progress=watch,
    )


def _plan(run: _Run, notify: Notify) -> None:
    """Say what the run would cost, from a few real steps."""
    work, device = run.work, run.options.device
    where = str(choose_device(device))
    for line in describe(work.model, len(work.sets), len(work.sets.tokens), held=work.sets):
        notify(line)
    if run.warm:
        notify(f"warm start: expected {duration(time_warm_start(work.model, work.sets, run.settings.seed))}")
    if run.pretraining is not None:
        how = replace(run.pretraining, warm=False)
        timing = time_steps(
            lambda folder, watch: pretrain(work.model, work.sets, folder, how, device=device, progress=watch)
        )
        for line in expect(timing, how.epochs, where):
            notify(line)
    timing = time_steps(lambda folder, watch: _correct(run, folder, watch))
    for line in expect(timing, run.settings.epochs, where):
        notify(line)


def _card(
    run: _Run, batch: str, summary: BatchSummary, uneven: Composition | None, command: str | None
) -> Card:
    label, found = run.options.label, {b for b in run.batches if b is not None}
    notes = [f"{name}: {MEANING[name]}." for name in summary["after"]]
    if uneven is not None:
        notes.append(
            f"Composition: the shares of labels differ between batches by {uneven['distance']:.2f} (total variation "
            "of a batch from the others, mean; 0 is equal), so the overall mixing must not reach 1."
        )
    return Card(
        task=f"vectors without the batch (column `{batch}`, {len(found)} of them)"
        + (f", keeping `{label}`" if label else ""),
        data=sources(run.work.items),
        split=f"{summary['cells_scored']:,} of {summary['cells']:,} cells that no step was trained on and no "
        "epoch was chosen by, the same share of every batch and label",
        figures={"before": summary["before"], "after": summary["after"]},
        settings=asdict(run.settings) | {"warm_start": run.warm, "label_column": label},
        notes=notes,
        command=command,
    )


def _in_words(out: str | Path, summary: BatchSummary) -> str:
    """The outcome in one line."""
    changes = ", ".join(
        f"{name.replace('_', ' ')} {summary['before'][name]:.3f} -> {value:.3f}"
        for name, value in summary["after"].items()
        if name in summary["before"]
    )
    return f"{out}: {summary['cells']:,} cells, {len(summary['batches'])} batches; {changes}"


class Composition(TypedDict):
    """How much batches differ in what they are made of.

    Attributes:
        distance: mean total-variation distance between the label shares of a batch and of all other cells.
        alone: labels that one batch alone has.
    """

    distance: float
    alone: list[str]


def composition(batches: Sequence[str | None], labels: Sequence[str | None]) -> Composition:
    """How much the batches differ in what they are made of; cells without a batch or a label are left out."""
    pairs = [(b, x) for b, x in zip(batches, labels, strict=True) if b is not None and x is not None]
    names, codes = np.unique([b for b, _ in pairs], return_inverse=True)
    kinds, classes = np.unique([x for _, x in pairs], return_inverse=True)
    table = np.zeros((len(names), len(kinds)))
    np.add.at(table, (codes, classes), 1)
    rest = table.sum(0) - table
    shares = table / table.sum(1, keepdims=True)
    others = rest / np.maximum(rest.sum(1, keepdims=True), 1)
    distance = float(np.abs(shares - others).sum(1).mean() / 2)
    alone = kinds[(table > 0).sum(0) == 1].tolist()
    return {"distance": round(distance, 4), "alone": alone}
