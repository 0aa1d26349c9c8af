"""How a universe tokenises a file without knowing files: the top of the package names the function that does it.

`atacsearch/__init__.py` registers that function once, so that this floor imports nothing from above.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    from ..readers.options import Counting, SourceKind
    from .token_sets import TokenSets
    from .universe import Parity, Universe

_registered: list[str] = []


class FileTokenizer(Protocol):
    """A function that tokenises a file; its options are those of `readers.options.ReadOptions`."""

    def __call__(
        self,
        path: str | Path,
        universe: Universe,
        *,
        parity: Parity | None,
        genome: str | None,
        strict_genome: bool,
        counting: Counting | None,
        min_fragments: int | None,
        whitelist: str | Path | None,
        tss: str | Path | None,
        blacklist: str | Path | None,
        sample: str | None,
        liftover: str | Path | None,
        kind: SourceKind | None,
        threads: int | None,
    ) -> TokenSets:
        """The token sets of all items of the file, in order."""


def register_file_tokenizer(target: str) -> None:
    """Name the function that tokenises files, as `module:function`; it is imported when first used."""
    _registered[:] = [target]


def file_tokenizer() -> FileTokenizer:
    """The registered function."""
    module, _, name = _registered[0].partition(":")
    return cast(FileTokenizer, getattr(import_module(module), name))
