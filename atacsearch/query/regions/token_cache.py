"""Token sets of indexed items, kept in memory while they are asked for again and again.

Shards hold tokens compressed, in groups of thousands of items; decoding takes most of the time of comparing sets,
so what was read lately stays, up to a number of bytes, for as long as the generation is open.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from ...arrow import numbers_of

if TYPE_CHECKING:
    from ...store.index.snapshot import Snapshot

Tokens = npt.NDArray[np.uint32]
KEPT_BYTES = 1 << 28  # of tokens in memory, of each collection
READ_TOKENS = 1 << 24  # tokens read at a time
READ_ITEMS = 4_096


class TokenCache:
    """Tokens of the items of one collection of a generation. Safe to use from several threads.

    Args:
        kind: collection.
        kept_bytes: of tokens that stay in memory; the longest unused go first.
    """

    def __init__(self, kind: str, kept_bytes: int = KEPT_BYTES) -> None:
        self.kind, self.kept_bytes = kind, kept_bytes
        self._kept: OrderedDict[str, Tokens] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def each(self, snapshot: Snapshot, ids: Sequence[str]) -> Iterator[tuple[str, Tokens]]:
        """Every id once, with its tokens [n] uint32; those in memory first, the others as they are read.

        Args:
            snapshot: the generation, the same at every call.
            ids: of items.
        """
        missing = []
        for item_id in dict.fromkeys(ids):
            with self._lock:
                tokens = self._kept.get(item_id)
                if tokens is not None:
                    self._kept.move_to_end(item_id)
            if tokens is None:
                missing.append(item_id)
            else:
                yield item_id, tokens
        for some in self._pieces(snapshot, missing):
            sets = snapshot.tokens(self.kind, some)
            for item_id, tokens in zip(some, sets, strict=True):
                self._keep(item_id, tokens)
                yield item_id, tokens

    def _pieces(self, snapshot: Snapshot, ids: Sequence[str]) -> Iterator[list[str]]:
        """The ids in pieces of bounded numbers of tokens and items."""
        if not ids:
            return
        lengths = numbers_of(snapshot.rows(self.kind, ids, ["n_tokens"])["n_tokens"])
        piece: list[str] = []
        held = 0
        for item_id, length in zip(ids, lengths.tolist(), strict=True):
            if piece and (held + length > READ_TOKENS or len(piece) == READ_ITEMS):
                yield piece
                piece, held = [], 0
            piece.append(item_id)
            held += length
        yield piece

    def _keep(self, item_id: str, tokens: Tokens) -> None:
        with self._lock:
            if tokens.nbytes > self.kept_bytes or item_id in self._kept:
                return
            self._kept[item_id] = tokens.copy()  # a view would hold all that was read with it
            self._bytes += tokens.nbytes
            while self._bytes > self.kept_bytes:
                _, gone = self._kept.popitem(last=False)
                self._bytes -= gone.nbytes


_CACHES: WeakKeyDictionary[Snapshot, dict[str, TokenCache]] = WeakKeyDictionary()


def token_cache(snapshot: Snapshot, kind: str) -> TokenCache:
    """The cache of a collection of an open generation; it goes when the generation does."""
    of_kind = _CACHES.setdefault(snapshot, {})
    if kind not in of_kind:
        of_kind[kind] = TokenCache(kind)
    return of_kind[kind]
