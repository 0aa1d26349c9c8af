"""Label transfer: who votes, who does not, and when the answer is unknown."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from memory_reference import MemorySnapshot, make_items, make_session, two_types

from atacsearch.errors import InputError
from atacsearch.query.annotate.annotate import transfer
from atacsearch.query.annotate.clusters import cluster_calls
from atacsearch.query.annotate.options import AnnotateOptions
from atacsearch.query.reference.neighbourhood import FLOOR
from atacsearch.tokens.token_sets import TokenSets


def annotate(
    session: Any, items: list[Any], labels: list[str], coverage: float | None = None, **options: Any
) -> pa.Table:
    """The table of a transfer alone."""
    lists = {k: tuple(v) if isinstance(v, list) else v for k, v in options.items()}
    how = AnnotateOptions(coverage=coverage, **lists)
    return transfer(session, items, labels, how).table(coverage)


@pytest.fixture
def reference() -> MemorySnapshot:
    return two_types()


def near(reference: MemorySnapshot, rows: list[int], shift: float = 0.01) -> np.ndarray:
    vectors = reference.points[rows].copy()
    vectors[:, 7] += shift
    return vectors


def ask(reference: MemorySnapshot, vectors: np.ndarray, labels: list[str], **options: Any) -> pa.Table:
    lists = [[100 + i] if np.any(v) else [] for i, v in enumerate(vectors)]
    items = make_items([f"q{i}" for i in range(len(vectors))], lists)
    return annotate(make_session(reference, lambda sets: vectors), [items], labels, **options)


def test_columns_order_and_empty_items(reference: MemorySnapshot) -> None:
    vectors = near(reference, [0, 40, 1])
    vectors[1] = 0
    table = ask(reference, vectors, ["cell_type"])
    assert table.column_names == ["item", "label", "confidence", "margin", "nearest_distance", "status"]
    assert table["item"].to_pylist() == ["q0", "q1", "q2"]
    assert table["label"].to_pylist() == ["B", None, "B"]
    assert table.slice(1, 1).to_pylist() == [
        {
            "item": "q1",
            "label": None,
            "confidence": 0.0,
            "margin": 0.0,
            "nearest_distance": None,
            "status": "unknown",
        }
    ]


def test_it_agrees_with_a_slow_obvious_count(reference: MemorySnapshot) -> None:
    rng = np.random.default_rng(5)
    vectors = rng.normal(0.3, 0.5, (20, 8)).astype(np.float32)
    session = make_session(reference, lambda sets: vectors)
    items = make_items([f"q{i}" for i in range(20)], [[100 + i] for i in range(20)])
    table = annotate(session, [items], ["cell_type"], k=7)
    (near,) = session.fitted.values()
    assert near.calibration is not None
    cell_type = reference.labels["cell_type"].to_pylist()
    unit = reference.points / np.linalg.norm(reference.points, axis=1, keepdims=True)
    for vector, row in zip(vectors, table.to_pylist(), strict=True):
        pairs = [
            (1 - float(unit[i] @ vector / np.linalg.norm(vector)), cell_type[i])
            for i in range(60)
            if cell_type[i] is not None
        ]
        pairs = sorted(pairs, key=lambda p: p[0])[:7]
        first = pairs[0][0]
        odds = []
        for code, name in enumerate(["B", "NK"]):
            weight = sum(np.exp(-(d - first) / near.width) for d, label in pairs if label == name)
            score = np.log(FLOOR + weight) - first / near.width
            odds.append(np.exp(near.calibration.power * score + near.calibration.bias[code]))
        slope, shift = near.calibration.sureness
        logit = slope * np.log(max(odds) / min(odds)) + shift
        p = max(1 / (1 + np.exp(-logit)), 0.5)
        assert row["label"] == ["B", "NK"][int(np.argmax(odds))]
        assert row["confidence"] == pytest.approx(p, abs=1e-4)
        assert row["margin"] == pytest.approx(2 * p - 1, abs=2e-4)
        assert row["nearest_distance"] == pytest.approx(first, abs=1e-6)


def test_items_without_a_label_never_vote_and_k_voters_are_found(reference: MemorySnapshot) -> None:
    few = [v if i in (3, 49) else None for i, v in enumerate(reference.labels["cell_type"].to_pylist())]
    reference.labels = reference.labels.set_column(0, "cell_type", pa.array(few, pa.string()))
    table = ask(reference, near(reference, [2]), ["cell_type"], k=2)
    assert table["label"].to_pylist() == ["B"]
    assert 0.5 < table["confidence"][0].as_py() < 1


def test_a_rare_label_far_away_is_asked_for_again(reference: MemorySnapshot) -> None:
    """All labelled cells are far from the query, so the first answer holds none of them."""
    only_nk = [v if v == "NK" else None for v in reference.labels["cell_type"].to_pylist()]
    reference.labels = reference.labels.set_column(0, "cell_type", pa.array(only_nk, pa.string()))
    table = ask(reference, near(reference, [0]), ["cell_type"], k=3)
    assert table["label"].to_pylist() == ["NK"]
    assert len(reference.asked) == 2


def test_several_labels_give_a_row_each(reference: MemorySnapshot) -> None:
    table = ask(reference, near(reference, [0, 31]), ["cell_type", "donor"])
    assert table.column_names[:3] == ["item", "label_name", "label"]
    assert table["item"].to_pylist() == ["q0", "q0", "q1", "q1"]
    assert table["label_name"].to_pylist() == ["cell_type", "donor"] * 2


def test_an_item_does_not_vote_for_itself(reference: MemorySnapshot) -> None:
    def nearest(items: Any) -> float:
        session = make_session(reference, lambda sets: reference.points[[0]])
        return annotate(session, [items], ["cell_type"])["nearest_distance"][0].as_py()

    assert nearest(make_items(["c0"], [[0, 1]], sample="ref")) > 1e-5, "the same id"
    assert nearest(make_items(["c0"], [[0, 1]], sample="copy")) > 1e-5, (
        "same barcode and regions, other sample"
    )
    assert nearest(make_items(["other"], [[0, 1]])) < 1e-6, (
        "another barcode with the same regions is another cell"
    )
    assert nearest(make_items(["c0"], [[0, 9]])) < 1e-6, "the same barcode with other regions is another cell"


def test_where_chooses_the_voters(reference: MemorySnapshot) -> None:
    table = ask(reference, near(reference, [0]), ["donor"], where=["donor=d1"])
    assert table["label"].to_pylist() == ["d1"]
    assert table["confidence"].to_pylist() == [1.0]


def test_far_items_and_ties_are_unknown(reference: MemorySnapshot) -> None:
    far = np.zeros((1, 8), np.float32)
    far[0, 5] = 1
    between = np.zeros((1, 8), np.float32)
    between[0, :2] = 1
    close = near(reference, [0])
    table = ask(reference, np.concatenate([far, between, close]), ["cell_type"])
    assert table["status"].to_pylist() == ["unknown", "unknown", "assigned"]
    assert table["label"].to_pylist()[0] is not None


def test_calibration_is_said_and_fitted_once_a_generation(reference: MemorySnapshot) -> None:
    session = make_session(reference, lambda sets: near(reference, [0]))
    items = make_items(["q"], [[100]])
    annotate(session, [items], ["cell_type"])
    assert "40 held-out items of 2 groups (donor)" in session.said[-1]
    assert "uncalibrated for labels of fewer than 3 groups: B, NK" in session.said[-1]
    (fitted,) = session.fitted.values()
    annotate(session, [items], ["cell_type"])
    assert list(session.fitted.values()) == [fitted]
    reference.generation = 2
    annotate(session, [items], ["cell_type"])
    assert len(session.fitted) == 2


def test_unknown_and_empty_label_columns_are_refused(reference: MemorySnapshot) -> None:
    with pytest.raises(InputError, match="there are: cell_type, donor"):
        ask(reference, near(reference, [0]), ["celltype"])
    with pytest.raises(InputError, match="every value is missing"):
        ask(reference, near(reference, [0]), ["nothing"])


def test_a_reference_of_one(reference: MemorySnapshot) -> None:
    one = MemorySnapshot(
        reference.ids[:1], reference.points[:1], reference.labels.slice(0, 1), reference.sets.take([0])
    )
    table = ask(one, near(reference, [0]), ["cell_type"])
    assert table["label"].to_pylist() == ["B"]


def test_an_empty_index_says_what_to_do(reference: MemorySnapshot) -> None:
    empty = MemorySnapshot([], reference.points[:0], reference.labels.slice(0, 0), TokenSets.from_lists([]))
    with pytest.raises(InputError, match="add-cells"):
        ask(empty, near(reference, [0]), ["cell_type"])


def test_a_label_of_few_items_is_not_outvoted(reference: MemorySnapshot) -> None:
    """Three NK cells beside forty of B, and thirty voters: the near ones count."""
    few = ["NK" if i in (31, 36, 40) else "B" if i < 30 else None for i in range(60)]
    reference.labels = reference.labels.set_column(0, "cell_type", pa.array(few, pa.string()))
    table = ask(reference, near(reference, [31, 36, 0]), ["cell_type"])
    assert table["label"].to_pylist() == ["NK", "NK", "B"]


def test_only_and_except_choose_the_answers(reference: MemorySnapshot) -> None:
    vectors = near(reference, [0, 31])
    assert ask(reference, vectors, ["cell_type"], only=["NK"])["label"].to_pylist() == ["NK", "NK"]
    assert ask(reference, vectors, ["cell_type"], without=["NK"])["label"].to_pylist() == ["B", "B"]
    with pytest.raises(InputError, match="--except T: no item has this cell_type; there are: B, NK"):
        ask(reference, vectors, ["cell_type"], without=["T"])


def test_predicted_labels_do_not_vote(reference: MemorySnapshot) -> None:
    origin = ["predicted" if i < 30 else "author" for i in range(60)]
    reference.labels = reference.labels.append_column("cell_type_origin", pa.array(origin))
    assert ask(reference, near(reference, [0]), ["cell_type"])["label"].to_pylist() == ["NK"]
    reference.labels = reference.labels.append_column("atacsearch_cell_type", pa.array(["B"] * 60))
    with pytest.raises(InputError, match="predictions do not vote"):
        ask(reference, near(reference, [0]), ["atacsearch_cell_type"])


def test_the_own_donor_does_not_vote(reference: MemorySnapshot) -> None:
    vectors = near(reference, [0])
    items = make_items(["q"], [[100]])
    items.labels = pa.table({"donor": ["d0"]})
    session = make_session(reference, lambda sets: vectors)
    strict = annotate(session, [items], ["cell_type"])["nearest_distance"][0].as_py()
    assert "have their donor in common with reference items" in session.said[-1]
    loose = annotate(session, [items], ["cell_type"], same_group=True)["nearest_distance"][0].as_py()
    assert loose < strict


def test_label_sets_hold_the_best_label_and_grow_with_coverage(reference: MemorySnapshot) -> None:
    vectors = np.concatenate(
        [near(reference, [0]), np.ones((1, 8), np.float32), np.zeros((1, 8), np.float32)]
    )
    narrow = ask(reference, vectors, ["cell_type"], coverage=0.5)["label_set"].to_pylist()
    wide = ask(reference, vectors, ["cell_type"], coverage=0.99)["label_set"].to_pylist()
    assert narrow[0] == "B"
    assert narrow[2] == wide[2] == ""
    assert all(set(a.split(";")) <= set(b.split(";")) for a, b in zip(narrow, wide, strict=True))
    with pytest.raises(InputError, match="between 0 and 1"):
        ask(reference, vectors, ["cell_type"], coverage=90)


@pytest.mark.parametrize(
    "wrong", [{"by": "head"}, {"by": "votes"}, {"false_unknown": 0}, {"min_confidence": 2}, {"k": 0}]
)
def test_wrong_options_are_refused(reference: MemorySnapshot, wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        ask(reference, near(reference, [0]), ["cell_type"], **wrong)


def test_doubtful_items_are_unknown_below_a_wanted_confidence(reference: MemorySnapshot) -> None:
    table = ask(reference, near(reference, [0]), ["cell_type"], min_confidence=1.0)
    assert table["status"].to_pylist() == ["unknown"]
    assert table["label"].to_pylist() == ["B"]


def test_clusters_get_their_majority_beside_the_calls(reference: MemorySnapshot) -> None:
    vectors = near(reference, [0, 3, 31, 1, 36])
    vectors[3] = 0
    items = make_items([f"q{i}" for i in range(5)], [[100 + i] if i != 3 else [] for i in range(5)])
    found = transfer(make_session(reference, lambda sets: vectors), [items], ["cell_type"], AnnotateOptions())
    labels, shares = cluster_calls(found.calls[0], ["x", "x", "x", "x", None])
    assert labels == ["B", "B", "B", "B", None]
    assert shares == [pytest.approx(2 / 3)] * 4 + [None]
    assert found.calls[0].names == ["B", "B", "NK", None, "NK"]
