"""One row of the encoder's benchmark, in a process of its own: `python encoder_rows.py '{"who": …}'`.

Prints one line of JSON with the wall and CPU seconds of each run. Peers' environments have no atacsearch, so it
is imported only where ours is measured. Model and token sets are loaded before the clock starts; a few short
sets are the warm-up. Vectors are saved for the comparison of ours with the peers'.
"""

from __future__ import annotations

import json
import os
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch
from torch import nn

warnings.filterwarnings("ignore", message=".*nested tensors.*")
BATCH = 16  # sets in a batch, geniml's default
Lists = list[np.ndarray]
Encode = Callable[[Lists], Any]
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def ours(spec: dict[str, Any]) -> Encode:
    """TokenSets in host memory to vectors in host memory, as users call it."""
    from atacsearch.model.checkpoints.checkpoint import load_model
    from atacsearch.model.encoding.encoder import Encoder
    from atacsearch.tokens.token_sets import TokenSets

    encoder = Encoder(load_model(spec["model"]), spec["device"], spec["dtype"])
    return lambda lists: encoder.encode(TokenSets.from_lists(cast(list[Sequence[int]], lists)))


def torch_padded(spec: dict[str, Any]) -> Encode:
    """The same layers by torch's own `nn.TransformerEncoder`, batches of 16 padded to their longest set."""
    from safetensors.torch import load_file

    config = json.loads((Path(spec["model"]) / "config.json").read_text())
    state = load_file(Path(spec["model"]) / "model.safetensors")
    layer = nn.TransformerEncoderLayer(
        config["hidden_size"],
        config["num_attention_heads"],
        config["intermediate_size"],
        batch_first=True,
        dropout=0.0,
    )
    network = nn.TransformerEncoder(layer, config["num_hidden_layers"], enable_nested_tensor=False).eval()
    prefix = "atacformer.encoder."
    network.load_state_dict({k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)})
    dtype, device = DTYPES[spec["dtype"]], spec["device"]
    network.to(device, dtype)
    table = state.pop("atacformer.embeddings.token_embeddings.weight").to(device, dtype)
    state.clear()

    def encode(lists: Lists) -> np.ndarray:
        out = []
        with torch.inference_mode():
            for first in range(0, len(lists), BATCH):
                tokens = [torch.from_numpy(ids.astype(np.int64)) for ids in lists[first : first + BATCH]]
                padded = nn.utils.rnn.pad_sequence(tokens, batch_first=True, padding_value=-1).to(device)
                real = padded >= 0
                x = network(nn.functional.embedding(padded.clamp_min(0), table), src_key_padding_mask=~real)
                out.append(((x * real[..., None]).float().sum(1) / real.sum(1, keepdim=True)).cpu())
        return torch.cat(out).numpy()

    return encode


def geniml(spec: dict[str, Any]) -> Encode:
    """geniml's own class and its own way of encoding, dropout off."""
    from geniml.atacformer import modeling_atacformer as published

    published.tqdm = lambda items, **_: items  # no progress bar
    model = published.AtacformerForCellClustering.from_pretrained(spec["model"], dtype=DTYPES[spec["dtype"]])
    model = model.eval().to(spec["device"])

    def encode(lists: Lists) -> np.ndarray:
        ids = [x.tolist() for x in lists]
        return np.asarray(model.encode_tokenized_cells(ids, batch_size=BATCH).float().cpu().numpy())

    return encode


def kernel(spec: dict[str, Any]) -> Encode:
    """The attention kernel alone on the same lengths, all layers; `head` is the head size that it is given."""
    from torch.nn.attention.varlen import varlen_attn

    def encode(lists: Lists) -> None:
        lengths = [len(x) for x in lists]
        step = max(1, 262_144 // max(lengths))  # sets in a call, as many tokens as ours gives at once
        for first in range(0, len(lengths), step):
            part = lengths[first : first + step]
            ends = torch.tensor([0, *np.cumsum(part)], dtype=torch.int32, device="cuda")
            q, k, v = torch.randn(
                3, sum(part), spec["heads"], spec["head"], device="cuda", dtype=torch.bfloat16
            )
            for _ in range(spec["layers"]):
                varlen_attn(q, k, v, ends, ends, max(part), max(part))
        torch.cuda.synchronize()

    return encode


def peaks(spec: dict[str, Any]) -> dict[str, float]:
    """What this machine reaches: FLOP/s of a matrix product, softmax elements/s, bytes/s of a copy."""

    def best(call: Callable[[], object], times: int) -> float:
        seconds = []
        for _ in range(times):
            wait(spec)
            began = time.perf_counter()
            call()
            wait(spec)
            seconds.append(time.perf_counter() - began)
        return min(seconds)

    on = {"device": spec["device"]}
    cuda = spec["device"] == "cuda"
    n = 8192 if cuda else 2048
    found = {}
    for name, dtype in DTYPES.items():
        # A row of the network's own shape too: a processor may do better on it than on the square.
        shapes = [(n, n, n)] if cuda else [(n, n, n), (512, 384, 1536)]
        rates = []
        for rows, inner, columns in shapes:
            a, b = torch.randn(rows, inner, dtype=dtype, **on), torch.randn(inner, columns, dtype=dtype, **on)
            rates.append(2 * rows * inner * columns / best(partial(torch.matmul, a, b), 10))
        found[f"flops_{name}"] = max(rates)
    scores = torch.randn(8, 64, 512, **on)  # 1 MB: in cache
    found["softmax_per_s"] = scores.numel() / best(lambda: torch.softmax(scores, -1), 20)
    x = torch.zeros(1 << 28, **on)
    found["bytes_per_s"] = 2 * 4 * x.numel() / best(lambda: x.clone(), 5)
    if cuda:
        chip = torch.cuda.get_device_properties(0)
        # Special-function units: 16 exponentials a clock and multiprocessor (CUDA programming guide, cc 8 and 9).
        clock = getattr(chip, "clock_rate", 1.98e6) * 1e3
        found["exponentials_per_s"] = 16 * chip.multi_processor_count * clock
    return found


def wait(spec: dict[str, Any]) -> None:
    """Let a GPU finish."""
    if spec["device"] == "cuda":
        torch.cuda.synchronize()


def main() -> None:
    """Measure what the argument asks for."""
    spec = json.loads(sys.argv[1])
    torch.manual_seed(0)
    torch.set_num_threads(spec["threads"])
    if spec["who"] == "peaks":
        print(json.dumps(peaks(spec)))
        return
    with torch.inference_mode():
        encode = {"ours": ours, "torch": torch_padded, "geniml": geniml, "kernel": kernel}[spec["who"]](spec)
        data = np.load(spec["sets"])
        lists = np.split(data["tokens"], data["offsets"][1:-1])
        warm = [x[:200] for x in lists[: 4 * spec["threads"]]]
        encode(lists if spec["device"] == "cuda" else warm)
        walls, cpus, vectors = [], [], None
        for _ in range(spec["times"]):
            wall, cpu = time.perf_counter(), time.process_time()
            vectors = encode(lists)
            walls.append(time.perf_counter() - wall)
            cpus.append(time.process_time() - cpu)
        if spec.get("save") and vectors is not None:
            np.save(spec["save"], vectors)
    print(json.dumps({"wall": walls, "cpu": cpus}))


if __name__ == "__main__":
    main()
