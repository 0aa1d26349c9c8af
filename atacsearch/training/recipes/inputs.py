"""From input files to what a training run works on: token sets, their labels, and the model to train.

Everything that the user does not give is made from the input: the universe from its regions, the sizes from a
named preset.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, groupby
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...errors import GenomeError, InputError
from ...model.checkpoints.checkpoint import Model, load_model, new_model
from ...model.config import sized_config
from ...spelling import did_you_mean
from ...tokens.token_sets import TokenSets
from ..trainer.distributed import Processes
from ..trainer.sources import FileSource
from .card import remember_parent, sources
from .options import RunOptions

if TYPE_CHECKING:
    from ...readers.items import Items
    from ...readers.options import ReadOptions
    from ...tokens.universe import Universe

Notify = Callable[[str], None]


def silent(text: str) -> None:
    """Drop a message."""


@dataclass(frozen=True)
class Training:
    """What a training run works on.

    Attributes:
        model: the model to train, fresh or loaded.
        fresh: whether its weights are random so far.
        items: the training items, as read.
        sets: their token sets, all items together.
        others: further items that never meet a label, as read.
        unlabelled: their token sets, or None.
    """

    model: Model
    fresh: bool
    items: list[Items]
    sets: TokenSets
    others: list[Items] = field(default_factory=list)
    unlabelled: TokenSets | None = None

    @property
    def all_sets(self) -> TokenSets:
        """What training without labels sees: the items, then the unlabelled ones."""
        return self.sets if self.unlabelled is None else TokenSets.concat([self.sets, self.unlabelled])

    def labels(self, column: str) -> list[str | None]:
        """The label column over all items; null where an item has none.

        Raises:
            InputError: no item has such a column; the message lists those that exist.
        """
        out: list[str | None] = []
        for items in self.items:
            if column in items.labels.column_names:
                out += [None if v is None else str(v) for v in items.labels[column].to_pylist()]
            else:
                out += [None] * len(items.sets)
        if all(value is None for value in out):
            known = sorted({c for items in self.items for c in items.labels.column_names})
            source = self.items[0].source
            if column in known:
                raise InputError(
                    f"{source}: the label column '{column}' holds no value; fill it, or name another"
                )
            raise InputError(
                f"{source}: no label column '{column}'; columns: {', '.join(known) or 'none'}"
                f"{did_you_mean(column, known)}"
            )
        return out


def prepare(
    inputs: Sequence[str | Path],
    options: RunOptions,
    read: ReadOptions | None = None,
    *,
    seed: int | None = None,
    discriminator: bool = False,
    unlabelled: Sequence[str | Path] = (),
    notify: Notify = silent,
) -> Training:
    """Read the training inputs and make or load the model.

    Args:
        inputs: h5ad, fragments, BED files or manifests.
        options: universe (a BED file or known name; made from the inputs where None and no model is given), model to go
            on from, which brings its own universe, and size of a fresh one.
        read: how to read (genome, cells, counting).
        seed: of fresh weights; that of `options` where None.
        discriminator: give a model without that head a fresh one.
        unlabelled: further inputs, for training without labels alone; a universe that is made is made from
            these too.
        notify: told what readers report and what is made.

    Raises:
        InputError: both a universe and a model are given, or an input cannot be read.
    """
    from ...readers.inputs.open import open_input

    start = _begin([*inputs, *unlabelled], options.universe, options.model, read, notify)
    items = [found for path in inputs for found in open_input(path, start.regions, start.options)]
    others = [found for path in unlabelled for found in open_input(path, start.regions, start.options)]
    for found in [*items, *others]:
        for line in found.report.lines():
            notify(line)
    counting = next((i.counting for i in items if i.counting), None)
    model = start.fresh_or_loaded(
        options.size, discriminator, options.seed if seed is None else seed, counting, notify
    )
    more = TokenSets.concat([i.sets for i in others]) if others else None
    if more is not None:
        filled = np.flatnonzero(more.lengths)
        if len(filled) < len(more):
            notify(
                f"{len(more) - len(filled):,} unlabelled items have no region of the universe and are left out"
            )
        more = more.take(filled) if len(filled) else None
    joined = TokenSets.concat([i.sets for i in items])
    return Training(model, start.loaded is None, items, joined, others, more)


def notify_groups(option: str, groups: Sequence[str | None], notify: Notify) -> None:
    """Tell where a column of groups, as `--batch donor`, has one value only, or none for some items."""
    found = sorted({group for group in groups if group is not None})
    missing = sum(group is None for group in groups)
    if len(found) == 1:
        notify(f"{option}: one value only ({found[0]}); nothing to correct or hold out")
    if missing:
        notify(
            f"{option}: {missing:,} items have no value; they are trained on and never held out as a group"
        )


def prepare_corpus(
    inputs: Sequence[str | Path],
    folder: Path,
    options: RunOptions,
    read: ReadOptions | None = None,
    *,
    processes: Processes | None = None,
    notify: Notify = silent,
) -> tuple[Model, bool, list[FileSource], list[dict[str, str | int]]]:
    """Make or load the model and turn every input into token files that can be streamed.

    Token files (`.parquet`, of `atacsearch tokenize`) are taken as they are; others are tokenised into `folder`,
    one at a time.

    Args:
        inputs: token files, h5ad, fragments, BED files or manifests.
        folder: for the token files that are made; the first process writes.
        options, read, notify: as for `prepare`.
        processes: the processes that train together.

    Returns:
        The model with a discriminator, whether its weights are random, the sources, and rows for the model card.

    Raises:
        InputError: as for `prepare`; or there are only token files, and neither universe nor model is given.
    """
    processes = processes or Processes()
    others = [path for path in inputs if Path(path).suffix != ".parquet"]
    if not others and options.universe is None and options.model is None:
        raise InputError(
            f"{inputs[0]}: a token file holds no regions; name the universe that it was made with, by --universe "
            "or --model"
        )
    start = _begin(others, options.universe, options.model, read, notify)
    if processes.is_first:
        folder.mkdir(parents=True, exist_ok=True)
    corpus = _TokenFiles(folder, start, processes, notify)
    for path in inputs:
        corpus.add(path)
    corpus.add_beds()
    model = start.fresh_or_loaded(options.size, True, options.seed, corpus.counting, notify)
    return model, start.loaded is None, corpus.found, corpus.rows


class _TokenFiles:
    """Token files of a corpus, one a source, and their rows for the model card."""

    def __init__(self, folder: Path, start: _Start, processes: Processes, notify: Notify) -> None:
        self.folder, self.start, self.processes, self.notify = folder, start, processes, notify
        self.found: list[FileSource] = []
        self.rows: list[dict[str, str | int]] = []
        self.counting: str | None = None
        self._beds: list[Items] = []

    def add(self, path: str | Path) -> None:
        """Take a token file as it is, or make one of each source of another input."""
        if Path(path).suffix == ".parquet":
            self._take(path)
            return
        from ...readers.inputs.open import open_input_parts

        parts = open_input_parts(path, self.start.regions, self.start.options)
        for _, of_one in groupby(parts, key=lambda items: items.source):
            rest = iter(of_one)
            first = next(rest)
            self.counting = self.counting or first.counting
            if first.kind == "bedfiles":
                self._beds.append(first)
            else:
                self._make((items.sets for items in chain([first], rest)), first.source)
                self.rows += sources([first])
                self.rows[-1] |= {"items": self.found[-1].n_sets, "tokens": self.found[-1].n_tokens}
            for line in first.report.lines():
                self.notify(line)

    def add_beds(self) -> None:
        """BED files are one source together, since each is one set."""
        if self._beds:
            self._make(iter([b.sets for b in self._beds]), "BED files")
            self.rows += sources(self._beds)

    def _take(self, path: str | Path) -> None:
        regions = self.start.regions
        source = FileSource(path, regions.digest)
        self.found.append(source)
        self.rows.append(
            {
                "source": Path(path).name,
                "use": "training",
                "kind": "token file",
                "items": source.n_sets,
                "tokens": source.n_tokens,
                "genome": regions.genome or "unknown",
                "sha256": source.digest()[:16],
            }
        )

    def _make(self, parts: Iterator[TokenSets], name: str) -> None:
        from ...tokens.token_sets import write_sets

        target = self.folder / f"{len(self.found)}.parquet"
        if self.processes.is_first:
            write_sets(parts, target)
        else:
            deque(parts, maxlen=0)  # the others read on, to know what the first process knows
        self.processes.wait()
        self.found.append(FileSource(target, self.start.regions.digest, name))


@dataclass(frozen=True)
class _Start:
    """Universe and options that inputs are read with, and the loaded model, if one was given."""

    regions: Universe
    options: ReadOptions
    loaded: Model | None

    def fresh_or_loaded(
        self, size: str, discriminator: bool, seed: int, counting: str | None, notify: Notify
    ) -> Model:
        """The loaded model, or a fresh one; with a discriminator where asked."""
        model = self.loaded
        if model is None:
            config = sized_config(size, len(self.regions))
            own = {"counting": counting}
            notify(f"new {size} model: {len(self.regions):,} regions, hidden {config.hidden_size}")
            return new_model(config, self.regions, seed=seed, discriminator=discriminator, own=own)
        if discriminator and model.module.discriminator is None:
            fresh = new_model(model.config, self.regions, seed=seed, discriminator=True)
            fresh.module.atacformer.load_state_dict(model.module.atacformer.state_dict())
            fresh.own, fresh.pool_weights = model.own, model.pool_weights
            return fresh
        return model


def _begin(
    inputs: Sequence[str | Path],
    universe: str | Path | None,
    base: str | Path | None,
    options: ReadOptions | None,
    notify: Notify,
) -> _Start:
    """Settle the universe: the one given, the loaded model's, or one made from the inputs."""
    from ...readers.options import ReadOptions
    from ...tokens.universe import Universe

    if universe is not None and base is not None:
        raise InputError("--universe and --model exclude each other: a model brings its own universe")
    options = options or ReadOptions()
    if base is not None:
        loaded = load_model(base)
        remember_parent(loaded, base)
        if options.counting is not None and loaded.counting not in (None, options.counting):
            raise InputError(
                f"--counting {options.counting}: this model counts by {loaded.counting}; leave the option out"
            )
        if loaded.counting is not None:
            options = replace(options, counting=loaded.counting)  # type: ignore[arg-type]
        return _Start(loaded.universe, options, loaded)
    if universe is not None:
        noted = Universe.load(universe).genome
        if options.genome is not None and noted not in (None, options.genome):
            raise GenomeError(f"--genome {options.genome}: {universe} is a universe of {noted}")
        return _Start(Universe.load(universe, genome=options.genome), options, None)
    if options.liftover is not None:
        raise InputError(
            "--liftover needs a universe to lift to: give --universe or --model, or lift the input first"
        )
    from ...readers.inputs.universes import universe_from_inputs

    regions = universe_from_inputs(inputs, options.genome)
    notify(f"universe from the input: {len(regions):,} regions, genome {regions.genome or 'unknown'}")
    return _Start(regions, options, None)
