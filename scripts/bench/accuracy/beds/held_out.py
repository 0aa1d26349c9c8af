"""Ours on BED files, as a user runs it: `train bulk`, an index, `annotate` by the vector of the label.

One training with all labels serves every task: the files of a fold are left out of it whole, so its vectors of
them are vectors of unseen files whichever label is asked. Rules of a task that differ from file to file (other cell
lines only, other targets only) choose among the neighbours afterwards, by the vectors of the same model.
"""

from __future__ import annotations

import csv
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.accuracy.beds.tasks import TASKS, Task, joined
from bench.common.cache import Cache, key_of
from bench.common.commands import command
from bench.common.messages import note

LABELS = ("cell_type", "assay", "target")
FOLDS = 10


@dataclass(frozen=True)
class HeldOut:
    """What one training gives for the files that it did not see.

    Attributes:
        training: rows of the files trained on.
        asked: rows of the others.
        cosines: label -> [asked, training] by the vector of the label.
        calls: name of a task without rules by file -> [asked] what `annotate` says with its defaults.
        seconds: of training, index and one `annotate` for each such task.
    """

    training: npt.NDArray[np.int64]
    asked: npt.NDArray[np.int64]
    cosines: dict[str, Any]
    calls: dict[str, list[str]]
    seconds: float


def can_train_bulk() -> bool:
    """Whether this atacsearch trains on BED files."""
    return any(line.split()[:1] == ["bulk"] for line in command("train", "--help").splitlines())


def vector_of(task: Task) -> str:
    """Label whose vector answers a task; the family of an assay is read off the assay."""
    return "assay" if task.label == "assay_family" else task.label


def folds_of_kinds(columns: Mapping[str, Any], by: str | None) -> list[tuple[Any, Any]]:
    """Training and left-out rows of each fold: ten, files that share labels together, or each value of `by`."""
    if by is not None:
        place = np.unique(columns[by], return_inverse=True)[1]
    else:
        known = [name for name in ("assay_family", *LABELS) if name in columns and name != "assay"]
        kinds, place = np.unique(joined(columns, known), return_inverse=True)
        place = np.random.default_rng(0).permutation(np.arange(len(kinds)) % FOLDS)[place]
    return [(np.flatnonzero(place != fold), np.flatnonzero(place == fold)) for fold in np.unique(place)]


def train_without(
    columns: Mapping[str, Any],
    training: Any,
    asked: Any,
    cache: Cache,
    *,
    source: str,
    genome: str | None,
    seed: int,
    extra: Sequence[str] = (),
    tasks: Sequence[Task] = TASKS,
    labels: Sequence[str] = LABELS,
    only_cached: bool = False,
) -> HeldOut | None:
    """Train on some files, index them, annotate the others and compare their vectors; kept in the cache's folder.

    Args:
        columns: of all files; `path` and the labels.
        training, asked: rows.
        cache: where the result is kept.
        source: digest of the program that does it.
        genome: of the files.
        seed: of the training.
        extra: more words of `train bulk`.
        tasks: those without rules by file are asked of `annotate`.
        labels: columns that get a vector, where they hold two values.
        only_cached: None where it is not there.
    """
    labels = [
        name for name in labels if name in columns and len({*columns[name][training].tolist()} - {""}) > 1
    ]
    content = [columns["path"][training].tolist(), columns["path"][asked].tolist(), labels]
    content += [[columns[name][training].tolist() for name in labels]]
    content += [] if tasks == TASKS else [[task.name for task in tasks]]
    path = cache.folder / "folds" / f"{key_of(content, list(extra), seed, source)}.npz"
    if not path.exists():
        if only_cached:
            return None
        note(f"train bulk without {len(asked)} files, seed {seed}")
        path.parent.mkdir(parents=True, exist_ok=True)
        plain = [task for task in tasks if not task.must_differ and vector_of(task) in labels]
        with tempfile.TemporaryDirectory() as temporary:
            made = _made(columns, training, asked, Path(temporary), labels, plain, genome, seed, extra)
        scratch = path.with_suffix(".new.npz")
        np.savez_compressed(scratch, **made)
        scratch.rename(path)
    with np.load(path) as kept:
        found = dict(kept)
    return HeldOut(
        np.asarray(training),
        np.asarray(asked),
        {name.partition(":")[2]: v for name, v in found.items() if name.startswith("cosines:")},
        {name.partition(":")[2]: v.tolist() for name, v in found.items() if name.startswith("calls:")},
        float(found["seconds"]),
    )


def _made(
    columns: Mapping[str, Any],
    training: Any,
    asked: Any,
    folder: Path,
    labels: Sequence[str],
    tasks: Sequence[Task],
    genome: str | None,
    seed: int,
    extra: Sequence[str],
) -> dict[str, Any]:
    from bench.accuracy.beds.methods import write_manifest

    beside = sorted({name for task in tasks for name in task.among} - set(labels))
    reference = write_manifest(dict(columns), training, folder / "reference.tsv", [*labels, *beside])
    query = write_manifest(dict(columns), asked, folder / "query.tsv", ())
    model, index = folder / "model", folder / "index"
    place = [] if genome is None else ["--genome", genome]
    began = time.perf_counter()
    command(
        "train", "bulk", reference, "--label", ",".join(labels), "--seed", seed, "-o", model, *place, *extra
    )
    command("index", "create", index, "--model", model)
    command("index", "add-beds", index, reference, *place)
    out: dict[str, Any] = {}
    for number, task in enumerate(tasks):
        if task.among and not len(np.intersect1d(task.files(columns), training)):
            continue
        if not len(np.intersect1d(task.files(columns), asked)):
            continue
        conditions = [word for condition in task.where() for word in ("--where", condition)]
        calls = folder / f"{number}.tsv"
        command(
            "annotate", query, "--index", index, "--label", vector_of(task), *conditions, *place, "-o", calls
        )
        with open(calls, newline="") as file:
            out[f"calls:{task.name}"] = np.array(
                [row["label"] for row in csv.DictReader(file, delimiter="\t")]
            )
    out["seconds"] = time.perf_counter() - began
    vectors = [_vectors(model, manifest, labels, genome) for manifest in (query, reference)]
    for name in labels:
        a, b = (v[name] / np.maximum(np.linalg.norm(v[name], axis=1, keepdims=True), 1e-12) for v in vectors)
        out[f"cosines:{name}"] = (a @ b.T).astype(np.float32)
    return out


def _vectors(model: Path, manifest: Path, labels: Sequence[str], genome: str | None) -> dict[str, Any]:
    from atacsearch.model.checkpoints.checkpoint import load_model
    from atacsearch.model.encoding.encoder import Encoder
    from atacsearch.readers.inputs.open import open_input
    from atacsearch.readers.options import ReadOptions

    loaded = load_model(model)
    (items,) = open_input(manifest, loaded.universe, ReadOptions(genome=genome))
    return Encoder(loaded).encode_as(list(labels), items.sets)
