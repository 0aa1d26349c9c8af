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
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import GenomeError, InputError
from ...model.checkpoints.checkpoint import Model, load_model, new_model
from ...model.config import sized_config
from ...tokens.token_sets import TokenSets
from ..trainer.distributed import Team
from ..trainer.sources import FileSource
from .card import remember_parent, sources

if TYPE_CHECKING:
    from ...readers.items import Items
    from ...readers.options import ReadOptions
    from ...tokens.universe import Universe

Say = Callable[[str], None]


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
            raise InputError(f"{source}: no label column '{column}'; columns: {', '.join(known) or 'none'}")
        return out


def prepare(
    inputs: Sequence[str | Path],
    *,
    universe: str | Path | None = None,
    base: str | Path | None = None,
    size: str = "tiny",
    discriminator: bool = False,
    seed: int = 0,
    options: ReadOptions | None = None,
    unlabelled: Sequence[str | Path] = (),
    say: Say = lambda text: None,
) -> Training:
    """Read the training inputs and make or load the model.

    Args:
        inputs: h5ad, fragments, BED files or manifests.
        universe: BED file or known name; made from the inputs where None and no `base` is given.
        base: checkpoint to go on from; it brings its own universe.
        size: `tiny`, `small` or `base`, of a fresh model.
        discriminator: give a model without that head a fresh one.
        seed: of fresh weights.
        options: how to read (genome, cells, counting).
        unlabelled: further inputs, for training without labels alone; a universe that is made is made from
            these too.
        say: told what readers report and what is made.

    Raises:
        InputError: both `universe` and `base` are given, or an input cannot be read.
    """
    from ...readers.inputs.open import open_input

    start = _begin([*inputs, *unlabelled], universe, base, options, say)
    items = [found for path in inputs for found in open_input(path, start.regions, start.options)]
    others = [found for path in unlabelled for found in open_input(path, start.regions, start.options)]
    for found in [*items, *others]:
        for line in found.report.lines():
            say(line)
    counting = next((i.counting for i in items if i.counting), None)
    model = start.model(size, discriminator, seed, counting, say)
    more = TokenSets.concat([i.sets for i in others]) if others else None
    if more is not None:
        filled = np.flatnonzero(more.lengths)
        if len(filled) < len(more):
            say(
                f"{len(more) - len(filled):,} unlabelled items have no region of the universe and are left out"
            )
        more = more.take(filled) if len(filled) else None
    joined = TokenSets.concat([i.sets for i in items])
    return Training(model, start.loaded is None, items, joined, others, more)


def say_groups(option: str, groups: Sequence[str | None], say: Say) -> None:
    """Say where a column of groups, as `--batch donor`, has one value only, or none for some items."""
    found = sorted({group for group in groups if group is not None})
    missing = sum(group is None for group in groups)
    if len(found) == 1:
        say(f"{option}: one value only ({found[0]}); nothing to correct or hold out")
    if missing:
        say(f"{option}: {missing:,} items have no value; they are trained on and never held out as a group")


def prepare_corpus(
    inputs: Sequence[str | Path],
    folder: Path,
    *,
    universe: str | Path | None = None,
    base: str | Path | None = None,
    size: str = "tiny",
    seed: int = 0,
    options: ReadOptions | None = None,
    team: Team | None = None,
    say: Say = lambda text: None,
) -> tuple[Model, bool, list[FileSource], list[dict[str, Any]]]:
    """Make or load the model and turn every input into token files that can be streamed.

    Token files (`.parquet`, of `atacsearch tokenize`) are taken as they are; others are tokenised into `folder`,
    one at a time.

    Args:
        inputs: token files, h5ad, fragments, BED files or manifests.
        folder: for the token files that are made; the first process of the team writes.
        universe, base, size, seed, options, say: as for `prepare`.
        team: the processes that train together.

    Returns:
        The model with a discriminator, whether its weights are random, the sources, and rows for the model card.

    Raises:
        InputError: as for `prepare`; or there are only token files, and neither universe nor model is given.
    """
    from ...readers.inputs.open import open_input_parts
    from ...tokens.token_sets import write_sets

    team = team or Team()
    others = [path for path in inputs if Path(path).suffix != ".parquet"]
    if not others and universe is None and base is None:
        raise InputError(
            f"{inputs[0]}: a token file holds no regions; name the universe that it was made with, by --universe "
            "or --model"
        )
    start = _begin(others, universe, base, options, say)
    regions = start.regions
    if team.leads:
        folder.mkdir(parents=True, exist_ok=True)
    found: list[FileSource] = []
    rows: list[dict[str, Any]] = []
    counting = None
    beds: list[Items] = []

    def add(parts: Iterator[TokenSets], name: str) -> None:
        target = folder / f"{len(found)}.parquet"
        if team.leads:
            write_sets(parts, target)
        else:
            deque(parts, maxlen=0)  # the others read on, to know what the first process knows
        team.wait()
        found.append(FileSource(target, regions.digest, name))

    for path in inputs:
        if Path(path).suffix == ".parquet":
            found.append(FileSource(path, regions.digest))
            rows.append(
                {
                    "source": Path(path).name,
                    "use": "training",
                    "kind": "token file",
                    "items": found[-1].n_sets,
                }
            )
            rows[-1] |= {
                "tokens": found[-1].n_tokens,
                "genome": regions.genome or "unknown",
                "sha256": found[-1].digest()[:16],
            }
            continue
        parts = open_input_parts(path, regions, start.options)
        for _, of_one in groupby(parts, key=lambda items: items.source):
            rest = iter(of_one)
            first = next(rest)
            counting = counting or first.counting
            if first.kind == "bedfiles":
                beds.append(first)
            else:
                add((items.sets for items in chain([first], rest)), first.source)
                rows += sources([first])
                rows[-1] |= {"items": found[-1].n_sets, "tokens": found[-1].n_tokens}
            for line in first.report.lines():
                say(line)
    if beds:  # one source together, since each is one set
        add(iter([b.sets for b in beds]), "BED files")
        rows += sources(beds)
    model = start.model(size, True, seed, counting, say)
    return model, start.loaded is None, found, rows


@dataclass(frozen=True)
class _Start:
    """Universe and options that inputs are read with, and the loaded model, if one was given."""

    regions: Universe
    options: ReadOptions
    loaded: Model | None

    def model(self, size: str, discriminator: bool, seed: int, counting: str | None, say: Say) -> Model:
        """The loaded model, or a fresh one; with a discriminator where asked."""
        model = self.loaded
        if model is None:
            config = sized_config(size, len(self.regions))
            own = {"counting": counting}
            say(f"new {size} model: {len(self.regions):,} regions, hidden {config.hidden_size}")
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
    say: Say,
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
    say(f"universe from the input: {len(regions):,} regions, genome {regions.genome or 'unknown'}")
    return _Start(regions, options, None)
