"""Cell-type fine-tuning: metric learning on labels, so that cells of one type lie together.

Three losses: `proxy`, a cosine softmax with one learned vector a class; `triplet`, the published one; and
`contrastive`, over the pairs of a batch. Every step of `proxy` sees mixtures of random parts of two cells, the
regulariser that small references need.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ...errors import InputError
from ...model.atacformer import pool
from ...model.checkpoints.checkpoint import Model
from ...model.device import choose_device
from ...tokens.token_sets import TokenSets
from ..trainer.batches import Batch, mix, subsample
from ..trainer.holdout import hold_out, labelled_rows
from ..trainer.losses import contrastive_loss, cosine_proxy_loss, triplet_loss
from ..trainer.optimizer import Optimiser
from ..trainer.progress import Progress
from ..trainer.state import RunFolder, fingerprint, origin

LOSSES = ("proxy", "triplet", "contrastive")  # that train the encoder
SEEN = 64  # training cells of a class from which its mean vector is made


@dataclass(frozen=True)
class CelltypeSettings:
    """Settings of cell-type fine-tuning; the defaults are one recipe for all data sets.

    Attributes:
        epochs: passes over the cells, at the most; training stops at the best held-out loss.
        batch_size: cells a step.
        min_steps: steps of an epoch at the least, so that a small reference is trained as long as it needs.
        lr: peak learning rate of the network.
        table_lr: peak learning rate of the token table.
        loss: `head` leaves the encoder and fits a class head (`training/class_head/train.py`); `proxy`, `triplet` and
            `contrastive` train the encoder, and the settings above and below are theirs.
        temperature: divides the cosines of the proxy and contrastive losses.
        mixing: parameter a of the Beta(a, a) from which the shares of two mixed cells are drawn (proxy loss);
            0 mixes nothing.
        smoothing: label smoothing of the proxy loss.
        max_tokens: tokens of one cell in one step.
        keep: range of the share of a cell's tokens that one step sees.
        holdout: share of the cells that early stopping looks at, never trained on.
        patience: epochs without a better held-out loss before training stops.
        seed: of everything random.
    """

    epochs: int = 8
    batch_size: int = 64
    min_steps: int = 16
    lr: float = 1e-3
    table_lr: float = 5e-2
    loss: str = "head"
    temperature: float = 0.2
    mixing: float = 1.0
    smoothing: float = 0.0
    max_tokens: int = 256
    keep: tuple[float, float] = (0.5, 0.9)
    holdout: float = 0.1
    patience: int = 3
    seed: int = 0


class CelltypeSummary(TypedDict):
    """What fine-tuning did.

    Attributes:
        cells, cells_held_out: cells with a label, and those of them that were held out.
        held_out: how these were chosen, in words.
        classes: the labels.
        epochs_run, best_epoch: how many epochs ran, and the one that was kept, from 0.
        held_out_loss, held_out_accuracy: in that epoch; accuracy is that of the nearest class mean.
    """

    cells: int
    cells_held_out: int
    held_out: str
    classes: list[str]
    epochs_run: int
    best_epoch: int
    held_out_loss: float
    held_out_accuracy: float


def train_celltype(
    model: Model,
    sets: TokenSets,
    labels: Sequence[str | None],
    out: str | Path,
    settings: CelltypeSettings | None = None,
    *,
    batches: Sequence[str | None] | None = None,
    device: str = "auto",
    restart: bool = False,
    progress: Progress | None = None,
) -> CelltypeSummary:
    """Fine-tune `model` on labelled cells and save it in `out`.

    Args:
        model: a warm-started or pretrained model over the universe of `sets`; it is changed.
        sets: token sets of the cells.
        labels: cell type of each; cells without one (None) and empty cells are left out.
        out: folder for the checkpoint, `training.jsonl` and, until it is done, the state to resume from.
        settings: see `CelltypeSettings`.
        batches: donor, library or replicate of each cell; with three or more, early stopping holds out one.
        device: `auto`, `cpu` or `cuda`.
        restart: begin anew where an unfinished run lies in `out`.
        progress: called with a record after every step and epoch.

    Returns:
        What was done.

    Raises:
        InputError: fewer than two classes with two cells or more.
    """
    settings = settings or CelltypeSettings()
    if settings.loss not in LOSSES:
        raise InputError(f"loss '{settings.loss}' is not one of {', '.join(LOSSES)}")
    rows, classes, codes, groups = labelled_rows(sets, labels, batches)
    if len(classes) < 2:
        raise InputError(f"cell-type training needs at least 2 labels, got {classes.tolist()}")
    cells = sets.take(rows)
    train, held, how = hold_out(codes, groups, settings.holdout, settings.seed)

    about = {
        "task": "celltype",
        "classes": classes.tolist(),
        "labels": codes.tolist(),
        "groups": None if groups is None else groups.tolist(),
        **origin(model),
        **asdict(settings),
    }
    run = RunFolder(out, fingerprint(about, cells), restart=restart)
    model.heads = {}  # they were fitted on what the encoder gave before
    loop = _Loop(model, cells, codes, classes, train, held, settings, choose_device(device), groups)
    if run.state is not None:
        loop.load_state_dict(run.state["loop"])
        model.pool_weights, model.own = run.state["pool_weights"], run.state["own"]
    else:
        run.log(event="start", cells=len(cells), classes=len(classes), held_out=how)
    while not loop.done:
        record = loop.epoch(progress)
        run.log(event="epoch", **record)
        if progress is not None:
            progress({"stage": "celltype", "epochs": settings.epochs, **record})
        run.save(loop=loop.state_dict(), pool_weights=model.pool_weights, own=model.own)
    loop.restore_best()
    summary: CelltypeSummary = {
        "cells": len(cells),
        "cells_held_out": len(held),
        "held_out": how,
        "classes": classes.tolist(),
        "epochs_run": loop.next_epoch,
        "best_epoch": int(loop.best_record["best_epoch"]),
        "held_out_loss": loop.best_record["held_out_loss"],
        "held_out_accuracy": loop.best_record["held_out_accuracy"],
    }
    model.own["celltype"] = {**asdict(settings), **summary}
    model.save(out)
    run.log(event="done", **summary)
    run.finish()
    return summary


class _Loop:
    """State of one fine-tuning run between epochs."""

    def __init__(
        self,
        model: Model,
        cells: TokenSets,
        codes: npt.NDArray[np.int64],
        classes: npt.NDArray[Any],
        train: npt.NDArray[np.int64],
        held: npt.NDArray[np.int64],
        settings: CelltypeSettings,
        device: torch.device,
        groups: npt.NDArray[Any] | None = None,
    ) -> None:
        self.model, self.cells, self.codes = model, cells, torch.from_numpy(codes)
        self.groups = None if groups is None else torch.from_numpy(np.unique(groups, return_inverse=True)[1])
        self.train_rows, self.held_rows = train, held
        self.settings, self.device = settings, device
        self.network = model.module.to(device)
        self.proxies = nn.Parameter(torch.zeros(len(classes), model.dim, device=device))
        # Every type is drawn as often as every other, so that rare ones are not outvoted.
        counts = np.bincount(codes[train], minlength=len(classes))
        odds = 1.0 / counts[codes[train]]
        self.odds = odds / odds.sum()
        self.steps = max(settings.min_steps, len(train) // settings.batch_size)
        self.optimiser = Optimiser(
            self.network,
            settings.lr,
            settings.epochs * self.steps,
            table_lr=settings.table_lr,
            extra=[self.proxies],
        )
        with torch.no_grad():
            self.proxies.copy_(self._class_means(np.random.default_rng(settings.seed)))
        self.next_epoch = 0
        self.best: dict[str, Tensor] | None = None
        self.best_record: dict[str, float] = {}

    @property
    def done(self) -> bool:
        """Whether all epochs ran, or the held-out loss has not fallen for `patience` epochs."""
        stale = self.next_epoch - 1 - self.best_record.get("best_epoch", self.next_epoch)
        return self.next_epoch >= self.settings.epochs or stale >= self.settings.patience

    def epoch(self, progress: Progress | None) -> dict[str, float]:
        """One pass over as many cells as there are, then a look at the held-out ones."""
        epoch, s = self.next_epoch, self.settings
        rng = np.random.default_rng([s.seed, epoch])
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        self.network.train()
        losses = []
        size = min(s.batch_size, len(self.train_rows))
        for step in range(self.steps):
            rows = rng.choice(self.train_rows, size, replace=False, p=self.odds)
            if s.loss == "proxy" and s.mixing > 0:
                loss = self._mixed_loss(rows, rng)
            else:
                batch = subsample(self.cells, rows, rng, most=s.max_tokens, keep=s.keep)
                loss = self._loss(self._forward(batch), batch.rows, generator)
            self.optimiser.step(loss)
            losses.append(float(loss.detach()))
            if progress is not None:
                progress({"stage": "celltype", "epoch": epoch, "step": step, "steps": self.steps})
        self.next_epoch += 1
        record: dict[str, float] = {"epoch": epoch, "loss": round(float(np.mean(losses)), 5)}
        record |= self._evaluate(rng, generator)
        if self.best is None or record["held_out_loss"] < self.best_record["held_out_loss"]:
            self.best = {k: v.detach().cpu().clone() for k, v in self.network.state_dict().items()}
            self.best_record = {
                "best_epoch": epoch,
                "held_out_loss": record["held_out_loss"],
                "held_out_accuracy": record["held_out_accuracy"],
            }
        return record

    def _forward(self, batch: Batch) -> Tensor:
        """[n, d] pooled vectors of the batch's sets."""
        tokens = batch.tokens.to(self.device)
        weights = self.model.pool_weights
        w = None if weights is None else weights.to(self.device)[tokens]
        return pool(self.network(tokens, batch.packing), batch.packing, w)

    def _labels(self, rows: npt.NDArray[np.int64]) -> Tensor:
        return self.codes[torch.from_numpy(rows)].to(self.device)

    def _mixed_loss(self, rows: npt.NDArray[np.int64], rng: np.random.Generator) -> Tensor:
        """Proxy loss of mixtures of each row with another row of the batch, labels mixed in the same shares."""
        s = self.settings
        partners = rng.permutation(rows)
        shares = rng.beta(s.mixing, s.mixing, size=len(rows))
        batch = mix(self.cells, rows, partners, shares, rng, most=s.max_tokens, keep=s.keep)
        one_hot = nn.functional.one_hot
        n = len(self.proxies)
        share = torch.from_numpy(shares).float().to(self.device)[:, None]
        target = share * one_hot(self._labels(rows), n) + (1 - share) * one_hot(self._labels(partners), n)
        target = target[torch.from_numpy(batch.rows).to(self.device)]
        return cosine_proxy_loss(self._forward(batch), self.proxies, target, s.temperature, s.smoothing)

    def _loss(self, vectors: Tensor, rows: npt.NDArray[np.int64], generator: torch.Generator) -> Tensor:
        s, labels = self.settings, self._labels(rows)
        if s.loss == "triplet":
            return triplet_loss(vectors, labels, generator)
        if s.loss == "contrastive":
            groups = None if self.groups is None else self.groups[torch.from_numpy(rows)].to(self.device)
            return contrastive_loss(vectors, labels, groups, s.temperature)
        return cosine_proxy_loss(vectors, self.proxies, labels, s.temperature, s.smoothing)

    @torch.no_grad()
    def _evaluate(self, rng: np.random.Generator, generator: torch.Generator) -> dict[str, float]:
        """Loss of the held-out cells, and how many lie nearest to the mean vector of their own class."""
        self.network.eval()
        context = self.model.config.max_position_embeddings
        vectors, rows = self._vectors(self.held_rows, rng, context)
        labels = self._labels(rows)
        centres = self._class_means(rng)
        loss = self._loss(vectors, rows, generator)
        nearest = (nn.functional.normalize(vectors, dim=1) @ centres.T).argmax(1)
        accuracy = float((nearest == labels).float().mean())
        return {"held_out_loss": round(float(loss), 5), "held_out_accuracy": round(accuracy, 5)}

    @torch.no_grad()
    def _class_means(self, rng: np.random.Generator) -> Tensor:
        """[n_classes, d] unit mean of the unit vectors of each class, from at most `SEEN` cells of each."""
        self.network.eval()
        codes = self.codes.numpy()
        means = []
        for code in range(len(self.proxies)):
            rows = self.train_rows[codes[self.train_rows] == code]
            some = rng.permutation(rows)[:SEEN]
            vectors, _ = self._vectors(some, rng, self.settings.max_tokens)
            means.append(nn.functional.normalize(vectors, dim=1).mean(0))
        return nn.functional.normalize(torch.stack(means), dim=1)

    def _vectors(
        self, rows: npt.NDArray[np.int64], rng: np.random.Generator, most: int
    ) -> tuple[Tensor, npt.NDArray[np.int64]]:
        """[n, d] vectors of some cells, and which cells they are, in that order."""
        parts = [subsample(self.cells, rows[i : i + 64], rng, most=most) for i in range(0, len(rows), 64)]
        vectors = torch.cat([self._forward(batch).float() for batch in parts])
        return vectors, np.concatenate([batch.rows for batch in parts])

    def restore_best(self) -> None:
        """Put the weights of the best epoch into the model, on the CPU, in eval mode."""
        assert self.best is not None
        self.network.load_state_dict(self.best)
        self.network.to("cpu").eval()

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next epoch depends on."""
        return {
            "network": self.network.state_dict(),
            "proxies": self.proxies.detach(),
            "optimiser": self.optimiser.state_dict(),
            "next_epoch": self.next_epoch,
            "best": self.best,
            "best_record": self.best_record,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self.network.load_state_dict(state["network"])
        with torch.no_grad():
            self.proxies.copy_(state["proxies"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.next_epoch = state["next_epoch"]
        self.best, self.best_record = copy.copy(state["best"]), state["best_record"]
