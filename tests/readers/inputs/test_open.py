import numpy as np
import pytest
from sources import universe_of, write

from atacsearch.errors import GenomeError, InputError
from atacsearch.readers.inputs.detect import detect_kind
from atacsearch.readers.inputs.open import (
    input_genome,
    input_intervals,
    open_input,
)
from atacsearch.readers.options import ReadOptions
from atacsearch.tokens.build import Pileup
from atacsearch.tokens.universe import Universe

UNIVERSE = universe_of([("chr1", 0, 100), ("chr1", 200, 300)])


def manifest(folder, header, rows, name="m.tsv"):
    return write(folder / name, "\n".join(["\t".join(header), *("\t".join(r) for r in rows)]) + "\n")


@pytest.fixture
def beds(tmp_path):
    write(tmp_path / "d" / "a.bed", "chr1\t5\t9\n")
    write(tmp_path / "d" / "b.narrowPeak.gz", "chr1\t250\t290\t.\t0\t.\t1\t-1\t-1\t3\nchr1\t5\t9\n", "gzip")
    write(tmp_path / "c.bed", "chr1\t150\t190\nchr1\t9\t3\n")
    return tmp_path


def test_manifest_of_beds_is_one_table(beds):
    rows = [["d/b.narrowPeak.gz", "T cell", "007", "1", ""], ["c.bed", "", "008", "2.5", ""]]
    rows.append([str(beds / "d" / "a.bed"), "B cell", "009", "", ""])
    path = manifest(beds, ["file", "cell_type", "code", "score", "note"], rows)
    (items,) = open_input(path, UNIVERSE)
    assert items.kind == "bedfiles"
    assert items.ids == items.sets.names == tuple(r[0] for r in rows)
    assert [s.tolist() for s in items.sets] == [[0, 1], [], [0]]
    table = items.labels
    assert table.column("cell_type").to_pylist() == ["T cell", None, "B cell"]
    assert table.column("code").to_pylist() == ["007", "008", "009"]
    assert table.column("score").to_pylist() == [1.0, 2.5, None]
    assert table.column("note").to_pylist() == [None] * 3
    assert table.column("n_regions").to_pylist() == [2, 1, 1]
    assert items.report.n_skipped == 1
    assert "c.bed: line 2" in "\n".join(items.report.lines())
    changed = items.content_digest
    write(beds / "c.bed", "chr1\t150\t191\n")
    assert open_input(path, UNIVERSE)[0].content_digest != changed


def test_manifest_of_cells_gives_items_each(tmp_path):
    for name in ("x", "y"):
        write(tmp_path / f"{name}_fragments.tsv", "chr1\t5\t9\tACGTACGT-1\t1\nchr1\t5\t9\tACGTACGG-1\t1\n")
    rows = [["x_fragments.tsv", "s1", "d1"], ["y_fragments.tsv", "s2", ""]]
    path = manifest(tmp_path, ["file", "sample", "donor"], rows)
    first, second = open_input(path, UNIVERSE, ReadOptions(min_fragments=1))
    assert first.ids == ("s1#ACGTACGG-1", "s1#ACGTACGT-1")
    assert second.ids[0].startswith("s2#")
    assert first.labels.column("donor").to_pylist() == ["d1", "d1"]
    assert first.source == "x_fragments.tsv"
    assert "donor" not in second.labels.column_names
    same = manifest(tmp_path, ["file", "sample"], [[r[0], "s"] for r in rows], "same.tsv")
    with pytest.raises(InputError, match=r"'s#ACGTACGG-1' is in x_fragments.tsv and in y_fragments.tsv"):
        open_input(same, UNIVERSE, ReadOptions(min_fragments=1))


