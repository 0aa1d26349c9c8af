"""The encoder: batching, chunking and pooling never change what a set's vector is."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import atacsearch.model.encoding.encoder as encoder_module
from atacsearch.errors import DigestError, InputError
from atacsearch.genome.intervals import Intervals
from atacsearch.model.atacformer import Packing
from atacsearch.model.attention import How
from atacsearch.model.checkpoints.checkpoint import Model, new_model
from atacsearch.model.config import sized_config
from atacsearch.model.device import choose_dtype
from atacsearch.model.encoding.encoder import Encoder
from atacsearch.tokens.token_sets import TokenSets
from atacsearch.tokens.universe import Universe

V = 300
CONTEXT = 32


@pytest.fixture(scope="module")
def model() -> Model:
    starts = np.arange(V) * 1000
    universe = Universe(Intervals.from_columns(["chr1"] * V, starts, starts + 500))
    made = new_model(sized_config("tiny", V, max_position_embeddings=CONTEXT), universe, seed=4)
    with torch.no_grad():
        for parameter in made.module.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(5))
    return made


def obvious(model: Model, tokens: np.ndarray) -> np.ndarray:
    """One set through the network by itself, chunk by chunk."""
    pieces = -(-len(tokens) // CONTEXT)
    vectors = []
    for i in range(pieces):
        part = torch.from_numpy(tokens[i::pieces].astype(np.int64))
        with torch.no_grad():
            vectors.append(model.module(part, Packing.from_lengths([len(part)])).numpy())
    return np.concatenate(vectors).mean(0) if vectors else np.zeros(model.dim)


def relative(found: np.ndarray, exact: np.ndarray) -> float:
    """Largest error of a row, as a share of that row's length."""
    lengths = np.linalg.norm(exact, axis=1)
    return float((np.linalg.norm(found - exact, axis=1)[lengths > 0] / lengths[lengths > 0]).max())


def random_sets(seed: int, lengths: list[int]) -> TokenSets:
    rng = np.random.default_rng(seed)
    return TokenSets.from_lists([np.sort(rng.choice(V, n, replace=False)) for n in lengths])


@settings(max_examples=25, deadline=None)
@given(lengths=st.lists(st.integers(0, 3 * CONTEXT), min_size=1, max_size=12), seed=st.integers(0, 100))
def test_encode_equals_one_set_at_a_time(model: Model, lengths: list[int], seed: int) -> None:
    sets = random_sets(seed, lengths)
    found = Encoder(model, device="cpu").encode(sets)
    assert found.dtype == np.float32
    for row, tokens in enumerate(sets):
        np.testing.assert_allclose(found[row], obvious(model, tokens), atol=1e-5, rtol=1e-4)


def test_every_token_counts(model: Model) -> None:
    encoder = Encoder(model, device="cpu")
    tokens = np.arange(100)
    whole = encoder.encode(TokenSets.from_lists([tokens]))
    for left_out in range(100):
        without = encoder.encode(TokenSets.from_lists([np.delete(tokens, left_out)]))
        assert np.abs(whole - without).max() > 1e-6


def test_region_vectors_are_in_token_order_and_average_to_the_set(model: Model) -> None:
    rng = np.random.default_rng(0)
    sets = TokenSets.from_lists([np.sort(rng.choice(V, n, replace=False)) for n in (3, 0, 80)])
    encoder = Encoder(model, device="cpu")
    regions, vectors = encoder.encode_regions(sets), encoder.encode(sets)
    assert [r.shape for r in regions] == [(3, 64), (0, 64), (80, 64)]
    np.testing.assert_allclose(regions[2].mean(0), vectors[2], atol=1e-5)
    with torch.no_grad():
        alone = model.module(torch.from_numpy(sets[0].astype(np.int64)), Packing.from_lengths([3])).numpy()
    np.testing.assert_allclose(regions[0], alone, atol=1e-5)


def test_empty_sets_are_zero_and_same_input_gives_same_bytes(model: Model) -> None:
    sets = TokenSets.from_lists([[], [1, 2], []])
    encoder = Encoder(model, device="cpu")
    first = encoder.encode(sets)
    assert not first[0].any()
    assert not first[2].any()
    assert first.tobytes() == encoder.encode(sets).tobytes()


def test_pool_weights_weigh_tokens() -> None:
    starts = np.arange(10) * 1000
    universe = Universe(Intervals.from_columns(["chr1"] * 10, starts, starts + 500))
    model = new_model(sized_config("tiny", 10), universe)
    weights = torch.ones(17)
    weights[3] = 5.0
    sets = TokenSets.from_lists([[3, 7]])
    regions = Encoder(model, device="cpu").encode_regions(sets)[0]
    model.pool_weights = weights
    found = Encoder(model, device="cpu").encode(sets)[0]
    np.testing.assert_allclose(found, (5 * regions[0] + regions[1]) / 6, atol=1e-6)


def test_bfloat16_stays_near_float32(model: Model) -> None:
    sets = TokenSets.from_lists([np.arange(0, 60, 2), np.arange(100)])
    exact = Encoder(model, device="cpu", dtype="float32").encode(sets)
    half = Encoder(model, device="cpu", dtype="bfloat16").encode(sets)
    assert relative(half, exact) < 2e-2


WIDTHS = {
    "head size 12, widened to 16": (48, 4),
    "the paper's head size 24": (96, 4),
}


