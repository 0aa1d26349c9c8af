"""Checkpoint folders in the published layout: `config.json`, `model.safetensors`, `universe.bed.gz`.

What the published layout has no place for (genome, counting rule, pooling, provenance, label heads) goes into
`atacsearch.json`, `atacsearch.safetensors` and `heads.safetensors` beside it, so that other readers of the
layout are not disturbed.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.overrides import TorchFunctionMode

from ...errors import InputError
from ..config import AtacformerConfig
from ..heads.files import HEADS, Head, heads_digest, load_heads, save_heads
from ..heads.task_heads import TaskModel

if TYPE_CHECKING:
    from ...tokens.universe import Universe

CONFIG, WEIGHTS, UNIVERSE = "config.json", "model.safetensors", "universe.bed.gz"
OWN_FIELDS, OWN_TENSORS = "atacsearch.json", "atacsearch.safetensors"
POOL_WEIGHTS = "pool_weights"
GENERAL = "general"  # the encoder's own vector
ENCODER_PREFIX = "atacformer."
# A masked language model's output matrix is tied to the token table, so it is dropped on reading.
TIED = {"lm_head.weight", "lm_head.bias"}


@dataclass
class Model:
    """A loaded checkpoint: network, universe and what is known about both.

    Attributes:
        module: encoder and heads, fp32, in eval mode.
        path: the folder it came from, None for a model in memory.
        own: our own fields (`genome`, `counting`, `pooling`, provenance).
        pool_weights: [V + 7] float32 weight of each token in the pooled vector; None is the plain mean.
        heads: label -> head that gives a further vector of a cell (`ClassHead`) or a BED file (`PlainHead`,
            `ResidualHead`).
        bare: an encoder alone, whose tensors are named without `atacformer.` in front.
    """

    module: TaskModel
    universe_source: Universe | Path
    path: Path | None = None
    own: dict[str, Any] = field(default_factory=dict)
    pool_weights: Tensor | None = None
    bare: bool = False
    heads: dict[str, Head] = field(default_factory=dict)
    _digest: tuple[object, str] | None = field(default=None, init=False, repr=False)

    @property
    def architecture(self) -> str:
        """Name of the published class with this layout of tensors."""
        return "AtacformerModel" if self.bare else self.module.architecture

    @property
    def config(self) -> AtacformerConfig:
        """Sizes of the network."""
        return self.module.config

    @property
    def dim(self) -> int:
        """Width d of the vectors."""
        return self.config.hidden_size

    @property
    def vectors(self) -> dict[str, int]:
        """Name -> width of every vector that this model gives: `general`, then one for each label head."""
        return {GENERAL: self.dim, **{label: head.dim for label, head in self.heads.items()}}

    @property
    def genome(self) -> str | None:
        """Assembly of the universe, None where nobody said."""
        return self.own.get("genome")

    @property
    def counting(self) -> str | None:
        """How fragments were counted in training: `fragment`, `insertion`, or None where it is not known."""
        return self.own.get("counting")

    @cached_property
    def universe(self) -> Universe:
        """The regions behind the token ids. Raises `InputError` where their number does not fit the config."""
        from ...tokens.universe import Universe

        source = self.universe_source
        universe = source if isinstance(source, Universe) else Universe.from_bed(source, genome=self.genome)
        if len(universe) != self.config.n_regions:
            raise InputError(
                f"{universe.path or 'universe'}: {len(universe):,} regions, but config.json has vocab_size "
                f"{self.config.vocab_size:,} = {self.config.n_regions:,} regions + 7 special tokens"
            )
        return universe

    @property
    def universe_digest(self) -> str:
        """sha256 of the universe."""
        return self.universe.digest

    @property
    def digest(self) -> str:
        """sha256 over config, weights (names, shapes, fp32 bytes), the universe's digest and label heads."""
        tensors = dict(self.module.state_dict())
        if self.pool_weights is not None:
            tensors[POOL_WEIGHTS] = self.pool_weights
        # Hashing a published model takes a second and indexes ask often, so the answer is kept until a weight
        # changes; torch counts the writes to every tensor.
        versions = (
            *((name, t.data_ptr(), t._version) for name, t in tensors.items()),
            *((label, id(head)) for label, head in self.heads.items()),
        )
        if self._digest is None or self._digest[0] != versions:
            self._digest = (versions, self._hash(tensors))
        return self._digest[1]

    def _hash(self, tensors: dict[str, Tensor]) -> str:
        h = hashlib.sha256()
        h.update(json.dumps(self.config.to_dict(self.architecture), sort_keys=True).encode())
        for name in sorted(tensors):
            values = tensors[name].detach().cpu().float().contiguous()
            h.update(f"{name} {tuple(values.shape)}".encode())
            h.update(values.numpy().data)
        h.update(self.universe_digest.encode())
        if self.heads:
            h.update(heads_digest(self.heads).encode())
        return h.hexdigest()

    def save(self, path: str | Path) -> Path:
        """Write the checkpoint folder; what was there under these names is replaced as a whole.

        `config.json` goes first and comes last: a folder whose writing was broken off is none of a checkpoint.

        Returns:
            The folder.
        """
        path = Path(path)
        path.mkdir(parents=True, exist_ok=True)
        universe, digest = self.universe, self.digest  # read before anything is written over
        (path / CONFIG).unlink(missing_ok=True)
        state = {k: v.detach().cpu().contiguous() for k, v in self.module.state_dict().items()}
        if self.bare:
            state = {k.removeprefix(ENCODER_PREFIX): v for k, v in state.items()}
        _replace(path / WEIGHTS, lambda tmp: save_file(state, tmp, metadata={"format": "pt"}))
        if self.pool_weights is not None:
            own = {POOL_WEIGHTS: self.pool_weights.cpu()}
            _replace(path / OWN_TENSORS, lambda tmp: save_file(own, tmp))
        else:
            (path / OWN_TENSORS).unlink(missing_ok=True)
        if self.heads:
            _replace(path / HEADS, lambda tmp: save_heads(self.heads, tmp))
        else:
            (path / HEADS).unlink(missing_ok=True)
        own_fields = {**self.own, "heads": {label: head.dim for label, head in self.heads.items()}}
        fields = {"genome": universe.genome, **own_fields, "model_digest": digest}
        _replace(path / OWN_FIELDS, lambda tmp: tmp.write_text(json.dumps(fields, indent=2) + "\n"))
        self._save_universe(path / UNIVERSE)
        config = self.config.to_dict(self.architecture)
        _replace(path / CONFIG, lambda tmp: tmp.write_text(json.dumps(config, indent=2) + "\n"))
        return path

    def _save_universe(self, target: Path) -> None:
        """Write the universe and what is noted beside it, or copy both as they are."""
        from ...tokens.universe import side_file

        source = self.universe_source
        if not isinstance(source, Path):
            source.save(target)
        elif not (target.exists() and target.samefile(source)):
            noted, copy = side_file(source), side_file(target)
            copy.unlink(missing_ok=True)
            _replace(target, lambda tmp: shutil.copyfile(source, tmp))
            if noted.exists():
                _replace(copy, lambda tmp: shutil.copyfile(noted, tmp))


