"""Pretraining from input files to a checkpoint: `atacsearch train pretrain`.

Inputs become token files that are streamed, the model is warm-started and trained to tell replaced tokens, and a model
card is written; a dry run says what that would cost instead, from a few real steps, and leaves nothing.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from types import TracebackType

from ...errors import InputError
from ...model.checkpoints.checkpoint import Model
from ...model.device import choose_device
from ...readers.options import ReadOptions
from ..loops.pretraining import PretrainSettings, pretrain
from ..trainer.corpus import Corpus
from ..trainer.distributed import Processes, join_processes
from ..trainer.progress import Progress
from ..trainer.state import check_out
from .card import Card, write_card
from .inputs import Notify, prepare_corpus, silent
from .options import PretrainOptions
from .plan import describe, duration, expect, size, time_steps, time_warm_start
from .trained import Trained

MADE = ".atacsearch-tokens"  # folder, in that of the model, of the token files that training makes for itself


def pretrain_files(
    inputs: Sequence[str | Path],
    out: str | Path,
    options: PretrainOptions,
    read: ReadOptions | None = None,
    *,
    command: str | None = None,
    notify: Notify = silent,
    progress: Progress | None = None,
) -> Trained:
    """Pretrain on any inputs.

    Args:
        inputs: token files, h5ad, fragments, BED files or manifests. What is no token file becomes one in
            `out` first, which is removed at the end.
        out: folder for the checkpoint.
        options: sizes, steps, what is replaced; a dry run says what it would cost, and leaves nothing.
        read: how inputs are read.
        command: the command line, for the model card.
        notify: receives messages.
        progress: called with a record after every step and epoch.
    """
    check_out(out)
    processes, device = join_processes(options.device)
    if not processes.is_first:
        notify, progress = silent, None
    settings = settings_of(options)
    with ExitStack() as stack:
        folder = Path(out) / MADE
        if options.dry_run:
            made = stack.enter_context(tempfile.TemporaryDirectory(prefix="atacsearch-dry-run-"))
            folder = Path(made)
        elif processes.is_first:
            stack.push(_no_remains(folder))
        model, fresh, found, rows = prepare_corpus(
            inputs, folder, options, read, processes=processes, notify=notify
        )
        settings = settings if fresh else replace(settings, warm=False)
        corpus = Corpus(
            found,
            model.config.n_regions,
            held_share=settings.holdout,
            most=settings.max_tokens,
            seed=settings.seed,
        )
        if options.dry_run:
            _plan(model, corpus, settings, str(choose_device(device)), notify)
            return Trained(Path(out))
        pretrain(
            model,
            corpus,
            out,
            settings,
            device=device,
            restart=options.restart,
            processes=processes,
            progress=progress,
        )
    figures = _figures(model)
    if processes.is_first:
        shutil.rmtree(folder)
        write_card(model, out, _card(corpus, settings, figures, rows, command))
    log = Path(out) / "training.jsonl"
    line = f"{out}: model {model.digest[:12]}, {len(model.universe):,} regions, log in {log}"
    return Trained(Path(out), model.digest, figures, (line,))


def settings_of(options: PretrainOptions) -> PretrainSettings:
    """The settings of the loop."""
    return PretrainSettings(
        epochs=options.epochs,
        batch_size=options.batch_size,
        lr=options.lr,
        max_tokens=options.max_tokens,
        replacement=options.replacement,
        contrastive=options.contrastive,
        anchor=options.anchor,
        pooling=options.pooling,
        holdout=options.holdout,
        precision=options.precision,
        save_minutes=options.save_minutes,
        warm=options.warm_start,
        seed=options.seed,
    )


def _no_remains(
    folder: Path,
) -> Callable[[type[BaseException] | None, BaseException | None, TracebackType | None], None]:
    """An exit that, where an input was refused, removes the token files and the folder that was made for them."""
    new = not folder.parent.exists()

    def leave(
        kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(value, InputError) and folder.exists():
            shutil.rmtree(folder)
            if new and not any(folder.parent.iterdir()):
                folder.parent.rmdir()

    return leave


def _plan(model: Model, corpus: Corpus, settings: PretrainSettings, device: str, notify: Notify) -> None:
    """Say what pretraining would cost, from a few real steps."""
    for line in describe(model, corpus.n_sets, corpus.n_tokens):
        notify(line)
    notify(
        f"streamed: {size(corpus.bounded)} at the most for the shuffle buffer, the sample and the held-out sets"
    )
    notify(f"held out: {len(corpus.held):,} sets, {corpus.how}")
    if settings.warm:
        notify(f"warm start: expected {duration(time_warm_start(model, corpus.sample, settings.seed))}")
    how = replace(settings, warm=False)
    timing = time_steps(
        lambda folder, watch: pretrain(
            model, corpus, folder, how, device=device, processes=Processes(), progress=watch
        )
    )
    for line in expect(timing, settings.epochs, device):
        notify(line)


def _figures(model: Model) -> dict[str, dict[str, float]]:
    """Held-out figures of the model, and of the baseline that knows how common each region is."""
    done = model.own["pretraining"]
    if "held_out_auc" not in done:
        return {}
    return {
        "this model": {name: done[f"held_out_{name}"] for name in ("auc", "token_accuracy", "loss")},
        "region frequency alone": {"auc": done["frequency_auc"]},
    }


def _card(
    corpus: Corpus,
    settings: PretrainSettings,
    figures: dict[str, dict[str, float]],
    rows: list[dict[str, str | int]],
    command: str | None,
) -> Card:
    return Card(
        task="replaced-token detection, without labels",
        data=rows,
        split=f"{len(corpus.held):,} sets that no step was trained on: {corpus.how}",
        figures=figures,
        settings=asdict(settings),
        notes=[
            f"Telling which of the tokens were replaced ({settings.replace:.0%}, {settings.replacement}); "
            "region frequency alone calls the rarer regions replaced."
        ],
        command=command,
    )
