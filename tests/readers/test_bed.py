import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sources import universe_of, write

from atacsearch.errors import GenomeError, InputError
from atacsearch.readers.bed import _Parser, parse_bed, read_bed
from atacsearch.readers.inputs.open import open_input
from atacsearch.readers.options import ReadOptions
from atacsearch.readers.report import ReadReport


def rows(intervals):
    return list(
        zip(intervals.names().tolist(), intervals.start.tolist(), intervals.end.tolist(), strict=True)
    )


def slowly(text):
    """What BED lines hold: regions, and how many lines are neither regions nor headers."""
    found, bad, started = [], 0, False
    for line in text.split("\n"):
        fields = line.rstrip("\r").split("\t")
        if not line.strip() or line.startswith("#") or fields[0].split(" ")[0] in ("track", "browser"):
            continue
        start, end = [*fields[1:], "", ""][:2]
        whole = [f.isascii() and f.isdigit() for f in (start, end)]
        if fields[0] and all(whole) and int(start) < int(end) < 2**31:
            found.append((fields[0], int(start), int(end)))
        elif (
            started or not fields[0] or whole[0] or re.match(r"-\d", start) or (not start and len(fields) < 3)
        ):
            bad += 1  # a first line whose start is no number is a line of column names
        started = True
    return found, bad


@pytest.mark.parametrize("how", ["plain", "gzip", "bgzip", "members"])
def test_every_width_and_compression(tmp_path, how):
    text = (
        "browser position chr1:1-2\ntrack name=x\n#chr start end\n\n"
        "chr1\t5\t9\nchr2\t0\t7\tname\t0\t+\nchr1\t11\t12\t.\t0\t.\t1.5\t-1\t-1\t3\r\n"
        "chr3\t1\t9\tn\t0\t+\t1\t9\t0\t1\t8,\t0,"
    )
    report = ReadReport("x", "bed")
    intervals = read_bed(write(tmp_path / "peaks.bed", text, how), report)
    assert rows(intervals) == [("chr1", 5, 9), ("chr2", 0, 7), ("chr1", 11, 12), ("chr3", 1, 9)]
    assert (report.n_skipped, report.n_lines) == (0, 8)


def test_bad_lines_are_counted_and_shown(tmp_path):
    text = "chr1\t5\t9\nchr1\t9\t9\nchr1\t-5\t9\nchr1\t5\nchr1\tx\t9\nchr1\t1\t9999999999\nchr1\t9\t-3\nchr1\t1\t2e5\n"
    report = ReadReport("x", "bed")
    assert rows(read_bed(write(tmp_path / "a.bed", text), report)) == [("chr1", 5, 9)]
    assert report.skipped == {
        "with fewer than 3 columns": 1, "whose start is not a whole number": 1, "whose end is not a whole number": 1,
        "with a negative start": 1, "with end <= start": 2, "with a coordinate above 2,147,483,647": 1,
    }  # fmt: skip
    assert report.examples[0].startswith("line 2, with end <= start")


@settings(max_examples=300, deadline=None)
@given(st.text("01239-.chrx#\t \r\n", max_size=120), st.integers(1, 30))
def test_any_text_in_any_pieces(text, step):
    report = ReadReport("x", "bed")
    first = next((line for line in text.split("\n") if line.strip() and line[0] != "#"), "")
    if first.count("\t") < 2:
        text = "chr1\t1\t2\n" + text  # so that columns are separated by tabs
    if "\r" in text.replace("\r\n", ""):
        text = text.replace("\r", "")
    parser = _Parser(report)
    data = text.encode()
    parser.feed(data[:step])
    for at in range(step, len(data), 7):
        parser.feed(data[at : at + 7])
    found, bad = slowly(text)
    assert rows(parser.finish()) == found
    assert report.n_skipped == bad


