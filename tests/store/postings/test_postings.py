"""Posting lists agree with the sets they were made from, through merges, deletions, damage and repair."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from random_items import CREATE, DIM, make_batch, source

from atacsearch.errors import InputError
from atacsearch.store.index.folder import IndexFolder
from atacsearch.store.index.repair import repair_index
from atacsearch.store.index.verify import verify_index
from atacsearch.store.postings import build as postings_build
from atacsearch.store.postings.build import folder_of
from atacsearch.store.postings.file import PostingsFile, PostingsWriter, Shards
from atacsearch.store.types import Batch
from atacsearch.tokens.token_sets import TokenSets

V = 700


def sets_batch(sets: list[list[int]], prefix: str) -> Batch:
    ids = [f"{prefix}#{i}" for i in range(len(sets))]
    tokens = TokenSets.from_lists(sets, universe_digest="u" * 64)
    vectors = np.ones((len(sets), DIM), np.float32)
    labels = pa.table({"type": pa.array(["AB"[i % 2] for i in range(len(sets))])})
    return Batch(ids, ids, labels, tokens, {"general": vectors})


def random_sets(rng: np.random.Generator, n: int) -> list[list[int]]:
    """Sets of very different size, some empty, some with a token twice, one token in nearly all."""
    found = []
    for _ in range(n):
        size = int(rng.choice([0, 1, 5, 60, V // 2]))
        some = rng.integers(0, V - 50, size).tolist()
        found.append([*some, 3] if size and rng.random() < 0.95 else some)
    return found


def reference(index: IndexFolder, kind: str) -> list[set[int]]:
    snap = index.snapshot()
    return [set(t.tolist()) for t in snap.tokens(kind, snap.all_ids(kind))]


def check(index: IndexFolder, rng: np.random.Generator, kind: str = "cells") -> None:
    """Everything that postings answer, beside a walk over all sets."""
    truth = reference(index, kind)
    postings = index.snapshot().postings(kind)
    assert postings.n_rows == len(truth)
    queries = [sorted(rng.choice(V + 20, size, replace=False).tolist()) for size in (1, 0, 1, 7, 300, 1)]
    queries.append([3])
    bounds = np.cumsum([0, *map(len, queries)])
    tokens = np.array([t for q in queries for t in q], np.uint32)
    found = list(zip(*(x.tolist() for x in postings.items(bounds, tokens)), strict=True))
    assert found == [
        (q, row, len(have & set(asked)))
        for q, asked in enumerate(queries)
        for row, have in enumerate(truth)
        if have & set(asked)
    ]
    group = rng.integers(-1, 3, len(truth)).astype(np.int32)
    n_items, n_tokens = postings.count_groups(bounds, tokens, group, 3)
    for q, asked in enumerate(queries):
        for g in range(3):
            members = [have & set(asked) for have, own in zip(truth, group, strict=True) if own == g]
            assert n_items[q, g] == sum(map(bool, members))
            assert n_tokens[q, g] == len(set().union(*members))
    totals = postings.totals(group, 3, V)
    for token in range(V):
        for g in range(3):
            assert totals[token, g] == sum(
                token in s for s, own in zip(truth, group, strict=True) if own == g
            )
    kept = rng.random(len(truth)) < 0.5
    _, rows, _ = postings.items(bounds, tokens, kept)
    assert set(rows.tolist()) == {row for _, row, _ in found if kept[row]}


@pytest.mark.parametrize("fan", [2, 8])
@pytest.mark.parametrize("seed", range(2))
def test_agrees_with_a_walk_over_all_sets(
    new_index: Callable[..., IndexFolder], monkeypatch: pytest.MonkeyPatch, seed: int, fan: int
) -> None:
    monkeypatch.setattr(postings_build, "FAN", fan)
    monkeypatch.setattr(postings_build, "MERGE_BYTES", 64)
    monkeypatch.setattr(postings_build, "RUN", 200)
    rng = np.random.default_rng(seed)
    index = new_index()
    with index.writer() as writer:
        alive: list[str] = []
        for number in range(6):
            name = f"s{number}"
            writer.add("cells", sets_batch(random_sets(rng, int(rng.integers(1, 30))), name), source(name))
            alive.append(name)
            if rng.random() < 0.4:
                gone = alive.pop(int(rng.integers(len(alive))))
                writer.delete_source("cells", gone)
            writer.publish()
    check(index, rng)
    report = verify_index(index)
    assert report.ok, report.problems
    assert not report.notes
    files = list(folder_of(index.path, "cells").iterdir())
    assert all(f.suffix == ".post" for f in files)
    if fan == 2:
        assert len(files) <= 2, "one for this generation and one for the last"


def test_deleted_sources_are_passed_over(new_index: Callable[..., IndexFolder]) -> None:
    index = new_index()
    with index.writer() as writer:
        writer.add("cells", sets_batch([[1, 2], [2]], "a"), source("a"))
        writer.add("cells", sets_batch([[2, 5], []], "b"), source("b"))
    before = index.snapshot()
    assert before.postings("cells").items(np.array([0, 1]), np.array([2]))[1].tolist() == [0, 1, 2]
    with index.writer() as writer:
        writer.delete_source("cells", "a")
    postings = index.snapshot().postings("cells")
    assert postings.items(np.array([0, 1]), np.array([2]))[1].tolist() == [0]
    assert postings.items(np.array([0, 1]), np.array([1]))[1].tolist() == []
    assert postings.n_postings(np.array([2])).tolist() in ([3], [1])


def test_nothing_and_empty_sets(new_index: Callable[..., IndexFolder]) -> None:
    index = new_index()
    empty = index.snapshot().postings("cells")
    assert (empty.n_rows, empty.totals(np.empty(0, np.int32), 2, 5).sum()) == (0, 0)
    assert len(empty.items(np.array([0, 1]), np.array([4]))[0]) == 0
    with index.writer() as writer:
        writer.add("cells", sets_batch([[], []], "a"), source("a"))
    postings = index.snapshot().postings("cells")
    assert postings.count_groups(np.array([0, 1]), np.array([4]), np.zeros(2, np.int32), 1)[0].tolist() == [
        [0]
    ]
    assert verify_index(index).ok


def test_an_older_index_gets_them_at_first_use(new_index: Callable[..., IndexFolder]) -> None:
    index = new_index()
    with index.writer() as writer:
        writer.add("cells", make_batch(30), source("a"))
    shutil.rmtree(index.path / "postings")
    report = verify_index(index)
    assert report.ok
    assert "no posting file" in report.notes[0]
    said: list[str] = []
    full = next(i for i in reference(index, "cells") if i)
    postings = index.snapshot().postings("cells", said.append)
    row = reference(index, "cells").index(full)
    assert row in postings.items(np.array([0, 1]), np.array(sorted(full)[:1]))[1].tolist()
    assert ["older version" in line for line in said] == [True]
    again: list[str] = []
    with IndexFolder.open(index.path) as other:
        other.snapshot().postings("cells", again.append)
    assert not again


def test_a_read_only_index_is_served_from_elsewhere(
    new_index: Callable[..., IndexFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    index = new_index()
    with index.writer() as writer:
        writer.add("cells", make_batch(30), source("a"))
    shutil.rmtree(index.path / "postings")
    real = Path.mkdir

    def mkdir(path: Path, *args: object, **kwargs: object) -> None:
        if index.path in path.parents:
            raise PermissionError(13, "Permission denied", str(path))
        real(path, *args, **kwargs)

    monkeypatch.setattr(Path, "mkdir", mkdir)
    said: list[str] = []
    postings = index.snapshot().postings("cells", said.append)
    assert ["this process alone" in line for line in said] == [False, True]
    assert postings.summary()["postings"] > 0
    assert not (index.path / "postings").exists()


@pytest.fixture
def one_file(new_index: Callable[..., IndexFolder]) -> tuple[IndexFolder, Path]:
    index = new_index()
    rng = np.random.default_rng(5)
    with index.writer() as writer:
        writer.add("cells", sets_batch(random_sets(rng, 200), "a"), source("a"))
    (path,) = folder_of(index.path, "cells").iterdir()
    return index, path


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.9, 0.97, 1.0])
def test_a_changed_byte_is_noticed_and_repaired(one_file: tuple[IndexFolder, Path], share: float) -> None:
    index, path = one_file
    data = bytearray(path.read_bytes())
    data[int(share * (len(data) - 1))] ^= 16
    path.write_bytes(data)
    with pytest.raises(InputError, match="index repair"):
        index.snapshot().postings("cells").totals(np.zeros(200, np.int32), 1, V)
    assert any("postings" in line for line in verify_index(index).problems)
    assert repair_index(index).ok
    check(index, np.random.default_rng(1))


def test_a_cut_off_file_is_noticed(one_file: tuple[IndexFolder, Path]) -> None:
    index, path = one_file
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(InputError, match=r"damaged .* index repair"):
        index.snapshot().postings("cells")
    path.write_bytes(b"")
    with pytest.raises(InputError, match="cut off"):
        index.snapshot().postings("cells")


def test_a_damaged_file_does_not_stop_publishing(one_file: tuple[IndexFolder, Path]) -> None:
    index, path = one_file
    path.write_bytes(b"x" * 500)
    with index.writer() as writer:
        writer.add("cells", sets_batch([[3]], "b"), source("b"))
    check(index, np.random.default_rng(2))


def test_verify_finds_a_list_that_says_something_else(one_file: tuple[IndexFolder, Path]) -> None:
    index, path = one_file
    file = PostingsFile(path)
    (lists,) = file.in_range(0, file.n_tokens)
    dense = np.zeros(file.n_tokens + 1, np.int64)
    dense[lists.tokens.astype(np.int64) + 1] = lists.counts
    items = lists.items.copy()
    last = int(lists.offsets[1]) - 1
    items[last] = items[last] + 1 if items[last] + 1 < 200 else items[last] - 1
    with PostingsWriter(path, file.shards, file.record_head()) as writer:
        writer.add(0, np.cumsum(dense), items)
        writer.finish()
    assert any("differ from the shards" in line for line in verify_index(index).problems)


def test_lists_of_any_shape_come_back(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    n_items = 100_000
    shapes = [
        np.arange(n_items), np.array([0]), np.array([n_items - 1]), np.array([0, n_items - 1]),
        np.arange(500), np.arange(n_items - 700, n_items),
        np.concatenate([np.arange(3000), [n_items - 1]]),
        *(np.flatnonzero(rng.random(n_items) < p) for p in (1e-4, 1e-3, 0.01, 0.1, 0.5, 0.9)),
    ]  # fmt: skip
    offsets = np.cumsum([0, *map(len, shapes)])
    shards = Shards(np.array([1]), np.array([n_items]), np.zeros(1, np.uint64))
    with PostingsWriter(tmp_path / "a" / "b" / "c.post", shards, {}) as writer:
        writer.add(40, offsets, np.concatenate(shapes).astype(np.uint32))
        file = PostingsFile(writer.finish())
    (lists,) = file.of_tokens(np.arange(30, 90))
    assert lists.tokens.tolist() == list(range(40, 40 + len(shapes)))
    assert all(
        (a == b).all() for a, b in zip(np.split(lists.items, lists.offsets[1:-1]), shapes, strict=True)
    )
    assert file.size < 1.02 * sum(_entropy(len(s), n_items) for s in shapes) / 8 + 5000


def _entropy(n: int, of: int) -> float:
    p = n / of
    return of if p > 0.5 else of * -(p * np.log2(p) + (1 - p) * np.log2(1 - p))  # no code is below a bit


def test_posting_files_are_of_their_universe(new_index: Callable[..., IndexFolder]) -> None:
    assert CREATE["universe_digest"] == "u" * 64
    index = new_index()
    with index.writer() as writer:
        writer.add("cells", make_batch(5), source("a"))
    files, _ = postings_build.open_files(folder_of(index.path, "cells"))
    shards = index.snapshot().manifest.shards_of("cells")
    assert postings_build.cover(files, shards, "u" * 64)[1] == []
    assert postings_build.cover(files, shards, "v" * 64)[1] == list(shards)
