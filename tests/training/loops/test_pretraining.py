"""Pretraining on a corpus: streamed in a seeded order, resumed within an epoch, shared by processes."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from atacsearch.errors import InputError
from atacsearch.genome.intervals import Intervals
from atacsearch.model.atacformer import Packing
from atacsearch.model.checkpoints.checkpoint import Model, load_model, new_model
from atacsearch.model.config import sized_config
from atacsearch.tokens.token_sets import TokenSets, write_sets
from atacsearch.tokens.universe import Universe
from atacsearch.training.loops.pretraining import PretrainSettings, pretrain
from atacsearch.training.recipes.options import PretrainOptions
from atacsearch.training.recipes.pretrain import pretrain_files
from atacsearch.training.trainer.batches import subsample
from atacsearch.training.trainer.corpus import Corpus
from atacsearch.training.trainer.distributed import Processes
from atacsearch.training.trainer.objectives import (
    Replacement,
    cosine_distance,
    evaluate_detection,
    nt_xent,
    part_of,
    two_views,
)
from atacsearch.training.trainer.sources import FileSource, MemorySource
from atacsearch.training.trainer.state import read_log
from atacsearch.training.trainer.vectors import embed_sets
from atacsearch.training.trainer.warm_start import warm_start

V = 120


def universe() -> Universe:
    starts = np.arange(V) * 1000
    return Universe(Intervals.from_columns(["chr1"] * V, starts, starts + 500), genome="hg38")


def sets_of(n: int, seed: int = 0) -> TokenSets:
    """Sets of one of two programmes: 20 of its 40 regions, and a few of the common 40."""
    rng = np.random.default_rng(seed)
    lists = [
        np.union1d(rng.choice(40, 20, replace=False) + 40 * (i % 2), rng.choice(40, 4, replace=False) + 80)
        for i in range(n)
    ]
    return TokenSets.from_lists(lists, universe_digest=universe().digest)


def files(folder: Path, parts: int = 3, each: int = 20) -> list[Path]:
    """Token files of several row groups."""
    paths = []
    for i in range(parts):
        sets = sets_of(each, seed=i)
        halves = [sets.take(np.arange(each // 2)), sets.take(np.arange(each // 2, each))]
        write_sets(halves, folder / f"{i}.parquet")
        paths.append(folder / f"{i}.parquet")
    return paths


def fresh() -> Model:
    config = sized_config("tiny", V, hidden_size=16, intermediate_size=32)
    return new_model(config, universe(), discriminator=True)


def sources(paths: list[Path]) -> list[FileSource]:
    return [FileSource(p, universe().digest) for p in paths]


def test_an_epoch_holds_every_set_once_in_an_order_of_its_seed(tmp_path: Path) -> None:
    paths = files(tmp_path)
    corpus = Corpus(sources(paths), V, buffer=200)
    wanted = sorted(s.tobytes() for p in paths for s in TokenSets.from_parquet(p))

    def order(seed: int, epoch: int) -> list[bytes]:
        return [s.tobytes() for batch in corpus.epoch(seed, epoch, 16) for s in batch]

    assert sorted(order(0, 0)) == wanted
    assert order(0, 0) == order(0, 0)
    assert order(0, 0) != order(0, 1) != order(1, 1)
    assert (corpus.n_sets, corpus.n_tokens) == (60, 60 * 24)
    assert corpus.counts.sum() == 60 * 24


def test_batches_are_as_many_as_said_and_none_is_too_small() -> None:
    for n, size, least in ((33, 16, 2), (34, 16, 4), (5, 16, 2), (32, 16, 2)):
        corpus = Corpus([MemorySource(sets_of(n))], V)
        sizes = [len(b) for b in corpus.epoch(0, 0, size, least=least)]
        assert len(sizes) == corpus.n_batches(size, least)
        assert sum(sizes) == n
        assert min(sizes) >= min(least, n)
        skipped = [len(b) for b in corpus.epoch(0, 0, size, least=least, skip=1)]
        assert skipped == sizes[1:]


def test_a_small_input_of_several_is_held_out_whole(tmp_path: Path) -> None:
    big = [MemorySource(sets_of(40, seed=i), f"big {i}") for i in range(2)]
    corpus = Corpus([*big, MemorySource(sets_of(8, seed=9), "small")], V, held_share=0.1)
    assert "whole input 'small'" in corpus.how
    assert (corpus.n_sets, len(corpus.held)) == (80, 8)
    corpus = Corpus(big, V, held_share=0.1)
    assert "8 random sets" in corpus.how
    assert (corpus.n_sets, len(corpus.held)) == (72, 8)
    seen = {s.tobytes() for batch in corpus.epoch(0, 0, 16) for s in batch}
    assert not seen & {s.tobytes() for s in corpus.held}


def test_token_files_are_checked(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = files(tmp_path, parts=1)[0]
    with pytest.raises(InputError, match="tokenize with the universe"):
        FileSource(path, "another")
    with pytest.raises(InputError, match="no such file"):
        FileSource(tmp_path / "none.parquet", "x")
    pq.write_table(pa.table({"a": [1]}), tmp_path / "t.parquet")
    with pytest.raises(InputError, match="no column tokens"):
        FileSource(tmp_path / "t.parquet", "x")
    (tmp_path / "b.parquet").write_text("nothing")
    with pytest.raises(InputError, match="not a Parquet file"):
        FileSource(tmp_path / "b.parquet", "x")
    with pytest.raises(InputError, match="the universe has 50"):
        Corpus(sources([path]), 50)


class Killed(Exception):
    """Stands for a killed process."""


@pytest.mark.parametrize("more", [{}, {"contrastive": 0.5, "replacement": "frequency", "pooling": "idf"}])
def test_a_run_killed_within_an_epoch_ends_with_the_same_weights(
    tmp_path: Path, more: dict[str, object]
) -> None:
    settings = PretrainSettings(epochs=2, batch_size=8, save_minutes=0, **more)  # type: ignore[arg-type]

    def run(out: Path, kill: bool) -> Model:
        def watch(record: dict[str, object]) -> None:
            if kill and record["epoch"] == 1 and record.get("step") == 3:
                raise Killed

        model = fresh()
        corpus = Corpus(sources(paths), V, buffer=300, held_share=0.1)
        return pretrain(model, corpus, out, settings, progress=watch)

    paths = files(tmp_path)
    whole = run(tmp_path / "whole", kill=False)
    with pytest.raises(Killed):
        run(tmp_path / "cut", kill=True)
    assert run(tmp_path / "cut", kill=False).digest == whole.digest
    logs = [[r for r in read_log(tmp_path / n) if r["event"] == "epoch"] for n in ("whole", "cut")]
    assert [r["loss"] for r in logs[0]] == [r["loss"] for r in logs[1]]


def test_from_files_to_a_model_with_a_card(tmp_path: Path) -> None:
    paths = files(tmp_path, parts=5)
    universe().save(tmp_path / "u.bed.gz")
    bed = tmp_path / "a.bed"
    bed.write_text("chr1\t100\t200\nchr1\t5100\t5200\nchr1\t7100\t7200\n")
    out = tmp_path / "model"
    options = PretrainOptions(epochs=1, max_tokens=16, size="tiny", universe=tmp_path / "u.bed.gz")
    pretrain_files([*paths, bed], out, options, command="the command")
    model = load_model(out)
    assert model.own["pretraining"]["sets"] == 101 - 20  # one file of five is held out
    card = (out / "README.md").read_text()
    for words in ("token file", "a.bed", "region frequency alone", "the command", model.digest):
        assert words in card
    assert not (out / "tokens").exists()
    pretrain_files(paths, tmp_path / "next", replace(options, universe=None, model=out))
    assert [p["digest"] for p in load_model(tmp_path / "next").own["parents"]] == [model.digest]
    with pytest.raises(InputError, match="--universe"):
        pretrain_files(paths, tmp_path / "no", PretrainOptions())


def test_frequency_replacement_draws_what_the_corpus_holds_and_counts_members_as_their_own() -> None:
    sets = TokenSets.from_lists([np.arange(40)] * 50 + [[0, 90]] * 50)
    corpus = Corpus([MemorySource(sets)], V)
    batch = subsample(sets, np.arange(100), np.random.default_rng(0), most=100)
    replaced, target = Replacement("frequency", 0.5, corpus.counts)(batch, torch.Generator().manual_seed(0))
    assert set(replaced.tolist()) <= {*range(40), 90}
    lengths = batch.packing.lengths
    for row, ids, marks in zip(batch.rows, replaced.split(lengths), target.split(lengths), strict=True):
        own = set(sets[row].tolist())
        assert [int(i) not in own for i in ids] == [bool(m) for m in marks]
    assert 0.0 < float(target.mean()) < 0.5


def test_two_views_share_no_token_and_contrast_tells_pairs() -> None:
    sets = sets_of(6)
    first, second = two_views(sets, np.random.default_rng(0), most=100)
    for a, b in ((first, second), (second, first)):
        for row, tokens in zip(a.rows, a.tokens.split(a.packing.lengths), strict=True):
            other = b.tokens.split(b.packing.lengths)[b.rows.tolist().index(row)]
            assert not set(tokens.tolist()) & set(other.tolist())
    x = torch.eye(4)
    assert float(nt_xent(x, x, 0.1)) < 0.01 < float(nt_xent(x, x.roll(1, 0), 0.1))


def test_two_processes_draw_the_halves_that_one_would() -> None:
    sets = sets_of(7)
    alone = two_views(sets, np.random.default_rng(3), most=8)[0]
    whole = dict(zip(alone.rows.tolist(), alone.tokens.split(alone.packing.lengths), strict=True))
    for rank in range(2):
        part = two_views(sets, np.random.default_rng(3), most=8, rank=rank, size=2)[0]
        for row, tokens in zip(part.rows, part.tokens.split(part.packing.lengths), strict=True):
            assert len(tokens) == 8
            torch.testing.assert_close(tokens, whole[rank + 2 * int(row)])


def test_the_anchor_keeps_the_vectors_of_the_warm_start(tmp_path: Path) -> None:
    sets = sets_of(60)
    settings = PretrainSettings(epochs=3, lr=2e-2, warm=False)

    def moved(anchor: float) -> float:
        model = fresh()
        warm_start(model, sets, rank=3)
        before = F.normalize(torch.from_numpy(embed_sets(model, sets)), dim=1)
        pretrain(model, sets, tmp_path / f"{anchor}", replace(settings, anchor=anchor), device="cpu")
        return float(cosine_distance(torch.from_numpy(embed_sets(model, sets)), before).mean())

    held, free = moved(30.0), moved(0.0)
    assert 2 * held < free, (held, free)
    assert "anchor_distance" in read_log(tmp_path / "30.0")[1]


def test_a_model_of_noise_is_not_anchored(tmp_path: Path) -> None:
    settings = PretrainSettings(epochs=1, warm=False, pooling="idf")
    pretrain(fresh(), sets_of(20), tmp_path, settings, device="cpu")
    assert "anchor_distance" not in next(r for r in read_log(tmp_path) if r["event"] == "epoch")


def test_parts_of_a_batch_make_up_the_whole() -> None:
    sets = TokenSets.from_lists([np.arange(n) for n in (3, 5, 5, 9, 2)])
    batch = subsample(sets, np.arange(5), np.random.default_rng(0), most=100)
    parts = [part_of(batch, rank, 2, batch.tokens * 2) for rank in range(2)]
    assert sorted(r for b, _ in parts for r in b.rows.tolist()) == list(range(5))
    for b, (doubled,) in parts:
        assert torch.equal(doubled, b.tokens * 2)
        for row, tokens in zip(b.rows, b.tokens.split(b.packing.lengths), strict=True):
            assert torch.equal(tokens, torch.from_numpy(sets[row].astype(np.int64)))


def test_padded_attention_has_the_same_gradients() -> None:
    """What a GPU computes in training, on the CPU."""
    model = fresh()
    lengths = [3, 3, 7, 12]
    tokens = torch.arange(sum(lengths)) % V
    offsets = torch.tensor([0, 3, 6, 13, 25], dtype=torch.int32)
    grads = []
    for packing in (Packing.from_lengths(lengths), Packing.from_lengths(lengths, "padded", offsets)):
        model.module.zero_grad()
        (model.module(tokens, packing) ** 3).sum().backward()
        grads.append([p.grad.clone() for p in model.module.atacformer.encoder.parameters()])
    for a, b in zip(*grads, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


def test_bfloat16_autocast_trains(tmp_path: Path) -> None:
    settings = PretrainSettings(epochs=1, precision="bfloat16", contrastive=0.1)
    model = pretrain(fresh(), sets_of(40), tmp_path, settings, device="cpu")
    assert model.own["pretraining"]["held_out_loss"] > 0
    assert all(p.dtype == torch.float32 for p in model.module.parameters())


def test_a_refused_input_leaves_no_folder_behind(tmp_path: Path) -> None:
    good = tmp_path / "good.bed"
    good.write_text("chr1\t0\t400\nchr1\t5000\t5400\n")
    universe().save(tmp_path / "u.bed")
    out, mine = tmp_path / "out", tmp_path / "mine"
    mine.mkdir()
    (mine / "notes.txt").write_text("kept")
    options = PretrainOptions(universe=tmp_path / "u.bed", size="tiny", device="cpu")
    for inputs in ([good, tmp_path / "absent.bed"], [good]):  # unreadable; read, but too few to train on
        for folder in (out, mine):
            with pytest.raises(InputError):
                pretrain_files(inputs, folder, options)
    assert not out.exists()
    assert [p.name for p in mine.iterdir()] == ["notes.txt"]


def test_judging_does_not_depend_on_when_it_is_done() -> None:
    model, sets = fresh(), sets_of(20)
    replacement = Replacement("uniform", 0.45, Corpus([MemorySource(sets)], V).counts)
    first, second = (evaluate_detection(model, sets, replacement, 64, torch.device("cpu")) for _ in range(2))
    assert first == second


def test_unknown_settings_are_refused() -> None:
    for wrong in ({"replacement": "odd"}, {"pooling": "odd"}, {"precision": "odd"}):
        with pytest.raises(InputError, match="not one of"):
            PretrainSettings(**wrong)  # type: ignore[arg-type]


WORKER = """
import sys, torch
sys.path[:0] = sys.argv[2:]
torch.set_num_threads(1)
from pathlib import Path
from test_pretraining import fresh, sets_of
from atacsearch.training.loops.pretraining import PretrainSettings, pretrain
settings = PretrainSettings(epochs=2, batch_size=16, lr=2e-3)
pretrain(fresh(), sets_of(60), Path(sys.argv[1]), settings, device="cpu")
"""


def test_two_processes_train_as_one_with_the_whole_batch(tmp_path: Path) -> None:
    alone = fresh()
    settings = PretrainSettings(epochs=2, batch_size=16, lr=2e-3)
    pretrain(alone, sets_of(60), tmp_path / "one", settings, device="cpu", processes=Processes())
    script = tmp_path / "worker.py"
    script.write_text(WORKER)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    ran = subprocess.run(
        [*launch, str(script), str(tmp_path / "two"), str(Path(__file__).parent)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    logs = [[r for r in read_log(tmp_path / n) if r["event"] == "epoch"] for n in ("one", "two")]
    for a, b in zip(*logs, strict=True):
        assert a["loss"] == pytest.approx(b["loss"], abs=2e-4)
        assert a["held_out_loss"] == pytest.approx(b["held_out_loss"], abs=2e-4)
    together = load_model(tmp_path / "two")
    for a, b in zip(alone.module.parameters(), together.module.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=2e-3)
