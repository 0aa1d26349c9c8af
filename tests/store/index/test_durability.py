"""Killed writers, second writers, full disks and read-only folders: nothing published is ever lost or changed."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from random_items import CREATE, DIM, make_batch, source

from atacsearch.errors import InputError, LockedError
from atacsearch.store import atomic
from atacsearch.store.index.folder import IndexFolder
from atacsearch.store.index.verify import verify_index
from atacsearch.store.types import Batch

Make = Callable[..., IndexFolder]
MakeBatch = Callable[..., Batch]
HERE = Path(__file__).parents[2] / "helpers"
ROOT = HERE.parents[1]


def start(script: str, *args: object) -> subprocess.Popen[str]:
    """A Python process that knows `random_items` and this package."""
    path = os.pathsep.join([str(HERE), str(ROOT)])
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, args)],
        env={**os.environ, "PYTHONPATH": path},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def leftovers(index: IndexFolder) -> list[str]:
    """Files and folders that no kept generation refers to."""
    manifest = index.snapshot().manifest
    kept = {manifest.generation, manifest.generation - 1}
    found = [p.name for p in index.path.rglob(f"{atomic.TEMPORARY}*")]
    found += [p.name for p in (index.path / "generations").iterdir() if int(p.name) not in kept]
    return found


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("original") / "my.index"
    with IndexFolder.create(path, **CREATE) as index, index.writer() as writer:
        writer.add("cells", make_batch(40), source("a"))
    return path


@pytest.fixture
def index(original: Path, tmp_path: Path) -> Iterator[IndexFolder]:
    """A copy of an index of 40 cells."""
    atomic.copy_tree(original, tmp_path / "my.index")
    with IndexFolder.open(tmp_path / "my.index") as copy:
        yield copy


DIES = """
import os, signal, sys
from random_items import make_batch, source
from atacsearch.store.index.folder import IndexFolder
from atacsearch.store import atomic

path, at, when = sys.argv[1], int(sys.argv[2]), sys.argv[3]
replace, calls = os.replace, 0

def dying(old, new):
    global calls
    calls += 1
    if calls == at and when == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    replace(old, new)
    if calls == at:
        os.kill(os.getpid(), signal.SIGKILL)

os.replace = dying
with IndexFolder.open(path).writer() as writer:
    writer.delete_source("cells", "a")
    writer.add("cells", make_batch(25, 7), source("a"))
"""


# the five renames of a publish: shard, vector part, posting file, generation, CURRENT
@pytest.mark.parametrize(
    ("at", "when"),
    [
        (1, "before"),
        (1, "after"),
        (2, "before"),
        (2, "after"),
        (3, "before"),
        (3, "after"),
        (4, "after"),
        (5, "before"),
        (5, "after"),
    ],
)
def test_killed_at_every_step(index: IndexFolder, at: int, when: str) -> None:
    process = start(DIES, index.path, at, when)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL, stderr
    committed = (at, when) == (5, "after")
    assert index.snapshot().count("cells") == (25 if committed else 40)
    assert verify_index(index).ok
    with index.writer() as writer:  # the lock went with the process
        assert writer.publish() == (2 if committed else 1)
    assert leftovers(index) == []
    shards = {Path(s.file).name for s in index.snapshot().manifest.shards}
    if not committed:
        assert {p.name for p in index.path.glob("shards/cells/*")} == shards
        assert len(list(index.path.glob("vectors/cells/*"))) == 1
        assert len(list(index.path.glob("postings/cells/*"))) == 1
    assert verify_index(index).ok


PUBLISHES = """
import sys
from random_items import make_batch, source
from atacsearch.store.index.folder import IndexFolder

with IndexFolder.open(sys.argv[1]).writer() as writer:
    for i in range(1000):
        writer.add("cells", make_batch(10, i, f"s{i}"), source(f"s{i}"))
        writer.publish()
        print(i, flush=True)
"""


def test_acknowledged_means_published(new_index: Make) -> None:
    index = new_index()
    process = start(PUBLISHES, index.path)
    assert process.stdout is not None
    for _ in range(3):
        acknowledged = int(process.stdout.readline())
    process.send_signal(signal.SIGKILL)
    rest, _ = process.communicate(timeout=60)
    acknowledged = max([acknowledged, *map(int, rest.split())])
    sources = {s.source.id for s in index.snapshot().manifest.shards}
    assert {f"s{i}" for i in range(acknowledged + 1)} <= sources
    assert verify_index(index).ok


HOLDS = """
import sys
from atacsearch.store.index.folder import IndexFolder

with IndexFolder.open(sys.argv[1]).writer():
    print("held", flush=True)
    sys.stdin.readline()
