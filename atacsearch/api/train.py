"""`ats.train`: models from data, one function a recipe, with the options of `atacsearch train`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..options import words_of
from ..query.session import Notify, silent
from ..readers.options import ReadOptions
from .paths import paths_of

if TYPE_CHECKING:
    from ..readers.options import Counting
    from ..training.recipes.trained import Trained

__all__ = ["batch", "bulk", "celltype", "pretrain"]

Paths = str | Path | Sequence[str | Path]
Progress = Callable[[dict[str, Any]], None]


def pretrain(
    inputs: Paths,
    out: str | Path,
    *,
    universe: str | Path | None = None,
    model: str | Path | None = None,
    size: Literal["tiny", "small", "base"] = "small",
    seed: int = 0,
    device: str = "auto",
    dry_run: bool = False,
    restart: bool = False,
    warm_start: bool = True,
    epochs: int = 5,
    batch_size: int = 16,
    lr: float = 5e-4,
    max_tokens: int = 512,
    replacement: Literal["uniform", "frequency"] = "uniform",
    contrastive: float = 0.0,
    anchor: float = 10.0,
    pooling: Literal["auto", "mean", "idf"] = "auto",
    holdout: float = 0.05,
    precision: Literal["auto", "float32", "bfloat16"] = "auto",
    save_minutes: float = 10.0,
    genome: str | None = None,
    strict_genome: bool = False,
    liftover: str | Path | None = None,
    min_fragments: int | None = None,
    whitelist: str | Path | None = None,
    tss: str | Path | None = None,
    blacklist: str | Path | None = None,
    counting: Counting | None = None,
    sample: str | None = None,
    notify: Notify = silent,
    progress: Progress | None = None,
) -> Trained:
    """Pretrain on unlabelled data by replaced-token detection.

    45 % of the tokens of each cell or BED file are replaced by random regions; the model learns to tell which.

    Args:
        inputs: token files, h5ad, fragments, BED files or manifests.
        out: folder of the trained model; a run that was killed goes on where it was.
        universe: of a fresh model; made from the input by default.
        model: go on from this checkpoint, which brings its universe.
        size: of a fresh model; `base` is the paper's.
        seed: of everything random.
        device: where the encoder runs: `auto`, `cpu`, `cuda`.
        dry_run: say sizes, steps and the expected time, and write nothing.
        restart: begin anew where an unfinished run lies in `out`.
        warm_start: start the token table from an SVD.
        epochs: passes over the input, at the most.
        batch_size: sets a step.
        lr: peak learning rate.
        max_tokens: tokens of one set in one step.
        replacement: replace by any region (`uniform`, as published), or by regions as often as the data hold them.
        contrastive: weight of a contrast of two halves of each set.
        anchor: weight that keeps the vector of half a set near where training began with the whole set; 0 is as
            published.
        pooling: how regions make up a vector: as the warm start says, plain mean, or by inverse document frequency.
        holdout: share of the input that tells when to stop and is not trained on.
        precision: `auto` is bfloat16 autocast on CUDA.
        save_minutes: the state to resume from is written so often.
        genome, strict_genome, liftover, min_fragments, whitelist, tss, blacklist, counting, sample: how files are
            read, see `atacsearch.tokenize`.
        notify: receives messages, one line each.
        progress: called with a record after every step and epoch.

    Returns:
        Where the model lies, its digest, and figures on held-out items; the model card beside it says the same.

    Raises:
        InputError: an input that cannot be read, or options that contradict each other.

    Example:
        >>> done = ats.train.pretrain("query.h5ad", "base.model", size="tiny", epochs=1)
        >>> round(done.summary["region frequency alone"]["auc"]) in (0, 1)
        True
    """
    from ..training.recipes.options import PretrainOptions
    from ..training.recipes.pretrain import pretrain_files

    options = PretrainOptions(
        universe=universe,
        model=model,
        size=size,
        seed=seed,
        device=device,
        dry_run=dry_run,
        restart=restart,
        warm_start=warm_start,
        epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        max_tokens=max_tokens,
        replacement=replacement,
        contrastive=contrastive,
        anchor=anchor,
        pooling=pooling,
        holdout=holdout,
        precision=precision,
        save_minutes=save_minutes,
    )
    read = ReadOptions(
        genome, strict_genome, liftover, min_fragments, whitelist, tss, blacklist, counting, sample
    )
    return pretrain_files(paths_of(inputs), out, options, read, notify=notify, progress=progress)


def celltype(
    inputs: Paths,
    label: str,
    out: str | Path,
    *,
    universe: str | Path | None = None,
    model: str | Path | None = None,
    size: Literal["tiny", "small", "base"] = "tiny",
    seed: int = 0,
    device: str = "auto",
    dry_run: bool = False,
    restart: bool = False,
    warm_start: bool = True,
    batch: str | None = None,
    unlabelled: Paths = (),
    loss: Literal["head", "proxy", "triplet", "contrastive"] = "head",
    epochs: int | None = None,
    batch_size: int | None = None,
    lr: float | None = None,
    pretrain_epochs: int = 0,
    genome: str | None = None,
    strict_genome: bool = False,
    liftover: str | Path | None = None,
    min_fragments: int | None = None,
    whitelist: str | Path | None = None,
    tss: str | Path | None = None,
    blacklist: str | Path | None = None,
    counting: Counting | None = None,
    sample: str | None = None,
    notify: Notify = silent,
    progress: Progress | None = None,
) -> Trained:
    """Train a model that tells cells of one label from those of others.

    By default the encoder stays as the warm start made it and a class head is fitted on it: cells that are indexed
    with this model get a second vector, named after the label, by which `annotate` transfers that label.

    Args:
        inputs: labelled cells or BED files.
        label: column of the labels.
        out: folder of the trained model.
        universe: of a fresh model; made from the input by default.
        model: go on from this checkpoint, which brings its universe.
        size: of a fresh model; `base` is the paper's.
        seed: of everything random.
        device: where the encoder runs: `auto`, `cpu`, `cuda`.
        dry_run: say sizes, steps and the expected time, and write nothing.
        restart: begin anew where an unfinished run lies in `out`.
        warm_start: start the token table from an SVD.
        batch: column of donor, library or replicate; whole ones are held out.
        unlabelled: more data, whose labels are not looked at: the cells to be named, or any others.
        loss: `head` leaves the encoder and fits a head; others train the encoder: a cosine softmax (`proxy`), the
            published triplet loss, or a supervised contrastive one.
        epochs: of a loss that trains the encoder: passes over the cells, at the most; 8.
        batch_size: of the same: cells a step; 64.
        lr: of the same: peak learning rate; 1e-3.
        pretrain_epochs: epochs of replaced-token detection on the same input before fine-tuning.
        genome, strict_genome, liftover, min_fragments, whitelist, tss, blacklist, counting, sample: how files are
            read, see `atacsearch.tokenize`.
        notify: receives messages, one line each.
        progress: called with a record after every step and epoch.

    Returns:
        Where the model lies, its digest, and figures on held-out items; the model card beside it says the same.

    Raises:
        InputError: an input that cannot be read, no such column, or fewer than two labels.

    Example:
        >>> done = ats.train.celltype("reference.h5ad", "cell_type", "my.model", batch="donor")
        >>> done.summary["classes"]
        ['B', 'NK']
    """
    from ..training.recipes.celltype import celltype_files
    from ..training.recipes.options import CelltypeOptions

    options = CelltypeOptions(
        universe=universe,
        model=model,
        size=size,
        seed=seed,
        device=device,
        dry_run=dry_run,
        restart=restart,
        warm_start=warm_start,
        batch=batch,
        unlabelled=tuple(paths_of(unlabelled)),
        loss=loss,
        epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        pretrain_epochs=pretrain_epochs,
    )
    read = ReadOptions(
        genome, strict_genome, liftover, min_fragments, whitelist, tss, blacklist, counting, sample
    )
    return celltype_files(paths_of(inputs), label, out, options, read, notify=notify, progress=progress)


def batch(
    inputs: Paths,
    batch: str,
    out: str | Path,
    *,
    universe: str | Path | None = None,
    model: str | Path | None = None,
    size: Literal["tiny", "small", "base"] = "tiny",
    seed: int = 0,
    device: str = "auto",
    dry_run: bool = False,
    restart: bool = False,
    warm_start: bool = True,
    label: str | None = None,
    epochs: int = 8,
    batch_size: int = 64,
    lr: float = 1e-3,
    strength: float = 1.0,
    layers: int = 2,
    table_lr: float = 0.0,
    pretrain_epochs: int = 0,
    genome: str | None = None,
    strict_genome: bool = False,
    liftover: str | Path | None = None,
    min_fragments: int | None = None,
    whitelist: str | Path | None = None,
    tss: str | Path | None = None,
    blacklist: str | Path | None = None,
    counting: Counting | None = None,
    sample: str | None = None,
    notify: Notify = silent,
    progress: Progress | None = None,
) -> Trained:
    """Train a model to hide the batch of a cell.

    A classifier tries to tell the batch from the vector, and the encoder learns, by its reversed gradient, to give it
    nothing to go by.

    Args:
        inputs: cells with a batch column.
        batch: column of donor, library or replicate.
        out: folder of the trained model.
        universe: of a fresh model; made from the input by default.
        model: go on from this checkpoint, which brings its universe.
        size: of a fresh model; `base` is the paper's.
        seed: of everything random.
        device: where the encoder runs: `auto`, `cpu`, `cuda`.
        dry_run: say sizes, steps and the expected time, and write nothing.
        restart: begin anew where an unfinished run lies in `out`.
        warm_start: start the token table from an SVD.
        label: column of what must be kept; batches are compared within each label then.
        epochs: passes over the cells.
        batch_size: cells a step.
        lr: peak learning rate.
        strength: weight of the reversed gradient at its peak.
        layers: last encoder layers that train.
        table_lr: learning rate of the token table; 0 leaves it as it is.
        pretrain_epochs: epochs of replaced-token detection on the same input before.
        genome, strict_genome, liftover, min_fragments, whitelist, tss, blacklist, counting, sample: how files are
            read, see `atacsearch.tokenize`.
        notify: receives messages, one line each.
        progress: called with a record after every step and epoch.

    Returns:
        Where the model lies, its digest, and figures on held-out items; the model card beside it says the same.

    Raises:
        InputError: an input that cannot be read, no such column, or one batch only.

    Example:
        >>> done = ats.train.batch("reference.h5ad", "donor", "mixed.model", label="cell_type", epochs=1)
        >>> done.summary["batches"]
        ['d0', 'd1', 'd2']
    """
    from ..training.recipes.batch import batch_files
    from ..training.recipes.options import BatchOptions

    options = BatchOptions(
        universe=universe,
        model=model,
        size=size,
        seed=seed,
        device=device,
        dry_run=dry_run,
        restart=restart,
        warm_start=warm_start,
        label=label,
        epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        strength=strength,
        layers=layers,
        table_lr=table_lr,
        pretrain_epochs=pretrain_epochs,
    )
    read = ReadOptions(
        genome, strict_genome, liftover, min_fragments, whitelist, tss, blacklist, counting, sample
    )
    return batch_files(paths_of(inputs), batch, out, options, read, notify=notify, progress=progress)


def bulk(
    inputs: Paths,
    label: str | Sequence[str],
    out: str | Path,
    *,
    universe: str | Path | None = None,
    model: str | Path | None = None,
    size: Literal["tiny", "small", "base"] = "tiny",
    seed: int = 0,
    device: str = "auto",
    dry_run: bool = False,
    restart: bool = False,
    warm_start: bool = True,
    group: str | None = None,
    unlabelled: Paths = (),
    pretrain_epochs: int = 0,
    genome: str | None = None,
    strict_genome: bool = False,
    liftover: str | Path | None = None,
    min_fragments: int | None = None,
    whitelist: str | Path | None = None,
    tss: str | Path | None = None,
    blacklist: str | Path | None = None,
    counting: Counting | None = None,
    sample: str | None = None,
    notify: Notify = silent,
    progress: Progress | None = None,
) -> Trained:
    """Train a model that gives a BED file a vector for each label.

    Args:
        inputs: BED files or manifests.
        label: one label column or several, each of which gets a head.
        out: folder of the trained model.
        universe: of a fresh model; made from the input by default.
        model: go on from this checkpoint, which brings its universe.
        size: of a fresh model; `base` is the paper's.
        seed: of everything random.
        device: where the encoder runs: `auto`, `cpu`, `cuda`.
        dry_run: say sizes, steps and the expected time, and write nothing.
        restart: begin anew where an unfinished run lies in `out`.
        warm_start: start the token table from an SVD.
        group: column of the collection; whole ones are held out to choose.
        unlabelled: more files, without labels.
        pretrain_epochs: epochs of replaced-token detection on subsamples of the files, for the general vector.
        genome, strict_genome, liftover, min_fragments, whitelist, tss, blacklist, counting, sample: how files are
            read, see `atacsearch.tokenize`.
        notify: receives messages, one line each.
        progress: called with a record after every step and epoch.

    Returns:
        Where the model lies, its digest, and figures on held-out items; the model card beside it says the same.

    Raises:
        InputError: an input that cannot be read, or no such column.

    Example:
        >>> done = ats.train.bulk("manifest.tsv", "cell_type", "bulk.model")
        >>> sorted(done.summary["labels"])
        ['cell_type']
    """
    from ..training.recipes.bulk import bulk_files
    from ..training.recipes.options import BulkOptions

    options = BulkOptions(
        universe=universe,
        model=model,
        size=size,
        seed=seed,
        device=device,
        dry_run=dry_run,
        restart=restart,
        warm_start=warm_start,
        group=group,
        unlabelled=tuple(paths_of(unlabelled)),
        pretrain_epochs=pretrain_epochs,
    )
    read = ReadOptions(
        genome, strict_genome, liftover, min_fragments, whitelist, tss, blacklist, counting, sample
    )
    return bulk_files(paths_of(inputs), words_of(label), out, options, read, notify=notify, progress=progress)
