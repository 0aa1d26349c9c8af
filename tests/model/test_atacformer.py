"""The network against torch's own nn.TransformerEncoder, an independent implementation of the same layers."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from atacsearch.model.atacformer import Packing, pool
from atacsearch.model.attention import How
from atacsearch.model.config import sized_config
from atacsearch.model.heads.task_heads import TaskModel, reverse_gradient

LENGTHS = [5, 17, 17, 40]


def small_model(**changes: object) -> TaskModel:
    torch.manual_seed(1)
    sizes = {"hidden_size": 24, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 3}
    config = sized_config("tiny", 100, max_position_embeddings=64, **{**sizes, **changes})
    return TaskModel(config, discriminator=True).eval()


def random_tokens() -> torch.Tensor:
    return torch.randint(100, (sum(LENGTHS),), generator=torch.Generator().manual_seed(2))


def torch_reference(model: TaskModel, tokens: torch.Tensor) -> torch.Tensor:
    """The same sets through padded nn.TransformerEncoder layers that carry the same weights."""
    config = model.config
    layer = nn.TransformerEncoderLayer(
        config.hidden_size,
        config.num_attention_heads,
        config.intermediate_size,
        dropout=0.0,
        batch_first=True,
    )
    reference = nn.TransformerEncoder(layer, config.num_hidden_layers, enable_nested_tensor=False).eval()
    reference.load_state_dict(model.atacformer.encoder.state_dict())
    ids = torch.zeros(len(LENGTHS), max(LENGTHS), dtype=torch.int64)
    padding = torch.ones_like(ids, dtype=torch.bool)
    for i, part in enumerate(torch.split(tokens, LENGTHS)):
        ids[i, : len(part)] = part
        padding[i, : len(part)] = False
    x = model.atacformer.embeddings.token_embeddings(ids)
    if config.use_pos_embeddings:
        x = x + model.atacformer.embeddings.position_embeddings.weight[: max(LENGTHS)]
    return reference(x, src_key_padding_mask=padding)[~padding]


def test_packed_layers_equal_torch_transformer_encoder() -> None:
    model, tokens = small_model(), random_tokens()
    with torch.no_grad():
        ours = model(tokens, Packing.from_lengths(LENGTHS))
        torch.testing.assert_close(ours, torch_reference(model, tokens), atol=1e-5, rtol=1e-5)


def test_positions_are_added_only_where_the_config_says_so() -> None:
    tokens = random_tokens()
    with torch.no_grad():
        model = small_model(use_pos_embeddings=True)
        ours = model(tokens, Packing.from_lengths(LENGTHS))
        torch.testing.assert_close(ours, torch_reference(model, tokens), atol=1e-5, rtol=1e-5)
        plain = small_model()(tokens, Packing.from_lengths(LENGTHS))
    assert float((ours - plain).abs().max()) > 1e-3


@pytest.mark.parametrize("how", ["padded", "varlen"])
def test_every_way_of_attention_gives_the_same(how: How) -> None:
    model, tokens = small_model(), random_tokens()
    with torch.no_grad():
        by_runs = model(tokens, Packing.from_lengths(LENGTHS))
        other = model(tokens.int(), Packing.from_lengths(LENGTHS, how))
    torch.testing.assert_close(other, by_runs, atol=1e-5, rtol=1e-5)


def test_wider_heads_give_the_same() -> None:
    model, tokens = small_model(hidden_size=36), random_tokens()  # head size 12
    packing = Packing.from_lengths(LENGTHS)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(3))
        before = model(tokens, packing)
        for layer in model.atacformer.encoder.layers:
            layer.self_attn.widen_heads(8)
            assert layer.self_attn.in_proj_weight.shape == (3 * 3 * 16, 36)
        torch.testing.assert_close(model(tokens, packing), before, atol=1e-5, rtol=1e-5)


def test_sums_are_the_same_in_every_way() -> None:
    lengths = [300, 129, 128, 128, 7, 1]
    values = torch.randn(sum(lengths), 3, generator=torch.Generator().manual_seed(4))
    exact = torch.stack([part.double().sum(0) for part in values.split(lengths)]).float()
    for how in ("runs", "varlen", "padded"):
        found = Packing.from_lengths(lengths, how).sums(values)  # type: ignore[arg-type]
        torch.testing.assert_close(found, exact, atol=1e-5, rtol=1e-5)


def test_gradients_are_those_of_torch() -> None:
    model, tokens = small_model(), random_tokens()
    found = []
    for run in (lambda: model(tokens, Packing.from_lengths(LENGTHS)), lambda: torch_reference(model, tokens)):
        model.zero_grad()
        run().square().sum().backward()
        found.append(model.atacformer.embeddings.token_embeddings.weight.grad)
    torch.testing.assert_close(found[0], found[1], atol=1e-4, rtol=1e-4)


def test_order_of_tokens_does_not_matter() -> None:
    model = small_model()
    tokens = torch.arange(30)
    with torch.no_grad():
        packing = Packing.from_lengths([30])
        a = pool(model(tokens, packing), packing)
        b = pool(model(tokens.flip(0), packing), packing)
    torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


def test_pool_weights() -> None:
    vectors = torch.tensor([[1.0], [3.0], [10.0], [20.0]])
    packing = Packing.from_lengths([2, 2])
    assert pool(vectors, packing).flatten().tolist() == [2.0, 15.0]
    weighted = pool(vectors, packing, torch.tensor([1.0, 0.0, 1.0, 3.0]))
    assert weighted.flatten().tolist() == [1.0, 17.5]
    nothing = pool(vectors, packing, torch.zeros(4))
    assert nothing.flatten().tolist() == [2.0, 15.0]


def test_reverse_gradient_turns_the_sign() -> None:
    x = torch.tensor([2.0], requires_grad=True)
    reverse_gradient(x, 0.5).backward()
    assert x.grad is not None
    assert x.grad.item() == -0.5


@pytest.mark.parametrize("silent", ["attention", "feed-forward", "both"])
def test_a_branch_of_zeros_is_left_out_and_changes_nothing(
    silent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, tokens = small_model(), random_tokens()
    packing = Packing.from_lengths(LENGTHS)
    for layer in model.atacformer.encoder.layers:
        last = {"attention": [layer.self_attn.out_proj], "feed-forward": [layer.linear2]}
        for linear in last.get(silent, [layer.self_attn.out_proj, layer.linear2]):
            nn.init.zeros_(linear.weight)
            nn.init.zeros_(linear.bias)
    computed = model(tokens, packing).detach()  # gradients are wanted, so everything is computed
    with torch.no_grad():
        if silent != "feed-forward":
            for layer in model.atacformer.encoder.layers:
                monkeypatch.setattr(layer.self_attn, "forward", None)  # calling it would fail
        assert torch.equal(model(tokens, packing), computed)


def test_a_branch_with_a_bias_alone_is_computed() -> None:
    model, tokens = small_model(), random_tokens()
    packing = Packing.from_lengths(LENGTHS)
    for layer in model.atacformer.encoder.layers:
        nn.init.zeros_(layer.linear2.weight)
        nn.init.normal_(layer.linear2.bias)
    with torch.no_grad():
        torch.testing.assert_close(
            model(tokens, packing), torch_reference(model, tokens), atol=1e-5, rtol=1e-5
        )
