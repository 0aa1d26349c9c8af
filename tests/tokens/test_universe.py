"""Universe: loading, digests, overlap and tokens, against comparing every pair."""

import gzip
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atacsearch.errors import DigestError, InputError
from atacsearch.genome.intervals import Intervals
from atacsearch.tokens.universe import SPECIAL_TOKENS, Universe

CHROMS = ("chr1", "chr2", "chr10", "chrX")


def make(rows):
    names, starts, ends = zip(*rows, strict=True) if rows else ((), (), ())
    return Intervals.from_columns(names, starts, ends)


def obvious_pairs(queries, regions):
    """Half-open overlap by comparing every pair; intervals without a base overlap nothing."""
    return [
        (i, j)
        for i, (qc, qs, qe) in enumerate(queries)
        for j, (rc, rs, re) in enumerate(regions)
        if qc == rc and max(qs, rs) < min(qe, re)
    ]


positions = st.integers(0, 60)
regions = st.lists(
    st.tuples(st.sampled_from(CHROMS[:3]), positions, st.integers(1, 40)).map(
        lambda r: (r[0], r[1], r[1] + r[2])
    ),
    min_size=1,
    max_size=25,
)
queries = st.lists(
    st.tuples(st.sampled_from(CHROMS), positions, st.integers(0, 40)).map(
        lambda r: (r[0], r[1], r[1] + r[2])
    ),
    max_size=25,
)


@settings(max_examples=400, deadline=None)
@given(queries, regions)
def test_overlap_equals_comparing_every_pair(qs, rs):
    universe = Universe(make(rs))
    rows, tokens = universe.overlap(make(qs))
    assert list(zip(rows.tolist(), tokens.tolist(), strict=True)) == obvious_pairs(qs, rs)


@settings(max_examples=200, deadline=None)
@given(queries, regions)
def test_tokens_are_the_sorted_set_and_mapped_fraction_counts_intervals(qs, rs):
    universe = Universe(make(rs))
    pairs = obvious_pairs(qs, rs)
    assert universe.tokenize(make(qs))[0].tolist() == sorted({j for _, j in pairs})
    if qs:
        assert universe.mapped_fraction(make(qs)) == len({i for i, _ in pairs}) / len(qs)


@settings(max_examples=200, deadline=None)
@given(queries, regions)
def test_gtars_parity_equals_its_rule_written_out(qs, rs):
    rs = list(dict.fromkeys(rs))
    universe = Universe(make(rs))
    by_start = sorted(range(len(rs)), key=lambda j: (rs[j][1], rs[j][2]))
    expected = [
        j
        for c, s, e in sorted(qs, key=lambda q: (q[0], q[1]))
        for j in by_start
        if rs[j][0] == c and rs[j][1] < e and rs[j][2] > s
    ]
    assert universe.tokenize(make(qs), parity="gtars")[0].tolist() == (expected or [universe.unk])


def test_deep_nesting_beyond_the_layers_is_still_exact():
    rs = [("chr1", i, 400 - i) for i in range(150)]
    universe = Universe(make(rs))
    qs = [("chr1", 0, 1), ("chr1", 200, 201), ("chr1", 380, 390), ("chr1", 399, 400), ("chr1", 400, 401)]
    rows, tokens = universe.overlap(make(qs))
    assert list(zip(rows.tolist(), tokens.tolist(), strict=True)) == obvious_pairs(qs, rs)


def test_bookended_intervals_do_not_overlap():
    universe = Universe(make([("chr1", 100, 200)]))
    assert [len(s) for s in universe.tokenize([make([("chr1", 200, 300)]), make([("chr1", 0, 100)])])] == [
        0,
        0,
    ]
    assert universe.tokenize(make([("chr1", 199, 300)]))[0].tolist() == [0]


def test_marking_and_sorting_give_the_same_set():
    starts = np.arange(0, 100_000, 10)
    universe = Universe(Intervals.from_columns(["chr1"] * len(starts), starts, starts + 5))
    few, many = universe.intervals.take(np.arange(7, 200)), universe.intervals.take(np.arange(7, 9000))
    assert universe.unique_tokens(few).tolist() == list(range(7, 200))
    assert universe.unique_tokens(many).tolist() == list(range(7, 9000))


def test_aliases_meet_and_unknown_chromosomes_map_nowhere():
    universe = Universe(make([("chr1", 10, 20), ("chrM", 10, 20)]))
    got = universe.tokenize(make([("1", 10, 11), ("MT", 12, 13), ("scaffold_9", 10, 20)]))
    assert got[0].tolist() == [0, 1]
    ensembl = Universe(make([("1", 10, 20)]))
    assert ensembl.tokenize(make([("chr1", 10, 11)]))[0].tolist() == [0]
    assert ensembl.tokenize(make([("chr1", 10, 11)]), parity="gtars")[0].tolist() == [ensembl.unk]


def test_special_tokens_follow_the_regions():
    universe = Universe(make([("chr1", 10, 20), ("chr1", 30, 40)]))
    assert [universe.special(name) for name in SPECIAL_TOKENS] == [2, 3, 4, 5, 6, 7, 8]
    assert (universe.unk, universe.pad, universe.mask, universe.vocab_size) == (2, 3, 4, 9)
    with pytest.raises(IndexError, match=r"0\.\.1"):
        universe.region(2)


