"""Large collections of realistic cells: real token sets, thinned and mixed, then encoded by a model.

Each made cell has two real parents. Both keep a random 50 to 90 % of their regions, the lesser one a random
part of that again, and the union is the made cell. The model is a warm-started one without attention layers
(hidden 192) fine-tuned on the cell types, whose encoding is a weighted mean of token rows, so that a million
cells take about a minute; `check` proves on a sample that the encoder gives the same. Queries are made of
parents that the collection never saw. Cells are made in chunks with seeds of their own: a smaller collection is
the beginning of a larger.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from atacsearch.genome.intervals import concat_ranges, sorted_unique
from atacsearch.tokens.token_sets import TokenSets

if TYPE_CHECKING:
    from atacsearch.model.checkpoints.checkpoint import Model
    from atacsearch.store.types import Batch


DIM = 192
CHUNK = 20_000  # cells made at once
HELD_OUT = 0.2  # share of the real cells that only queries are made of
QUERIES = 10_000
SHARES = (("half", 0.5), ("tenth", 0.1), ("hundredth", 0.01), ("thousandth", 0.001))


@dataclass
class Mixtures:
    """Made cells, and what they are made of.

    Attributes:
        folder: where vectors and the model are kept.
        sets: token sets of the real cells.
        types: [n_real] label of each real cell.
        genome: assembly of the input.
        universe_digest: of the universe that the tokens refer to.
    """

    folder: Path
    sets: TokenSets
    types: npt.NDArray[np.object_]
    genome: str | None
    universe_digest: str

    @property
    def model_dir(self) -> Path:
        """The warm-started checkpoint."""
        return self.folder / "model"

    @cached_property
    def model(self) -> Model:
        """The loaded checkpoint."""
        from atacsearch.model.checkpoints.checkpoint import load_model

        return load_model(self.model_dir)

    @cached_property
    def _held_out(self) -> npt.NDArray[np.bool_]:
        return np.random.default_rng(7).random(len(self.sets)) < HELD_OUT

    def chunk(self, number: int, size: int = CHUNK) -> tuple[TokenSets, npt.NDArray[np.int64]]:
        """Token sets and dominating parents of one chunk; chunk -1 is the queries'."""
        rng = np.random.default_rng([11, number + 1])
        usable = np.flatnonzero(self._held_out == (number < 0))
        usable = usable[self.sets.lengths[usable] >= 20]
        parents = rng.choice(usable, (2, size))
        share = rng.random(size)
        lesser = np.minimum(share, 1 - share) / np.maximum(share, 1 - share)
        keep = rng.uniform(0.5, 0.9, (2, size)) * np.stack([np.ones(size), lesser])
        keys = []
        for parent, part in zip(parents, keep, strict=True):
            lengths = self.sets.lengths[parent]
            picked = self.sets.tokens[concat_ranges(self.sets.offsets[parent], self.sets.offsets[parent + 1])]
            kept = rng.random(len(picked), np.float32) < np.repeat(part, lengths)
            keys.append((np.repeat(np.arange(size), lengths)[kept] << 32) | picked[kept])
        union = sorted_unique(np.concatenate(keys))
        offsets = np.searchsorted(union, np.arange(size + 1) << 32)
        names = tuple(f"B{number:03d}x{i:05d}" for i in range(size))
        return TokenSets(
            offsets, (union & 0xFFFFFFFF).astype(np.uint32), names, self.universe_digest
        ), parents[0]

    @cached_property
    def _table(self) -> tuple[Any, npt.NDArray[np.float32]]:
        weights = self.model.pool_weights
        assert weights is not None
        table = self.model.module.atacformer.embeddings.token_embeddings.weight.detach()
        return (table * weights[:, None]).contiguous(), weights.numpy()

    def encode(self, sets: TokenSets) -> npt.NDArray[np.float32]:
        """[n, d] weighted mean of the token rows of each set: what the encoder of this model computes."""
        import torch

        table, weights = self._table
        tokens = torch.from_numpy(sets.tokens.astype(np.int64))
        sums = torch.nn.functional.embedding_bag(
            tokens, table, torch.from_numpy(sets.offsets[:-1].astype(np.int64)), mode="sum"
        )
        mass = np.add.reduceat(weights[sets.tokens], sets.offsets[:-1])
        return (sums.numpy() / mass[:, None]).astype(np.float32)

    def check(self) -> float:
        """The largest difference to the encoder on 200 made cells, relative to the longest vector."""
        from atacsearch.model.encoding.encoder import Encoder

        sets = self.chunk(0, 200)[0]
        expected, found = Encoder(self.model, device="cpu").encode(sets), self.encode(sets)
        return float(np.abs(expected - found).max() / np.linalg.norm(expected, axis=1).max())

    def vectors(self, n: int) -> npt.NDArray[np.float16]:
        """[n, d] float16 vectors of the first n made cells, mapped from disk; made where they are missing."""
        folder = self.folder / "vectors"
        folder.mkdir(exist_ok=True)
        pieces = []
        for number in range(-(-n // CHUNK)):
            path = folder / f"{number}.npy"
            if not path.exists():
                if number % 10 == 0:
                    print(f"making cells from {number * CHUNK:,} on", file=sys.stderr)
                np.save(path, self.encode(self.chunk(number)[0]).astype(np.float16))
            pieces.append(np.load(path, mmap_mode="r"))
        return np.concatenate(pieces)[:n]

    @cached_property
    def queries(self) -> npt.NDArray[np.float32]:
        """[10,000, d] float32 vectors of cells made of parents that the collection never saw."""
        return self.encode(self.chunk(-1, QUERIES)[0])

    def batch(self, number: int, size: int = CHUNK) -> Batch:
        """A `store.Batch` of the first cells of one chunk, with ten label columns.

        Text columns: `cell_type` of the dominating parent, `site` (half, tenth, hundredth, thousandth: their
        share of the cells), `donor`, `tissue`, `assay`, `plate` (1,000 values). Numbers: `percentile` (uniform),
        `n_fragments`, `tss_enrichment`; true or false: `doublet`.
        """
        from atacsearch.store.types import Batch

        sets, parents = self.chunk(number)
        n = size
        sets, parents = sets.take(np.arange(n)), parents[:n]
        vectors = self.encode(sets)
        rng = np.random.default_rng([13, number])
        ids = [f"made#{name}" for name in sets.names]
        labels = pa.table(labels_of(n, rng) | {"cell_type": pa.array(self.types[parents])})
        return Batch(ids, sets.names, labels, sets, {"general": vectors})


def labels_of(n: int, rng: np.random.Generator) -> dict[str, Any]:
    """Nine label columns of n cells that do not depend on their vectors."""
    edges = np.cumsum([share for _, share in SHARES])
    names = np.array([name for name, _ in SHARES] + ["rest"], object)
    return {
        "site": names[np.searchsorted(edges, rng.random(n), side="right")],
        "donor": np.array([f"donor {i}" for i in range(40)], object)[rng.integers(0, 40, n)],
        "tissue": np.array(["cortex", "hippocampus", "cerebellum"], object)[rng.integers(0, 3, n)],
        "assay": np.array(["snATAC-seq", "Multiome"], object)[rng.integers(0, 2, n)],
        "plate": np.array([f"P{i:04d}" for i in range(1000)], object)[rng.integers(0, 1000, n)],
        "percentile": rng.random(n) * 100,
        "n_fragments": rng.integers(1_000, 50_000, n),
        "tss_enrichment": rng.gamma(4, 2, n),
        "doublet": rng.random(n) < 0.05,
    }


def open_mixtures(
    folder: Path, source: Path | None = None, label: str = "celltype", trained: bool = True
) -> Mixtures:
    """Read the real cells and see to it that there is a model of them.

    Args:
        folder: keeps the model and the vectors.
        source: h5ad of real cells; None fetches the mouse forebrain set that the demo uses.
        label: its column of cell types.
        trained: fine-tune the warm-started model on the cell types; without, vectors are noisier and
            neighbours harder to find.
    """
    from atacsearch.genome.datasets import fetch
    from atacsearch.readers.inputs.open import open_input
    from atacsearch.readers.inputs.universes import universe_from_inputs
    from atacsearch.readers.options import ReadOptions

    genome = None if source is not None else "mm10"
    path = source if source is not None else fetch("forebrain")
    universe = universe_from_inputs([path], genome)
    items = open_input(path, universe, ReadOptions(genome=genome))[0]
    types = np.array(items.labels[label].to_pylist(), object)
    made = Mixtures(folder, items.sets, types, items.genome, universe.digest)
    if not made.model_dir.exists():
        _make_model(made, universe, trained)
    return made


def _make_model(made: Mixtures, universe: Any, trained: bool) -> None:
    from atacsearch.model.checkpoints.checkpoint import new_model
    from atacsearch.model.config import SPECIAL_TOKENS, AtacformerConfig
    from atacsearch.training.loops.metric_learning import CelltypeSettings, train_celltype
    from atacsearch.training.trainer.warm_start import warm_start

    config = AtacformerConfig(
        vocab_size=len(universe) + len(SPECIAL_TOKENS),
        hidden_size=DIM,
        intermediate_size=4 * DIM,
        num_hidden_layers=0,
        num_attention_heads=8,
        max_position_embeddings=8_192,
    )
    model = new_model(config, universe)
    warm_start(model, made.sets)
    made.folder.mkdir(parents=True, exist_ok=True)
    if trained:
        settings = CelltypeSettings(loss="proxy")
        train_celltype(model, made.sets, list(made.types), made.model_dir, settings)
    else:
        model.save(made.model_dir)