def load_model(source: str | Path) -> Model:
    """Load a checkpoint folder, or a published model by its hub name.

    Args:
        source: a folder in the published layout, or a name such as `databio/atacformer-base-hg38`.

    Returns:
        The model in fp32 and eval mode, on the CPU.

    Raises:
        InputError: the folder lacks a file, its tensors do not fit its config, or the name cannot be fetched.
    """
    path = Path(source)
    if not path.is_dir():
        from .hub import fetch_from_hub

        path = fetch_from_hub(str(source))
    for needed in (CONFIG, UNIVERSE):
        if not (path / needed).exists():
            raise InputError(
                f"{path}: no {needed}; expected a folder with {CONFIG}, {WEIGHTS} and {UNIVERSE}"
            )
    config = AtacformerConfig.from_json(path / CONFIG)
    tensors = _read_tensors(path)
    own_file = path / OWN_FIELDS
    own = json.loads(own_file.read_text()) if own_file.exists() else {}
    pool_file = path / OWN_TENSORS
    weights = _open_tensors(pool_file)[POOL_WEIGHTS] if pool_file.exists() else None
    bare = not any(name.startswith(ENCODER_PREFIX) for name in tensors)
    module = _module_of(config, tensors, path)
    heads = load_heads(path / HEADS) if own.get("heads") else {}
    return Model(module.eval(), path / UNIVERSE, path, own, weights, bare, heads)


