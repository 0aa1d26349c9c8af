"""Neighbourhoods: scores against a slow count, held-out groups, and what is kept with an index."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from memory_reference import make_session, two_types

from atacsearch.model.heads.measures import (
    area_under_risk_coverage,
    brier_score,
    calibration_error,
    log_loss,
)
from atacsearch.query.reference.calibrate import (
    neighbourhood_of,
    read_calibrations,
    summary,
    write_calibrations,
)
from atacsearch.query.reference.neighbourhood import (
    FLOOR,
    NOBODY,
    Neighbourhood,
    fit_neighbourhood,
    held_out_neighbours,
    neighbour_scores,
)
from atacsearch.query.reference.reference import Reference, reference_of, sampled
from atacsearch.query.reference.sample_groups import group_column, named, plain


def test_scores_agree_with_a_slow_count() -> None:
    rng = np.random.default_rng(0)
    codes = rng.integers(-1, 3, (20, 6))
    distance = np.sort(rng.random((20, 6)), axis=1)
    distance[3, 4:] = np.nan
    scores = neighbour_scores(codes, distance, 3, 0.2)
    for row in range(20):
        voters = [(c, d) for c, d in zip(codes[row], distance[row], strict=True) if c >= 0 and d == d]
        first = min(d for _, d in voters)
        for c in range(3):
            weight = FLOOR + sum(np.exp(-(d - first) / 0.2) for code, d in voters if code == c)
            assert scores[row, c] == pytest.approx(np.log(weight) - first / 0.2)


def test_an_item_without_voters_scores_alike_and_low() -> None:
    scores = neighbour_scores(np.full((1, 3), NOBODY), np.full((1, 3), 0.1), 2, 0.5)
    assert scores[0, 0] == scores[0, 1] == pytest.approx(np.log(FLOOR) - 4)


def test_held_out_neighbours_are_of_other_groups() -> None:
    rng = np.random.default_rng(1)
    vectors, own = rng.normal(size=(50, 5)), rng.integers(0, 4, 50)
    asked = np.arange(0, 50, 3)
    near, distance = held_out_neighbours(vectors, own, asked, 7, block=4)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    for row, found, d in zip(asked, near, distance, strict=True):
        others = np.flatnonzero(own != own[row])
        expected = others[np.argsort(1 - unit[others] @ unit[row], kind="stable")][:7]
        assert found.tolist() == expected.tolist()
        assert np.allclose(d, 1 - unit[expected] @ unit[row], atol=1e-5)


def grouped(spread: float, seed: int = 0) -> tuple[np.ndarray, list[str], list[str]]:
    """Two classes in six groups, each group shifted by `spread`."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(["a", "b"], 120)
    groups = np.array([f"g{i % 6}" for i in range(240)])
    shift = {g: rng.normal(0, spread, 6) for g in np.unique(groups)}
    centre = {"a": np.eye(6)[0], "b": np.eye(6)[1]}
    points = [centre[x] + shift[g] + rng.normal(0, 0.4, 6) for x, g in zip(labels, groups, strict=True)]
    return np.array(points), labels.tolist(), groups.tolist()


def test_confidence_is_lower_where_groups_differ() -> None:
    vectors, labels, groups = grouped(0.8)
    asked, depth = np.arange(240), np.full(240, 100)
    alone = fit_neighbourhood(vectors, labels, depth, None, asked=asked).calibration
    by_group = fit_neighbourhood(vectors, labels, depth, groups, "donor", asked=asked).calibration
    assert alone is not None
    assert by_group is not None
    assert by_group.held_out.right.mean() < alone.held_out.right.mean()
    assert by_group.held_out.confidence.mean() < alone.held_out.confidence.mean()
    assert calibration_error(by_group.held_out.confidence, by_group.held_out.right) < 0.1


def test_calibrations_are_kept_and_old_ones_go(tmp_path: Path) -> None:
    vectors, labels, groups = grouped(0.3)
    found = fit_neighbourhood(vectors, labels, np.full(240, 9), groups, "donor", asked=np.arange(240))
    for generation in (1, 2, 3):
        write_calibrations(
            tmp_path, generation, "cells", {"cell_type": found, "few": Neighbourhood(5, 0.1, None)}
        )
    again = read_calibrations(tmp_path, 3, "cells")
    assert again["few"] == Neighbourhood(5, 0.1, None)
    assert again["cell_type"].width == found.width
    row, *_ = summary(again)
    assert (row["items"], row["groups"], row["group"]) == (240, 6, "donor")
    assert 0 <= row["calibration_error"] < 0.2
    assert sorted(p.name for p in (tmp_path / "calibration").iterdir()) == [
        "cells-2.safetensors",
        "cells-3.safetensors",
    ]
    (tmp_path / "calibration" / "cells-3.safetensors").write_bytes(b"broken")
    assert read_calibrations(tmp_path, 3, "cells") == {}


