"""Class heads: what they learn, what they keep on disk, and how they transfer labels through an index."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from typed_cells import V, cells, fresh, universe

from atacsearch.errors import InputError
from atacsearch.model.checkpoints.checkpoint import Model, load_model, new_model
from atacsearch.model.config import sized_config
from atacsearch.model.encoding.encoder import Encoder
from atacsearch.model.heads.class_head import ClassHead
from atacsearch.tokens.tfidf import inverse_document_frequency, tfidf
from atacsearch.tokens.token_sets import TokenSets
from atacsearch.training.class_head import fit as classfit
from atacsearch.training.class_head.cross_fit import (
    FEWEST_CELLS,
    MOST_CELLS,
    MOST_TOKENS,
    CrossFit,
    calibrated,
    drawn_for_folds,
)
from atacsearch.training.class_head.fit import (
    DEFAULT_WEIGHTS,
    SHARPNESS,
    VIEWS,
    components_of,
    drawn,
    fit_head,
    fitted_views,
)
from atacsearch.training.class_head.train import train_class_head
from atacsearch.training.trainer.vectors import embed_sets
from atacsearch.training.trainer.warm_start import warm_start


def trained(folder: Path, n: int = 90, **more: object) -> tuple[Model, dict[str, object]]:
    sets, labels = cells(n)
    model = fresh()
    warm_start(model, sets, rank=8)
    return model, train_class_head(model, "cell_type", sets, labels, folder, **more)  # type: ignore[arg-type]


def test_it_names_new_cells_and_is_kept_on_disk(tmp_path: Path) -> None:
    model, summary = trained(tmp_path)
    new, truth = cells(60, seed=3)
    vectors = Encoder(model, device="cpu").encode_as(["general", "cell_type"], new)
    assert vectors["general"].shape == (60, model.dim)
    assert np.allclose(vectors["cell_type"].sum(1), 1.0, atol=1e-5)
    head = model.heads["cell_type"]
    assert isinstance(head, ClassHead)
    calls = [head.classes[i] for i in vectors["cell_type"].argmax(1)]
    assert np.mean([a == b for a, b in zip(calls, truth, strict=True)]) > 0.9
    again = load_model(tmp_path)
    assert again.digest == model.digest
    assert again.vectors == {"general": model.dim, "cell_type": 3}
    same = Encoder(again, device="cpu").encode_as(["cell_type"], new)["cell_type"]
    assert np.allclose(same, vectors["cell_type"], atol=1e-6)
    assert summary["cells_held_out"] == 90
    assert set(summary["figures"]) == {"this model", "TF-IDF + SVD + kNN"}  # type: ignore[arg-type]


def test_scores_are_the_sum_of_two_linear_views(tmp_path: Path) -> None:
    model, _ = trained(tmp_path)
    sets, _ = cells(12, seed=4)
    head = model.heads["cell_type"]
    assert isinstance(head, ClassHead)
    general = Encoder(model, device="cpu").encode(sets)
    rows = tfidf(sets, head.idf).toarray()
    expected = [
        row @ head.wide.astype(np.float64) + g / np.linalg.norm(g) @ head.deep + head.offset
        for row, g in zip(rows, general, strict=True)
    ]
    assert np.allclose(head.scores(sets, general), expected, atol=1e-4)
    p = np.exp(expected) / np.exp(expected).sum(1, keepdims=True)
    assert np.allclose(head.vectors(sets, general), p, atol=1e-4)


def test_empty_sets_get_zeros_and_rows_do_not_depend_on_others(tmp_path: Path) -> None:
    model, _ = trained(tmp_path)
    sets, _ = cells(5, seed=5)
    mixed = TokenSets.concat([sets, TokenSets.from_lists([[]])])
    encoder = Encoder(model, device="cpu")
    vectors = encoder.encode_as(["cell_type"], mixed)["cell_type"]
    assert not vectors[-1].any()
    assert np.allclose(vectors[:-1], encoder.encode_as(["cell_type"], sets)["cell_type"], atol=1e-6)


@pytest.mark.parametrize("classes", [2, 3])
def test_two_classes_are_fitted_as_more_are(classes: int) -> None:
    sets, labels = cells(60)
    keep = np.array([i for i, label in enumerate(labels) if label in [f"type {c}" for c in range(classes)]])
    names = np.array(labels)[keep]
    general = np.random.default_rng(0).normal(size=(len(keep), 4))
    head = fit_head(sets.take(keep), general, names, idf=inverse_document_frequency(sets, V))
    assert head.dim == classes
    assert np.mean(np.array(head.classes)[head.vectors(sets.take(keep), general).argmax(1)] == names) > 0.9


def test_cells_of_many_regions_are_fitted_too() -> None:
    """Rows are of unit length, so the entries of many regions are small and so are gradients: no reason to stop."""
    rng = np.random.default_rng(0)
    n, classes, regions, n_open, own = 100, 20, 20_000, 4_000, 40
    kind = np.arange(n) % classes
    lists = [
        np.union1d(rng.choice(regions, n_open, replace=False), own * k + np.arange(own)).tolist()
        for k in kind
    ]
    sets, names = TokenSets.from_lists(lists), np.array([f"type {k:02d}" for k in kind])
    nothing = np.zeros((n, 4))
    head = fit_head(sets, nothing, names, idf=inverse_document_frequency(sets, regions))
    assert np.mean(np.array(head.classes)[head.scores(sets, nothing).argmax(1)] == names) > 0.9


def test_unlabelled_cells_count_in_the_weights_of_regions(tmp_path: Path) -> None:
    more, _ = cells(40, seed=9)
    model, _ = trained(tmp_path, unlabelled=more)
    sets, _ = cells(90)
    head = model.heads["cell_type"]
    assert isinstance(head, ClassHead)
    assert np.array_equal(head.idf, inverse_document_frequency(TokenSets.concat([sets, more]), V))


def test_whole_batches_are_held_out_where_there_are_several(tmp_path: Path) -> None:
    model, summary = trained(tmp_path, batches=[f"donor {i % 7}" for i in range(90)], batch_column="donor")
    assert summary["held_out"] == "5 folds of whole groups, of 7 groups"
    held = model.heads["cell_type"].calibration.held_out  # type: ignore[union-attr]
    assert held.column == "donor"
    assert len(held.groups) == 7
    assert load_model(tmp_path).heads["cell_type"].calibration.held_out.groups == held.groups  # type: ignore[union-attr]


def test_a_head_without_the_offset_of_its_deep_view_stays_what_it_was(tmp_path: Path) -> None:
    """Older heads have none; an array more would change the digest, and so refuse their indexes."""
    model, _ = trained(tmp_path)
    head = model.heads["cell_type"]
    assert isinstance(head, ClassHead)
    model.heads["cell_type"] = replace(head, deep_offset=None)
    model.save(tmp_path / "older")
    again = load_model(tmp_path / "older")
    assert again.digest == model.digest
    assert again.heads["cell_type"].deep_offset is None  # type: ignore[union-attr]
    general = np.random.default_rng(0).normal(size=(4, model.dim))
    shift = head.encoder_scores(general) - again.heads["cell_type"].encoder_scores(general)  # type: ignore[union-attr]
    assert head.deep_offset is not None
    assert np.allclose(shift, head.deep_offset, atol=1e-5)


@pytest.mark.parametrize("lists", [[[5]] * 20 + [[6]] * 20, [[5]] * 40])
def test_cells_of_one_region_are_trained_on(lists: list[list[int]], tmp_path: Path) -> None:
    """Where a fold has one region there is no second component."""
    sets, model = TokenSets.from_lists(lists), fresh()
    warm_start(model, sets)
    batches = ["x"] * 20 + ["y"] * 20
    summary = train_class_head(model, "cell_type", sets, ["a", "b"] * 20, tmp_path, batches=batches)
    assert summary["cells"] == 40


def test_one_label_is_too_few(tmp_path: Path) -> None:
    sets, _ = cells(10)
    with pytest.raises(InputError, match="at least 2 labels"):
        train_class_head(fresh(), "cell_type", sets, ["a"] * 10, tmp_path)


def test_rare_classes_stay_whole_where_cells_are_drawn() -> None:
    labels = np.array(["a"] * 500 + ["b"] * 30 + ["c"] * 7)
    rows = drawn(labels, 100, seed=0)
    names, counts = np.unique(labels[rows], return_counts=True)
    assert dict(zip(names, counts, strict=True)) == {"a": 63, "b": 30, "c": 7}
    assert np.array_equal(rows, drawn(labels, 100, seed=0))


def test_long_cells_are_embedded_in_training_as_the_encoder_embeds_them() -> None:
    rng = np.random.default_rng(0)
    sets = TokenSets.from_lists([rng.choice(V, n, replace=False).tolist() for n in (3, 40, 0, 100, 17)])
    model = new_model(
        sized_config("tiny", V, hidden_size=16, intermediate_size=32, max_position_embeddings=16), universe()
    )
    for pooled in (None, torch.rand(V + 7)):
        model.pool_weights = pooled
        expected = Encoder(model, device="cpu").encode(sets)
        assert np.allclose(embed_sets(model, sets), expected, atol=1e-5)


def test_folds_are_made_of_as_many_cells_as_take_some_minutes() -> None:
    def items(n: int, tokens: int) -> TokenSets:
        offsets = np.arange(n + 1, dtype=np.int64) * tokens
        return TokenSets(offsets, np.zeros(n * tokens, np.uint32), tuple(map(str, range(n))))

    assert drawn_for_folds(items(300, 20)) == 300
    assert drawn_for_folds(items(20_000, 2)) == MOST_CELLS
    assert drawn_for_folds(items(3_000, 4_000)) == MOST_TOKENS // 4_000
    assert drawn_for_folds(items(1_500, 9_000)) == FEWEST_CELLS


def held_out(n: int = 300) -> tuple[CrossFit, np.ndarray, np.ndarray]:
    """Held-out scores of three classes: the first view is right in the main, the others say nothing."""
    rng = np.random.default_rng(0)
    classes = np.array(["a", "b", "c"])
    codes = np.arange(n) % 3
    views = rng.normal(size=(len(VIEWS), n, 3)).astype(np.float32)
    views[0] += 2 * np.eye(3, dtype=np.float32)[codes]
    return CrossFit(np.arange(n), views, classes[codes], "made up"), classes, classes[codes]


def test_held_out_items_choose_how_much_each_view_counts() -> None:
    held, classes, names = held_out()
    depth, groups = np.full(len(names), 100), np.array([f"donor {i % 5}" for i in range(len(names))])
    weights, calibration = calibrated(held, classes, names, depth, groups, "donor")
    assert calibration is not None
    assert calibration.held_out.column == "donor"
    assert np.argmax(weights / DEFAULT_WEIGHTS) == 0
    assert weights[0] > 5 * weights[1:].max()
    # Every group counts alike: one donor of whom another view is right does not decide, however many cells it has.
    swapped = replace(held, views=held.views[::-1].copy())
    both = CrossFit(
        np.arange(600),
        np.concatenate([held.views, swapped.views], axis=1),
        np.concatenate([names, names]),
        "made up",
    )
    of = np.concatenate([groups, np.full(300, "large donor")])
    shared, _ = calibrated(both, classes, np.concatenate([names, names]), np.full(600, 100), of)
    assert shared[0] > shared[-1]


def test_few_held_out_items_leave_the_weights_as_usual() -> None:
    held, classes, names = held_out(15)
    weights, calibration = calibrated(held, classes, names, np.full(15, 100), None)
    assert calibration is None
    assert np.array_equal(weights, DEFAULT_WEIGHTS)


def test_large_tables_are_fitted_one_after_another_to_the_same_head(monkeypatch: pytest.MonkeyPatch) -> None:
    sets, labels = cells(60)
    general = np.random.default_rng(0).normal(size=(60, 4))
    idf = inverse_document_frequency(sets, V)
    several = fit_head(sets, general, np.array(labels), idf=idf)
    monkeypatch.setattr(classfit, "LARGE_TABLE", 0)
    monkeypatch.setattr(classfit, "in_order", None)  # calling it would fail
    alone = fit_head(sets, general, np.array(labels), idf=idf)
    assert np.allclose(alone.wide, several.wide, atol=1e-2)
    assert np.allclose(alone.deep, several.deep, atol=1e-3)


def test_a_head_holds_the_weighted_sum_of_its_views() -> None:
    sets, labels = cells(60)
    general = np.random.default_rng(0).normal(size=(60, 4))
    idf = inverse_document_frequency(sets, V)
    weights = np.arange(1.0, 1 + len(VIEWS))
    head = fit_head(sets, general, np.array(labels), idf=idf, weights=weights)
    codes = np.unique(labels, return_inverse=True)[1]
    rows, vectors = tfidf(sets, idf), general / np.linalg.norm(general, axis=1, keepdims=True)
    views = fitted_views(rows, general, codes, 3, components_of(sets, idf, 0))
    expected = sum(SHARPNESS * w * view.scores(rows, vectors) for w, view in zip(weights, views, strict=True))
    assert np.allclose(head.scores(sets, general), expected, atol=0.05)
