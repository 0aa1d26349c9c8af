"""The simple methods for BED files: neighbours by Jaccard or IDF cosine, and TF-IDF logistic regression."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from atacsearch.demo.baseline import TfIdf
from bench.accuracy.beds.tasks import Mask
from bench.accuracy.shared.classifiers import Labels, logistic
from bench.common.cache import key_of

Floats = npt.NDArray[np.float64]
GRID = (1.0, 10.0)
COMPONENTS = 50
MOST_REGIONS = 5_000_000


@dataclass(frozen=True)
class BedFiles:
    """BED files of one genome over the regions that they cover together.

    Attributes:
        columns: [n] strings of each column of the table; `file` as written there, `path` absolute.
        matrix: scipy CSR [n, n_regions] float32, binary.
        genome: assembly.
    """

    columns: dict[str, npt.NDArray[np.str_]]
    matrix: Any
    genome: str | None


def read_files(
    table: Path, folder: Path, genome: str | None = None, query: Path | None = None
) -> tuple[BedFiles, int]:
    """Read a manifest and its files, over a universe of everything that any of them covers.

    Args:
        table: TSV with a column `file`, relative to it, and label columns.
        query: another such table; its files are asked and the others answer. None: all are and do.
        folder: where the universe is kept.
        genome: files of this genome only; by default of the most frequent value of the column `genome`.

    Returns:
        The files (with `role`: both, reference or query), and how many are of another genome and left out.
    """
    from atacsearch.readers.inputs.open import open_input
    from atacsearch.readers.inputs.universes import universe_from_inputs
    from atacsearch.readers.options import ReadOptions
    from atacsearch.tokens.universe import Universe

    if query is None or query.resolve() == table.resolve():
        rows = _rows(table, "both")
    else:
        rows = [*_rows(table, "reference"), *_rows(query, "query")]
    named = [row["genome"] for row in rows if row.get("genome")]
    genome = genome or (max(set(named), key=named.count) if named else None)
    kept = [row for row in rows if row.get("genome") in (genome, "", None)]
    names = dict.fromkeys(name for row in kept for name in row)
    columns = {name: np.array([row.get(name, "") for row in kept]) for name in names}
    work = folder / "beds"
    work.mkdir(parents=True, exist_ok=True)
    manifest = write_manifest(columns, np.arange(len(kept)), work / "all.tsv", ())
    path = work / f"universe-{key_of([(p, Path(p).stat().st_size) for p in columns['path']])[:12]}.bed.gz"
    if not path.exists():
        made = universe_from_inputs([manifest], genome, max_regions=MOST_REGIONS, cutoff=1)
        scratch = path.with_name("new-" + path.name)
        made.save(scratch)
        scratch.rename(path)
    regions = Universe.load(path, genome=genome)
    (items,) = open_input(manifest, regions, ReadOptions(genome=genome))
    matrix = items.sets.to_csr(len(regions)).astype(np.float32)
    matrix.data[:] = 1.0
    return BedFiles(columns, matrix, genome), len(rows) - len(kept)


def _rows(table: Path, role: str) -> list[dict[str, str]]:
    with open(table, newline="") as file:
        rows = [{k: v or "" for k, v in row.items()} for row in csv.DictReader(file, delimiter="\t")]
    if not rows or "file" not in rows[0]:
        raise SystemExit(f"{table}: expected a tab-separated table with a column `file`")
    return [{**row, "path": str((table.parent / row["file"]).resolve()), "role": role} for row in rows]


def write_manifest(
    columns: dict[str, npt.NDArray[np.str_]], rows: Any, path: Path, labels: Sequence[str]
) -> Path:
    """Write a manifest of some files with some of their label columns."""
    with open(path, "w", newline="") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        writer.writerow(["file", *labels])
        for i in rows:
            writer.writerow([columns["path"][i], *(columns[name][i] for name in labels)])
    return path


def jaccard(matrix: Any) -> Floats:
    """[n, n] shared over united regions of every two files."""
    shared = np.asarray((matrix @ matrix.T).todense(), np.float64)
    sizes = np.diagonal(shared)
    united = sizes[:, None] + sizes[None, :] - shared
    return np.divide(shared, united, out=np.zeros_like(shared), where=united > 0)


def idf_cosine(matrix: Any) -> Floats:
    """[n, n] cosine of IDF-weighted rows."""
    rows = TfIdf.fit(matrix).transform(matrix)
    return np.asarray((rows @ rows.T).todense(), np.float64)


def svd_cosine(matrix: Any) -> Floats:
    """[n, n] cosine of the first `COMPONENTS` singular vectors of IDF-weighted unit rows, times their values."""
    from sklearn.preprocessing import normalize

    rows = normalize(TfIdf.fit(matrix).transform(matrix).astype(np.float64))
    values, axes = np.linalg.eigh(np.asarray((rows @ rows.T).todense()))
    kept = np.argsort(-values)[:COMPONENTS]
    return cosine(axes[:, kept] * np.sqrt(np.maximum(values[kept], 0.0)))


def cosine(vectors: Any) -> Floats:
    """[n, n] cosine of dense vectors."""
    from sklearn.preprocessing import normalize

    unit = normalize(np.asarray(vectors, np.float64))
    return np.asarray(unit @ unit.T)


def neighbours(similarity: Floats, labels: Labels, may: Mask, k: int) -> list[str | None]:
    """Label of the majority of the k most similar files that may answer; the nearest one decides a tie.

    Args:
        similarity: [n, n].
        labels: [n].
        may: [n, n] whether the column may answer for the row.
        k: voters, fewer where fewer may answer.

    Returns:
        [n], None where nobody may answer.
    """
    out: list[str | None] = []
    for near, row in zip(np.where(may, similarity, -np.inf), may, strict=True):
        order = np.argsort(-near, kind="stable")[: min(k, int(row.sum()))]
        votes = labels[order].tolist()
        out.append(max(votes, key=lambda label: (votes.count(label), -votes.index(label))) if votes else None)
    return out


def without_predicted_kinds(similarity: Floats, kinds: Labels, may: Mask) -> Mask:
    """`may` without those that have the kind (assay and target) that the nearest file lends to the asked one.

    Only the answering files' kinds are looked at: that of the asked file is predicted, not known. Where
    nobody would be left, everybody who may answer stays.
    """
    lent = neighbours(similarity, kinds, may, 1)
    out = np.asarray(may & (kinds[None, :] != np.array([kind or "" for kind in lent])[:, None]))
    out[~out.any(1)] = may[~out.any(1)]
    return out


def few_columns(train: Any, test: Any) -> tuple[Floats, Floats]:
    """TF-IDF rows (weights of `train`) turned into as many columns as there are training rows.

    Inner products with and among training rows stay, so a linear model with an L2 penalty is the same, and
    a million columns need not be fitted.
    """
    weights = TfIdf.fit(train)
    a, b = (weights.transform(side).astype(np.float64) for side in (train, test))
    values, axes = np.linalg.eigh(np.asarray((a @ a.T).todense()))
    kept = values > 1e-9 * values[-1]
    scale = np.sqrt(values[kept])
    return axes[:, kept] * scale, np.asarray(b @ a.T @ (axes[:, kept] / scale))


def unit_columns(train: Any, test: Any) -> tuple[Floats, Floats]:
    """Vectors at unit length times the root of their width, so that a C means the same for every width."""
    from sklearn.preprocessing import normalize

    a, b = (normalize(side) * np.sqrt(side.shape[1]) for side in (train, test))
    return a, b


def trained(
    sides: Sequence[tuple[Any, Any]], labels: Labels, split: Sequence[tuple[Any, Any]], balanced: bool
) -> list[str | None]:
    """Labels of left-out files by logistic regression on the others.

    Args:
        sides: rows of the training files and of the left-out ones, of each fold.
        labels: [n].
        split: training rows and left-out rows of each fold.
        balanced: weigh every class the same.

    Returns:
        [n], None for files that no fold left out.
    """
    out: list[str | None] = [None] * len(labels)
    for (a, b), (train, test) in zip(sides, split, strict=True):
        called, _ = logistic(a, labels[train], b, GRID, balanced=balanced)
        for i, label in zip(test, called.tolist(), strict=True):
            out[int(i)] = label
    return out