"""


def test_one_writer(new_index: Make, batch: MakeBatch) -> None:
    index = new_index()
    process = start(HOLDS, index.path)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(LockedError) as caught:
            index.writer()
        says = str(caught.value)
        assert f"process {process.pid} on " in says
        assert " since 2" in says
        assert "(command: -c " in says
        assert "\n" not in says
        assert str(process.pid) in str(index.status().writer)
        assert index.snapshot().count("cells") == 0  # readers do not wait
    finally:
        process.kill()
        process.communicate(timeout=60)
    with index.writer() as writer:
        with pytest.raises(LockedError, match=f"process {os.getpid()} on"):
            index.writer()
        writer.add("cells", batch(3), source())
    assert index.status().writer is None


def full(*_: Any, **__: Any) -> Any:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(
    "where",
    [
        "pyarrow.parquet.write_table",
        "atacsearch.store.shards.put_in_place",
        "atacsearch.store.vectors.embedded.put_in_place",
        "atacsearch.store.index.writer.build_metadata",
        "atacsearch.store.index.writer.put_in_place",
        "atacsearch.store.index.writer.write_text",
    ],
)
def test_full_disk(index: IndexFolder, batch: MakeBatch, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    def replace_source() -> None:
        with index.writer() as writer:
            writer.delete_source("cells", "a")
            writer.add("cells", batch(20, 1, "b"), source("b"))

    with monkeypatch.context() as patch:
        patch.setattr(where, full)
        with pytest.raises(InputError, match=r"no space left .* stays as last published"):
            replace_source()
    assert index.snapshot().count("cells") == 40
    assert verify_index(index).ok
    assert leftovers(index) == []
    with index.writer() as writer:
        writer.add("cells", batch(20, 1, "b"), source("b"))
    assert index.snapshot().count("cells") == 60


def test_publish_can_be_tried_again(
    index: IndexFolder, batch: MakeBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    with index.writer() as writer:
        writer.add("cells", batch(30, 1, "b"), source("b"))
        with monkeypatch.context() as patch:
            patch.setattr("atacsearch.store.index.writer.write_text", full)
            with pytest.raises(InputError, match="no space left"):
                writer.publish()
        assert writer.publish() == 2
    assert index.snapshot().count("cells") == 70


def test_disk_too_small_is_noticed_before_it_is_full(
    new_index: Make, batch: MakeBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = new_index()
    usage = shutil.disk_usage(index.path)._replace(free=1_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with (
        pytest.raises(InputError, match=r"building vectors of the cells \(about 8 MB needed\)"),
        index.writer() as w,
    ):
        w.add("cells", batch(30), source("a"))
    assert index.snapshot().count("cells") == 0


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users can enter, which pytest's own is not."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755)
    shutil.rmtree(folder)


READS = """
import os, sys
import numpy as np
from random_items import CREATE, DIM, make_batch, source
from atacsearch.errors import InputError
from atacsearch.store.index.folder import IndexFolder
from atacsearch.store.index import snapshot, writer
from atacsearch.store.index.verify import verify_index
import atacsearch.store.lock, atacsearch.store.vectors.embedded
import qdrant_edge, duckdb, pyarrow.parquet

if os.getuid() == 0:  # whom permissions do not stop
    # Whatever is imported or read late is fetched now: the checkout may lie where only root may look.
    with IndexFolder.open(sys.argv[1]) as index:
        warm = index.snapshot()
        for engine in ("qdrant", "scan", "auto"):
            warm.knn("cells", np.ones((2, DIM)), 3, "depth>1 and cell_type!=NK", engine=engine)
        warm.rows("cells", ["s#c1"], ["cell_type"]), warm.tokens("cells", ["s#c1"]), verify_index(index)
    os.setuid(65534)
index = IndexFolder.open(sys.argv[1])
snap = index.snapshot()
for engine in ("qdrant", "scan", "auto"):
    answer = snap.knn("cells", np.ones((2, DIM)), 3, "depth>1 and cell_type!=NK", engine=engine)
    print(engine, ",".join(answer.ids[0]))
print(snap.rows("cells", ["s#c1"], ["cell_type"]).to_pylist(), len(snap.tokens("cells", ["s#c1"])))
try:
    index.writer()
except InputError as error:
    print("refused:", error)
report = verify_index(index)
print("verified", report.ok, list(report.problems))
index.close()
print("copies left:", [n for n in os.listdir(os.environ["TMPDIR"]) if n.startswith("atacsearch-")])
"""


def test_read_only_folder(open_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = open_folder / "my.index"
    with IndexFolder.create(path, **CREATE) as index:
        with index.writer() as writer:
            writer.add("cells", make_batch(40), source())
        expected = ",".join(index.snapshot().knn("cells", np.ones((1, DIM)), 3, "cell_type!=NK").ids[0])
    scratch = open_folder / "scratch"
    scratch.mkdir()
    scratch.chmod(0o777)
    for found in [path, *path.rglob("*")]:
        found.chmod(0o555 if found.is_dir() else 0o444)
    monkeypatch.setenv("TMPDIR", str(scratch))
    stdout, stderr = start(READS, path).communicate(timeout=120)
    lines = stdout.splitlines()
    assert lines[:3] == [f"{engine} {expected}" for engine in ("qdrant", "scan", "auto")], stderr
    assert lines[3] == "[{'cell_type': 'T cell'}] 1"
    assert lines[4].startswith(f"refused: cannot write to the index {path} (")
    assert lines[5:] == ["verified True []", "copies left: []"]


def test_two_generations_are_kept(new_index: Make, batch: MakeBatch) -> None:
    index = new_index()
    with index.writer() as writer:
        writer.add("cells", batch(10), source("a"))
        writer.publish()
        held = index.snapshot()
        for i in range(3):
            writer.delete_source("cells", "a" if i == 0 else "b")
            writer.add("cells", batch(10, i + 1, "b"), source("b"))
            writer.publish()
    assert sorted(int(p.name) for p in (index.path / "generations").iterdir()) == [3, 4]
    assert len(list(index.path.glob("shards/cells/*"))) == 2
    assert held.all_ids("cells")[0] == "s#c0"  # a reader keeps the metadata that it opened
    assert index.snapshot().all_ids("cells")[0] == "b#c0"


def test_copies_keep_holes(tmp_path: Path) -> None:
    (tmp_path / "a" / "deep").mkdir(parents=True)
    with open(tmp_path / "a" / "deep" / "sparse", "wb") as handle:
        handle.seek(1 << 24)
        handle.write(b"end")
        handle.truncate(1 << 26)
    atomic.copy_tree(tmp_path / "a", tmp_path / "b")
    copy = tmp_path / "b" / "deep" / "sparse"
    assert copy.read_bytes() == (tmp_path / "a" / "deep" / "sparse").read_bytes()
    assert atomic.size_of(tmp_path / "b") < 1 << 20
