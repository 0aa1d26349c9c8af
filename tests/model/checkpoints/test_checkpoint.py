"""Checkpoints: the published layout is read to the last digit, written back key by key, and bad ones refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from atacsearch.errors import InputError
from atacsearch.genome.intervals import Intervals
from atacsearch.model.atacformer import Packing, pool
from atacsearch.model.checkpoints.checkpoint import Model, load_model, new_model
from atacsearch.model.config import AtacformerConfig, sized_config
from atacsearch.tokens.universe import Universe

FIXTURES = ("base_tiny", "rtd_tiny_positions", "celltype_tiny", "batch_tiny")
PARITY = 1e-5


def tiny_model(n_regions: int = 20, **heads: bool) -> Model:
    starts = np.arange(n_regions) * 1000
    universe = Universe(Intervals.from_columns(["chr1"] * n_regions, starts, starts + 500), genome="hg38")
    return new_model(sized_config("tiny", n_regions), universe, seed=3, **heads)


@pytest.mark.parametrize("name", FIXTURES)
def test_published_checkpoints_give_the_published_numbers(data_dir: Path, name: str) -> None:
    folder = data_dir / "checkpoints" / name
    model = load_model(folder)
    ids = json.loads((folder / "inputs.json").read_text())["input_ids"]
    expected = np.load(folder / "expected.npz")
    packing = Packing.from_lengths([len(x) for x in ids])
    with torch.no_grad():
        hidden = model.module(torch.tensor([t for x in ids for t in x]), packing)
        found = {"pooled": pool(hidden, packing), "hidden_first_cell": hidden[: len(ids[0])]}
        if model.module.discriminator is not None and model.module.batch_prediction_head is None:
            found["rtd_logits_first_cell"] = model.module.replaced_logits(hidden)[: len(ids[0])]
        if model.module.batch_prediction_head is not None:
            found["batch_logits"] = model.module.batch_logits(hidden, packing)
    assert set(expected.files) == set(found)
    for key, values in found.items():
        assert np.abs(values.numpy() - expected[key]).max() <= PARITY


@pytest.mark.parametrize("name", FIXTURES)
def test_published_checkpoints_are_written_back_as_they_were(
    data_dir: Path, tmp_path: Path, name: str
) -> None:
    folder = data_dir / "checkpoints" / name
    load_model(folder).save(tmp_path)
    before, after = load_file(folder / "model.safetensors"), load_file(tmp_path / "model.safetensors")
    assert before.keys() == after.keys()
    assert all(torch.equal(before[k], after[k]) for k in before)
    assert json.loads((folder / "config.json").read_text()) == json.loads(
        (tmp_path / "config.json").read_text()
    )
    assert load_model(tmp_path).digest == load_model(folder).digest


@pytest.mark.parametrize("heads", [{}, {"discriminator": True}])
def test_save_and_load_keep_everything(tmp_path: Path, heads: dict[str, bool]) -> None:
    model = tiny_model(**heads)
    model.pool_weights = torch.arange(27.0)
    model.own["counting"] = "insertion"
    model.save(tmp_path / "m")
    again = load_model(tmp_path / "m")
    assert again.digest == model.digest
    assert again.architecture == model.architecture
    assert (again.genome, again.counting) == ("hg38", "insertion")
    assert again.pool_weights is not None
    assert torch.equal(again.pool_weights, model.pool_weights)
    assert again.universe.digest == model.universe.digest


def test_digest_tells_weights_and_pooling_apart() -> None:
    first, second = tiny_model(), tiny_model()
    assert first.digest == second.digest
    with torch.no_grad():
        second.module.atacformer.embeddings.token_embeddings.weight[0, 0] += 1.0
    assert first.digest != second.digest
    third = tiny_model()
    third.pool_weights = torch.ones(27)
    assert third.digest != first.digest


def test_sharded_weights_are_read(tmp_path: Path) -> None:
    model = tiny_model()
    model.save(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    (tmp_path / "model.safetensors").unlink()
    names = sorted(tensors)
    parts = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    for file, keys in parts.items():
        save_file({k: tensors[k] for k in keys}, tmp_path / file)
    index = {"weight_map": {k: file for file, keys in parts.items() for k in keys}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    assert load_model(tmp_path).digest == model.digest


def test_tied_output_matrix_is_left_out(tmp_path: Path) -> None:
    model = tiny_model()
    model.save(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    tensors["lm_head.weight"] = tensors["atacformer.embeddings.token_embeddings.weight"].clone()
    save_file(tensors, tmp_path / "model.safetensors")
    assert load_model(tmp_path).digest == model.digest


def _truncate(folder: Path) -> None:
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[: len(data) // 2])


def _drop_tensor(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    del tensors["atacformer.encoder.layers.0.norm1.weight"]
    save_file(tensors, folder / "model.safetensors")


def _widen(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "intermediate_size": 300}))


def _shorten_universe(folder: Path) -> None:
    universe = Universe(Intervals.from_columns(["chr1"], [0], [10]))
    (folder / "universe.bed.gz.json").unlink(missing_ok=True)
    universe.save(folder / "universe.bed.gz")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_truncate, "model.safetensors: not a readable safetensors file"),
        (_drop_tensor, "missing \\['atacformer.encoder.layers.0.norm1.weight'\\]"),
        (_widen, "has shape \\(256,\\), config.json asks for \\(300,\\)"),
        (_shorten_universe, "1 regions, but config.json has vocab_size 27"),
        (lambda folder: (folder / "config.json").unlink(), "no config.json"),
        (lambda folder: (folder / "model.safetensors").unlink(), "neither model.safetensors nor"),
        (lambda folder: (folder / "config.json").write_text("{"), "config.json: not JSON"),
        (lambda folder: (folder / "config.json").write_text("{}"), "no hidden_size"),
    ],
)
def test_spoilt_checkpoints_are_refused_with_a_reason(tmp_path: Path, spoil: object, message: str) -> None:
    tiny_model().save(tmp_path / "good")
    shutil.copytree(tmp_path / "good", tmp_path / "bad")
    spoil(tmp_path / "bad")  # type: ignore[operator]
    with pytest.raises(InputError, match=message):
        load_model(tmp_path / "bad").universe  # noqa: B018 (the universe is read when asked for)


def test_heads_must_divide_the_width() -> None:
    with pytest.raises(InputError, match="not a multiple"):
        AtacformerConfig(27, 30, 60, 1, 4, 8)


def test_unknown_names_say_what_was_expected() -> None:
    with pytest.raises(InputError, match="no such folder"):
        load_model("/nowhere/at/all")


def test_hub_without_connection_says_what_to_download(monkeypatch: pytest.MonkeyPatch) -> None:
    hub = pytest.importorskip("huggingface_hub")
    from huggingface_hub.errors import LocalEntryNotFoundError

    def offline(*args: object, **kwargs: object) -> str:
        raise LocalEntryNotFoundError("no connection")

    monkeypatch.setattr(hub, "snapshot_download", offline)
    with pytest.raises(InputError) as caught:
        load_model("databio/atacformer-base-hg38")
    text = str(caught.value)
    for word in ("config.json", "model.safetensors", "universe.bed.gz", "give its path"):
        assert word in text
