import itertools

import numpy as np
import pytest
from fragment_reference import parse, read_slowly
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sources import fragments, random_regions, universe_of, write

from atacsearch.errors import InputError
from atacsearch.readers import compressed
from atacsearch.readers.fragments import items as fragment_items
from atacsearch.readers.inputs.open import open_input
from atacsearch.readers.options import ReadOptions

BARCODES = [
    "AAACCC-1", "AAACCC-2", "A" * 24, "A" * 25, "A" * 25 + "C", "A" * 32, "A" * 40 + "-1", "A" * 40 + "-2", "x", "é-1",
    *("".join(p) for p in itertools.product("ACGT", repeat=2)),
]  # fmt: skip


def read(path, universe, block_bytes=None, monkeypatch=None, **options):
    """One fragment file, blocks of a stated size."""
    if block_bytes is not None:
        monkeypatch.setattr(compressed, "READ_BYTES", block_bytes)
        monkeypatch.setattr(compressed, "PLAIN_BYTES", block_bytes)
    options.setdefault("min_fragments", 1)
    return open_input(path, universe, ReadOptions(kind="fragments", **options))[0]


def as_dict(items):
    return {name: tokens.tolist() for name, tokens in zip(items.sets.names, items.sets, strict=True)}


def expected_sets(lines, regions, **options):
    tokens, quality, skipped = read_slowly(lines, regions, **options)
    return {b: sorted(set(tokens[b])) for b in sorted(quality)}, quality, skipped


@pytest.fixture(scope="module")
def world():
    rng = np.random.default_rng(5)
    regions = random_regions(rng, 300)
    return regions, universe_of(regions), fragments(rng, regions, 3000, BARCODES)


@pytest.mark.parametrize("how", ["plain", "gzip", "bgzip", "members"])
@pytest.mark.parametrize(("block", "threads"), [(None, 1), (64, 1), (700, 3), (5000, 2)])
def test_agrees_with_the_slow_way(world, tmp_path, monkeypatch, how, block, threads):
    regions, universe, lines = world
    path = write(tmp_path / "fragments.tsv.gz", "\n".join(lines) + "\n", how)
    items = read(path, universe, block, monkeypatch, threads=threads)
    sets, quality, skipped = expected_sets(lines, regions)
    assert as_dict(items) == sets
    assert list(items.sets.names) == sorted(sets)
    assert items.labels["n_fragments"].to_pylist() == [quality[b]["n"] for b in sorted(sets)]
    assert items.report.n_skipped == skipped
    assert items.report.n_lines == len(lines)
    assert items.content_digest == compressed.file_digest(path)


