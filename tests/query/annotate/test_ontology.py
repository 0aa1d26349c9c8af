"""Terms of the Cell Ontology, and the nearest common ancestor that is likely enough."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest

from atacsearch.query.annotate.ontology import (
    NO_ANSWER,
    ROOT,
    Ontology,
    answers,
    cell_ontology,
    ids_by_label,
    terms_of_classes,
)

CLASSES = [
    "CD4-positive, alpha-beta T cell",
    "CD8-positive, alpha-beta T cell",
    "natural killer cell",
    "B cell",
]


def test_the_bundled_table_is_whole() -> None:
    cl = cell_ontology()
    assert len(cl.names) > 3000
    assert cl.release == "v2026-03-26"
    assert cl.names[ROOT] == "cell"
    assert all(p in cl.names for parents in cl.parents.values() for p in parents)
    assert {"CL:0000542", "CL:0000738", ROOT} <= cl.above("CL:0000236"), (
        "a B cell is a lymphocyte and a leukocyte"
    )
    assert set(cl.replaced.values()) <= set(cl.names)
    assert not set(cl.replaced) & set(cl.names)


@pytest.mark.parametrize(
    ("text", "term"),
    [
        ("CD4-positive, alpha-beta T cell", "CL:0000624"),
        ("CD4-positive, alpha-beta T-lymphocyte", "CL:0000624"),
        ("b cells", "CL:0000236"),
        ("B_cell", "CL:0000236"),
        ("Monocytes", "CL:0000576"),
        ("CD14+ monocyte", "CL:0001054"),
        ("IgM- memory B cell", None),
        ("IgM memory B cell", "CL:0000971"),
        ("Microglial cell", "CL:0000129"),
        ("NK cell", "CL:0000623"),
        ("CL:0000236", "CL:0000236"),
        ("CL_0000236", "CL:0000236"),
        ("CL:0000003", ROOT),
        ("CL:9999999", None),
        ("cluster 7", None),
        ("", None),
    ],
)
def test_texts_and_their_terms(text: str, term: str | None) -> None:
    assert cell_ontology().term_of(text) == term


def test_names_win_over_synonyms_and_doubt_is_no_term() -> None:
    toy = Ontology(
        {"CL:1": "one", "CL:2": "two", "CL:3": "three"},
        {},
        {"CL:1": ("two", "both"), "CL:3": ("both",)},
        {},
    )
    assert toy.term_of("two") == "CL:2"
    assert toy.term_of("both") is None


def test_t_cells_that_disagree_are_t_cells() -> None:
    cl = cell_ontology()
    terms = terms_of_classes(CLASSES, cl)
    rows = np.array(
        [[0.9, 0.1, 0, 0], [0.5, 0.45, 0.05, 0], [0.3, 0.3, 0.35, 0.05], [0.25, 0.25, 0.25, 0.25]]
    )
    found = answers(CLASSES, rows, terms, cl, 0.8)
    assert found[0].term == "CL:0000624"
    assert found[0].confidence == pytest.approx(0.9)
    assert found[1].term is not None
    assert cl.above(found[1].term) >= {"CL:0000084"}, "a kind of T cell"
    assert found[1].confidence == pytest.approx(0.95)
    assert found[1].name == cl.names[found[1].term]
    assert "CL:0000542" in cl.above(found[2].term or ""), "a kind of lymphocyte"
    assert found[3].name == "lymphocyte"
    assert found[3].confidence == pytest.approx(1.0)


def diamond() -> Ontology:
    """root > x, y; x > a, m; y > b, m; m > c: a, b and c are classes, m lies under both."""
    parents = {"x": (ROOT,), "y": (ROOT,), "a": ("x",), "b": ("y",), "m": ("x", "y"), "c": ("m",)}
    return Ontology({k: k.upper() for k in [ROOT, *parents]}, parents, {}, {})


def test_a_graph_with_two_ways_up() -> None:
    graph, classes = diamond(), ["A", "B", "C"]
    terms = {"A": "a", "B": "b", "C": "c"}

    def ask(*row: float, need: float = 0.6) -> str | None:
        return answers(classes, np.array([row]), terms, graph, need)[0].term

    assert ask(0.7, 0.2, 0.1) == "a"
    assert ask(0.4, 0.1, 0.5) == "x"
    assert ask(0.1, 0.4, 0.5) == "y"
    assert ask(0.5, 0.5, 0.0) is None, "only the root holds both"
    assert ask(0.0, 0.0, 1.0) == "c"


def test_classes_without_a_term() -> None:
    graph = diamond()
    rows = np.array([[0.9, 0.1], [0.1, 0.9], [0.5, 0.5]])
    found = answers(["cluster 7", "A"], rows, {"A": "a"}, graph, 0.8)
    assert (found[0].term, found[0].name, found[0].confidence) == (None, "cluster 7", 0.9)
    assert found[1].term == "a"
    assert found[2] == NO_ANSWER
    assert answers(["cluster 7"], np.array([[0.5]]), {}, graph, 0.8) == [NO_ANSWER]


def test_it_is_what_a_slow_search_over_all_terms_finds() -> None:
    draw = random.Random(3)
    names = [f"t{i}" for i in range(14)]
    parents = {n: tuple(draw.sample([ROOT, *names[:i]], min(2, i + 1))) for i, n in enumerate(names)}
    graph = Ontology({k: k for k in [ROOT, *names]}, parents, {}, {})
    classes = names[6:]
    rng = np.random.default_rng(0)
    rows = rng.dirichlet(np.full(len(classes), 0.5), 40)
    found = answers(classes, rows, {c: c for c in classes}, graph, 0.7)
    for row, answer in zip(rows, found, strict=True):
        share = {t: sum(p for c, p in zip(classes, row, strict=True) if t in graph.above(c)) for t in names}
        good = [t for t in names if share[t] >= 0.7]
        lowest = [t for t in good if not any(t != u and t in graph.above(u) for u in good)]
        if answer.term is None:
            assert not lowest
        else:
            assert answer.term in lowest
            assert answer.confidence == pytest.approx(share[answer.term])
            assert share[answer.term] == pytest.approx(max(share[t] for t in lowest))


def test_ids_come_from_the_reference_first() -> None:
    cl = cell_ontology()
    given = ids_by_label(
        ["CD4 naive", "CD4 naive", "odd", "odd"], ["CL:0000895", None, "CL:0000084", "CL:0000236"]
    )
    assert given == {"CD4 naive": "CL:0000895"}
    assert terms_of_classes(["CD4 naive", "odd", "B cell"], cl, given) == {
        "CD4 naive": "CL:0000895",
        "B cell": "CL:0000236",
    }


def test_no_items_and_no_classes() -> None:
    cl = cell_ontology()
    assert answers(CLASSES, np.empty((0, 4)), {}, cl, 0.5) == []
    assert answers([], np.empty((2, 0)), {}, cl, 0.5) == [NO_ANSWER, NO_ANSWER]
    assert list(itertools.islice(cl.names, 1)) == [ROOT]
