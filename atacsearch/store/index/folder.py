"""Index: the folder that ties shards, metadata and vectors together, and the doors to read and write it.

See `manifest.py` for the layout. Readers open one generation (`snapshot`), one writer at a time makes the
next (`writer`); neither waits for the other.
"""

from __future__ import annotations

import os
import shutil
import uuid
import weakref
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from ...errors import DigestError, InputError
from ..atomic import disk_errors, not_writable, put_in_place, remove, size_of, temporary
from ..lock import holder_of
from ..manifest import FORMAT_VERSION, info_json, now, read_current, read_info, read_manifest
from ..types import KINDS, IndexInfo
from ..vectors.base import VectorStore
from ..vectors.embedded import EmbeddedStore
from .snapshot import Snapshot
from .status import CollectionStatus, IndexStatus
from .writer import Writer, first_manifest

DTYPES = ("float32", "float16")


def open_store(index: Path, info: IndexInfo) -> VectorStore:
    """The vector store of an index: its own folder, or the server at its URL."""
    if info.url is None:
        return EmbeddedStore(index, info)
    from ..vectors.server import ServerStore

    return ServerStore(index, info)


class IndexFolder:
    """An index folder. Made by `IndexFolder.create` or `IndexFolder.open`.

    Attributes:
        path: the folder.
        info: what was fixed when it was created.
    """

    def __init__(self, path: Path, info: IndexInfo) -> None:
        self.path = path
        self.info = info
        self._store: VectorStore | None = None
        self._snapshot: Snapshot | None = None
        self._in_use: weakref.WeakSet[Snapshot] = weakref.WeakSet()

    # -- making and opening ---------------------------------------------------------------------------

    @classmethod
    def create(
        cls,
        path: str | Path,
        *,
        model_dir: Path | None,
        model_digest: str,
        universe_digest: str,
        genome: str | None = None,
        vectors: Mapping[str, int],
        counting: str | None = None,
        url: str | None = None,
        genes: Path | None = None,
        dtype: str = "float32",
        copy_model: bool = True,
    ) -> IndexFolder:
        """Make an empty index.

        Args:
            path: folder to make; it must not exist, or be empty.
            model_dir: the checkpoint; copied into the index.
            model_digest: of that model.
            universe_digest: of its universe.
            genome: assembly, None where unknown.
            vectors: vector name -> dimension; names cannot be added later.
            counting: "fragment" or "insertion"; sources that count otherwise are refused. None allows any.
            url: of a Qdrant server that is to hold the vectors (API key in the environment: QDRANT_API_KEY).
            genes: gene annotation file, copied into the index.
            dtype: "float32" or "float16", of vectors in shards and in Qdrant.
            copy_model: False stores a reference to `model_dir` instead of a copy.

        Raises:
            InputError: the folder is not empty or cannot be written.
        """
        path = Path(path)
        _check_free(path)
        if dtype not in DTYPES:
            raise InputError(f"vectors are stored as {' or '.join(DTYPES)}, not {dtype!r}")
        info = IndexInfo(
            FORMAT_VERSION,
            uuid.uuid4().hex,
            genome,
            universe_digest,
            model_digest,
            dict(vectors),
            dtype,
            counting,
            url,
            now(),
        )
        with disk_errors(path, "creating the index"):
            path.parent.mkdir(parents=True, exist_ok=True)
            made = temporary(path)
            try:
                _fill_folder(made, info, model_dir, copy_model, genes)
                put_in_place(made, path)
            except BaseException:
                remove(made)
                raise
        return cls(path, info)

    @classmethod
    def open(cls, path: str | Path, url: str | None = None) -> IndexFolder:
        """Open an index for reading and, by `writer()`, for writing.

        Args:
            path: the index folder.
            url: of the Qdrant server that holds its vectors, where it moved since the index was created.

        Raises:
            InputError: there is no index, or one of a newer format.
        """
        path = Path(path)
        info = read_info(path)
        if url is not None:
            info = IndexInfo(**{**asdict(info), "url": url})
        return cls(path, info)

    @property
    def model_path(self) -> Path:
        """Where the model is: `load_model` takes it."""
        reference = self.path / "model" / "reference.txt"
        if reference.is_file():
            return Path(reference.read_text(encoding="utf-8").strip())
        return self.path / "model"

    @property
    def genes_path(self) -> Path | None:
        """The gene annotation file given at creation."""
        folder = self.path / "genes"
        return next((p for p in sorted(folder.iterdir())), None) if folder.is_dir() else None

    @property
    def store(self) -> VectorStore:
        """Where the vectors are."""
        if self._store is None:
            self._store = open_store(self.path, self.info)
        return self._store

    def check_model(self, model_digest: str, universe_digest: str) -> None:
        """Refuse a model or universe other than the one that made this index's vectors.

        Raises:
            DigestError: naming both digests.
        """
        for what, given, own in (
            ("universe", universe_digest, self.info.universe_digest),
            ("model", model_digest, self.info.model_digest),
        ):
            if given != own:
                raise DigestError(
                    f"the {what} {given[:12]} did not make the index {self.path}, {own[:12]} did; "
                    f"use the model in {self.model_path}, or make another index"
                )

    # -- reading --------------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """The current generation; the same object until another one is published.

        Raises:
            InputError: the generation cannot be read.
        """
        for attempt in range(10):
            generation = read_current(self.path)
            held = self._snapshot
            if held is not None and not held.closed and held.generation == generation:
                return held
            try:
                manifest = read_manifest(self.path, generation)
                self._snapshot = Snapshot(self.path, self.info, manifest, self.store)
                self._in_use.add(self._snapshot)
                self.store.keep_open(p for s in self._in_use if not s.closed for p in s.manifest.parts)
                return self._snapshot
            except FileNotFoundError as error:
                # it may have been replaced twice and removed since CURRENT was read
                if read_current(self.path) == generation or attempt == 9:
                    raise InputError(
                        f"generation {generation} of {self.path} is missing ({error.filename or error}); "
                        f"run: atacsearch index repair {self.path}"
                    ) from error
        raise AssertionError("unreachable")

    def status(self) -> IndexStatus:
        """What the index holds."""
        snap = self.snapshot()
        return IndexStatus(
            str(self.path),
            self.info,
            snap.generation,
            snap.manifest.created,
            holder_of(self.path),
            size_of(self.path),
            {kind: self._collection_status(snap, kind) for kind in KINDS},
        )

    def _collection_status(self, snap: Snapshot, kind: str) -> CollectionStatus:
        shards, parts = snap.manifest.shards_of(kind), snap.manifest.parts_of(kind)
        tombstones = snap.manifest.tombstones()
        return CollectionStatus(
            items=snap.count(kind),
            points={name: snap.points(kind, name) for name in self.info.vectors},
            sources=len({s.source.id for s in shards}),
            shards=len(shards),
            shard_bytes=sum(s.bytes for s in shards),
            parts=len(parts),
            part_bytes=sum(self.store.size(p) for p in parts),
            deleted_shards=sum(len(tombstones.get(p.name, ())) for p in parts),
            columns={name: c.kind for name, c in snap.columns(kind).items()},
            filters=snap.filterable(kind),
        )

    # -- writing --------------------------------------------------------------------------------------

    def writer(self) -> Writer:
        """The writer; use it in a `with` block.

        Raises:
            LockedError: another process writes; the message names it.
            InputError: the folder cannot be written.
        """
        if not os.access(self.path, os.W_OK):
            raise not_writable(self.path, "no write permission")
        return Writer(self.path, self.info, self.store)

    def close(self) -> None:
        """Let go of files and connections."""
        if self._snapshot is not None:
            self._snapshot.close()
            self._snapshot = None
        if self._store is not None:
            self._store.close()
            self._store = None

    def __enter__(self) -> IndexFolder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _check_free(path: Path) -> None:
    """Refuse a path where anything lies already."""
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        is_index = (path / "index.json").exists()
        what = "is an index already" if is_index else "exists and is not an empty folder"
        raise InputError(f"{path} {what}; give another path, or remove it first")


def _fill_folder(
    folder: Path, info: IndexInfo, model_dir: Path | None, copy_model: bool, genes: Path | None
) -> None:
    """Make everything that an empty index consists of, in a folder that is not there yet."""
    folder.mkdir()
    for kind in KINDS:
        (folder / "shards" / kind).mkdir(parents=True)
    (folder / "vectors").mkdir()
    _place_model(folder / "model", model_dir, info.model_digest, copy_model)
    if genes is not None:
        (folder / "genes").mkdir()
        shutil.copyfile(genes, folder / "genes" / Path(genes).name)
    first_manifest(info, folder)
    (folder / "index.json").write_text(info_json(info), encoding="utf-8")


def _place_model(folder: Path, model_dir: Path | None, digest: str, copy: bool) -> None:
    """Copy a checkpoint into the index, or write down where it is."""
    folder.mkdir()
    if model_dir is None:
        return
    if copy:
        for path in sorted(Path(model_dir).iterdir()):
            if path.is_file():
                shutil.copyfile(path, folder / path.name)
    else:
        (folder / "reference.txt").write_text(f"{Path(model_dir).resolve()}\n", encoding="utf-8")
    (folder / "digest.txt").write_text(f"{digest}\n", encoding="utf-8")
