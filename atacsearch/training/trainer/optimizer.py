"""AdamW with a linear warm-up and a cosine decay, gradients clipped; one object to save and restore."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import InputError

CLIP = 1.0
WARM_UP = 0.1  # share of all steps


class Optimiser:
    """Steps over all parameters of `network`.

    Args:
        network: parameters to train; those with `requires_grad` off are left alone.
        lr: peak learning rate.
        steps: planned number of steps, at the end of which the rate is zero.
        table_lr: peak rate of the token table; `lr` where None. The table takes no weight decay, since rows
            of rare regions would only ever shrink.
        extra: further parameters at `lr`.
        weight_decay: of everything but the table.
    """

    def __init__(
        self,
        network: nn.Module,
        lr: float,
        steps: int,
        *,
        table_lr: float | None = None,
        extra: list[nn.Parameter] | None = None,
        weight_decay: float = 0.01,
    ) -> None:
        named = [(n, p) for n, p in network.named_parameters() if p.requires_grad]
        table = [p for n, p in named if "embeddings." in n]
        rest = [p for n, p in named if "embeddings." not in n] + (extra or [])
        groups: list[dict[str, Any]] = [{"params": rest, "lr": lr, "weight_decay": weight_decay}]
        if table:
            groups.append({"params": table, "lr": lr if table_lr is None else table_lr, "weight_decay": 0.0})
        self.parameters = table + rest
        self.adam = torch.optim.AdamW(groups)
        warm = max(1, int(WARM_UP * steps))

        def rate(step: int) -> float:
            if step < warm:
                return (step + 1) / warm
            return 0.5 * (1.0 + math.cos(math.pi * min(1.0, (step - warm) / max(1, steps - warm))))

        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.adam, rate)

    def step(self, loss: Tensor) -> None:
        """Backpropagate `loss` and move the parameters. Raises `InputError` where it is no number any more."""
        if not math.isfinite(float(loss.detach())):
            raise InputError("training diverged: its loss is no number any more; give a lower --lr")
        self.adam.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, CLIP)
        self.adam.step()
        self.schedule.step()

    def state_dict(self) -> dict[str, Any]:
        """State of optimiser and schedule."""
        return {"adam": self.adam.state_dict(), "schedule": self.schedule.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self.adam.load_state_dict(state["adam"])
        self.schedule.load_state_dict(state["schedule"])
