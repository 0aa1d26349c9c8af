"""From input files to a trained model: what `atacsearch train` does, and what the Python API offers.

Each function reads (`preparing.prepare`), trains, and writes a model card; with `dry_run` it says what that
would cost instead, from a few real steps, and writes nothing.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import InputError
from ...model.checkpoints.checkpoint import Model
from ...model.device import choose_device
from ..class_head.cross_fit import FOLDS, drawn_for_folds
from ..class_head.train import train_class_head
from ..loops.metric_learning import CelltypeSettings, train_celltype
from ..loops.pretraining import PretrainSettings, pretrain
from ..metrics.comparison import compare_held_out, labelled_rows
from ..trainer.corpus import Corpus
from ..trainer.distributed import Team, join_team
from ..trainer.holdout import hold_out
from ..trainer.state import check_out
from ..trainer.warm_start import warm_start
from .card import Card, sources, write_card
from .inputs import Say, Training, prepare, prepare_corpus, say_groups
from .plan import describe, duration, expect, size, time_head, time_steps, time_warm_start

__all__ = ["Training", "celltype_files", "prepare", "pretrain_files"]

Progress = Callable[[dict[str, Any]], None]
MADE = ".atacsearch-tokens"  # folder, in that of the model, of the token files that training makes for itself


def pretrain_files(
    inputs: Sequence[str | Path],
    out: str | Path,
    *,
    settings: PretrainSettings | None = None,
    device: str = "auto",
    restart: bool = False,
    dry_run: bool = False,
    command: str | None = None,
    say: Say = lambda text: None,
    progress: Progress | None = None,
    **preparation: Any,
) -> Model:
    """Pretrain on any inputs: `atacsearch train pretrain`.

    Args:
        inputs: token files, h5ad, fragments, BED files or manifests. What is no token file becomes one in
            `out` first, which is removed at the end.
        out: folder for the checkpoint.
        settings: see `PretrainSettings`.
        device: `auto`, `cpu` or `cuda`.
        restart: begin anew where an unfinished run lies in `out`.
        dry_run: say what it would cost, and leave nothing.
        command: the command line, for the model card.
        say, progress: told what happens.
        **preparation: see `prepare_corpus`.

    Returns:
        The trained model; for a dry run the model as a few steps left it.
    """
    settings = settings or PretrainSettings()
    check_out(out)
    team, device = join_team(device)
    if not team.leads:
        say, progress = (lambda text: None), None
    with ExitStack() as stack:
        folder = Path(out) / MADE
        if dry_run:
            made = stack.enter_context(tempfile.TemporaryDirectory(prefix="atacsearch-dry-run-"))
            folder = Path(made)
        elif team.leads:
            stack.push(_no_remains(folder))
        model, fresh, found, rows = prepare_corpus(
            inputs, folder, seed=settings.seed, team=team, say=say, **preparation
        )
        settings = settings if fresh else replace(settings, warm=False)
        corpus = Corpus(
            found,
            model.config.n_regions,
            held_share=settings.holdout,
            most=settings.max_tokens,
            seed=settings.seed,
        )
        if dry_run:
            say_plan(model, corpus, settings, str(choose_device(device)), say)
            return model
        pretrain(model, corpus, out, settings, device=device, restart=restart, team=team, progress=progress)
    if not team.leads:
        return model
    shutil.rmtree(folder)
    done = model.own["pretraining"]
    figures: dict[str, dict[str, float]] = {}
    if "held_out_auc" in done:
        figures["this model"] = {name: done[f"held_out_{name}"] for name in ("auc", "token_accuracy", "loss")}
        figures["region frequency alone"] = {"auc": done["frequency_auc"]}
    write_card(
        model,
        out,
        Card(
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
        ),
    )
    return model


def _no_remains(folder: Path) -> Callable[[Any, Any, Any], None]:
    """An exit that, where an input was refused, removes the token files and the folder that was made for them."""
    new = not folder.parent.exists()

    def leave(kind: Any, value: Any, trace: Any) -> None:
        if isinstance(value, InputError) and folder.exists():
            shutil.rmtree(folder)
            if new and not any(folder.parent.iterdir()):
                folder.parent.rmdir()

    return leave


def say_plan(model: Model, corpus: Corpus, settings: PretrainSettings, device: str, say: Say) -> None:
    """Say what pretraining would cost, from a few real steps."""
    for line in describe(model, corpus.n_sets, corpus.n_tokens):
        say(line)
    say(
        f"streamed: {size(corpus.bounded)} at the most for the shuffle buffer, the sample and the held-out sets"
    )
    say(f"held out: {len(corpus.held):,} sets, {corpus.how}")
    if settings.warm:
        say(f"warm start: expected {duration(time_warm_start(model, corpus.sample, settings.seed))}")
    how = replace(settings, warm=False)
    timing = time_steps(
        lambda folder, watch: pretrain(model, corpus, folder, how, device=device, team=Team(), progress=watch)
    )
    for line in expect(timing, settings.epochs, device):
        say(line)


def celltype_files(
    inputs: Sequence[str | Path],
    label: str,
    out: str | Path,
    *,
    batch: str | None = None,
    unlabelled: Sequence[str | Path] = (),
    settings: CelltypeSettings | None = None,
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
    """Read labelled inputs, start a model and fine-tune it: `atacsearch train celltype`.

    Args:
        inputs: labelled cells or BED files.
        label: column of the labels.
        out: folder for the checkpoint.
        batch: column of donor, library or replicate; early stopping holds out a whole one where it can.
        unlabelled: further inputs without labels, such as the cells that are to be named later: they join the
            universe, the warm start and the pretraining, and never a labelled loss.
        settings: of the fine-tuning.
        warm: start a fresh model from the SVD of its input.
        pretraining: settings of an unlabelled pretraining before; none where None.
        device: `auto`, `cpu` or `cuda`.
        restart: begin anew where an unfinished run lies in `out`.
        dry_run: say what it would cost, and write nothing.
        command: the command line, for the model card.
        say, progress: told what happens.
        **preparation: see `prepare`.

    Returns:
        The summary of `train_celltype`; empty for a dry run.
    """
    settings = settings or CelltypeSettings()
    check_out(out)
    work = prepare(
        inputs,
        discriminator=pretraining is not None,
        seed=settings.seed,
        unlabelled=unlabelled,
        say=say,
        **preparation,
    )
    if work.unlabelled is not None:
        say(f"{len(work.unlabelled):,} unlabelled items beside {len(work.sets):,}")
    labels = work.labels(label)
    batches = work.labels(batch) if batch is not None else None
    if batches is not None:
        say_groups(f"--batch {batch}", batches, say)
    if not warm and not work.fresh:
        say("--no-warm-start: a model that is gone on from keeps its token table anyway")
    warm = warm and work.fresh

    def fine_tune(folder: Path, watch: Progress | None) -> dict[str, Any]:
        if settings.loss == "head":
            return train_class_head(
                work.model,
                label,
                work.sets,
                labels,
                folder,
                unlabelled=work.unlabelled,
                batches=batches,
                batch_column=batch or "",
                kind=work.items[0].kind,
                fresh=warm and pretraining is None,
                seed=settings.seed,
                device=device,
                restart=restart,
                progress=watch,
            )
        return train_celltype(
            work.model,
            work.sets,
            labels,
            folder,
            settings,
            batches=batches,
            device=device,
            restart=restart,
            progress=watch,
        )

    def learn_unlabelled(folder: Path, watch: Progress | None) -> Model:
        assert pretraining is not None
        how = replace(pretraining, warm=warm)
        return pretrain(
            work.model, work.all_sets, folder, how, device=device, restart=restart, progress=watch
        )

    if dry_run:
        for line in describe(work.model, len(work.all_sets), len(work.all_sets.tokens), held=work.all_sets):
            say(line)
        if warm:
            took = time_warm_start(work.model, work.all_sets, settings.seed)
            say(f"warm start: expected {duration(took)}")
        where = str(choose_device(device))
        if pretraining is not None:
            how = replace(pretraining, warm=False)
            timing = time_steps(
                lambda folder, watch: pretrain(
                    work.model, work.all_sets, folder, how, device=device, progress=watch
                )
            )
            for line in expect(timing, how.epochs, where):
                say(line)
        for line in expect(time_steps(fine_tune), 1 if settings.loss == "head" else settings.epochs, where):
            say(line)
        if settings.loss == "head":
            seconds = time_head(work.sets, labels, work.model.config.n_regions)
            share = drawn_for_folds(work.sets) / max(len(work.sets), 1)
            say(f"class head: expected {duration((1 + FOLDS * share) * seconds)}")
        return {}
    if pretraining is not None:
        learn_unlabelled(Path(out) / "pretraining", progress)
    elif warm:
        warm_start(work.model, work.all_sets, seed=settings.seed)
    work.model.own["label"] = label
    summary = fine_tune(Path(out), progress)
    if settings.loss == "head":
        figures, shown = summary["figures"], {"loss": "head", "seed": settings.seed}
        notes = [
            "Each fold is named by a head fitted on the others; that of the checkpoint saw all. The weights of its "
            "views and its calibration are fitted on all folds together, which favours it a little.",
            "The simple method is a vote of the 15 nearest training items, by cosine distance, fitted on the "
            "training items alone, in the same folds.",
        ]
    else:
        notes = [
            "All rows are votes of the 15 nearest training items, by cosine distance; the simple method is "
            "fitted on the training items alone."
        ]
        rows, codes, groups = labelled_rows(work.sets, labels, batches)
        train, held, _ = hold_out(codes, groups, settings.holdout, settings.seed)
        figures, shown = (
            compare_held_out(
                work.model,
                work.sets.take(rows),
                np.array(summary["classes"])[codes],
                train,
                held,
                settings.seed,
            ),
            asdict(settings),
        )
        notes.append(
            "Training stopped at the epoch that did best on these items, which favours the model a little."
        )
    made_anew = settings.loss == "head" and warm and pretraining is None and work.unlabelled is None
    if not made_anew and (warm or pretraining is not None or not work.fresh):
        notes.append(
            "The encoder saw the held-out items without their labels (SVD, pretraining, or the model gone on from); "
            "the simple method did not."
        )
    more = None if work.unlabelled is None else f"{len(work.unlabelled):,} items joined without their labels."
    write_card(
        work.model,
        out,
        Card(
            task=f"labels of the column `{label}` ({len(summary['classes'])} of them)",
            data=sources(work.items) + sources(work.others, "unlabelled"),
            split=f"{summary['cells_held_out']:,} of {summary['cells']:,} labelled items that no step was "
            f"trained on: {summary['held_out']}",
            figures=figures,
            settings=shown | {"warm_start": warm, "batch": batch},
            notes=[*notes, *([more] if more else [])],
            command=command,
        ),
    )
    return summary
