"""Ours on BED files, as a user runs it: `train bulk`, an index, `annotate` by the vector of the label."""

from __future__ import annotations

import csv
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .beds import write_manifest
from .bedtasks import FAMILIES
from .product import command, offers

LABELS = ("cell_type", "assay", "target")
GROUP = "collection"  # of the files trained on: what early stopping may hold out whole


def offered() -> bool:
    """Whether this atacsearch trains on BED files."""
    return any(line.split()[:1] == ["bulk"] for line in command("train", "--help").splitlines())


def train_and_annotate(
    columns: Mapping[str, Any],
    training: Any,
    asked: Any,
    folder: Path,
    *,
    label: str,
    where: Sequence[str],
    genome: str | None,
    seed: int,
    extra: Sequence[str] = (),
) -> tuple[list[str | None], dict[str, Any]]:
    """Train on some files, index them, annotate the others.

    Args:
        columns: of all files; `path` and the labels.
        training, asked: rows.
        folder: for manifests, model, index and calls; empty.
        label: column asked for; the family of an assay is read off the assay.
        where: conditions that the voters must meet.
        genome: of the files.
        seed: of the training.
        extra: more words of `train bulk`.

    Returns:
        The label of each asked file, None where there is none, and what it took.
    """
    column = "assay" if label == "assay_family" else label
    asked_for = [name for name in LABELS if name in columns and name != column]
    several = [name for name in asked_for if len({*columns[name][training].tolist()} - {""}) > 1]
    labels = [column, *several]
    voted = {condition.split()[0] for condition in where}
    grouped = GROUP in columns and offers("--group", "train", "bulk")
    beside = sorted((voted | {GROUP} if grouped else voted) - set(labels))
    kept = dict(columns)
    reference = write_manifest(kept, training, folder / "reference.tsv", [*labels, *beside])
    query = write_manifest(kept, asked, folder / "query.tsv", ())
    model, index, calls = folder / "model", folder / "index", folder / "calls.tsv"
    place = [] if genome is None else ["--genome", genome]
    began = time.perf_counter()
    words = ["train", "bulk", reference, "--label", ",".join(labels), "--seed", seed, "-o", model]
    command(*words, *place, *(["--group", GROUP] if grouped else []), *extra)
    trained = time.perf_counter()
    command("index", "create", index, "--model", model)
    command("index", "add-beds", index, reference, *place)
    conditions = [word for condition in where for word in ("--where", condition)]
    command("annotate", query, "--index", index, "--label", column, *conditions, *place, "-o", calls)
    with open(calls, newline="") as file:
        found = [row["label"] or None for row in csv.DictReader(file, delimiter="\t")]
    if label == "assay_family":
        found = [None if name is None else FAMILIES.get(name, name) for name in found]
    return found, {
        "train_seconds": round(trained - began, 1),
        "seconds": round(time.perf_counter() - began, 1),
    }
