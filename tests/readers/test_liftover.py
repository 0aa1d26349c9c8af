"""Data of another genome: refused with the way out, or lifted with a chain file and the loss reported."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix
from sources import universe_of, write

from atacsearch.errors import GenomeError, InputError
from atacsearch.genome.assemblies import get_assembly
from atacsearch.readers.inputs.open import open_input
from atacsearch.readers.options import ReadOptions

HG19, HG38 = (get_assembly(name).chroms for name in ("hg19", "hg38"))
# hg19 chr1:1,000,000-1,010,000 lies 500 bases further on in hg38; chr2 is aligned with the reverse strand
CHAIN = (
    f"chain 9 chr1 {HG19['chr1']} + 1000000 1010000 chr1 {HG38['chr1']} + 1000500 1010500 1\n10000\n\n"
    f"chain 8 chr2 {HG19['chr2']} + 5000 6000 "
    f"chr2 {HG38['chr2']} - {HG38['chr2'] - 9000} {HG38['chr2'] - 8000} 2\n1000\n"
)


@pytest.fixture
def chain(tmp_path):
    return write(tmp_path / "hg19ToHg38.over.chain.gz", CHAIN, "gzip")


@pytest.fixture
def universe():
    return universe_of(
        [("chr1", 1_000_600, 1_000_700), ("chr1", 1_002_500, 1_002_600), ("chr2", 8_900, 9_000)], "hg38"
    )


def test_a_bed_file_is_lifted_and_its_loss_reported(tmp_path, chain, universe):
    bed = write(
        tmp_path / "a.bed", "chr1\t1000100\t1000200\nchr1\t1002100\t1002101\nchr2\t5010\t5020\nchr1\t5\t9\n"
    )
    (items,) = open_input(bed, universe, ReadOptions(liftover=chain))
    assert items.sets[0].tolist() == [0, 2]
    assert items.genome == "hg38"
    assert items.labels["lifted_from"].to_pylist() == ["hg19"]
    assert items.labels["n_regions"].to_pylist() == [3]
    assert items.labels["frac_in_universe"].to_pylist() == [pytest.approx(2 / 3)]
    lines = "\n".join(items.report.lines())
    assert (
        "lifted from hg19 to hg38 by hg19ToHg38.over.chain.gz: 1 of 4 regions lost (25.00%: 1 deleted)"
        in lines
    )


def test_the_files_of_a_manifest_are_lifted_together(tmp_path, chain, universe):
    write(tmp_path / "a.bed", "1\t1000100\t1000200\n")
    write(tmp_path / "b.bed", "chr2\t5010\t5020\nchr1\t5\t9\n")
    manifest = write(tmp_path / "m.tsv", "file\tgenome\na.bed\tGRCh37\nb.bed\thg19\n")
    (items,) = open_input(manifest, universe, ReadOptions(liftover=chain))
    assert [tokens.tolist() for tokens in items.sets] == [[0], [2]]
    assert "1 of 3 regions lost" in "\n".join(items.report.lines())


def test_peaks_of_a_matrix_are_lifted_and_lost_ones_drop_out(tmp_path, chain, universe):
    names = ["chr1:1000100-1000200", "chr1:5-9", "chr2:5010-5020", "chr1:1002000-1002100"]
    cells = csr_matrix(np.array([[1, 1, 0, 0], [0, 1, 1, 1]], np.float32))
    data = ad.AnnData(
        cells, obs=pd.DataFrame(index=["x", "y"]), var=pd.DataFrame(index=names), uns={"genome": "hg19"}
    )
    data.write_h5ad(tmp_path / "a.h5ad")
    (items,) = open_input(tmp_path / "a.h5ad", universe, ReadOptions(liftover=chain))
    assert [tokens.tolist() for tokens in items.sets] == [[0], [1, 2]]
    assert items.labels["lifted_from"].to_pylist() == ["hg19", "hg19"]
    assert "1 of 4 peaks lost" in "\n".join(items.report.lines())


def test_without_a_chain_file_the_refusal_names_genomes_and_option(tmp_path, universe):
    bed = write(tmp_path / "a.bed", "chr1\t1000100\t1000200\n")
    with pytest.raises(GenomeError, match=r"is hg19, but the universe is hg38.*--liftover CHAIN.*hg19ToHg38"):
        open_input(bed, universe, ReadOptions(genome="hg19"))
    beyond = write(tmp_path / "b.bed", f"chr1\t{HG19['chr1'] - 100}\t{HG19['chr1'] - 50}\n")
    with pytest.raises(GenomeError, match=r"chr1 of hg38 has .*it fits hg19.*--liftover CHAIN.*hg19 to hg38"):
        open_input(beyond, universe)


def test_peaks_that_fit_another_genome_are_told_how_to_be_lifted(tmp_path, universe):
    from atacsearch.genome.assembly_check import read_promoters

    x = read_promoters("hg19")
    lines = [
        f"{c}\t{s}\t{e}\n" for c, s, e in zip(x.names(), x.start, x.end, strict=True) if s < HG38[c] - 10_000
    ]
    bed = write(tmp_path / "a.bed", "".join(lines))
    with pytest.raises(
        GenomeError, match=r"said to be hg38, but the data fit hg19.*--liftover CHAIN.*hg19ToHg38"
    ):
        open_input(bed, universe)


def test_chain_files_that_lead_elsewhere(tmp_path, chain, universe):
    bed = write(tmp_path / "a.bed", "chr1\t1000100\t1000200\n")
    options = {"liftover": chain}
    with pytest.raises(GenomeError, match=r"is hg38 as the universe is; leave --liftover out"):
        open_input(bed, universe, ReadOptions(genome="hg38", **options))
    with pytest.raises(GenomeError, match=r"is mm10, but .*hg19ToHg38.* lifts from hg19"):
        open_input(bed, universe, ReadOptions(genome="mm10", **options))
    with pytest.raises(GenomeError, match=r"lifts from hg19 to hg38, but the universe is mm10"):
        open_input(bed, universe_of([("chr1", 5, 9)], "mm10"), ReadOptions(**options))
    with pytest.raises(GenomeError, match=r"none of its 1 regions could be lifted from hg19 to hg38"):
        open_input(write(tmp_path / "b.bed", "chr1\t5\t9\n"), universe, ReadOptions(**options))
    own = write(tmp_path / "c.bed", f"chr17\t{HG38['chr17'] - 100}\t{HG38['chr17'] - 50}\n")
    with pytest.raises(GenomeError, match=r"chr17 of hg19 has .*it fits hg38"):
        open_input(own, universe, ReadOptions(**options))


def test_fragments_are_not_lifted(tmp_path, chain, universe):
    path = write(tmp_path / "fragments.tsv.gz", "chr1\t1000100\t1000200\tAAAC-1\t1\n", "gzip")
    with pytest.raises(InputError, match="--liftover is for BED files and matrices of peaks"):
        open_input(path, universe, ReadOptions(liftover=chain))