def _module_of(config: AtacformerConfig, tensors: dict[str, Tensor], path: Path) -> TaskModel:
    """The network that these tensors belong to; the heads are those that they name."""
    if any(name.removeprefix("craft.").startswith(("gene_encoder.", "atac_encoder.")) for name in tensors):
        raise InputError(f"{path}: a CRAFT checkpoint of two encoders; expected an Atacformer checkpoint")
    if not any(name.startswith(ENCODER_PREFIX) for name in tensors):
        tensors = {f"{ENCODER_PREFIX}{name}": value for name, value in tensors.items()}
    tensors = {name: value.float() for name, value in tensors.items() if name not in TIED}
    with _NothingDrawn():
        module = TaskModel(
            config,
            discriminator=any(name.startswith("discriminator.") for name in tensors),
            batches=any(name.startswith("batch_prediction_head.") for name in tensors),
        )
    wanted = module.state_dict()
    missing, unexpected = sorted(wanted.keys() - tensors.keys()), sorted(tensors.keys() - wanted.keys())
    if missing or unexpected:
        raise InputError(
            f"{path / WEIGHTS}: tensors do not fit config.json "
            f"(missing {missing[:3] or 'none'}, unexpected {unexpected[:3] or 'none'})"
        )
    for name, value in tensors.items():
        if value.shape != wanted[name].shape:
            raise InputError(
                f"{path / WEIGHTS}: {name} has shape {tuple(value.shape)}, "
                f"config.json asks for {tuple(wanted[name].shape)}"
            )
    # The file's own pages, mapped privately: what is never looked up, such as most of a token table, is never
    # read, and nothing lies in memory twice. `save` replaces files and so leaves mapped ones as they are.
    module.load_state_dict(tensors, assign=True)
    return module


class _NothingDrawn(TorchFunctionMode):
    """Modules made under it keep unwritten memory, which costs nothing, where they would draw random weights.

    Not `torch.device("meta")`: its first random number imports torch's compiler, which takes two seconds.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__module__", None) == "torch.nn.init":
            return kwargs["tensor"] if "tensor" in kwargs else args[0]
        return func(*args, **kwargs)


def _read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of one `model.safetensors`, or of the shards that its index names."""
    index = path / f"{WEIGHTS}.index.json"
    if (path / WEIGHTS).exists():
        return _open_tensors(path / WEIGHTS)
    if index.exists():
        files = sorted(set(json.loads(index.read_text())["weight_map"].values()))
        return {k: v for name in files for k, v in _open_tensors(path / name).items()}
    raise InputError(f"{path}: neither {WEIGHTS} nor {index.name}; expected the weights of an Atacformer")


def _open_tensors(file: Path) -> dict[str, Tensor]:
    try:
        with safe_open(file, "pt") as f:
            return {name: f.get_tensor(name) for name in f.keys()}  # noqa: SIM118 (not a mapping)
    except FileNotFoundError:
        raise InputError(f"{file}: no such file; the checkpoint is incomplete") from None
    except SafetensorError as error:
        raise InputError(f"{file}: not a readable safetensors file ({error}); download it again") from None


def _replace(target: Path, write: Callable[[Path], object]) -> None:
    """Write under a temporary name, then rename, so that a killed process leaves no half file."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    write(temporary)
    # safetensors makes files that their owner alone can read; a model is as readable as what lies beside it.
    mask = os.umask(0)
    os.umask(mask)
    temporary.chmod(0o666 & ~mask)
    os.replace(temporary, target)


def new_model(
    config: AtacformerConfig,
    universe: Universe,
    *,
    seed: int = 0,
    discriminator: bool = False,
    batches: bool = False,
    own: Mapping[str, object] | None = None,
) -> Model:
    """A model with fresh random weights, in memory.

    Args:
        config: sizes of the network.
        universe: its regions; as many as the config says.
        seed: of the weights.
        discriminator: with a head that tells replaced tokens.
        batches: with a head that tells the batch.
        own: our own fields, see `Model`.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = TaskModel(config, discriminator=discriminator, batches=batches)
    return Model(module.eval(), universe, None, {"genome": universe.genome, **(own or {})})