def test_spaces_and_commas_separate_columns_where_no_tab_does():
    report = ReadReport("x", "bed")
    assert rows(parse_bed(b"chr1 5   9 name\nchr1 7 8\n", report)) == [("chr1", 5, 9), ("chr1", 7, 8)]
    assert rows(parse_bed(b"chrom,start,end\nchr1,5,9\n", report)) == [("chr1", 5, 9)]
    assert rows(parse_bed(b"\xef\xbb\xbfchr1\t5\t9\n", report)) == [("chr1", 5, 9)]
    assert report.n_skipped == 0


@pytest.mark.parametrize(
    ("data", "how", "said"),
    [
        (b"", "plain", r"is empty \(0 bytes\)"),
        (b"", "gzip", "holds no lines"),
        (b"track name=x\n", "plain", "1 lines, none of them a region"),
        (b"chr1\t9\t5\n", "plain", "end <= start"),
        (b"PK\x03\x04", "plain", "is zip"),
    ],
)
def test_files_without_regions_are_refused(tmp_path, data, how, said):
    path = write(tmp_path / "peaks.bed", data, how)
    with pytest.raises(InputError, match=said) as caught:
        read_bed(path)
    assert str(path) in str(caught.value)


def test_missing_and_cut_off_files(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_bed(tmp_path / "none.bed")
    whole = write(tmp_path / "w.gz", "chr1\t5\t9\n" * 9000, "gzip").read_bytes()
    with pytest.raises(InputError, match=r"cut off .* near byte 50 of 50, [\d,]+ bytes of text"):
        read_bed(write(tmp_path / "peaks.bed.gz", whole[:50]))


def test_one_file_is_one_item(tmp_path):
    universe = universe_of([("chr1", 400, 500), ("chr1", 100, 200), ("chr2", 0, 10)])
    path = write(tmp_path / "peaks.bed", "chr1\t199\t401\nchr1\t200\t400\n2\t9\t11\nchrZ\t5\t6\n")
    (items,) = open_input(path, universe)
    assert items.kind == "bedfiles"
    assert items.ids == items.sets.names == (str(path),)
    assert items.sets[0].tolist() == [0, 1, 2]
    assert items.sets.universe_digest == universe.digest
    assert items.labels.to_pylist() == [{"n_regions": 4, "frac_in_universe": 0.5}]
    assert items.report.mapped_fraction == 0.5
    assert items.report.aliases == {"2": "chr2"}
    assert items.report.foreign_chroms == {"chrZ": 1}


def test_a_coordinate_beyond_the_chromosome_names_both(tmp_path):
    path = write(tmp_path / "peaks.bed", "chr1\t248956000\t248956500\n")
    universe = universe_of([("chr1", 0, 10)], "hg38")
    with pytest.raises(GenomeError, match=r"chr1 of hg38 has 248,956,422"):
        open_input(path, universe)
    with pytest.raises(GenomeError, match="is hg19, but the universe is hg38"):
        open_input(path, universe, ReadOptions(genome="hg19"))


def test_no_better_than_shifted_is_a_warning_or_an_error(tmp_path):
    rng = np.random.default_rng(0)
    starts = np.sort(rng.choice(60_000, 6000, replace=False)) * 1000
    universe = universe_of([("chr1", int(a), int(a) + 500) for a in starts])
    near = write(tmp_path / "near.bed", "".join(f"chr1\t{a}\t{a + 300}\n" for a in starts[:900]))
    far = write(tmp_path / "far.bed", "".join(f"chr1\t{a}\t{a + 300}\n" for a in rng.integers(0, 5e7, 900)))
    assert not [n for n in open_input(near, universe)[0].report.notes if "no better" in n]
    assert [n for n in open_input(far, universe)[0].report.notes if "no better" in n]
    open_input(near, universe, ReadOptions(strict_genome=True))
    with pytest.raises(GenomeError, match="no better than when shifted"):
        open_input(far, universe, ReadOptions(strict_genome=True))
    nothing = write(tmp_path / "none.bed", "chr1\t70000000\t70000100\n")
    assert any("nothing overlaps" in n for n in open_input(nothing, universe)[0].report.notes)
