"""BED lines to columns: two threads and one, and what counts as written by `bed_bytes`."""

import gzip

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atacsearch.genome import bed_lines
from atacsearch.genome.bed_lines import scan_lines
from atacsearch.tokens import universe_file
from atacsearch.tokens.universe import Universe

LINES = (
    "chr1\t1\t2", "chr2\t5\t9\tx\t.", "#chr1\t1\t2", "", " ", "track x", "browser y", "chrom\tstart\tend",
    "chr1\t9\t3", "chr3\t07\t9", "q", "chr1\t1\t2\r", "chr1\t-1\t2", "chr22\t0\t2147483647", "chr22\t0\t2147483648",
)  # fmt: skip


def scanned(data, two_from, monkeypatch):
    monkeypatch.setattr(bed_lines, "TWO_FROM", two_from)
    monkeypatch.setattr(bed_lines.os, "sched_getaffinity", lambda _: {0, 1})
    names = []
    found = scan_lines(data, names)
    seen = found.bad > 0
    columns = [found.chrom, found.start, found.end, found.bad, found.bad_at[seen], found.bad_line[seen]]
    return names, [c.tolist() for c in columns], found.n_lines, found.n_unusual, found.at_start


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(LINES), min_size=1, max_size=12))
def test_two_threads_give_what_one_gives(lines):
    data = ("\n".join(lines) + "\n").encode()
    with pytest.MonkeyPatch.context() as patch:
        assert scanned(data, 1, patch) == scanned(data, 1 << 40, patch)


region = st.tuples(
    st.sampled_from(["chr1", "chrUn_KI270302v1", "é"]), st.integers(0, 300), st.integers(1, 99)
)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(region, min_size=1, max_size=20), st.sampled_from(["\n", "\r\n"]), st.booleans(), st.booleans(),
    st.sampled_from(["", "\tpeak\t0", " "]), st.sampled_from(["{}", "0{}"]), st.sampled_from(["", "#x\n\n", "\ufeff"]),
)  # fmt: skip
def test_a_universe_has_one_digest_however_its_lines_are_written(
    tmp_path_factory, rows, newline, ends, packed, rest, form, head
):
    path = tmp_path_factory.mktemp("u") / "u.bed"
    if rest == " " and newline == "\n":
        rest = ""  # a space after a number is no whole number
    lines = [f"{c}\t{form.format(a)}\t{a + n}{rest.rstrip(' ')}" for c, a, n in rows]
    text = (head + newline.join(lines) + (newline if ends else "")).encode()
    path.write_bytes(gzip.compress(text) if packed else text)
    found = Universe.from_bed(path, genome="hg38")
    assert [found.region(i) for i in range(len(rows))] == [(c, a, a + n) for c, a, n in rows]
    made = Universe(found.intervals, genome="hg38")
    assert (found.digest, found.regions_digest) == (made.digest, made.regions_digest)
    plain = "".join(f"{c}\t{a}\t{a + n}\n" for c, a, n in rows).encode()
    assert universe_file.bed_bytes(found.intervals) == plain


def test_files_as_written_are_not_written_again_for_their_digest(tmp_path, monkeypatch):
    start = np.arange(0, 5000, 10)
    text = "".join(f"chr{1 + i // 200}\t{a}\t{a + 5}\n" for i, a in enumerate(start.tolist()))
    (tmp_path / "u.bed").write_text(text)
    expected = Universe(universe_file.read_universe_bed(tmp_path / "u.bed"), "hg38").digest
    monkeypatch.setattr("atacsearch.tokens.universe.bed_bytes", None)
    assert Universe.from_bed(tmp_path / "u.bed", "GRCh38").digest == expected