@pytest.mark.parametrize("insertions", [False, True])
def test_quality_agrees_with_the_slow_way(world, tmp_path, insertions):
    regions, universe, lines = world
    tss = [("chr1", 5000), ("chr1", 5060), ("chr2", 40), ("chr2", 9000), ("chr2", 9000)]
    blacklist = [("chr1", 100, 4000), ("chr9", 1, 2), ("chr2", 18_000, 30_000)]
    options = {
        "tss": write(tmp_path / "tss.bed", "".join(f"{c}\t{p}\t{p + 1}\tg\t0\t+\n" for c, p in tss)),
        "blacklist": write(tmp_path / "black.bed", "".join(f"{c}\t{a}\t{b}\n" for c, a, b in blacklist)),
        "counting": "insertion" if insertions else "fragment",
    }
    items = read(write(tmp_path / "f.tsv", "\n".join(lines)), universe, **options)
    sets, quality, _ = expected_sets(lines, regions, insertions=insertions, tss=tss, blacklist=blacklist)
    assert as_dict(items) == sets
    assert items.counting == options["counting"]
    for barcode, row in zip(items.sets.names, items.labels.to_pylist(), strict=True):
        count = quality[barcode]
        assert row["frac_in_universe"] == pytest.approx(count["in"] / count["n"])
        assert row["blacklist_ratio"] == pytest.approx(count["black"] / count["n"])
        enrichment = 2 * (count["window"] / 101) / max(count["flank"] / 100, 0.2)
        assert row["tss_enrichment"] == pytest.approx(enrichment)
        if count["short"]:
            assert row["nucleosome_signal"] == pytest.approx(count["mono"] / count["short"])
        else:
            assert row["nucleosome_signal"] is None


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_text_blocks_threads_and_order(data, tmp_path, monkeypatch):
    field = st.text("0123456789-.xACGT \té", max_size=12)
    start = st.integers(0, 3000)
    good = st.builds(
        lambda c, s, w, b, tail: f"{c}\t{s}\t{s + w}\t{b}{tail}",
        st.sampled_from(["chr1", "chr2", "c", "chromosome_with_a_long_name"]),
        start,
        st.integers(1, 600),
        st.sampled_from(BARCODES),
        st.sampled_from(["", "\t1", "\t2\tmore"]),
    )
    lines = data.draw(st.lists(st.one_of(good, good, good, field), max_size=40))
    lines.append("chr1\t5\t90\tAAAC-1\t1")
    regions = data.draw(
        st.lists(
            st.tuples(
                st.sampled_from(["chr1", "chr2", "chromosome_with_a_long_name"]), start, st.integers(1, 900)
            ),
            min_size=1,
            max_size=12,
        )
    )
    regions = [(c, s, s + w) for c, s, w in regions]
    newline = data.draw(st.sampled_from(["\n", "\r\n"]))
    text = newline.join(lines) + data.draw(st.sampled_from(["", newline]))
    path = write(tmp_path / "f.tsv", text, data.draw(st.sampled_from(["plain", "gzip", "bgzip"])))
    threads = data.draw(st.integers(1, 3))
    universe = universe_of(regions)
    items = read(path, universe, data.draw(st.integers(1, 200)), monkeypatch, threads=threads)
    sets, quality, skipped = expected_sets(lines, regions)
    assert as_dict(items) == sets
    assert items.labels["n_fragments"].to_pylist() == [quality[b]["n"] for b in sorted(sets)]
    first = next(line for line in lines if line.strip() and line[0] != "#")
    header = parse(first) == "bad"  # it may be taken for column names
    assert items.report.n_skipped in (skipped, skipped - header)
    shuffled = data.draw(st.permutations([line for line in lines if line.strip()]))
    again = read(write(tmp_path / "g.tsv", "#\n" + "\n".join(shuffled)), universe, threads=1)
    assert as_dict(again) == sets
    assert again.labels["n_fragments"].equals(items.labels["n_fragments"])


def test_many_barcodes_make_the_tables_grow(tmp_path):
    rng = np.random.default_rng(0)
    barcodes = [f"{i:x}" * int(rng.integers(1, 9)) for i in range(20_000)]
    lines = [f"chr1\t{i % 50}\t{i % 50 + 10}\t{b}\t1" for i, b in enumerate(barcodes)]
    path = write(tmp_path / "f.tsv", "\n".join(lines) + "\n")
    items = read(path, universe_of([("chr1", 0, 30), ("chr1", 30, 100)]), threads=2)
    assert set(items.sets.names) == set(barcodes)
    assert int(np.sum(items.labels["n_fragments"].to_numpy())) == len(lines)


def test_one_fragment_may_open_more_regions_than_a_buffer_holds(tmp_path):
    regions = [("chr1", i, i + 1) for i in range(150_000)]
    path = write(tmp_path / "f.tsv", "chr1\t0\t149999\tAA\t1\nchr1\t149998\t160000\tCC\t1\n")
    items = read(path, universe_of(regions))
    assert items.sets.lengths.tolist() == [149_999, 2]


def test_gtars_parity_keeps_order_duplicates_and_unk(tmp_path, monkeypatch):
    rng = np.random.default_rng(3)
    regions = random_regions(rng, 60, overlapping=False)
    lines = fragments(rng, regions, 400, ["AA", "CC", "GG"], junk=False)
    lines += ["chr1\t900000\t900100\tAA\t1", "chr7\t5\t9\tCC\t1"]
    path = write(tmp_path / "f.tsv", "\n".join(lines) + "\n")
    for block, threads in ((300, 3), (None, 1)):
        items = read(path, universe_of(regions), block, monkeypatch, parity="gtars", threads=threads)
        tokens, _, _ = read_slowly(lines, regions, unk=len(regions))
        assert as_dict(items) == {b: tokens[b] for b in sorted(tokens)}


def test_names_without_chr_are_mapped_and_said(tmp_path):
    path = write(tmp_path / "f.tsv", "1\t5\t50\tAA\t1\nMT\t5\t50\tAA\t1\nscaffold\t1\t5\tAA\t1\n")
    items = read(path, universe_of([("chr1", 0, 100), ("chrM", 10, 20)]))
    assert as_dict(items) == {"AA": [0, 1]}
    assert items.report.aliases == {"1": "chr1", "MT": "chrM"}
    assert items.report.foreign_chroms == {"scaffold": 1}
    assert "1 -> chr1" in "\n".join(items.report.lines())


