"""What a training run reports while it goes on."""

from __future__ import annotations

from collections.abc import Callable

# After a step: `stage`, `epoch`, `step`, `steps`. After an epoch: `stage`, `epoch`, `epochs` and the epoch's figures.
Record = dict[str, float | str | list[str] | None]
Progress = Callable[[Record], None]
