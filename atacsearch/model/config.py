"""The sizes of an Atacformer, read from a checkpoint's `config.json` and written back unchanged.

Field names are those of the published checkpoints (geniml 0.8.4). Keys that this code does not use are kept,
so that a checkpoint that was read and saved again says the same.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..spelling import did_you_mean

# Special tokens follow the V regions of the universe, in this order (ids V..V+6).
SPECIAL_TOKENS = ("unk", "pad", "mask", "cls", "eos", "bos", "sep")


@dataclass(frozen=True)
class AtacformerConfig:
    """Sizes and constants of one Atacformer.

    Attributes:
        vocab_size: regions of the universe plus the seven special tokens.
        hidden_size: width d of token and output vectors.
        intermediate_size: width of the feed-forward layer.
        num_hidden_layers: encoder layers.
        num_attention_heads: heads; divides hidden_size.
        max_position_embeddings: the context, in tokens; longer inputs are encoded in chunks.
        norm_eps: layer-norm epsilon of the discriminator head.
        use_pos_embeddings: whether positions are added to the token vectors (off in released models).
        embedding_dropout: dropout on the token vectors while training.
        num_batches: classes of the batch-prediction head.
        extra: every other key of the file, as it was.
    """

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    max_position_embeddings: int
    norm_eps: float = 1e-5
    use_pos_embeddings: bool = False
    embedding_dropout: float = 0.0
    initializer_range: float = 0.02
    num_batches: int = 0
    extra: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.hidden_size % self.num_attention_heads:
            raise InputError(
                f"hidden_size {self.hidden_size} is not a multiple of "
                f"num_attention_heads {self.num_attention_heads}"
            )

    @property
    def n_regions(self) -> int:
        """Size V of the universe that the vocabulary was made from."""
        return self.vocab_size - len(SPECIAL_TOKENS)

    @classmethod
    def from_json(cls, path: str | Path) -> AtacformerConfig:
        """Read a published `config.json`. Raises `InputError` where a size is missing."""
        try:
            raw = json.loads(Path(path).read_text())
        except json.JSONDecodeError as error:
            raise InputError(f"{path}: not JSON ({error}); expected an Atacformer config.json") from None
        if raw.get("model_type", "atacformer") != "atacformer":
            raise InputError(f"{path}: model_type is '{raw['model_type']}', expected 'atacformer'")
        known = {f.name for f in fields(cls)} - {"extra"}
        required = {f.name for f in fields(cls) if f.name in known and f.name not in _OPTIONAL}
        missing = sorted(required - raw.keys())
        if missing:
            raise InputError(f"{path}: no {', '.join(missing)}; expected an Atacformer config.json")
        values = {k: v for k, v in raw.items() if k in known}
        return cls(**values, extra={k: v for k, v in raw.items() if k not in known})

    def to_dict(self, architecture: str) -> dict[str, Any]:
        """What `config.json` holds for this model saved as `architecture` (a geniml class name)."""
        own = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "extra"}
        special = {f"{name}_token_id": self.n_regions + i for i, name in enumerate(SPECIAL_TOKENS)}
        fixed = {"architectures": [architecture], "dtype": "float32", "model_type": "atacformer"}
        kept = {k: special[k] for k in special if k in _PUBLISHED_SPECIAL}
        return dict(sorted({**kept, **fixed, **self.extra, **own, "architectures": [architecture]}.items()))


_OPTIONAL = {
    "norm_eps",
    "use_pos_embeddings",
    "embedding_dropout",
    "initializer_range",
    "num_batches",
}
# Published files name these five; unk and mask are implied by their order.
_PUBLISHED_SPECIAL = {"bos_token_id", "cls_token_id", "eos_token_id", "pad_token_id", "sep_token_id"}

SIZES: dict[str, dict[str, int]] = {
    # base is the paper's; tiny and small are for CPUs (see docs/design/decisions.md for the figures).
    "tiny": {
        "hidden_size": 64,
        "intermediate_size": 256,
        "num_hidden_layers": 1,
        "num_attention_heads": 4,
        "max_position_embeddings": 2048,
    },
    "small": {
        "hidden_size": 128,
        "intermediate_size": 512,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": 2048,
    },
    "base": {
        "hidden_size": 192,
        "intermediate_size": 768,
        "num_hidden_layers": 6,
        "num_attention_heads": 8,
        "max_position_embeddings": 8192,
    },
}


def sized_config(size: str, n_regions: int, **changes: float) -> AtacformerConfig:
    """A config of one of the named sizes for a universe of `n_regions`.

    Args:
        size: tiny, small or base (the paper's).
        n_regions: regions of the universe; the seven special tokens are added.
        **changes: fields to set otherwise.
    """
    if size not in SIZES:
        raise InputError(f"size '{size}' is not one of {', '.join(SIZES)}{did_you_mean(size, SIZES)}")
    values: dict[str, Any] = {**SIZES[size], "vocab_size": n_regions + len(SPECIAL_TOKENS), **changes}
    return AtacformerConfig(**values)
