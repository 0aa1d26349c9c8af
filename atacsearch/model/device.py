"""Which torch device computes: the GPU where there is one, unless the user says otherwise."""

from __future__ import annotations

import torch

from ..errors import InputError

DEVICES = ("cpu", "cuda")


def choose_device(device: str) -> torch.device:
    """The torch device behind `auto`, `cpu`, `cuda` or `cuda:N`. Raises `InputError` where it is not there."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device.partition(":")[0] not in DEVICES:
        raise InputError(f"device '{device}' is not one of auto, cpu, cuda, cuda:N")
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise InputError(f"device '{device}' asked for, but torch sees no CUDA GPU; use --device cpu")
    return torch.device(device)
