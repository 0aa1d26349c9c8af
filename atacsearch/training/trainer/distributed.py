"""Several processes that train one model, as `torchrun` starts them: each computes a part of every batch.

All processes draw the same batch from the same seeds, take every n-th set of it, and add up their gradients.
A loss that is a sum over its own part, divided by the whole batch's size, then gives the gradient of the
batch as one process would.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle


@dataclass(frozen=True)
class Processes:
    """The processes of one run; alone where there is one.

    Attributes:
        rank: number of this process.
        size: number of processes.
    """

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process writes files and speaks."""
        return self.rank == 0

    def sum(self, value: Tensor) -> Tensor:
        """The sum of a tensor over all processes."""
        if self.size > 1:
            value = value.clone()
            torch.distributed.all_reduce(value)
        return value

    def wait(self) -> None:
        """Go on when all processes are here."""
        if self.size > 1:
            torch.distributed.barrier()

    def share_gradients(self, module: nn.Module) -> list[RemovableHandle]:
        """Start from the first process's weights, and add up each gradient over all processes as it is ready.

        Every process must compute the same graph, so that gradients come in the same order.

        Returns:
            Handles; `remove()` ends it.
        """
        if self.size == 1:
            return []
        for tensor in module.state_dict().values():
            torch.distributed.broadcast(tensor, 0)
        trained = [p for p in module.parameters() if p.requires_grad]
        return [p.register_post_accumulate_grad_hook(_add_up) for p in trained]


def _add_up(parameter: Tensor) -> None:
    torch.distributed.all_reduce(parameter.grad)


def join_processes(device: str) -> tuple[Processes, str]:
    """Join the processes that `torchrun` started, if it started this one.

    Args:
        device: `auto`, `cpu` or `cuda`, as the user said.

    Returns:
        The processes, and the device of this process: its own GPU where there are GPUs.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        return Processes(), device
    gpu = device != "cpu" and torch.cuda.is_available()
    if not torch.distributed.is_initialized():
        torch.distributed.init_process_group("nccl" if gpu else "gloo")
    if gpu:
        device = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
        torch.cuda.set_device(device)
    return Processes(torch.distributed.get_rank(), size), device if gpu else "cpu"
