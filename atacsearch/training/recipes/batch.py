"""From input files to a model corrected for batches: what `atacsearch train batch` does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import InputError
from ...model.device import choose_device
from ..loops.batch_correction import BatchSettings, train_batch
from ..loops.pretraining import PretrainSettings, pretrain
from ..trainer.state import check_out
from ..trainer.warm_start import warm_start
from .card import Card, sources, write_card
from .inputs import Say, prepare
from .plan import describe, duration, expect, time_steps, time_warm_start

Progress = Callable[[dict[str, Any]], None]
MEANING = {
    "ilisi": "iLISI, median: effective number of batches among neighbours",
    "mixed": "batches mixed: (mean iLISI - 1) over that of perfect mixing of all cells",
    "mixed_within_labels": "the same within each label, which does not mind that batches differ in composition",
    "kbet": "kBET: share of neighbourhoods that hold the batches as all cells do (within each label, if given)",
    "clisi": "cLISI, mean: effective number of labels among neighbours, 1 is best",
    "knn_accuracy": "accuracy of the 15 nearest cells' vote",
    "knn_other_batches": "the same where a cell's own batch does not vote",
}


def batch_files(
    inputs: Sequence[str | Path],
    batch: str,
    out: str | Path,
    *,
    label: str | None = None,
    settings: BatchSettings | None = None,
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
    """Read cells of several batches, start a model and correct it: `atacsearch train batch`.

    Args:
        inputs: cells with a batch column.
        batch: column of donor, library or replicate.
        out: folder for the checkpoint.
        label: column of what must be kept.
        settings: of the correction.
        warm: start a fresh model from the SVD of its input.
        pretraining: settings of an unlabelled pretraining before; none where None.
        device: `auto`, `cpu` or `cuda`.
        restart: begin anew where an unfinished run lies in `out`.
        dry_run: say what it would cost, and write nothing.
        command: the command line, for the model card.
        say, progress: told what happens.
        **preparation: see `prepare`.

    Returns:
        The summary of `train_batch`; empty for a dry run.

    Raises:
        InputError: no such column, or one batch only.
    """
    settings = settings or BatchSettings()
    check_out(out)
    work = prepare(inputs, discriminator=True, seed=settings.seed, say=say, **preparation)
    batches = work.labels(batch)
    found = sorted({b for b in batches if b is not None})
    if len(found) < 2:
        raise InputError(f"--batch {batch}: one value only ({found[0]}); there is nothing to correct")
    labels = None if label is None else work.labels(label)
    warm = warm and work.fresh
    where = str(choose_device(device))

    def correct(folder: Path, watch: Progress | None) -> tuple[Any, dict[str, Any]]:
        return train_batch(
            work.model, work.sets, batches, folder, settings, labels=labels, device=device,
            restart=restart, progress=watch,
        )  # fmt: skip

    if dry_run:
        for line in describe(work.model, len(work.sets), len(work.sets.tokens), held=work.sets):
            say(line)
        if warm:
            say(f"warm start: expected {duration(time_warm_start(work.model, work.sets, settings.seed))}")
        if pretraining is not None:
            how = replace(pretraining, warm=False)
            timing = time_steps(
                lambda folder, watch: pretrain(
                    work.model, work.sets, folder, how, device=device, progress=watch
                )
            )
            for line in expect(timing, how.epochs, where):
                say(line)
        for line in expect(time_steps(correct), settings.epochs, where):
            say(line)
        return {}
    if pretraining is not None:
        how = replace(pretraining, warm=warm)
        folder = Path(out) / "pretraining"
        pretrain(work.model, work.sets, folder, how, device=device, restart=restart, progress=progress)
    elif warm:
        warm_start(work.model, work.sets, seed=settings.seed)
    uneven = None if labels is None else composition(batches, labels)
    if uneven is not None and uneven["alone"]:
        names = ", ".join(uneven["alone"][:5])
        say(
            f"{len(uneven['alone'])} labels are in one batch alone ({names}): the adversary does not look at them"
        )
    model, summary = correct(Path(out), progress)
    notes = [f"{name}: {MEANING[name]}." for name in summary["after"]]
    if uneven is not None:
        notes.append(
            f"Composition: the shares of labels differ between batches by {uneven['distance']:.2f} (total variation "
            "of a batch from the others, mean; 0 is equal), so the overall mixing must not reach 1."
        )
    write_card(
        model,
        out,
        Card(
            task=f"vectors without the batch (column `{batch}`, {len(found)} of them)"
            + (f", keeping `{label}`" if label else ""),
            data=sources(work.items),
            split=f"{summary['cells_scored']:,} of {summary['cells']:,} cells that no step was trained on and no "
            "epoch was chosen by, the same share of every batch and label",
            figures={"before": summary["before"], "after": summary["after"]},
            settings=asdict(settings) | {"warm_start": warm, "label_column": label},
            notes=notes,
            command=command,
        ),
    )
    return summary | ({} if uneven is None else {"composition": uneven})


def composition(batches: Sequence[str | None], labels: Sequence[str | None]) -> dict[str, Any]:
    """How much the batches differ in what they are made of.

    Returns:
        `distance`: mean total-variation distance between the label shares of a batch and of all other cells;
        `alone`: labels that one batch alone has.
    """
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
