"""Pretraining by replaced-token detection (LeRoy et al. 2025, after ELECTRA, arXiv:2003.10555).

Some tokens of each set are replaced by random regions; the discriminator says of every token whether it
belongs to its set. No labels are needed, and the sets are streamed: memory does not grow with the corpus.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ...errors import InputError
from ...model.checkpoints.checkpoint import Model
from ...model.device import choose_device
from ...tokens.tfidf import inverse_document_frequency
from ...tokens.token_sets import TokenSets
from ..trainer.batches import subsample
from ..trainer.corpus import Corpus
from ..trainer.distributed import Processes, join_processes
from ..trainer.objectives import (
    REPLACEMENTS,
    Anchor,
    Projection,
    Replacement,
    by_row,
    contextual,
    cosine_distance,
    evaluate_detection,
    nt_xent,
    part_of,
    pooled,
    two_views,
)
from ..trainer.optimizer import Optimiser
from ..trainer.progress import Progress
from ..trainer.sources import MemorySource
from ..trainer.state import RunFolder, fingerprint, origin
from ..trainer.warm_start import warm_start

POOLINGS = ("auto", "mean", "idf")
WHOLE = 4  # times `max_tokens`: what the anchor sees of a set, which needs no gradient


@dataclass(frozen=True)
class PretrainSettings:
    """Settings of pretraining. Replacement, head and optimiser are the paper's; sizes suit a CPU.

    Attributes:
        epochs: passes over the sets, at the most.
        batch_size: sets a step (16 in the paper), over all processes together.
        lr: peak learning rate of network and heads.
        replace: share of the tokens that are replaced.
        replacement: `uniform` as published, or `frequency`: regions as often as the corpus holds them.
        anchor: weight of the distance of half a set from where the model, as training began, put the whole set;
            0 leaves it out, as published. Not applied to a model that starts from noise.
        contrastive: weight of a contrast of two disjoint halves of each set; 0 leaves it out.
        temperature: of that contrast.
        max_tokens: tokens of one set in one step; longer sets are subsampled anew every epoch.
        warm: start the token table from the SVD of the sets, not from noise.
        pooling: `auto` keeps what the warm start or the loaded model says, `mean` is the plain mean of the
            published models, `idf` weighs each region by its inverse document frequency.
        holdout: share of the sets that is never trained on and tells when to stop.
        patience: epochs without a lower held-out loss before training stops.
        precision: `auto` is bfloat16 autocast on CUDA and float32 elsewhere; or `float32`, `bfloat16`.
        save_minutes: how often the state to resume from is written, beside the end of every epoch.
        seed: of everything random.
    """

    epochs: int = 5
    batch_size: int = 16
    lr: float = 5e-4
    replace: float = 0.45
    replacement: str = "uniform"
    anchor: float = 10.0
    contrastive: float = 0.0
    temperature: float = 0.2
    max_tokens: int = 512
    warm: bool = True
    pooling: str = "auto"
    holdout: float = 0.05
    patience: int = 3
    precision: str = "auto"
    save_minutes: float = 10.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name, value, known in (
            ("replacement", self.replacement, REPLACEMENTS),
            ("pooling", self.pooling, POOLINGS),
            ("precision", self.precision, ("auto", "float32", "bfloat16")),
        ):
            if value not in known:
                raise InputError(f"{name} '{value}' is not one of {', '.join(known)}")


def pretrain(
    model: Model,
    sets: TokenSets | Corpus,
    out: str | Path,
    settings: PretrainSettings | None = None,
    *,
    device: str = "auto",
    restart: bool = False,
    processes: Processes | None = None,
    progress: Progress | None = None,
) -> Model:
    """Train `model` on unlabelled sets and save it in `out`.

    Args:
        model: a model with a discriminator, over the universe of `sets`; it is changed.
        sets: token sets in memory, or a corpus that streams them; sets of fewer than two tokens are left out.
        out: folder for the checkpoint, `training.jsonl` and, until it is done, the state to resume from.
        settings: see `PretrainSettings`.
        device: `auto`, `cpu` or `cuda`.
        restart: begin anew where an unfinished run lies in `out`.
        processes: the processes that train together; as `torchrun` says where None.
        progress: called with a record after every step and epoch.

    Returns:
        The trained model, in eval mode; `own["pretraining"]` holds settings and held-out figures.

    Raises:
        InputError: fewer than two sets with two tokens or more.
    """
    settings = settings or PretrainSettings()
    if processes is None:
        processes, device = join_processes(device)
    if model.module.discriminator is None:
        raise InputError("pretraining needs a model with a discriminator head")
    corpus = sets if isinstance(sets, Corpus) else _in_memory(sets, model.config.n_regions, settings)
    model.heads = {}  # they were fitted on what the encoder gave before
    run = _open_run(out, model, corpus, settings, processes, restart)
    anchored = settings.anchor > 0 and (settings.warm or not _is_noise(model))
    if run.state is None:
        _begin(run, model, corpus, settings, processes)
    loop = _Loop(model, corpus, settings, choose_device(device), processes, anchored)
    if run.state is not None:
        loop.load_state_dict(run.state["loop"])
        model.pool_weights = run.state["pool_weights"]
        model.own.update(run.state["own"])
    while not loop.done:
        record = loop.epoch(run, progress)
        run.log(event="epoch", **record)
        if progress is not None:
            progress({"stage": "pretrain", "epochs": settings.epochs, **record})
        loop.save(run)
    loop.restore_best()
    model.own["pretraining"] = asdict(settings) | {
        "sets": corpus.n_sets,
        "tokens": corpus.n_tokens,
        "held_out": corpus.how,
        **loop.best_record,
    }
    if processes.is_first:
        model.save(out)
    run.log(event="done", epochs_run=loop.next_epoch, **loop.best_record)
    run.finish()
    return model


def _in_memory(sets: TokenSets, n_regions: int, settings: PretrainSettings) -> Corpus:
    """Sets in memory as a corpus."""
    return Corpus(
        [MemorySource(sets)],
        n_regions,
        held_share=settings.holdout,
        most=settings.max_tokens,
        seed=settings.seed,
    )


def _open_run(
    out: str | Path,
    model: Model,
    corpus: Corpus,
    settings: PretrainSettings,
    processes: Processes,
    restart: bool,
) -> RunFolder:
    """The folder of the run: the first process makes it, then the others read what it holds."""
    about = {
        "task": "pretrain",
        **asdict(settings),
        **origin(model),
        "corpus": corpus.digest,
        "parts": processes.size,
    }
    key = fingerprint(about)
    if processes.is_first:
        run = RunFolder(out, key, restart=restart)
    processes.wait()
    if not processes.is_first:
        run = RunFolder(out, key, writes=False)
    processes.wait()
    return run


def _begin(
    run: RunFolder, model: Model, corpus: Corpus, settings: PretrainSettings, processes: Processes
) -> None:
    """Give a model that no step has changed yet its warm start and its way of pooling."""
    if settings.warm:
        done = warm_start(model, corpus.sample, seed=settings.seed)
        run.log(event="warm_start", **done)
    _set_pooling(model, settings.pooling, corpus)
    run.log(
        event="start",
        sets=corpus.n_sets,
        tokens=corpus.n_tokens,
        held_out=corpus.how,
        processes=processes.size,
    )


def _is_noise(model: Model) -> bool:
    """Whether the model is as it was drawn: neither loaded, nor warm-started, nor continued from another."""
    return model.path is None and model.pool_weights is None and "parents" not in model.own


def _set_pooling(model: Model, pooling: str, corpus: Corpus) -> None:
    """Set how the model pools, as the settings say, and write it down."""
    if pooling == "mean":
        model.pool_weights = None
        model.own["pooling"] = "plain mean"
    elif pooling == "idf":
        weights = torch.ones(model.config.vocab_size)
        idf = inverse_document_frequency(corpus.sample, model.config.n_regions)
        weights[: len(idf)] = torch.from_numpy(idf / idf.mean())
        model.pool_weights = weights
        model.own["pooling"] = "weighted mean; weights = inverse document frequency of each region"


class _Loop:
    """State of one pretraining run between steps."""

    def __init__(
        self,
        model: Model,
        corpus: Corpus,
        settings: PretrainSettings,
        device: torch.device,
        processes: Processes,
        anchored: bool,
    ) -> None:
        self.model, self.corpus, self.settings, self.processes = model, corpus, settings, processes
        self.device = device
        self.anchor = Anchor(model, device) if anchored else None
        self.network = model.module.to(device).train()
        generator = torch.Generator().manual_seed(settings.seed)
        self.projection = Projection(model.dim, generator).to(device) if settings.contrastive else None
        extra = [] if self.projection is None else list(self.projection.parameters())
        self.least = max(2, 2 * processes.size)
        self.steps = corpus.n_batches(settings.batch_size, self.least)
        self.optimiser = Optimiser(self.network, settings.lr, settings.epochs * self.steps, extra=extra)
        trained = [m for m in (self.network, self.projection) if m is not None]
        self.hooks = [hook for module in trained for hook in processes.share_gradients(module)]
        self.replacement = Replacement(settings.replacement, settings.replace, corpus.counts)
        precise = settings.precision == "float32" or (settings.precision == "auto" and device.type == "cpu")
        self.half = not precise
        self.next_epoch, self.next_step = 0, 0
        self.sums = {"loss": 0.0, "rtd_loss": 0.0, "anchor": 0.0, "hits": 0.0, "tokens": 0.0, "seconds": 0.0}
        self.best: dict[str, Tensor] | None = None
        self.best_record: dict[str, float] = {}
        self.saved = time.monotonic()

    @property
    def done(self) -> bool:
        """Whether all epochs ran, or the held-out loss has not fallen for `patience` epochs."""
        stale = self.next_epoch - 1 - self.best_record.get("best_epoch", self.next_epoch)
        return self.next_epoch >= self.settings.epochs or stale >= self.settings.patience

    def epoch(self, run: RunFolder, progress: Progress | None) -> dict[str, float]:
        """The rest of the running epoch, then a look at the held-out sets."""
        epoch, s = self.next_epoch, self.settings
        batches = self.corpus.epoch(s.seed, epoch, s.batch_size, least=self.least, skip=self.next_step)
        for step, sets in enumerate(batches, start=self.next_step):
            began = time.perf_counter()
            self._step(sets, epoch, step)
            self.sums["seconds"] += time.perf_counter() - began
            self.next_step = step + 1
            if self.next_step < self.steps and time.monotonic() - self.saved >= 60 * s.save_minutes:
                self.save(run)
            if progress is not None:
                progress({"stage": "pretrain", "epoch": epoch, "step": step, "steps": self.steps})
        sums = self.sums
        record: dict[str, float] = {"epoch": epoch, "loss": round(sums["loss"] / self.steps, 5)}
        if s.contrastive or self.anchor is not None:
            record["rtd_loss"] = round(sums["rtd_loss"] / self.steps, 5)
        if self.anchor is not None:
            record["anchor_distance"] = round(sums["anchor"] / self.steps, 5)
        record["token_accuracy"] = round(sums["hits"] / sums["tokens"], 5)
        record["tokens_per_second"] = int(sums["tokens"] / max(sums["seconds"], 1e-9))
        if len(self.corpus.held):
            with self._autocast():
                record |= evaluate_detection(
                    self.model, self.corpus.held, self.replacement, s.max_tokens, self.device
                )
        self.next_epoch, self.next_step, self.sums = epoch + 1, 0, dict.fromkeys(sums, 0.0)
        figure = "held_out_loss" if len(self.corpus.held) else "loss"
        # Without held-out sets nothing tells when to stop: the last epoch is kept.
        if not len(self.corpus.held) or record[figure] < self.best_record.get(figure, np.inf):
            self.best = {k: v.detach().cpu().clone() for k, v in self.network.state_dict().items()}
            figures = {
                k: v for k, v in record.items() if k.startswith(("held_out", "frequency", "loss", "anchor"))
            }
            self.best_record = {"best_epoch": epoch, **figures}
        return record

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.half)

    def _step(self, sets: TokenSets, epoch: int, step: int) -> None:
        """One step on a batch; each process computes the loss of its own sets."""
        s, processes = self.settings, self.processes
        rng = np.random.default_rng([s.seed, epoch, step, 2])
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        batch = subsample(sets, np.arange(len(sets)), rng, most=s.max_tokens)
        everything = len(batch.tokens)
        replaced, target = self.replacement(batch, generator)
        batch, (replaced, target) = part_of(batch, processes.rank, processes.size, replaced, target)
        target = target.to(self.device)
        with self._autocast():
            vectors = contextual(self.model, replaced, batch.packing, self.device)
            logits = self.network.replaced_logits(vectors).float()
            loss = F.binary_cross_entropy_with_logits(logits, target, reduction="sum") / everything
            rtd, far = loss, torch.zeros((), device=self.device)
            if self.projection is not None or self.anchor is not None:
                drawn = np.random.default_rng([s.seed, epoch, step, 5])
                far, contrast = self._of_halves(sets, drawn)
                loss = loss + s.anchor * far + s.contrastive * contrast
        self.optimiser.step(loss)
        hits = ((logits > 0) == (target > 0.5)).sum()
        totals = processes.sum(torch.stack([t.detach().double() for t in (loss, rtd, far, hits)]))
        for name, value in zip(("loss", "rtd_loss", "anchor", "hits"), totals.tolist(), strict=True):
            self.sums[name] += value
        self.sums["tokens"] += everything

    def _of_halves(self, sets: TokenSets, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Of random halves of the sets: distance from the anchor, and contrast of the two; 0 where not asked for.

        Each process takes its own sets; what they give is added up.
        """
        s, processes = self.settings, self.processes
        far = contrast = torch.zeros((), device=self.device)
        views = two_views(sets, rng, most=max(1, s.max_tokens // 2), rank=processes.rank, size=processes.size)
        used = views[:1] if self.projection is None else views
        halves = [by_row(pooled(self.model, view, self.device), view) for view in used]
        if self.anchor is not None:
            rows = np.arange(processes.rank, len(sets), processes.size)
            most = min(self.model.config.max_position_embeddings, WHOLE * s.max_tokens)
            wanted = self.anchor(subsample(sets, rows, rng, most=most))
            far = torch.stack([cosine_distance(half, wanted).sum() for half in halves]).mean() / len(sets)
        if self.projection is not None:
            first, second = (self.projection(half) for half in halves)
            contrast = nt_xent(first, second, s.temperature) / processes.size
        return far, contrast

    def save(self, run: RunFolder) -> None:
        """Write the state to resume from."""
        run.save(loop=self.state_dict(), pool_weights=self.model.pool_weights, own=self.model.own)
        self.saved = time.monotonic()

    def restore_best(self) -> None:
        """Put the weights of the best epoch into the model, on the CPU, in eval mode."""
        assert self.best is not None
        for hook in self.hooks:
            hook.remove()
        self.network.load_state_dict(self.best)
        self.network.to("cpu").eval()

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next step depends on."""
        return {
            "network": self.network.state_dict(),
            "projection": None if self.projection is None else self.projection.state_dict(),
            "anchor": None if self.anchor is None else self.anchor.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "next_epoch": self.next_epoch,
            "next_step": self.next_step,
            "sums": self.sums,
            "best": self.best,
            "best_record": self.best_record,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self.network.load_state_dict(state["network"])
        if self.projection is not None:
            self.projection.load_state_dict(state["projection"])
        if self.anchor is not None:
            self.anchor.load_state_dict(state["anchor"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.next_epoch, self.next_step = state["next_epoch"], state["next_step"]
        self.sums, self.best = dict(state["sums"]), state["best"]
        self.best_record = state["best_record"]
