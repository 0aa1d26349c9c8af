"""How a universe tokenises a file without knowing files: the top of the package names who reads them.

`atacsearch/__init__.py` registers the reader once, so that this floor imports nothing from above.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .token_sets import TokenSets

_registered: list[str] = []


def register_file_tokenizer(target: str) -> None:
    """Name the function that tokenises files, as `module:function`; it is imported when first used."""
    _registered[:] = [target]


def file_tokenizer() -> Callable[..., TokenSets]:
    """The registered function: `(path, universe, *, parity, **reader options) -> TokenSets`."""
    module, _, name = _registered[0].partition(":")
    found: Callable[..., TokenSets] = getattr(import_module(module), name)
    return found