def test_four_columns_commas_and_crlf_are_read(tmp_path):
    universe = universe_of([("chr1", 0, 100)])
    four = read(write(tmp_path / "four.tsv", "chr1\t5\t50\tAA\r\nchr1\t5\t50\tCC\r\n"), universe)
    assert as_dict(four) == {"AA": [0], "CC": [0]}
    assert any("4 columns" in note for note in four.report.notes)
    comma = read(write(tmp_path / "c.csv", "chr,start,stop,barcode,count\nchr1,5,50,AA,1\n"), universe)
    assert as_dict(comma) == {"AA": [0]}
    assert comma.report.n_skipped == 0


def test_first_bad_lines_are_numbered(tmp_path, monkeypatch):
    lines = [
        "# head",
        *["chr1\t5\t50\tAA\t1"] * 50,
        "chr1\t9\t9\tAA\t1",
        *["chr1\t5\t50\tAA\t1"] * 50,
        "chr1\tx\t9\tAA\t1",
    ]
    path = write(tmp_path / "f.tsv", "\n".join(lines) + "\n")
    universe = universe_of([("chr1", 0, 100)])
    for block in (None, 37):
        report = read(path, universe, block, monkeypatch, threads=2).report
        assert [e.split(",")[0] for e in report.examples] == ["line 52", "line 103"]
        assert report.skipped == {"with end <= start": 1, "whose start is not a whole number": 1}


@pytest.mark.parametrize(
    ("data", "how", "said"),
    [
        (b"", "plain", "is empty"),
        (b"", "gzip", "holds no lines"),
        (b"# only a comment\n", "plain", "none of them a fragment"),
        (b"chr1\t5\t9\n", "plain", "fewer than 4 columns"),
        (b"\x28\xb5\x2f\xfd 123", "plain", "is zstd"),
    ],
)
def test_files_without_fragments_are_refused(tmp_path, data, how, said):
    path = write(tmp_path / "fragments.tsv.gz", data, how)
    with pytest.raises(InputError, match=said) as caught:
        read(path, universe_of([("chr1", 0, 100)]))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("how", ["gzip", "bgzip"])
@pytest.mark.parametrize("threads", [1, 3])
def test_a_file_that_is_cut_off_says_how_far_it_got(tmp_path, monkeypatch, how, threads):
    whole = write(tmp_path / "whole.gz", "chr1\t5\t50\tAA\t1\n" * 5000, how).read_bytes()
    cut = len(whole) // 2 + 7
    path = write(tmp_path / "fragments.tsv.gz", whole[:cut])
    with pytest.raises(InputError, match=r"cut off.* of [\d,]+") as caught:
        read(path, universe_of([("chr1", 0, 100)]), 500, monkeypatch, threads=threads)
    assert f"{cut:,}" in str(caught.value)


@pytest.mark.parametrize("how", ["gzip", "bgzip"])
def test_broken_compressed_data_are_refused(tmp_path, how):
    data = bytearray(write(tmp_path / "whole.gz", "chr1\t5\t50\tAA\t1\n" * 5000, how).read_bytes())
    data[len(data) // 2 - 20 : len(data) // 2] = b"\xaa" * 20
    with pytest.raises(InputError, match=r"broken|checksum|cut off"):
        read(write(tmp_path / "f.tsv.gz", bytes(data)), universe_of([("chr1", 0, 100)]))


def test_a_missing_end_marker_of_bgzip_is_noted(tmp_path):
    data = write(tmp_path / "whole.gz", "chr1\t5\t50\tAA\t1\n" * 50, "bgzip").read_bytes()[:-28]
    report = read(write(tmp_path / "f.tsv.gz", data), universe_of([("chr1", 0, 100)])).report
    assert any("end marker" in note for note in report.notes)


def test_threads_do_not_outnumber_the_machine(tmp_path, monkeypatch):
    seen = {}
    real = fragment_items.scan_fragments

    def spy(*args, **options):
        seen.update(options)
        return real(*args, **options)

    monkeypatch.setattr(fragment_items, "scan_fragments", spy)
    read(write(tmp_path / "f.tsv", "chr1\t5\t50\tAA\t1\n"), universe_of([("chr1", 0, 100)]))
    assert 1 <= seen["threads"] <= 8
