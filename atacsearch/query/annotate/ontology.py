"""Labels as terms of the Cell Ontology: when leaves disagree, the nearest common ancestor that is likely enough.

The bundled table (`genome/data/cell_ontology.tsv.gz`, made by scripts/make_cell_ontology.py) holds the terms of the
Cell Ontology (Diehl et al. 2016, doi:10.1186/s13326-016-0088-7, CC BY 4.0; release in the file's first line) with their
exact synonyms and is_a parents. The probability of a term is the sum over the classes that are it or lie below it.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from importlib import resources

import numpy as np
import numpy.typing as npt

FILE = "cell_ontology.tsv.gz"
ROOT = "CL:0000000"  # cell: true of everything, so no answer
_ID = re.compile(r"CL[:_](\d{7})")


@dataclass(frozen=True, eq=False)
class Ontology:
    """Terms and their is_a parents.

    Attributes:
        names: name of each term, by id.
        parents: ids one step up, by id.
        synonyms: exact synonyms, by id.
        replaced: ids of deprecated terms, and those that took their place.
        release: of the source.
    """

    names: Mapping[str, str]
    parents: Mapping[str, tuple[str, ...]]
    synonyms: Mapping[str, tuple[str, ...]]
    replaced: Mapping[str, str]
    release: str = ""

    def term_of(self, text: str) -> str | None:
        """The id that a text is, names or is an exact synonym of; None where there is none or several.

        Case, hyphens and underscores do not matter, nor does an s at the end; `CD14+` is `CD14-positive`.

        Example:
            >>> cell_ontology().term_of("CD4-positive, alpha-beta T cell")
            'CL:0000624'
            >>> cell_ontology().term_of("B_cells"), cell_ontology().term_of("CL_0000236")
            ('CL:0000236', 'CL:0000236')
        """
        identifier = _ID.fullmatch(text.strip())
        if identifier:
            key = f"CL:{identifier[1]}"
            key = self.replaced.get(key, key)
            return key if key in self.names else None
        return self._by_name.get(_folded(text))

    @cached_property
    def _by_name(self) -> dict[str, str | None]:
        found: dict[str, str | None] = {}
        for rank in (self.synonyms, {key: (name,) for key, name in self.names.items()}):
            level: dict[str, str | None] = {}
            for key, texts in rank.items():
                for text in {_folded(t) for t in texts}:
                    level[text] = None if level.get(text, key) != key else key  # two terms: neither
            found |= level  # names win over synonyms
        return found

    @cache  # noqa: B019  one ontology a process
    def above(self, term: str) -> frozenset[str]:
        """The term and all its ancestors."""
        seen: set[str] = set()
        open_terms = [term]
        while open_terms:
            one = open_terms.pop()
            if one not in seen:
                seen.add(one)
                open_terms += self.parents.get(one, ())
        return frozenset(seen)


@dataclass(frozen=True)
class Answer:
    """A term as the answer for one item.

    Attributes:
        term: its id; None where no term but the root reaches the confidence, or no class has one.
        name: of the term, or the class itself where that was likely enough.
        confidence: summed probability.
    """

    term: str | None
    name: str | None
    confidence: float


NO_ANSWER = Answer(None, None, 0.0)


def terms_of_classes(
    classes: Sequence[str], ontology: Ontology, given: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Term ids of class labels: those given (by a column of ids in the reference), else by name or exact synonym.

    Args:
        classes: labels.
        ontology: the terms.
        given: label to id, as the reference's own column of ids says.

    Returns:
        Label to id, of those labels that have one.
    """
    found = {}
    for name in classes:
        term = ontology.term_of((given or {}).get(name) or name) or ontology.term_of(name)
        if term is not None:
            found[name] = term
    return found


def ids_by_label(labels: Iterable[str | None], ids: Iterable[str | None]) -> dict[str, str]:
    """The id that goes with each label; labels that go with several ids have none.

    Example:
        >>> ids_by_label(["B", "B", "T", "T", None], ["CL:0000236", None, "CL:0000084", "CL:0000624", "CL:0000000"])
        {'B': 'CL:0000236'}
    """
    seen: dict[str, set[str]] = {}
    for label, term in zip(labels, ids, strict=True):
        if label and term:
            seen.setdefault(label, set()).add(term)
    return {label: next(iter(terms)) for label, terms in seen.items() if len(terms) == 1}


def answers(
    classes: Sequence[str],
    probabilities: npt.NDArray[np.floating],
    terms: Mapping[str, str],
    ontology: Ontology,
    confidence: float | npt.NDArray[np.floating],
) -> list[Answer]:
    """The most specific term whose probability reaches the confidence, for each item.

    A term's probability is that of the classes that are it or lie below it. Among the terms that reach the
    confidence and have no descendant that does too, the likeliest is taken, then the one with the most ancestors (the
    more specific one), then the smaller id. Classes without a term count for none; where such a class itself reaches
    the confidence it is the answer, without an id.

    Args:
        classes: [C] labels.
        probabilities: [n, C] non-negative, rows that sum to at most 1.
        terms: ids of the classes that have one.
        ontology: the terms.
        confidence: what has to be reached, one for all items or [n].
    """
    probabilities = np.asarray(probabilities, np.float64)
    need = np.broadcast_to(np.asarray(confidence, np.float64), len(probabilities)) - 1e-9
    above = {name: ontology.above(term) for name, term in terms.items()}
    candidates = sorted(set().union(*above.values()) - {ROOT}) if above else []
    member = np.array([[c in above.get(name, ()) for c in candidates] for name in classes], np.float64)
    sums = probabilities @ member.reshape(len(classes), len(candidates))
    depth = [len(ontology.above(c)) for c in candidates]
    lines = [ontology.above(c) for c in candidates]
    out = []
    for row in range(len(probabilities)):
        top = int(np.argmax(probabilities[row])) if len(classes) else -1
        if top >= 0 and classes[top] not in terms and probabilities[row, top] >= need[row]:
            out.append(Answer(None, classes[top], float(probabilities[row, top])))
            continue
        reached = np.flatnonzero(sums[row] >= need[row])
        covered: set[str] = (
            set().union(*(lines[j] - {candidates[j]} for j in reached)) if len(reached) else set()
        )
        leaves = [j for j in reached if candidates[j] not in covered]
        if not leaves or need[row] <= 0:
            out.append(NO_ANSWER)
            continue
        best = min(leaves, key=lambda j: (-round(sums[row, j], 9), -depth[j], candidates[j]))
        out.append(
            Answer(candidates[best], ontology.names[candidates[best]], float(min(sums[row, best], 1.0)))
        )
    return out


@lru_cache(maxsize=1)
def cell_ontology() -> Ontology:
    """The bundled terms of the Cell Ontology."""
    packed = resources.files("atacsearch.genome").joinpath("data", FILE).read_bytes()
    lines = gzip.decompress(packed).decode().splitlines()
    release = re.search(r"release ([^ ,]+)", lines[0])
    rows = [line.split("\t") for line in lines if not line.startswith("#")][1:]
    return Ontology(
        {r[0]: r[1] for r in rows},
        {r[0]: tuple(filter(None, r[3].split("|"))) for r in rows},
        {r[0]: tuple(filter(None, r[2].split("|"))) for r in rows},
        {old: r[0] for r in rows for old in r[4].split("|") if old},
        release[1] if release else "",
    )


def _folded(text: str) -> str:
    words = re.sub(r"(?<=\w)\+(?=\W|$)", " positive", text.casefold())
    words = re.sub(r"(?<=\w)-(?=\s|$)", " negative", words)
    return re.sub(r"[-_\s]+", " ", words).strip().removesuffix("s")
