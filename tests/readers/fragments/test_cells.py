import numpy as np
import pytest
from sources import universe_of, write

from atacsearch.errors import InputError
from atacsearch.readers.fragments.cells import knee_of, read_calls
from atacsearch.readers.inputs.open import default_sample, open_input
from atacsearch.readers.options import ReadOptions

UNIVERSE = universe_of([("chr1", 0, 100)])


def fragment_file(path, counts):
    lines = [f"chr1\t{i % 90}\t{i % 90 + 5}\t{barcode}\t1" for barcode, n in counts.items() for i in range(n)]
    return write(path, "\n".join(lines) + "\n")


def cells_of(path, **options):
    (items,) = open_input(path, UNIVERSE, ReadOptions(**options))
    return items


def test_default_cut_off_and_what_is_dropped(tmp_path):
    counts = {**{f"C{i:02}": 600 + i for i in range(20)}, **{f"B{i:03}": 2 for i in range(300)}}
    items = cells_of(fragment_file(tmp_path / "fragments.tsv", counts))
    assert list(items.sets.names) == [f"C{i:02}" for i in range(20)]
    report = items.report
    assert (report.n_barcodes, report.n_cells, report.n_dropped) == (320, 20, 300)
    assert report.suggested_min_fragments == 600
    text = "\n".join(report.lines())
    assert "kept 20 of 320 barcodes (at least 500 fragments, the default)" in text
    assert "dropped 300: fewer than 500 fragments" in text
    assert "the knee of the barcode ranks is at 600 fragments (20 barcodes)" in text


@pytest.mark.parametrize("top", [80, 505])
def test_shallow_data_are_not_thinned_out_in_silence(tmp_path, top):
    counts = {**{f"C{i:02}": 80 for i in range(50)}, "C99": top, **{f"B{i:03}": 1 for i in range(400)}}
    path = fragment_file(tmp_path / "fragments.tsv", counts)
    with pytest.raises(InputError, match=r"500 fragments \(the default.*--min-fragments 80 \(51 barcodes\)"):
        cells_of(path)
    assert len(cells_of(path, min_fragments=80).sets) == 51
    assert len(cells_of(path, min_fragments=0).sets) == 451
    with pytest.raises(InputError, match=r"--min-fragments 1000\); of 451 barcodes"):
        cells_of(path, min_fragments=1000)


def test_a_whitelist_sets_cells_and_order(tmp_path):
    path = fragment_file(tmp_path / "fragments.tsv", {"AA": 5, "CC": 1, "GG": 3})
    listed = write(tmp_path / "cells.txt", "GG\nTT\nAA\n")
    items = cells_of(path, whitelist=listed)
    assert items.sets.names == ("GG", "AA")
    assert items.labels.column("n_fragments").to_pylist() == [3, 5]
    assert items.report.dropped == {f"not in {listed}": 1}
    assert any("1 barcodes" in n and "no fragment" in n for n in items.report.notes)
    both = cells_of(path, whitelist=listed, min_fragments=4)
    assert both.sets.names == ("AA",)
    assert both.report.dropped == {f"not in {listed}": 1, "fewer than 4 fragments": 1}
    with pytest.raises(InputError, match=r"none of the 1 barcodes .*'AA-1'.*'AA'.*suffixes"):
        cells_of(path, whitelist=write(tmp_path / "w.txt", "AA-1\n"))


@pytest.mark.parametrize(
    ("name", "table"),
    [
        (
            "singlecell.csv",
            "barcode,total,is__cell_barcode,cell_id\nNO_BARCODE,9,0,None\nCC,9,1,_cell_1\nAA,9,1,\nGG,9,0,\n",
        ),
        ("per_barcode_metrics.csv", "barcode,gex_barcode,is_cell\nCC,x,1\nAA,x,1\nGG,x,0\n"),
    ],
)
def test_cell_rangers_call_beside_the_fragments(tmp_path, name, table):
    outs = tmp_path / "run1" / "outs"
    path = fragment_file(outs / "fragments.tsv", {"NO_BARCODE": 4, "AA": 5, "CC": 1, "GG": 3})
    write(outs / name, table)
    for given in (path, outs, outs.parent):
        items = cells_of(given)
        assert items.ids == ("run1#AA", "run1#CC")
        assert items.report.n_barcodes == 3
        assert items.report.skipped == {"without a barcode": 4}
        assert items.report.dropped == {f"not in {outs / name}": 1}
    assert cells_of(path, min_fragments=2).ids == ("run1#AA",)
    assert cells_of(path, whitelist=write(tmp_path / "w", "GG\n"), sample="s").ids == ("s#GG",)


def test_calls_without_cells_or_columns(tmp_path):
    with pytest.raises(InputError, match="is__cell_barcode"):
        read_calls(write(tmp_path / "a.csv", "barcode,total\nAA,1\n"))
    with pytest.raises(InputError, match="no barcode a cell"):
        read_calls(write(tmp_path / "b.csv", "barcode,is_cell\nAA,0\n"))


def test_knee_of_simple_curves():
    assert knee_of(np.array([7, 7, 7])) == 7
    assert knee_of(np.array([], np.int64)) == 1
    rng = np.random.default_rng(0)
    cells, background = rng.lognormal(9, 0.4, 2000), rng.lognormal(2, 0.8, 60_000)
    found = knee_of(np.concatenate([cells, background]).astype(np.int64))
    assert (cells >= found).sum() >= 1950
    assert (background >= found).sum() < 20


def test_sample_names():
    assert default_sample("x/filtered_peak_bc_matrix.h5") == "x"
    assert default_sample("x/s1_atac_fragments.tsv.gz") == "s1"
    assert default_sample("x/s1.v2.h5ad") == "s1.v2"