def deep_model(width: str, pool_weights: bool) -> Model:
    """Six layers with weights of the size that training leaves, which move vectors much more than fresh ones."""
    d, heads = WIDTHS[width]
    starts = np.arange(V) * 1000
    universe = Universe(Intervals.from_columns(["chr1"] * V, starts, starts + 500))
    sizes = {"hidden_size": d, "intermediate_size": 4 * d, "num_attention_heads": heads}
    config = sized_config("base", V, max_position_embeddings=64, **sizes)
    made = new_model(config, universe, seed=4)
    generator = torch.Generator().manual_seed(6)
    with torch.no_grad():
        for name, parameter in made.module.named_parameters():
            scale = 1.0 if "embeddings" in name else parameter.shape[-1] ** -0.5
            parameter += scale * torch.randn(parameter.shape, generator=generator)
    if pool_weights:
        made.pool_weights = torch.rand(V + 7, generator=generator)
    return made


@pytest.mark.parametrize("how", ["varlen", "padded"])
@pytest.mark.parametrize("pool_weights", [False, True])
@pytest.mark.parametrize("width", WIDTHS)
def test_packing_for_a_gpu_gives_the_same_vectors(how: How, pool_weights: bool, width: str) -> None:
    model = deep_model(width, pool_weights)
    sets = random_sets(7, [0, 1, 5, 5, 64, 64, 65, 200, 300, 33, 0, 129])
    exact = Encoder(model, device="cpu").encode(sets)
    full = Encoder(model, device="cpu", dtype="float32", attention=how)
    assert relative(full.encode(sets), exact) < 1e-5
    for found, expected in zip(full.encode_regions(sets), Encoder(model).encode_regions(sets), strict=True):
        assert len(found) == 0 or relative(found, expected) < 1e-5
    half = Encoder(model, device="cpu", dtype="bfloat16", attention=how)
    assert relative(half.encode(sets), exact) < 2e-2
    np.testing.assert_array_equal(Encoder(model, device="cpu").encode(sets), exact)  # no copy shares weights


@pytest.mark.parametrize("how", ["runs", "varlen", "padded"])
def test_vectors_do_not_depend_on_the_other_sets(model: Model, how: How) -> None:
    sets = random_sets(8, [3, 40, 17, 90, 17, 2])
    encoder = Encoder(model, device="cpu", attention=how)
    together = encoder.encode(sets)
    for row in range(len(sets)):
        assert relative(encoder.encode(sets.take([row])), together[[row]]) < 1e-5


def test_same_bytes_on_every_run_and_near_ones_on_other_threads(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(encoder_module.PACK_TOKENS, "cpu", 50)  # many packs
    sets = random_sets(9, [*range(60), 100, 200])
    encoder, before = Encoder(model, device="cpu"), torch.get_num_threads()
    found = {}
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            found[threads] = encoder.encode(sets)
            assert torch.get_num_threads() == threads  # given back
            assert encoder.encode(sets).tobytes() == found[threads].tobytes()
    finally:
        torch.set_num_threads(before)
    assert relative(found[2], found[1]) < 1e-6
    assert relative(found[5], found[1]) < 1e-6


def test_progress_counts_every_token(model: Model) -> None:
    sets, steps = random_sets(10, [0, 3, 100]), []
    Encoder(model, device="cpu").encode(sets, progress=steps.append)
    assert sum(steps) == 103


def test_choosing_a_dtype() -> None:
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    assert [choose_dtype(d, cpu) for d in ("auto", None, "fp32", "bf16")] == [
        torch.float32,
        torch.float32,
        torch.float32,
        torch.bfloat16,
    ]
    assert choose_dtype("auto", cuda) == torch.bfloat16
    assert choose_dtype("float32", cuda) == torch.float32


def test_foreign_sets_and_devices_are_refused(model: Model) -> None:
    encoder = Encoder(model, device="cpu")
    with pytest.raises(DigestError, match="tokenise again"):
        encoder.encode(TokenSets.from_lists([[1]], universe_digest="0" * 64))
    with pytest.raises(InputError, match="token id 307 lies outside"):
        encoder.encode(TokenSets.from_lists([[307]]))
    with pytest.raises(InputError, match="not one of auto"):
        Encoder(model, device="tpu")
    with pytest.raises(InputError, match="not one of auto, float32"):
        Encoder(model, device="cpu", dtype="int8")
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="use --device cpu"):
            Encoder(model, device="cuda")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_gpu_equals_cpu(model: Model) -> None:
    sets = TokenSets.from_lists([np.arange(0, 60, 2), np.arange(100), []])
    exact = Encoder(model, device="cpu").encode(sets)
    np.testing.assert_allclose(Encoder(model, "cuda", "float32").encode(sets), exact, atol=1e-4)
    half = Encoder(model, "cuda").encode(sets)
    assert relative(half, exact) < 2e-2
    np.testing.assert_array_equal(
        Encoder(model, device="cpu").encode(sets), exact
    )  # the model stayed as it was


def test_a_closed_encoder_keeps_nothing_and_leaves_the_model(model: Model) -> None:
    sets = random_sets(3, [5, 9])
    with Encoder(model, device="cpu") as encoder:
        before = encoder.encode(sets)
    encoder.close()
    with pytest.raises(ValueError, match="closed"):
        encoder.encode(sets)
    np.testing.assert_array_equal(Encoder(model, device="cpu").encode(sets), before)