def test_gtars_parity_refuses_duplicates():
    universe = Universe(make([("chr1", 10, 20), ("chr1", 10, 20)]))
    with pytest.raises(InputError, match="distinct regions"):
        universe.tokenize(make([("chr1", 10, 11)]), parity="gtars")


@pytest.mark.parametrize("name", ["u.bed", "u.bed.gz"])
def test_save_and_load_keep_order_genome_and_digest(tmp_path, name):
    universe = Universe(make([("chr2", 5, 9), ("chr1", 30, 40), ("chr1", 1, 100)]), genome="GRCh38")
    universe.save(tmp_path / name)
    again = Universe.from_bed(tmp_path / name)
    assert [again.region(i) for i in range(3)] == [("chr2", 5, 9), ("chr1", 30, 40), ("chr1", 1, 100)]
    assert (again.genome, again.digest) == ("hg38", universe.digest)
    assert not again.is_sorted
    assert not again.is_disjoint
    first = (tmp_path / name).read_bytes()
    universe.save(tmp_path / name)
    assert (tmp_path / name).read_bytes() == first


def test_digest_is_over_genome_and_lines_whatever_else_the_file_holds(tmp_path):
    import hashlib

    expected = hashlib.sha256(b"hg38\nchr1\t1\t5\nchr2\t8\t9\n").hexdigest()
    texts = {
        "plain": "chr1\t1\t5\nchr2\t8\t9\n",
        "no newline at the end": "chr1\t1\t5\nchr2\t8\t9",
        "crlf": "chr1\t1\t5\r\nchr2\t8\t9\r\n",
        "header": "#chrom\nbrowser x\ntrack name=u\nchr1\t1\t5\nchr2\t8\t9\n",
        "more columns": "chr1\t1\t5\ta\t0\t+\nchr2\t8\t9\tb\t0\t-\n",
        "ragged": "chr1\t1\t5\ta\nchr2\t8\t9\n",
        "spaces": "chr1 1 5\nchr2 8 9\n",
    }
    for name, text in texts.items():
        path = tmp_path / "u.bed"
        path.write_bytes(text.encode())
        assert Universe.from_bed(path, genome="hg38").digest == expected, name
    (tmp_path / "u.bed.gz").write_bytes(gzip.compress(texts["plain"].encode()))
    assert Universe.from_bed(tmp_path / "u.bed.gz", genome="hg38").digest == expected
    assert Universe.from_bed(tmp_path / "u.bed.gz").digest != expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no regions"),
        ("#only\n\n", "holds no regions"),
        ("chr1\t1\n", "region 1 .*expected chromosome, start and end"),
        ("chr1\t1\t5\nchr1\tx\t5\n", "region 2 .*whole numbers"),
        ("chr1\t1\t5\nchr1\t5\t5\n", "region 2 .*0 <= start < end"),
        ("chr1\t1\t5\nchr1\t-1\t5\n", "region 2 .*0 <= start < end"),
        ("chr1\t1\t5\n\nchr1\t6\t9\n", "region 2 .*token id"),
    ],
)
def test_a_bad_universe_file_is_one_error_that_names_the_line(tmp_path, text, message):
    (tmp_path / "u.bed").write_text(text)
    with pytest.raises(InputError, match=message):
        Universe.from_bed(tmp_path / "u.bed")


def test_missing_and_truncated_files(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        Universe.from_bed(tmp_path / "none.bed")
    (tmp_path / "cut.bed.gz").write_bytes(gzip.compress(b"chr1\t1\t5\n" * 1000)[:-12])
    with pytest.raises(InputError, match="cut off"):
        Universe.from_bed(tmp_path / "cut.bed.gz")
    with pytest.raises(InputError, match="is a folder"):
        Universe.from_bed(tmp_path)


def test_a_side_file_of_other_regions_is_refused(tmp_path):
    Universe(make([("chr1", 1, 5)]), genome="hg38").save(tmp_path / "u.bed")
    (tmp_path / "u.bed").write_text("chr1\t1\t6\n")
    with pytest.raises(DigestError, match="other regions"):
        Universe.from_bed(tmp_path / "u.bed")


def test_constructor_refuses_regions_without_a_base():
    with pytest.raises(InputError, match=r"region 2 \(chr1:9-9\)"):
        Universe(make([("chr1", 1, 5), ("chr1", 9, 9)]))


def test_save_keeps_links_and_pipes(tmp_path):
    universe = Universe(Intervals.from_columns(["chr1"], [10], [20]), genome="hg38")
    link = tmp_path / "link.bed"
    link.symlink_to("target.bed")
    universe.save(link)
    assert link.is_symlink()
    assert (tmp_path / "target.bed").read_text() == "chr1\t10\t20\n"
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    universe.save(pipe)
    assert os.read(reader, 100) == b"chr1\t10\t20\n"
    os.close(reader)
    assert pipe.is_fifo()
    assert not (tmp_path / "pipe.json").exists()