def test_a_group_column_must_share_labels_between_groups() -> None:
    labels = ["a", "a", "b", "b"]
    assert group_column(labels, {"Donor": ["x", "y", "x", "y"], "other": ["1", "2", "3", "4"]}) == "Donor"
    assert group_column(labels, {"donor": ["x", "x", "y", "y"]}) is None, "each label in one group only"
    assert group_column(labels, {"donor": ["x", "x", "x", "x"]}) is None
    assert group_column(labels, {"donor": [None, "y", None, "y"]}) is None, "too few have a value"
    assert group_column(labels, {"site": ["x", "y", "x", "y"]}) is None, "no known name"
    assert group_column(labels, {"site": ["x", "y", "x", "y"]}, "site") == "site"


def test_measures_of_known_cases() -> None:
    right = np.array([True, True, False, False])
    assert calibration_error(np.array([1.0, 1.0, 0.0, 0.0]), right, 2) == 0
    assert calibration_error(np.full(4, 0.9), right, 1) == pytest.approx(0.4)
    assert area_under_risk_coverage(np.array([0.9, 0.8, 0.2, 0.1]), right) == pytest.approx(
        np.mean([0, 0, 1 / 3, 1 / 2])
    )
    assert area_under_risk_coverage(np.full(4, 0.5), right) == pytest.approx(0.5)
    p, truth = np.array([[1.0, 0.0], [0.5, 0.5]]), np.array([0, 1])
    assert brier_score(p, truth) == pytest.approx(0.25)
    assert log_loss(p, truth) == pytest.approx(np.log(2) / 2)


@pytest.mark.parametrize("vector", ["general", "cell_type"])
def test_a_stored_neighbourhood_counts_for_its_own_vector(tmp_path: Path, vector: str) -> None:
    snapshot = two_types()
    session = make_session(snapshot, lambda sets: snapshot.points)
    session.index.path = tmp_path
    write_calibrations(tmp_path, 1, "cells", {"cell_type": Neighbourhood(30, 123.0, None, vector)})
    found = neighbourhood_of(session, snapshot, reference_of(session, snapshot, "cells", "cell_type"))  # type: ignore[arg-type]
    assert (found.width == 123.0) == (vector == "general")
    assert found.vector == "general"


def test_a_draw_of_voters_keeps_rare_classes() -> None:
    codes = {f"i{n:04d}": 2 if n in (7, 900) else n % 2 for n in range(1000)}
    reference = Reference("cells", "cell_type", ("a", "b", "rare"), codes)
    ids, drawn = sampled(reference, 40)
    assert len(ids) == 40
    assert ids == sorted(ids)
    assert np.bincount(drawn, minlength=3)[2] == 2
    assert [codes[i] for i in ids] == drawn.tolist()


def test_a_class_without_items_keeps_its_place() -> None:
    vectors, labels, groups = grouped(0.1)
    found = fit_neighbourhood(
        vectors, labels, np.full(240, 9), groups, "donor", asked=np.arange(240), classes=["a", "aa", "b"]
    )
    assert found.calibration is not None
    assert found.calibration.classes == ("a", "aa", "b")
    assert set(found.calibration.held_out.truth.tolist()) == {0, 2}


def test_one_class_alone_says_what_is_unlike_it() -> None:
    vectors, labels, groups = grouped(0.1)
    own = np.array(labels) == "a"
    found = fit_neighbourhood(
        vectors[own],
        np.array(labels)[own].tolist(),
        np.full(own.sum(), 9),
        np.array(groups)[own].tolist(),
        "donor",
        asked=np.arange(own.sum()),
    )
    assert found.calibration is not None
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    distance = np.sort(1 - unit[~own] @ unit[own].T, axis=1)[:, : found.k]
    scores = neighbour_scores(np.zeros(distance.shape, np.int64), distance, 1, found.width)
    novelty = found.calibration.novelty(scores, np.full(len(scores), 9))
    assert np.mean(novelty > found.calibration.novelty_limit()) > 0.5


def test_items_without_a_group_vote_but_are_not_asked() -> None:
    snapshot = two_types()
    donor = [None if i in (0, 40) else f"d{i % 2}" for i in range(60)]
    at = snapshot.labels.column_names.index("donor")
    snapshot.labels = snapshot.labels.set_column(at, "donor", pa.array(donor))
    session = make_session(snapshot, lambda sets: snapshot.points)
    reference = reference_of(session, snapshot, "cells", "cell_type")  # type: ignore[arg-type]
    found = neighbourhood_of(session, snapshot, reference)  # type: ignore[arg-type]
    assert found.calibration is not None
    assert found.calibration.held_out.groups == ("d0", "d1")
    assert len(found.calibration.held_out) == 38, "40 have a label, two of them no donor"


def test_as_many_vote_as_the_width_was_chosen_for() -> None:
    snapshot = two_types()
    session = make_session(snapshot, lambda sets: snapshot.points)
    reference = reference_of(session, snapshot, "cells", "cell_type")  # type: ignore[arg-type]
    found = [neighbourhood_of(session, snapshot, reference, k).k for k in (None, 3, 12)]  # type: ignore[arg-type]
    assert found == [30, 3, 12]


@pytest.mark.parametrize(
    ("value", "text"), [(1, "1"), (1.0, "1"), ("1", "1"), (1.5, "1.5"), (float("nan"), None), (None, None)]
)
def test_groups_are_the_same_as_numbers_and_as_text(value: object, text: str | None) -> None:
    assert named(value) == text
    assert plain("Donor_ID") == plain("donor") == "donor"
