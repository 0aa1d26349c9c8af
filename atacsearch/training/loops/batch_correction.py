"""Batch correction: replaced-token detection beside an adversary that must not be able to tell the batch.

As published (LeRoy et al. 2025, after Ganin & Lempitsky 2015, arXiv:1409.7495), with a label loss on request, so
that what the labels say is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...errors import InputError
from ...model.atacformer import pool
from ...model.checkpoints.checkpoint import Model
from ...model.device import choose_device
from ...tokens.token_sets import TokenSets
from ..metrics.mixing import mixing
from ..trainer.batches import subsample
from ..trainer.losses import cosine_proxy_loss, replace_tokens
from ..trainer.objectives import Anchor, by_row, cosine_distance
from ..trainer.optimizer import Optimiser
from ..trainer.progress import Progress
from ..trainer.state import RunFolder, fingerprint, origin
from ..trainer.vectors import embed_sets
from .adversary import adversarial_loss, batch_weights, freeze_but_last, strength_at, with_batch_head

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class BatchSettings:
    """Settings of batch correction.

    Attributes:
        epochs: passes over the cells.
        batch_size: cells a step.
        min_steps: steps of an epoch at the least.
        lr: peak learning rate.
        table_lr: peak learning rate of the token table; 0 leaves it as it is, as published.
        layers: last encoder layers that train (2 as published); norms and heads always do.
        strength: weight of the reversed gradient at the end of its schedule.
        head_steps: steps that the classifier takes by itself on the vectors of each step, so that it follows the
            encoder; 0 is the published way, where both move at one rate.
        head_lr: its learning rate in these.
        rtd: weight of replaced-token detection.
        label: weight of the label loss, where labels are given.
        anchor: weight of the distance from the vectors that training began with, where no labels are given.
        temperature: of the label loss.
        balance: weigh cells so that the adversary sees every batch alike within each label, and none of the
            labels that one batch alone has.
        replace: share of the tokens that are replaced.
        max_tokens: tokens of one cell in one step.
        holdout: share of the cells that are never trained on: one half chooses the epoch, the other is scored.
        seed: of everything random.
    """

    epochs: int = 8
    batch_size: int = 64
    min_steps: int = 16
    lr: float = 1e-3
    table_lr: float = 0.0
    layers: int = 2
    strength: float = 1.0
    head_steps: int = 5
    head_lr: float = 1e-2
    rtd: float = 1.0
    label: float = 1.0
    anchor: float = 1.0
    temperature: float = 0.2
    balance: bool = True
    replace: float = 0.45
    max_tokens: int = 256
    holdout: float = 0.2
    seed: int = 0


class BatchSummary(TypedDict):
    """What batch correction did.

    Attributes:
        cells, cells_scored: cells of a batch, and those of them that were held out and scored.
        batches: their names.
        best_epoch, epochs_run: the epoch that was kept, from 0, and how many ran.
        before, after: figures of the scored cells, see `metrics.mixing.mixing`.
    """

    cells: int
    cells_scored: int
    batches: list[str]
    best_epoch: int
    epochs_run: int
    before: dict[str, float]
    after: dict[str, float]


def train_batch(
    model: Model,
    sets: TokenSets,
    batches: Sequence[str | None],
    out: str | Path,
    settings: BatchSettings | None = None,
    *,
    labels: Sequence[str | None] | None = None,
    device: str = "auto",
    restart: bool = False,
    progress: Progress | None = None,
) -> tuple[Model, BatchSummary]:
    """Correct `model` for batches and save it in `out`.

    Args:
        model: a warm-started or trained model over the universe of `sets`.
        sets: token sets of the cells.
        batches: donor, library or replicate of each; cells without one and empty cells are left out.
        out: folder for the checkpoint, `training.jsonl` and, until it is done, the state to resume from.
        settings: see `BatchSettings`.
        labels: what must be kept, such as the cell type of each cell; None where a cell has none.
        device: `auto`, `cpu` or `cuda`.
        restart: begin anew where an unfinished run lies in `out`.
        progress: called with a record after every step and epoch.

    Returns:
        The corrected model, and what was done.

    Raises:
        InputError: fewer than two batches, or no cell to hold out.
    """
    settings = settings or BatchSettings()
    rows = np.flatnonzero([b is not None and n > 1 for b, n in zip(batches, sets.lengths, strict=True)])
    names, codes = np.unique(np.array([str(batches[int(i)]) for i in rows]), return_inverse=True)
    if len(names) < 2:
        raise InputError(f"batch correction needs at least 2 batches, got {names.tolist()}")
    cells = sets.take(rows)
    kept = None if labels is None else np.array([labels[int(i)] for i in rows], dtype=object)
    parts = split_cells(codes.astype(np.int64), kept, settings)
    model = with_batch_head(model, len(names), settings.seed)
    description = {"task": "batch", "batches": codes.tolist(), "names": names.tolist(), "labels": labels}
    description |= {**origin(model), **asdict(settings)}
    run = RunFolder(out, fingerprint(description, cells), restart=restart)
    loop = _Loop(model, cells, codes.astype(np.int64), names, kept, parts, settings, choose_device(device))
    if run.state is not None:
        loop.load_state_dict(run.state["loop"])
        model.pool_weights, model.own = run.state["pool_weights"], run.state["own"]
    else:
        loop.before = loop.figures(parts[2])
        run.log(event="start", cells=len(cells), batches=len(names), **loop.before)
    while not loop.done:
        record = loop.epoch(progress)
        run.log(event="epoch", **record)
        if progress is not None:
            progress({"stage": "batch", "epochs": settings.epochs, **record})
        run.save(loop=loop.state_dict(), pool_weights=model.pool_weights, own=model.own)
    loop.restore_best()
    summary: BatchSummary = {
        "cells": len(cells),
        "cells_scored": len(parts[2]),
        "batches": names.tolist(),
        "best_epoch": loop.best_epoch,
        "epochs_run": loop.next_epoch,
        "before": loop.before,
        "after": loop.figures(parts[2]),
    }
    loop.network.to("cpu").requires_grad_(True)
    model.own["batch"] = {**asdict(settings), **summary}
    model.save(out)
    run.log(event="done", **summary)
    run.finish()
    return model, summary


def split_cells(
    codes: Rows, labels: npt.NDArray[Any] | None, settings: BatchSettings
) -> tuple[Rows, Rows, Rows]:
    """Rows that train, choose the epoch, and are scored: the same shares of every batch and label."""
    rng = np.random.default_rng([settings.seed, 6])
    what = np.array([str(x) for x in labels]) if labels is not None else np.full(len(codes), "")
    groups = np.unique([f"{c}\t{w}" for c, w in zip(codes, what, strict=True)], return_inverse=True)[1]
    order = rng.permutation(len(codes))
    order = order[np.argsort(groups[order], kind="stable")]
    # Every n-th cell of the order by groups: shares are right in small groups too.
    step = max(2, round(2 / settings.holdout))
    place = np.arange(len(order)) % step
    choose, score = order[place == 0], order[place == step // 2]
    if labels is not None:
        score = score[[labels[i] is not None for i in score]]
        choose = choose[[labels[i] is not None for i in choose]]
    if not len(score) or not len(choose):
        raise InputError(f"{len(codes)} cells are too few to hold any out")
    train = order[(place != 0) & (place != step // 2)]
    return np.sort(train), np.sort(choose), np.sort(score)


class _Loop:
    """State of one run between epochs."""

    def __init__(
        self,
        model: Model,
        cells: TokenSets,
        codes: Rows,
        names: npt.NDArray[Any],
        labels: npt.NDArray[Any] | None,
        parts: tuple[Rows, Rows, Rows],
        settings: BatchSettings,
        device: torch.device,
    ) -> None:
        self.model, self.cells, self.codes, self.labels = model, cells, codes, labels
        self.names, self.settings, self.device = names, settings, device
        self.train_rows, self.choose_rows, _ = parts
        known = np.full(len(codes), -1, np.int64)
        if labels is not None:
            has = np.array([x is not None for x in labels])
            known[has] = np.unique(labels[has].astype(str), return_inverse=True)[1]
        self.classes = known
        weights = np.zeros(len(codes))
        mine = self.train_rows
        within = known[mine] if labels is not None and settings.balance else None
        weights[mine] = batch_weights(codes[mine], within) if settings.balance else 1.0
        self.weights = torch.from_numpy(weights.astype(np.float32))
        freeze_but_last(model, settings.layers, settings.table_lr > 0)
        self.network = model.module.to(device)
        generator = torch.Generator().manual_seed(settings.seed)
        start = torch.randn(int(known.max(initial=-1)) + 1, model.dim, generator=generator)
        self.proxies = nn.Parameter(start.to(device)) if len(start) else None
        if self.proxies is not None:
            self._place_proxies()
        # Labels say what must be kept; without them it is what the vectors were as training began.
        self.anchor = Anchor(model, device) if self.proxies is None and settings.anchor > 0 else None
        self.steps = max(settings.min_steps, len(self.train_rows) // settings.batch_size)
        self.optimiser = Optimiser(
            self.network,
            settings.lr,
            settings.epochs * self.steps,
            table_lr=settings.table_lr,
            extra=[] if self.proxies is None else [self.proxies],
        )
        head = self.network.batch_prediction_head
        assert head is not None
        self.head = head
        self.head_adam = torch.optim.Adam(head.parameters(), lr=settings.head_lr)
        self.next_epoch, self.best_epoch, self.best_score = 0, -1, -np.inf
        self.best: dict[str, Tensor] | None = None
        self.before: dict[str, float] = {}

    @property
    def done(self) -> bool:
        """Whether all epochs ran."""
        return self.next_epoch >= self.settings.epochs

    @torch.no_grad()
    def _place_proxies(self) -> None:
        """Start each label's proxy at the mean unit vector of its training cells."""
        assert self.proxies is not None
        vectors = embed_sets(self.model, self.cells.take(self.train_rows), most=self.settings.max_tokens)
        unit = F.normalize(torch.from_numpy(vectors), dim=1)
        classes = self.classes[self.train_rows]
        for code in np.unique(classes[classes >= 0]):
            self.proxies[code] = unit[classes == code].mean(0)

    def figures(self, rows: Rows) -> dict[str, float]:
        """Mixing and labels kept of some rows, among all cells with a label (all cells where none are given)."""
        vectors = embed_sets(self.model, self.cells, most=4 * self.settings.max_tokens)
        if self.labels is None:
            return mixing(vectors, self.codes, None, rows, self.settings.seed)
        has = np.flatnonzero(self.classes >= 0)
        return mixing(
            vectors[has], self.codes[has], self.classes[has], np.searchsorted(has, rows), self.settings.seed
        )

    def epoch(self, progress: Progress | None) -> dict[str, float]:
        """One pass over as many cells as there are, then a look at the cells that choose the epoch."""
        epoch, s = self.next_epoch, self.settings
        rng = np.random.default_rng([s.seed, epoch])
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        self.network.train()
        sums: dict[str, float] = {}
        size = min(s.batch_size, len(self.train_rows))
        for step in range(self.steps):
            rows = rng.choice(self.train_rows, size, replace=False)
            share = (epoch * self.steps + step) / (s.epochs * self.steps)
            losses = self._losses(rows, s.strength * strength_at(share), rng, generator)
            total = s.rtd * losses["rtd_loss"] + losses["batch_loss"]
            if "label_loss" in losses:
                total = total + s.label * losses["label_loss"]
            if "anchor_distance" in losses:
                total = total + s.anchor * losses["anchor_distance"]
            self.optimiser.step(total)
            for name, value in losses.items():
                sums[name] = sums.get(name, 0.0) + float(value.detach())
            if progress is not None:
                progress({"stage": "batch", "epoch": epoch, "step": step, "steps": self.steps})
        self.next_epoch += 1
        record: dict[str, float] = {"epoch": epoch}
        record |= {name: round(value / self.steps, 5) for name, value in sums.items()}
        found = self.figures(self.choose_rows)
        record |= {
            f"held_out_{name}": value for name, value in found.items() if name not in ("ilisi", "clisi")
        }
        score = _score(found, epoch)
        if score > self.best_score:
            self.best_score, self.best_epoch = score, epoch
            self.best = {k: v.detach().cpu().clone() for k, v in self.network.state_dict().items()}
        return record

    def _losses(
        self, rows: Rows, strength: float, rng: np.random.Generator, generator: torch.Generator
    ) -> dict[str, Tensor]:
        """The losses of one step; vectors are of unchanged tokens, detection of replaced ones."""
        s, device, network = self.settings, self.device, self.network
        batch = subsample(self.cells, rows, rng, most=s.max_tokens, keep=(0.5, 1.0))
        replaced, target = replace_tokens(batch.tokens, self.model.config.n_regions, s.replace, generator)
        logits = network.replaced_logits(network(replaced.to(device), batch.packing))
        losses = {"rtd_loss": F.binary_cross_entropy_with_logits(logits, target.to(device))}
        w = None
        if self.model.pool_weights is not None:
            w = self.model.pool_weights[batch.tokens].to(device)
        vectors = pool(network(batch.tokens.to(device), batch.packing), batch.packing, w)
        codes = torch.from_numpy(self.codes[batch.rows]).to(device)
        weights = self.weights[torch.from_numpy(batch.rows)].to(device)
        for _ in range(s.head_steps):
            self.head_adam.zero_grad(set_to_none=True)
            adversarial_loss(vectors.detach(), self.head, codes, weights, 0.0).backward()
            self.head_adam.step()
        losses["batch_loss"] = adversarial_loss(vectors, self.head, codes, weights, strength)
        if self.anchor is not None:
            most = min(self.model.config.max_position_embeddings, 4 * s.max_tokens)
            wanted = self.anchor(subsample(self.cells, rows, rng, most=most))
            losses["anchor_distance"] = cosine_distance(by_row(vectors, batch), wanted).mean()
        named = self.classes[batch.rows] >= 0
        if self.proxies is not None and named.any():
            classes = torch.from_numpy(self.classes[batch.rows][named]).to(device)
            chosen = vectors[torch.from_numpy(named).to(device)]
            losses["label_loss"] = cosine_proxy_loss(chosen, self.proxies, classes, s.temperature, 0.0)
        return losses

    def restore_best(self) -> None:
        """Put the weights of the chosen epoch into the model, in eval mode."""
        assert self.best is not None
        self.network.load_state_dict(self.best)
        self.network.eval()

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next epoch depends on."""
        return {
            "network": self.network.state_dict(),
            "proxies": None if self.proxies is None else self.proxies.detach(),
            "optimiser": self.optimiser.state_dict(),
            "head_adam": self.head_adam.state_dict(),
            "anchor": None if self.anchor is None else self.anchor.state_dict(),
            "best": self.best,
            "marks": (self.next_epoch, self.best_epoch, self.best_score, self.before),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self.network.load_state_dict(state["network"])
        if self.proxies is not None:
            with torch.no_grad():
                self.proxies.copy_(state["proxies"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.head_adam.load_state_dict(state["head_adam"])
        if self.anchor is not None:
            self.anchor.load_state_dict(state["anchor"])
        self.best = state["best"]
        self.next_epoch, self.best_epoch, self.best_score, self.before = state["marks"]


def _score(found: dict[str, float], epoch: int) -> float:
    """What the kept epoch has most of: labels kept and batches mixed, 0.6 to 0.4 as scIB weighs them.

    Luecken et al. 2022 (doi:10.1038/s41592-021-01336-8). Without labels nothing tells whether too much was
    hidden, so the last epoch is kept, where the schedule ends.
    """
    if "knn_accuracy" not in found:
        return float(epoch)
    kept = (found["knn_accuracy"] + found.get("knn_other_batches", found["knn_accuracy"])) / 2
    return 0.6 * kept + 0.4 * min(found.get("mixed_within_labels", found["mixed"]), 1.0)
