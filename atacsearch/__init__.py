"""Embedding database and region search for chromatin accessibility.

    import atacsearch as ats
    with ats.open_index("my.index") as index:
        calls = index.annotate("new_cells.h5ad", label="cell_type")

Names are imported when they are first used: `import atacsearch` alone loads no torch and no pandas.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ._version import __version__
from .tokens.files import register_file_tokenizer

if TYPE_CHECKING:
    from .answers import Answer, Calls, Differences, Explanation, Hits, Overlaps
    from .api import train
    from .api.embed import Vectors, embed
    from .api.tokenize import build_universe, read_fragments, tokenize
    from .errors import AtacsearchError, DigestError, GenomeError, InputError, LockedError
    from .index import Index, create_index, open_index
    from .model.checkpoints.checkpoint import load_model
    from .model.encoding.encoder import Encoder
    from .readers.items import Items
    from .tokens.token_sets import TokenSets
    from .tokens.universe import Universe
    from .training.recipes.trained import Trained

register_file_tokenizer("atacsearch.readers.inputs.open:tokenize_file")

_HOMES = {
    "Answer": "answers",
    "AtacsearchError": "errors",
    "Calls": "answers",
    "Differences": "answers",
    "DigestError": "errors",
    "Encoder": "model.encoding.encoder",
    "Explanation": "answers",
    "GenomeError": "errors",
    "Hits": "answers",
    "Index": "index",
    "InputError": "errors",
    "Items": "readers.items",
    "LockedError": "errors",
    "Overlaps": "answers",
    "TokenSets": "tokens.token_sets",
    "Trained": "training.recipes.trained",
    "Universe": "tokens.universe",
    "Vectors": "api.embed",
    "build_universe": "api.tokenize",
    "create_index": "index",
    "embed": "api.embed",
    "load_model": "model.checkpoints.checkpoint",
    "open_index": "index",
    "read_fragments": "api.tokenize",
    "tokenize": "api.tokenize",
    "train": "api.train",
}

__all__ = [
    "Answer",
    "AtacsearchError",
    "Calls",
    "Differences",
    "DigestError",
    "Encoder",
    "Explanation",
    "GenomeError",
    "Hits",
    "Index",
    "InputError",
    "Items",
    "LockedError",
    "Overlaps",
    "TokenSets",
    "Trained",
    "Universe",
    "Vectors",
    "__version__",
    "build_universe",
    "create_index",
    "embed",
    "load_model",
    "open_index",
    "read_fragments",
    "tokenize",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'atacsearch' has no attribute {name!r}")
    home = import_module(f"atacsearch.{_HOMES[name]}")
    value = home if name == "train" else getattr(home, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
