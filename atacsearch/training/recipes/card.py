"""The model card: what a checkpoint was made from and how well it does, as `README.md` beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ...model.checkpoints.checkpoint import Model
from ..trainer.plot import PLOT

if TYPE_CHECKING:
    from ...readers.items import Items

CARD = "README.md"
Row = Mapping[str, str | int | float | None]  # of a table


@dataclass(frozen=True)
class Card:
    """What is said of a model, beside what the checkpoint itself says.

    Attributes:
        task: what the model was trained for, in a few words.
        data: a row a source: see `sources`.
        split: how the items were chosen that the figures are of.
        figures: rows of one table, method -> figure -> value; the model's own row and its baselines.
        settings: all settings of the training.
        notes: sentences that a reader of the figures must know.
        command: the command line that made it.
    """

    task: str
    data: Sequence[Row]
    split: str
    figures: Mapping[str, Mapping[str, float | None]]
    settings: Mapping[str, object]
    notes: Sequence[str] = field(default_factory=tuple)
    command: str | None = None


def sources(items: Sequence[Items], use: str = "training") -> list[dict[str, str | int]]:
    """A row for each source of items: what it is, how much, and the digest of what was read."""
    return [
        {
            "source": Path(found.source).name,
            "use": use,
            "kind": found.kind,
            "items": len(found.sets),
            "tokens": len(found.sets.tokens),
            "genome": found.genome or "unknown",
            "sha256": found.content_digest[:16],
        }
        for found in items
    ]


def remember_parent(model: Model, source: str | Path) -> None:
    """Note in the model's own fields which checkpoint it goes on from; earlier parents stay in the list."""
    parent = {"digest": model.digest, "source": Path(source).name}
    model.own["parents"] = [parent, *model.own.get("parents", [])]


def write_card(model: Model, out: str | Path, card: Card) -> Path:
    """Write `README.md` into the checkpoint folder `out`.

    Returns:
        The file.
    """
    from ..._version import __version__

    config = model.config
    lines = [
        "---",
        "library_name: atacsearch",
        "tags: [atacformer, chromatin-accessibility, scATAC-seq]",
        "---",
        "",
        f"# {Path(out).resolve().name}",
        "",
        f"An Atacformer encoder of chromatin accessibility, trained for {card.task}.",
        "",
        *_table(
            [
                {"": "model digest", " ": f"`{model.digest}`"},
                {"": "universe", " ": f"{config.n_regions:,} regions, genome {model.genome or 'unknown'}"},
                {"": "universe digest", " ": f"`{model.universe_digest}`"},
                {
                    "": "network",
                    " ": f"hidden {config.hidden_size}, {config.num_hidden_layers} layer(s), "
                    f"{sum(p.numel() for p in model.module.parameters()):,} parameters",
                },
                {"": "pooling", " ": model.own.get("pooling", "plain mean")},
                {"": "made by", " ": f"atacsearch {__version__}, {datetime.now(UTC):%Y-%m-%d}"},
            ]
        ),
        "",
        "## Data",
        "",
        *_table(card.data),
        "",
        "## Figures",
        "",
        f"Measured on {card.split}.",
        "",
        *_table([{"method": name, **row} for name, row in card.figures.items()]),
        "",
        *[f"- {note}" for note in card.notes],
        *([""] if card.notes else []),
    ]
    parents = model.own.get("parents", [])
    if parents:
        lines += ["## Goes on from", "", *_table(parents), ""]
    lines += ["## How it was made", ""]
    if card.command:
        lines += ["```", card.command, "```", ""]
    settings = json.dumps(dict(card.settings), indent=1, default=str)
    lines += ["Settings:", "", "```json", settings, "```", ""]
    picture = ", its picture in `training.png`" if (Path(out) / PLOT).exists() else ""
    lines += [f"The log of the training is in `training.jsonl`{picture}.", ""]
    target = Path(out) / CARD
    target.write_text("\n".join(lines))
    return target


def _table(rows: Sequence[Row]) -> list[str]:
    """Rows as a Markdown table; a column that a row lacks stays empty there."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    if not columns:
        return ["None."]

    def cell(value: str | int | float | None) -> str:
        text = (
            f"{value:,}" if isinstance(value, int) else f"{value:.3f}" if isinstance(value, float) else value
        )
        return str(text).replace("|", "\\|").replace("\n", " ")

    return [
        f"| {' | '.join(columns)} |",
        "|" + "---|" * len(columns),
        *[f"| {' | '.join(cell(row.get(c, '')) for c in columns)} |" for row in rows],
    ]
