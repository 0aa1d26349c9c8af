"""From input files to what a training run works on: token sets, their labels, and the model to train.

Everything that the user does not give is made from the input: the universe from its regions, the sizes from a
named preset.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from ..genome.tokensets import TokenSets
from ..model.checkpoint import Model, load_model, new_model
from ..model.config import sized_config
from .card import remember_parent

if TYPE_CHECKING:
    from ..readers.inputs import Items, ReadOptions

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
    from ..genome.universe import Universe
    from ..readers.inputs import ReadOptions, read_items

    if universe is not None and base is not None:
        raise InputError("--universe and --model exclude each other: a model brings its own universe")
    options = options or ReadOptions()
    loaded = load_model(base) if base is not None else None
    if loaded is not None:
        remember_parent(loaded, base)  # type: ignore[arg-type]
        regions = loaded.universe
        if loaded.counting is not None:
            options = replace(options, counting=loaded.counting)  # type: ignore[arg-type]
    elif universe is not None:
        regions = Universe.load(universe, genome=options.genome)
    else:
        from ..readers.universes import universe_from_inputs

        regions = universe_from_inputs([*inputs, *unlabelled], options.genome)
        say(f"universe from the input: {len(regions):,} regions, genome {regions.genome or 'unknown'}")
    items = [found for path in inputs for found in read_items(path, regions, options)]
    others = [found for path in unlabelled for found in read_items(path, regions, options)]
    for found in [*items, *others]:
        for line in found.report.lines():
            say(line)
    own = {"counting": next((i.counting for i in items if i.counting), None)}
    if loaded is not None:
        model = loaded
        if discriminator and model.module.discriminator is None:
            fresh = new_model(model.config, regions, seed=seed, discriminator=True)
            fresh.module.atacformer.load_state_dict(model.module.atacformer.state_dict())
            fresh.own, fresh.pool_weights = model.own, model.pool_weights
            model = fresh
    else:
        config = sized_config(size, len(regions))
        model = new_model(config, regions, seed=seed, discriminator=discriminator, own=own)
        say(f"new {size} model: {len(regions):,} regions, hidden {config.hidden_size}")
    more = TokenSets.concat([i.sets for i in others]) if others else None
    return Training(model, loaded is None, items, TokenSets.concat([i.sets for i in items]), others, more)
