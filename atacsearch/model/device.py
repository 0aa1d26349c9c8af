"""Which torch device computes and how precisely: the GPU in bfloat16 where there is one, else the CPU in float32."""

from __future__ import annotations

import torch

from ..errors import InputError

DEVICES = ("cpu", "cuda")
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
SHORT = {"fp32": "float32", "bf16": "bfloat16"}


def choose_device(device: str) -> torch.device:
    """The torch device behind `auto`, `cpu`, `cuda` or `cuda:N`. Raises `InputError` where it is not there."""
    device = str(device)  # a torch.device, too
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device.partition(":")[0] not in DEVICES:
        raise InputError(f"device '{device}' is not one of auto, cpu, cuda, cuda:N")
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise InputError(f"device '{device}' asked for, but torch sees no CUDA GPU; use --device cpu")
    return torch.device(device)


def choose_dtype(dtype: str | None, device: torch.device) -> torch.dtype:
    """The torch dtype behind `auto` (or None), `float32` and `bfloat16` (or `fp32`, `bf16`).

    `auto` is bfloat16 on CUDA and float32 on every CPU: without bfloat16 instructions it would be slower, and with
    them the same command would give other vectors on another machine.

    Raises:
        InputError: another name.
    """
    if dtype is None or dtype == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    name = SHORT.get(dtype, dtype)
    if name not in DTYPES:
        raise InputError(f"dtype '{dtype}' is not one of auto, {', '.join(DTYPES)}")
    return DTYPES[name]


def has_fast_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 matrices itself (avx512_bf16 or AMX); else torch converts, slowly."""
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
