"""Pretraining by replaced-token detection (LeRoy et al. 2025, after ELECTRA, arXiv:2003.10555).

Some tokens of each set are replaced by random regions; the discriminator says of every token whether it
belongs to its set. No labels are needed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from ..errors import InputError
from ..genome.tokensets import TokenSets
from ..model.checkpoint import Model
from ..model.device import choose_device
from .batches import epoch_order, subsample
from .losses import replace_tokens
from .optimise import Optimiser
from .state import RunFolder, fingerprint
from .warmstart import warm_start

Progress = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class PretrainSettings:
    """Settings of pretraining. Replacement, head and optimiser are the paper's; sizes suit a CPU.

    Attributes:
        epochs: passes over the sets.
        batch_size: sets a step (16 in the paper).
        lr: peak learning rate of network and heads.
        replace: share of the tokens that are replaced.
        max_tokens: tokens of one set in one step; longer sets are subsampled anew every epoch.
        warm: start the token table from the SVD of the sets, not from noise.
        seed: of everything random.
    """

    epochs: int = 5
    batch_size: int = 16
    lr: float = 5e-4
    replace: float = 0.45
    max_tokens: int = 512
    warm: bool = True
    seed: int = 0


def pretrain(
    model: Model,
    sets: TokenSets,
    out: str | Path,
    settings: PretrainSettings | None = None,
    *,
    device: str = "auto",
    restart: bool = False,
    progress: Progress | None = None,
) -> Model:
    """Train `model` on unlabelled sets and save it in `out`.

    Args:
        model: a model with a discriminator, over the universe of `sets`; it is changed.
        sets: token sets; empty ones are left out.
        out: folder for the checkpoint, `training.jsonl` and, until it is done, the state to resume from.
        settings: see `PretrainSettings`.
        device: `auto`, `cpu` or `cuda`.
        restart: begin anew where an unfinished run lies in `out`.
        progress: called with a record after every step and epoch.

    Returns:
        The trained model, in eval mode.

    Raises:
        InputError: fewer than two sets with two tokens or more.
    """
    settings = settings or PretrainSettings()
    rows = np.flatnonzero(sets.lengths >= 2)
    if len(rows) < 2:
        raise InputError(f"pretraining needs at least 2 sets with 2 tokens or more, got {len(rows)}")
    if model.module.discriminator is None:
        raise InputError("pretraining needs a model with a discriminator head")
    sets = sets.take(rows)
    run = RunFolder(out, fingerprint({"task": "pretrain", **asdict(settings)}, sets), restart=restart)
    if settings.warm and run.state is None:
        run.log(event="warm_start", **warm_start(model, sets, seed=settings.seed))
    where = choose_device(device)
    network = model.module.to(where).train()
    n_batches = len(epoch_order(len(sets), np.random.default_rng(0), settings.batch_size))
    optimiser = Optimiser(network, settings.lr, settings.epochs * n_batches)
    first = 0
    if run.state is not None:
        network.load_state_dict(run.state["network"])
        model.pool_weights = run.state["pool_weights"]
        model.own.update(run.state["own"])
        optimiser.load_state_dict(run.state["optimiser"])
        first = run.state["epoch"] + 1
    for epoch in range(first, settings.epochs):
        rng = np.random.default_rng([settings.seed, epoch])
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        losses, hits, total = [], 0.0, 0
        for step, order in enumerate(epoch_order(len(sets), rng, settings.batch_size)):
            batch = subsample(sets, order, rng, most=settings.max_tokens)
            replaced, target = replace_tokens(
                batch.tokens, model.config.n_regions, settings.replace, generator
            )
            target = target.to(where)
            logits = network.replaced_logits(network(replaced.to(where), batch.packing))
            loss = F.binary_cross_entropy_with_logits(logits, target)
            optimiser.step(loss)
            losses.append(float(loss.detach()))
            hits += float(((logits > 0) == (target > 0.5)).sum())
            total += len(target)
            if progress is not None:
                progress({"stage": "pretrain", "epoch": epoch, "step": step, "steps": n_batches})
        record = {"event": "epoch", "epoch": epoch, "loss": round(float(np.mean(losses)), 5)}
        record["token_accuracy"] = round(hits / total, 5)
        run.log(**record)
        if progress is not None:
            progress({"stage": "pretrain", "epochs": settings.epochs, **record})
        run.save(
            epoch=epoch,
            network=network.state_dict(),
            pool_weights=model.pool_weights,
            own=model.own,
            optimiser=optimiser.state_dict(),
        )
    network.to("cpu").eval()
    model.own["pretraining"] = asdict(settings) | {"sets": len(sets), "tokens": len(sets.tokens)}
    model.save(out)
    run.finish()
    return model