@pytest.mark.parametrize(
    ("header", "rows", "said"),
    [
        (["file"], [["c.bed"], ["no.bed"], ["d/none.bed"]], "2 of 3 files do not exist .*no.bed, d/none.bed"),
        (["file"], [["c.bed"], ["d/../c.bed"]], "line 3: d/../c.bed is listed before, in line 2"),
        (["file", "x"], [["c.bed", "1", "2"]], "line 2: 3 fields under a header of 2"),
        (["file", "x"], [["", "1"]], "line 2: the column file is empty"),
        (["file", "x", "x"], [["c.bed", "1", "2"]], "two columns called 'x'"),
        (["file"], [], "a header and no rows"),
        (["path", "label"], [["c.bed", "1"]], "has no column file .its header is path, label"),
        (["file"], [["c.bed"], ["f_fragments.tsv"]], "BED files and files of cells"),
        (["file"], [["empty.bed"], ["c.bed"]], "empty.bed: is empty"),
    ],
)
def test_broken_manifests_are_refused(beds, header, rows, said):
    write(beds / "f_fragments.tsv", "chr1\t5\t9\tACGTACGT-1\t1\n")
    write(beds / "empty.bed", "")
    with pytest.raises(InputError, match=said) as caught:
        open_input(manifest(beds, header, rows), UNIVERSE)
    assert "\n" not in str(caught.value)


def test_two_genomes_in_a_manifest_are_named(beds):
    path = manifest(beds, ["file", "genome"], [["c.bed", "hg19"], ["d/a.bed", "GRCh38"]])
    with pytest.raises(GenomeError, match=r"hg19 \(1 files\) and hg38 \(1 files\)"):
        open_input(path, UNIVERSE)
    same = manifest(beds, ["file", "genome"], [["c.bed", "hg19"], ["d/a.bed", "GRCh37"]])
    assert open_input(same, UNIVERSE)[0].genome == "hg19"
    assert input_genome(same) == "hg19"


def test_csv_manifests_with_quotes_and_a_byte_order_mark(beds):
    path = write(beds / "m.csv", b'\xef\xbb\xbffile,label\r\nc.bed,"a, b"\r\n')
    assert open_input(path, UNIVERSE)[0].labels.column("label").to_pylist() == ["a, b"]


def test_intervals_of_each_kind(beds):
    path = manifest(beds, ["file"], [["c.bed"], ["d/a.bed"]])
    assert [x.start.tolist() for x in input_intervals(path)] == [[150], [5]]
    found = input_intervals(write(beds / "f_fragments.tsv", "# c\nchr1\t5\t9\tACGTACGT-1\t1\n"))
    assert isinstance(found[0], Pileup)
    assert found[0].intervals.end.tolist() == [9]


LINES = {
    "dna": "chr1\t5\t9\tACGTACGTACGT-1\t1\n",
    "name": "chr1\t5\t9\tcell_1\t1\n",
    "peak": "chr1\t5\t9\tpeak_1\t500\n",
    "narrow": "chr1\t5\t9\t.\t0\t.\t1\t-1\t-1\t3\n",
    "three": "chr1\t5\t9\n",
}


@pytest.mark.parametrize(
    ("name", "line", "kind"),
    [
        ("x.bed", "dna", "fragments"), ("x.tsv.gz", "dna", "fragments"), ("fragments.tsv.gz", "name", "fragments"),
        ("x.tsv", "name", "fragments"), ("x.bed", "peak", "bed"), ("x.bed.gz", "narrow", "bed"),
        ("x.narrowPeak", "narrow", "bed"), ("x.txt", "three", "bed"), ("my_fragments.bed", "three", "bed"),
    ],
)  # fmt: skip
def test_kinds_of_text(tmp_path, name, line, kind):
    path = write(tmp_path / name, "# head\n" + LINES[line] * 20, "gzip" if name.endswith(".gz") else "plain")
    assert detect_kind(path) == kind


def test_what_is_nothing_we_know(tmp_path):
    with pytest.raises(InputError, match="no such file or folder; expected an h5ad"):
        detect_kind(tmp_path / "none")
    with pytest.raises(InputError, match=r"is a folder without fragments.tsv.gz"):
        detect_kind(tmp_path)
    with pytest.raises(InputError, match="is bigWig"):
        detect_kind(write(tmp_path / "a.bw", b"\x26\xfc\x8f\x88123"))
    with pytest.raises(InputError, match="is empty"):
        open_input(write(tmp_path / "a.bed", b""), UNIVERSE)


