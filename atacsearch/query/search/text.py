"""Free text over the metadata: which items have the words of a query in their labels, best first.

Scored by Okapi BM25 (Robertson and Zaragoza 2009, doi:10.1561/1500000019) over the text columns of a collection, an
item's labels together being one document; for BED files the id (the file's name) counts as a label. Words are runs of
letters and digits, folded by case, accent and plural s; `ATAC-seq` is also found as `atacseq`. A word of the query that
no label has stands for the words that begin with it, and where there are none, for the nearest word by edit
distance; never so for words with a digit, since CD4 and CD8 or H3K4me1 and H3K4me3 differ by one letter.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from ...errors import InputError

if TYPE_CHECKING:
    from ...store.index.snapshot import Snapshot

K1, B = 1.2, 0.75  # saturation of repeats and weight of length, as usual
MOST_VALUES = 200_000  # distinct values of a column beyond which it is names, not labels
SHORTEST_PREFIX = 3
SHORTEST_TYPO = 5  # letters; from LONG_TYPO on two edits are allowed
LONG_TYPO = 9
_WORD = re.compile(r"[^\W_]+(?:-[^\W_]+)*")


@dataclass(frozen=True)
class TextMatch:
    """What a text found.

    Attributes:
        ids: items, best first; those of one score in the order of their ids.
        score: BM25 of each.
        complete: whether they have all words; else no item has, and these have at least one.
        notes: how words were read where no label has them, and which were not found.
    """

    ids: list[str]
    score: npt.NDArray[np.float64]
    complete: bool
    notes: tuple[str, ...]


def words_of(text: str) -> list[str]:
    """The folded words of a text, with repeats; hyphenated ones in their parts and joined.

    Example:
        >>> words_of("CD4+ T cells, ATAC-seq")
        ['cd4', 't', 'cell', 'atac', 'seq', 'atacseq']
    """
    plain = "".join(c for c in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(c))
    found: list[str] = []
    for word in _WORD.findall(plain):
        parts = word.split("-")
        found += map(_singular, parts)
        if len(parts) > 1:
            found.append(_singular("".join(parts)))
    return found


def _singular(word: str) -> str:
    return (
        word[:-1] if len(word) > 3 and word.isalpha() and word[-1] == "s" and word[-2] not in "sui" else word
    )


@dataclass(frozen=True)
class LabelText:
    """The labels of a collection as documents.

    Attributes:
        ids: [n] object array of all ids.
        codes: of each column [n] int64, which distinct value each item has; -1 for none.
        values: of each column, its distinct values.
    """

    ids: npt.NDArray[np.object_]
    codes: tuple[npt.NDArray[np.int64], ...]
    values: tuple[tuple[str, ...], ...]

    @cached_property
    def _counts(self) -> dict[str, list[tuple[int, int, int]]]:
        """Word -> (column, value, how often)."""
        found: dict[str, dict[tuple[int, int], int]] = {}
        for column, values in enumerate(self.values):
            for value, text in enumerate(values):
                for word in words_of(text):
                    places = found.setdefault(word, {})
                    places[column, value] = places.get((column, value), 0) + 1
        return {word: [(*place, n) for place, n in places.items()] for word, places in found.items()}

    @cached_property
    def _length(self) -> npt.NDArray[np.float64]:
        """[n] words of each item's labels."""
        total = np.zeros(len(self.ids))
        for codes, values in zip(self.codes, self.values, strict=True):
            total += np.array([*(len(words_of(v)) for v in values), 0], np.float64)[codes]
        return total

    def frequency(self, words: Iterable[str]) -> npt.NDArray[np.float64]:
        """[n] how often any of these words occurs among each item's labels."""
        by_column: dict[int, npt.NDArray[np.float64]] = {}
        for word in words:
            for column, value, n in self._counts.get(word, ()):
                by_column.setdefault(column, np.zeros(len(self.values[column]) + 1))[value] += n
        total = np.zeros(len(self.ids))
        for column, counts in by_column.items():
            total += counts[self.codes[column]]
        return total

    def readings(self, word: str) -> tuple[list[str], str | None]:
        """The words of the labels that a query's word stands for, and a note where it is not one of them."""
        known = self._counts
        if word in known:
            return [word], None
        if len(word) >= SHORTEST_PREFIX:
            longer = [
                w for w in known if w.startswith(word) and not (word[-1].isdigit() and w[len(word)].isdigit())
            ]
            if longer:
                shown = ", ".join(sorted(longer)[:5]) + (", ..." if len(longer) > 5 else "")
                return longer, f"{word!r} is read as the start of {shown}"
        near = self._nearest(word)
        return (
            ([near], f"{word!r} is in no label; read as {near!r}")
            if near
            else ([], f"{word!r} is in no label")
        )

    def _nearest(self, word: str) -> str | None:
        """The known word at the smallest edit distance that may be a slip, the most frequent of several.

        Insertions, deletions, replacements and swaps of neighbours count 1 each (optimal string alignment).
        """
        from rapidfuzz.distance import OSA

        if len(word) < SHORTEST_TYPO or not word.isalpha():
            return None
        most = 2 if len(word) >= LONG_TYPO else 1
        near = [
            (d, w)
            for w in self._counts
            if w.isalpha() and (d := OSA.distance(word, w, score_cutoff=most)) <= most
        ]
        least = min((d for d, _ in near), default=0)
        best = sorted(w for d, w in near if d == least)
        return max(best, key=lambda w: np.count_nonzero(self.frequency([w])), default=None)

    def bm25(self, frequency: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """[n] contribution of one word of the query to the score of each item."""
        having = np.count_nonzero(frequency)
        rarity = np.log1p((len(self.ids) - having + 0.5) / (having + 0.5))
        norm = K1 * (1 - B + B * self._length / max(float(self._length.mean()), 1.0))
        return np.asarray(rarity * frequency * (K1 + 1) / (frequency + norm))


_HELD: WeakKeyDictionary[Snapshot, dict[str, LabelText]] = WeakKeyDictionary()


def label_text(snapshot: Snapshot, collection: str) -> LabelText:
    """The labels of a collection as documents; made once for a generation."""
    held = _HELD.setdefault(snapshot, {})
    if collection not in held:
        names = [name for name, c in snapshot.columns(collection).items() if c.kind == "text"]
        names += ["id"] if collection == "bedfiles" else []
        table = snapshot.table(collection, names) if names else None
        coded = [_coded(table[name]) for name in names] if table is not None else []
        kept = [pair for pair in coded if len(pair[1]) <= MOST_VALUES]
        ids = np.array(snapshot.all_ids(collection), object)
        held[collection] = LabelText(ids, tuple(c for c, _ in kept), tuple(v for _, v in kept))
    return held[collection]


def _coded(column: Any) -> tuple[npt.NDArray[np.int64], tuple[str, ...]]:
    """Codes of a text column, -1 for null, and its distinct values."""
    import pyarrow as pa

    encoded = column.combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.chunk(0) if encoded.num_chunks == 1 else pa.concat_arrays(encoded.chunks)
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    return codes, tuple(encoded.dictionary.to_pylist())


def match_text(
    snapshot: Snapshot, collection: str, text: str, where: Sequence[str] = (), *, partly: bool = True
) -> TextMatch:
    """Find the items whose labels have the words of a text.

    Args:
        snapshot: the generation that is asked.
        collection: what is searched.
        text: words in any order.
        where: conditions that the items must meet, and-ed.
        partly: where no item has all words, answer with those that have some.

    Raises:
        InputError: the text has no word, or a condition cannot be served.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    asked = list(dict.fromkeys(_query_words(text)))
    if not asked:
        raise InputError(f"--text {text!r}: has no word; expected letters or digits, such as 'CTCF liver'")
    labels = label_text(snapshot, collection)
    score, has = np.zeros(len(labels.ids)), np.zeros((len(asked), len(labels.ids)), bool)
    notes = []
    for i, word in enumerate(asked):
        readings, note = labels.readings(word)
        notes += [note] if note is not None else []
        frequency = labels.frequency(readings)
        has[i] = frequency > 0
        score += labels.bm25(frequency)
    allowed = np.ones(len(labels.ids), bool)
    if where:
        meeting = snapshot.matching(collection, list(where))
        allowed = pc.is_in(pa.array(labels.ids, pa.string()), value_set=pa.array(meeting)).to_numpy(
            zero_copy_only=False
        )
    found = has.all(0) & allowed
    complete = bool(found.any())
    if not complete and partly:
        found = has.any(0) & allowed
    rows = np.flatnonzero(found)
    shown = score[rows].round(6)
    order = np.lexsort((labels.ids[rows], -shown))
    return TextMatch(labels.ids[rows[order]].tolist(), shown[order], complete, tuple(notes))


def _query_words(text: str) -> list[str]:
    """Words of a query: of a hyphenated one its parts only, which all labels that have it have."""
    return [word for piece in text.replace("-", " ").split() for word in words_of(piece)]
