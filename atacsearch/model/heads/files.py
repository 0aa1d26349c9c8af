"""Label heads on disk: `heads.safetensors` beside the checkpoint, described in `atacsearch.json`."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from ...errors import InputError
from .class_head import ClassHead
from .label_head import Kinds, PlainHead, ResidualHead
from .token_runs import Runs

HEADS = "heads.safetensors"
FACTS = "heads"  # key of the safetensors metadata

Head = PlainHead | ResidualHead | ClassHead


def save_heads(heads: dict[str, Head], path: Path) -> None:
    """Write heads by label to one file."""
    arrays: dict[str, npt.NDArray[Any]] = {}
    facts: dict[str, dict[str, Any]] = {}
    for label, head in heads.items():
        arrays |= {f"{label}/{name}": np.ascontiguousarray(value) for name, value in head.arrays().items()}
        facts[label] = {} if isinstance(head, PlainHead) else head.facts()
    save_file(arrays, path, metadata={FACTS: json.dumps(facts)})


def load_heads(path: Path) -> dict[str, Head]:
    """Read what `save_heads` wrote.

    Raises:
        InputError: the file is missing or damaged.
    """
    try:
        with safe_open(path, "np") as f:
            facts = json.loads(f.metadata()[FACTS])
            arrays = {name: f.get_tensor(name) for name in f.keys()}  # noqa: SIM118 (not a mapping)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; the checkpoint is incomplete") from None
    except (SafetensorError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not a readable file of label heads ({error}); train again") from None
    heads: dict[str, Head] = {}
    for label, own in facts.items():
        found = {n.removeprefix(f"{label}/"): v for n, v in arrays.items() if n.startswith(f"{label}/")}
        if not own:
            heads[label] = PlainHead(
                found["weights"], found["table"], found["offset"], Runs.from_arrays(found), found.get("along")
            )
            continue
        if "classes" in own:
            try:
                heads[label] = ClassHead.of(found, own)
            except KeyError as error:
                raise InputError(f"{path}: the head of {label} lacks {error}; train again") from None
            continue
        kinds = Kinds(found["counts"], found["totals"], found["parent"], own["prior"], own["mean_size"])
        guide = PlainHead(found["guide.weights"], found["guide.table"], found["guide.offset"])
        heads[label] = ResidualHead(
            kinds,
            found["leaves"],
            guide,
            found["centres"],
            own["known"],
            own["eps"],
            found["table"],
            found["offset"],
        )
    return heads


def heads_digest(heads: dict[str, Head]) -> str:
    """sha256 over labels, arrays and facts of all heads."""
    h = hashlib.sha256()
    for label in sorted(heads):
        head = heads[label]
        for name, value in sorted(head.arrays().items()):
            h.update(f"{label} {name} {value.dtype} {value.shape}".encode())
            h.update(np.ascontiguousarray(value).data)
        if not isinstance(head, PlainHead):
            h.update(json.dumps(head.facts(), sort_keys=True).encode())
    return h.hexdigest()