@pytest.mark.parametrize(
    "bad", [{"counting": "reads"}, {"parity": "x"}, {"min_fragments": -1}, {"threads": 0}]
)
def test_options_are_checked(bad):
    with pytest.raises(InputError):
        ReadOptions(**bad)


def test_shared_labels_name_two_genomes(data_dir):
    with pytest.raises(GenomeError, match=r"hg19 \(202 files\) and hg38 \(6 files\)"):
        open_input(data_dir / "bulk" / "labels.tsv", UNIVERSE)


def test_real_files_of_one_genome(data_dir, tmp_path):
    lines = (data_dir / "bulk" / "labels.tsv").read_text().splitlines()
    rows = [line.split("\t") for line in lines[1:] if "\thg19\t" in line][::25]
    header = lines[0].split("\t")
    for row in rows:
        row[0] = str(data_dir / "bulk" / row[0])
    path = manifest(tmp_path, header, rows)
    (intervals,) = input_intervals(data_dir / "bulk" / "dirty" / "header_line.03_srf.hg19.bed.gz")
    (items,) = open_input(path, Universe(intervals, "hg19"))
    assert len(items.sets) == len(rows)
    regions = [header.index("n_regions"), header.index("cell_type")]
    assert items.labels.column("n_regions").to_pylist() == [int(r[regions[0]]) for r in rows]
    assert items.labels.column("cell_type").to_pylist() == [r[regions[1]] or None for r in rows]


def test_dirty_files(data_dir):
    dirty = data_dir / "bulk" / "dirty"
    header, _, wrong, merged = (None, None, *sorted(dirty.glob("*.bed.gz"), reverse=True)[:2])
    assert header is None
    universe = Universe(input_intervals(merged)[0], "hg19")
    (items,) = open_input(merged, universe)
    assert items.report.n_skipped == 5860
    assert items.report.skipped == {"with end <= start": 5860}
    with pytest.raises(GenomeError, match="hg38"):
        open_input(wrong, universe)
    (one,) = open_input(dirty / "header_line.03_srf.hg19.bed.gz", universe)
    assert (one.report.n_skipped, one.report.n_read) == (0, 556)


def test_forebrain_like_matrices_of_the_shared_data(data_dir):
    for name, genome in (("gm_h1", "hg19"), ("cellmix_schep", "hg19")):
        path = data_dir / "sc" / f"{name}.h5ad"
        peaks, weights = input_intervals(path)[0]
        universe = Universe(peaks, genome)
        (items,) = open_input(path, universe)
        assert items.genome == genome
        assert int(items.sets.lengths.sum()) == int(weights.sum())
        assert np.all(np.diff(items.sets[0].astype(np.int64)) > 0)


@pytest.mark.parametrize("data", [b"chr1\t10\t20\rchr1\t30\t40\r", bytes(range(256)) * 20])
def test_no_text_lines_give_one_clear_error(tmp_path, data):
    (tmp_path / "a.bed").write_bytes(data)
    with pytest.raises(InputError, match=r"a\.bed"):
        open_input(tmp_path / "a.bed", UNIVERSE)


def test_what_many_files_have_in_common_is_said_once(tmp_path):
    regions = [("chr1", 0, 100), ("chr1", 200, 300)]
    names = [f"not_{i}.bed.gz" for i in range(5)]
    for i, name in enumerate(names):
        data = write(tmp_path / "whole.gz", f"chr1\t{10 * i}\t{10 * i + 9}\n", "bgzip").read_bytes()
        write(tmp_path / name, data if i == 0 else data[:-28])
    report = open_input(manifest(tmp_path, ["file"], [[name] for name in names]), universe_of(regions))[
        0
    ].report
    (said,) = [note for note in report.notes if "end marker" in note]
    assert said.startswith("has no bgzip end marker")
    assert "(4 of 5 files: not_1.bed.gz, not_2.bed.gz, not_3.bed.gz and 1 more)" in said
    assert len([line for line in report.lines() if ".bed.gz" in line]) <= 2
