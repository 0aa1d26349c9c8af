"""A BED file to its token set, and a matrix to its sets, against the definition written out in Python."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sources import universe_of, write

from atacsearch.errors import InputError
from atacsearch.genome import bed_lines
from atacsearch.readers import compressed
from atacsearch.readers.inputs.open import open_input
from atacsearch.readers.matrices.tokens import PeakTokens, sets_of_cells
from atacsearch.readers.report import ReadReport

CHROMS = ("chr1", "chr2", "chr1_KI270706v1_random")
place = st.tuples(st.sampled_from(CHROMS), st.integers(0, 80), st.integers(0, 40))
real = place.filter(lambda row: row[2] > 0)


def tokens_of(intervals, regions):
    """Regions that share a base with any interval."""
    return sorted(
        {
            i
            for i, (chrom, start, end) in enumerate(regions)
            for c, a, b in intervals
            if c == chrom and max(a, start) < min(b, end)
        }
    )


@settings(max_examples=150, deadline=None)
@given(
    st.lists(place, min_size=1, max_size=30), st.lists(real, min_size=1, max_size=30), st.booleans(),
    st.sampled_from(["\n", "\r\n"]), st.booleans(), st.sampled_from(["plain", "gzip", "bgzip", "members"]),
    st.integers(1, 400), st.sampled_from([1, 1 << 40]),
)  # fmt: skip
def test_any_file_in_blocks_of_any_size(
    tmp_path_factory, rows, regions, ordered, newline, ends, how, block, two_from
):
    intervals = [(c, a, a + n) for c, a, n in (sorted(rows) if ordered else rows)]
    regions = [(c, a, a + n) for c, a, n in regions]
    text = newline.join(["#header", *(f"{c}\t{a}\t{b}\tname" for c, a, b in intervals)])
    path = write(tmp_path_factory.mktemp("b") / "x.bed", text + newline * ends, how)
    if all(a == b for _, a, b in intervals):
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compressed, "PLAIN_BYTES", block)
        patch.setattr(compressed, "READ_BYTES", block)
        patch.setattr(bed_lines, "TWO_FROM", two_from)
        (items,) = open_input(path, universe_of(regions))
    kept = [row for row in intervals if row[1] < row[2]]
    assert items.sets[0].tolist() == tokens_of(kept, regions)
    hit = sum(bool(tokens_of([row], regions)) for row in kept)
    assert items.labels.to_pylist() == [{"n_regions": len(kept), "frac_in_universe": hit / len(kept)}]
    assert items.report.skipped == (
        {"with end <= start": len(intervals) - len(kept)} if len(kept) < len(intervals) else {}
    )


@settings(max_examples=150, deadline=None)
@given(
    st.lists(real, min_size=1, max_size=20), st.lists(real, min_size=1, max_size=15), st.booleans(), st.data()
)
def test_cells_take_the_tokens_of_their_open_peaks(regions, peaks, ordered, data):
    peaks = [(c, a, a + n) for c, a, n in (sorted(peaks) if ordered else peaks)]
    regions = [(c, a, a + n) for c, a, n in (sorted(regions) if ordered else regions)]
    universe = universe_of(regions)
    entry = st.tuples(st.integers(0, len(peaks) - 1), st.integers(0, 2))
    cells = data.draw(st.lists(st.lists(entry, max_size=12), max_size=6))
    laid = PeakTokens.of(universe_of(peaks).intervals, np.arange(len(peaks)), len(peaks), universe)
    indptr = np.concatenate([[0], np.cumsum([len(cell) for cell in cells], dtype=np.int64)])
    stored = np.array([e for cell in cells for e in cell], np.int64).reshape(-1, 2)
    block = (
        indptr,
        stored[:, 0].copy(),
        stored[:, 1].astype(data.draw(st.sampled_from([np.uint8, np.float32]))),
    )
    names = tuple(map(str, range(len(cells))))
    sets = sets_of_cells([block], names, laid, ReadReport("x", "h5ad"), "digest")
    assert [one.tolist() for one in sets] == [
        tokens_of([peaks[p] for p, value in cell if value], regions) for cell in cells
    ]


@pytest.mark.parametrize(
    ("indptr", "columns"),
    [([0, 2], [0, 5]), ([0, 2], [0, -1]), ([0, 3], [0, 1]), ([0, 2, 1, 2], [0, 1]), ([1, 2], [0, 1])],
)  # fmt: skip
def test_indices_outside_of_the_matrix_are_refused(indptr, columns):
    universe = universe_of([("chr1", 0, 9), ("chr1", 20, 29)])
    laid = PeakTokens.of(universe.intervals, np.arange(2), 2, universe)
    block = (np.array(indptr), np.array(columns), None)
    with pytest.raises(InputError, match="x: X is no valid sparse matrix of 2 columns"):
        sets_of_cells([block], ("a",) * (len(indptr) - 1), laid, ReadReport("x", "h5ad"), "digest")
