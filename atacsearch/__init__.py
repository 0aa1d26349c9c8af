"""Embedding database and region search for chromatin accessibility.

    import atacsearch as ats
    index = ats.open_index("my.index")
    calls = index.annotate("new_cells.h5ad", label="cell_type")

Names are imported when they are first used: `import atacsearch` alone loads no torch and no pandas.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .client import Client, open_index
    from .model.checkpoints.checkpoint import load_model
    from .model.encoding.encoder import Encoder
    from .readers.options import ReadOptions
    from .tokens.token_sets import TokenSets
    from .tokens.universe import Universe

from ._version import __version__
from .tokens.files import register_file_tokenizer

__all__ = [
    "Client",
    "Encoder",
    "ReadOptions",
    "TokenSets",
    "Universe",
    "__version__",
    "load_model",
    "open_index",
]

register_file_tokenizer("atacsearch.readers.inputs.open:tokenize_file")

_HOMES = {
    "Client": "atacsearch.client",
    "Encoder": "atacsearch.model.encoding.encoder",
    "ReadOptions": "atacsearch.readers.options",
    "TokenSets": "atacsearch.tokens.token_sets",
    "Universe": "atacsearch.tokens.universe",
    "load_model": "atacsearch.model.checkpoints.checkpoint",
    "open_index": "atacsearch.client",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'atacsearch' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
