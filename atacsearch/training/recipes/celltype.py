"""Cell-type fine-tuning from labelled files to a checkpoint: `atacsearch train celltype`.

The inputs are read, a model is warm-started or pretrained on them without their labels, a class head is fitted (or the
encoder fine-tuned), held-out items are compared with a simple method, and a model card is written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ...model.device import choose_device
from ...readers.options import ReadOptions
from ..class_head.cross_fit import FOLDS, drawn_for_folds
from ..class_head.train import HeadSummary, train_class_head
from ..loops.metric_learning import CelltypeSettings, CelltypeSummary, train_celltype
from ..loops.pretraining import PretrainSettings, pretrain
from ..metrics.comparison import compare_held_out
from ..trainer.holdout import hold_out, labelled_rows
from ..trainer.progress import Progress
from ..trainer.state import check_out
from ..trainer.warm_start import warm_start
from .card import Card, sources, write_card
from .inputs import Notify, Training, notify_groups, prepare, silent
from .options import CelltypeOptions
from .plan import describe, duration, expect, time_head, time_steps, time_warm_start
from .trained import Trained


@dataclass(frozen=True)
class _Run:
    """What one run works on.

    Attributes:
        work: the model and the sets.
        label: column of the labels.
        labels: [n] label of each item.
        batches: [n] donor, library or replicate of each; None where no column was named.
        options: as the user gave them.
        settings: of the fine-tuning.
        pretraining: settings of the pretraining before; None for none.
        warm: whether the token table starts from the SVD of the input.
    """

    work: Training
    label: str
    labels: list[str | None]
    batches: list[str | None] | None
    options: CelltypeOptions
    settings: CelltypeSettings
    pretraining: PretrainSettings | None
    warm: bool

    @property
    def fits_head(self) -> bool:
        """Whether a head is fitted, instead of training the encoder."""
        return self.settings.loss == "head"


def celltype_files(
    inputs: Sequence[str | Path],
    label: str,
    out: str | Path,
    options: CelltypeOptions,
    read: ReadOptions | None = None,
    *,
    settings: CelltypeSettings | None = None,
    command: str | None = None,
    notify: Notify = silent,
    progress: Progress | None = None,
) -> Trained:
    """Read labelled inputs, start a model and fine-tune it.

    Args:
        inputs: labelled cells or BED files.
        label: column of the labels.
        out: folder for the checkpoint.
        options: batch column, unlabelled inputs, loss, sizes; a dry run says what it would cost, and writes nothing.
        read: how inputs are read.
        settings: all settings of the fine-tuning, in the place of those that `options` give.
        command: the command line, for the model card.
        notify: receives messages.
        progress: called with a record after every step and epoch.
    """
    settings = settings or settings_of(options)
    run = _begin(inputs, label, out, options, read, settings, notify)
    if options.dry_run:
        _plan(run, notify)
        return Trained(Path(out))
    _learn_unlabelled(run, Path(out) / "pretraining", progress)
    run.work.model.own["label"] = label
    summary = _fine_tune(run, Path(out), progress)
    figures, shown = _figures(run, summary)
    write_card(run.work.model, out, _card(run, summary, figures, shown, command))
    return Trained(Path(out), run.work.model.digest, summary, (_in_words(run, out, summary),))


def settings_of(options: CelltypeOptions) -> CelltypeSettings:
    """The settings of the fine-tuning that the user chose, the others as they are by default."""
    chosen = {"epochs": options.epochs, "batch_size": options.batch_size, "lr": options.lr}
    given: dict[str, Any] = {name: value for name, value in chosen.items() if value is not None}
    return CelltypeSettings(loss=options.loss, seed=options.seed, **given)


def _begin(
    inputs: Sequence[str | Path],
    label: str,
    out: str | Path,
    options: CelltypeOptions,
    read: ReadOptions | None,
    settings: CelltypeSettings,
    notify: Notify,
) -> _Run:
    """Read the inputs and say what is odd about them and the options."""
    if settings.loss == "head" and any(
        value is not None for value in (options.epochs, options.batch_size, options.lr)
    ):
        notify(
            "--epochs, --batch-size and --lr are for losses that train the encoder: they have no effect on a head"
        )
    pretraining = None
    if options.pretrain_epochs:
        pretraining = PretrainSettings(epochs=options.pretrain_epochs, seed=settings.seed)
    check_out(out)
    work = prepare(
        inputs,
        options,
        read,
        seed=settings.seed,
        discriminator=pretraining is not None,
        unlabelled=options.unlabelled,
        notify=notify,
    )
    if work.unlabelled is not None:
        notify(f"{len(work.unlabelled):,} unlabelled items beside {len(work.sets):,}")
    labels = work.labels(label)
    batches = work.labels(options.batch) if options.batch is not None else None
    if batches is not None:
        notify_groups(f"--batch {options.batch}", batches, notify)
    if not options.warm_start and not work.fresh:
        notify("--no-warm-start: a model that is gone on from keeps its token table anyway")
    warm = options.warm_start and work.fresh
    return _Run(work, label, labels, batches, options, settings, pretraining, warm)


def _learn_unlabelled(run: _Run, folder: Path, progress: Progress | None) -> None:
    """What is learned before any label is looked at: a pretraining, or the warm start alone."""
    work = run.work
    if run.pretraining is not None:
        how = replace(run.pretraining, warm=run.warm)
        pretrain(
            work.model,
            work.all_sets,
            folder,
            how,
            device=run.options.device,
            restart=run.options.restart,
            progress=progress,
        )
    elif run.warm:
        warm_start(work.model, work.all_sets, seed=run.settings.seed)


def _fine_tune(run: _Run, folder: Path, watch: Progress | None) -> HeadSummary | CelltypeSummary:
    """Fit the head or train the encoder; the checkpoint lies in `folder` then."""
    work, options = run.work, run.options
    if run.fits_head:
        return train_class_head(
            work.model,
            run.label,
            work.sets,
            run.labels,
            folder,
            unlabelled=work.unlabelled,
            batches=run.batches,
            batch_column=options.batch or "",
            kind=work.items[0].kind,
            fresh=run.warm and run.pretraining is None,
            seed=run.settings.seed,
            device=options.device,
            restart=options.restart,
            progress=watch,
        )
    return train_celltype(
        work.model,
        work.sets,
        run.labels,
        folder,
        run.settings,
        batches=run.batches,
        device=options.device,
        restart=options.restart,
        progress=watch,
    )


def _plan(run: _Run, notify: Notify) -> None:
    """Say what the run would cost, from a few real steps."""
    work, settings, device = run.work, run.settings, run.options.device
    for line in describe(work.model, len(work.all_sets), len(work.all_sets.tokens), held=work.all_sets):
        notify(line)
    if run.warm:
        took = time_warm_start(work.model, work.all_sets, settings.seed)
        notify(f"warm start: expected {duration(took)}")
    where = str(choose_device(device))
    if run.pretraining is not None:
        how = replace(run.pretraining, warm=False)
        timing = time_steps(
            lambda folder, watch: pretrain(
                work.model, work.all_sets, folder, how, device=device, progress=watch
            )
        )
        for line in expect(timing, how.epochs, where):
            notify(line)
    timing = time_steps(lambda folder, watch: _fine_tune(run, folder, watch))
    for line in expect(timing, 1 if run.fits_head else settings.epochs, where):
        notify(line)
    if run.fits_head:
        seconds = time_head(work.sets, run.labels, work.model.config.n_regions)
        share = drawn_for_folds(work.sets) / max(len(work.sets), 1)
        notify(f"class head: expected {duration((1 + FOLDS * share) * seconds)}")


def _figures(
    run: _Run, summary: Mapping[str, Any]
) -> tuple[Mapping[str, Mapping[str, float]], dict[str, object]]:
    """Held-out figures of the model and of the simple method, and the settings that made them."""
    settings, work = run.settings, run.work
    if run.fits_head:
        return summary["figures"], {"loss": "head", "seed": settings.seed}
    rows, classes, codes, groups = labelled_rows(work.sets, run.labels, run.batches)
    train, held, _ = hold_out(codes, groups, settings.holdout, settings.seed)
    sets, names = work.sets.take(rows), classes[codes]
    figures = compare_held_out(work.model, sets, names, train, held, settings.seed)
    return figures, asdict(settings)


def _notes(run: _Run) -> list[str]:
    """Sentences that a reader of the figures must know."""
    if run.fits_head:
        notes = [
            "Each fold is named by a head fitted on the others; that of the checkpoint saw all. The weights of its "
            "views and its calibration are fitted on all folds together, which favours it a little.",
            "The simple method is a vote of the 15 nearest training items, by cosine distance, fitted on the "
            "training items alone, in the same folds.",
        ]
    else:
        notes = [
            "All rows are votes of the 15 nearest training items, by cosine distance; the simple method is "
            "fitted on the training items alone.",
            "Training stopped at the epoch that did best on these items, which favours the model a little.",
        ]
    work = run.work
    made_anew = run.fits_head and run.warm and run.pretraining is None and work.unlabelled is None
    if not made_anew and (run.warm or run.pretraining is not None or not work.fresh):
        notes.append(
            "The encoder saw the held-out items without their labels (SVD, pretraining, or the model gone on from); "
            "the simple method did not."
        )
    if work.unlabelled is not None:
        notes.append(f"{len(work.unlabelled):,} items joined without their labels.")
    return notes


def _card(
    run: _Run,
    summary: Mapping[str, Any],
    figures: Mapping[str, Mapping[str, float]],
    shown: dict[str, object],
    command: str | None,
) -> Card:
    work = run.work
    return Card(
        task=f"labels of the column `{run.label}` ({len(summary['classes'])} of them)",
        data=sources(work.items) + sources(work.others, "unlabelled"),
        split=f"{summary['cells_held_out']:,} of {summary['cells']:,} labelled items that no step was "
        f"trained on: {summary['held_out']}",
        figures=figures,
        settings=shown | {"warm_start": run.warm, "batch": run.options.batch},
        notes=_notes(run),
        command=command,
    )


def _in_words(run: _Run, out: str | Path, summary: Mapping[str, Any]) -> str:
    """The outcome in one line."""
    about = f"{out}: {summary['cells']:,} cells, {len(summary['classes'])} labels"
    if run.fits_head and not summary["figures"]:
        return (
            f"{about}; nothing could be held out ({summary['held_out']}): every label is in one group only or has "
            "one cell, so that confidence is uncalibrated"
        )
    if run.fits_head:
        ours, theirs = summary["figures"].values()
        return (
            f"{about}; {ours['accuracy']:.3f} of {summary['cells_held_out']:,} held-out cells named right "
            f"({summary['held_out']}), {theirs['accuracy']:.3f} by TF-IDF + SVD + kNN"
        )
    return (
        f"{about}; best epoch "
        f"{summary['best_epoch'] + 1} of {summary['epochs_run']}: {summary['held_out_accuracy']:.3f} of "
        f"{summary['cells_held_out']:,} held-out cells nearest to their own label ({summary['held_out']})"
    )
