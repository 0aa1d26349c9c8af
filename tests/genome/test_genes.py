"""Gene annotation: both file formats, signed distances, the promoter flag."""

import gzip

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atacsearch.errors import InputError
from atacsearch.genome.genes import GeneAnnotation
from atacsearch.genome.intervals import Intervals

BED = """chr1\t5000\t5001\tAAA|NM_1\t0\t+
chr1\t5000\t5001\tAAA|NM_2\t0\t+
chr1\t9000\t9001\tBBB|NM_3\t0\t-
chr2\t100\t101\tCcc\t0\t+
"""
GTF = """#!genome-build GRCh38
1\thavana\tgene\t5001\t8000\t.\t+\t.\tgene_id "E1"; gene_name "AAA";
1\thavana\ttranscript\t5001\t8000\t.\t+\t.\tgene_id "E1"; transcript_id "T1"; gene_name "AAA";
1\thavana\texon\t5001\t6000\t.\t+\t.\tgene_id "E1"; transcript_id "T1"; gene_name "AAA";
1\thavana\ttranscript\t8501\t9001\t.\t-\t.\tgene_id "E2"; transcript_id "T2";
"""


@pytest.fixture
def genes(tmp_path):
    (tmp_path / "tss.bed").write_text(BED)
    return GeneAnnotation.from_file(tmp_path / "tss.bed")


def test_distances_follow_the_strand(genes):
    regions = Intervals.from_columns(
        ["chr1", "chr1", "chr1", "chr1", "chr2", "chr1", "chr9"],
        [4000, 5001, 8000, 9101, 50, 4990, 5],
        [4101, 5100, 8500, 9200, 200, 5000, 9],
    )
    table = genes.nearest_tss(regions).to_pydict()
    assert table["gene"] == ["AAA", "AAA", "BBB", "BBB", "Ccc", "AAA", None]
    assert table["transcript"][:2] == ["NM_1", "NM_1"]
    assert table["distance"] == [-900, 1, 501, -101, 0, -1, None]
    assert table["promoter"] == [True, True, True, True, True, True, False]


def test_promoter_flag_ends_at_1000_bp(genes):
    regions = Intervals.from_columns(["chr1", "chr1"], [3900, 3900], [4001, 4000])
    assert genes.nearest_tss(regions).to_pydict()["promoter"] == [True, False]
    assert genes.nearest_tss(regions.take(np.array([], int))).num_rows == 0


def test_promoters_of_a_symbol(genes):
    assert genes.promoters("AAA").start.tolist() == [4000, 4000]
    assert genes.promoters("ccc").end.tolist() == [1101]
    assert genes.promoters("CCC").start.tolist() == [0]
    assert len(genes.promoters("DDD")) == 0


def test_gtf_gives_transcripts_and_meets_ucsc_names(tmp_path):
    (tmp_path / "genes.gtf.gz").write_bytes(gzip.compress(GTF.encode()))
    genes = GeneAnnotation.from_file(tmp_path / "genes.gtf.gz")
    assert genes.sites.start.tolist() == [5000, 9000]
    assert genes.genes == ("AAA", "E2")
    assert genes.transcripts == ("T1", "T2")
    table = genes.nearest_tss(Intervals.from_columns(["chr1"], [4000], [4101])).to_pydict()
    assert (table["gene"], table["distance"]) == (["AAA"], [-900])
    only_genes = "".join(line + "\n" for line in GTF.splitlines() if "\ttranscript\t" not in line)
    (tmp_path / "genes.gtf").write_text(only_genes)
    assert GeneAnnotation.from_file(tmp_path / "genes.gtf").sites.start.tolist() == [5000]


def test_wide_bed_rows_take_the_strand(tmp_path):
    (tmp_path / "t.bed").write_text("chr1\t100\t200\tA\t0\t+\nchr1\t100\t200\tB\t0\t-\n")
    assert GeneAnnotation.from_file(tmp_path / "t.bed").sites.start.tolist() == [100, 199]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.bed", "", "holds no gene"),
        ("a.bed", "chr1\t1\t2\n", "line 1 .*expected BED6"),
        ("a.bed", "chr1\tx\t2\tA\t0\t+\n", "line 1 .*whole numbers"),
        ("a.bed", "chr1\t1\t2\tA\t0\t.\n", r"strand is '\.'"),
        ("a.gtf", "chr1\t1\n", "9 columns"),
        ("a.gtf", "1\tx\tgene\t5\t9\t.\t+\t.\tID=7\n", "neither gene_name nor gene_id"),
    ],
)
def test_bad_tables_name_the_line(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=message):
        GeneAnnotation.from_file(tmp_path / name)


def test_missing_table(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        GeneAnnotation.from_file(tmp_path / "none.bed")


site = st.tuples(st.sampled_from(["chr1", "chr2"]), st.integers(0, 300), st.booleans())
region = st.tuples(st.sampled_from(["chr1", "chr2", "chr3"]), st.integers(0, 300), st.integers(1, 50))


@settings(max_examples=60, deadline=None)
@given(st.lists(site, min_size=1, max_size=12), st.lists(region, min_size=1, max_size=12))
def test_nearest_equals_looking_at_every_site(sites, regions):
    genes = GeneAnnotation(
        Intervals.from_columns(
            [c for c, _, _ in sites], [p for _, p, _ in sites], [p + 1 for _, p, _ in sites]
        ),
        np.array([s for _, _, s in sites]),
        tuple(f"g{i}" for i in range(len(sites))),
        ("",) * len(sites),
    )
    asked = Intervals.from_columns(
        [c for c, _, _ in regions], [s for _, s, _ in regions], [s + w for _, s, w in regions]
    )
    table = genes.nearest_tss(asked).to_pydict()
    for (chrom, start, width), gene, distance in zip(regions, table["gene"], table["distance"], strict=True):
        gaps = {
            i: max(p - (start + width - 1), start - p, 0) for i, (c, p, _) in enumerate(sites) if c == chrom
        }
        if not gaps:
            assert (gene, distance) == (None, None)
        else:
            assert abs(distance) == min(gaps.values()) == gaps[int(gene[1:])]


def test_windows_of_activity_are_gene_body_and_upstream(tmp_path) -> None:
    table = tmp_path / "genes.bed"
    table.write_text(
        "chr1\t10000\t30000\tFWD|1\t0\t+\nchr1\t50000\t60000\tREV|1\t0\t-\nchr2\t9000\t9001\tTSS|1\t0\t+\n"
        "chr2\t100\t300\tEDGE\t0\t+\n"
    )
    genes = GeneAnnotation.from_file(table)

    def windows(symbol: str) -> list[tuple[int, int]]:
        found = genes.activity_windows(symbol)
        return list(zip(found.start.tolist(), found.end.tolist(), strict=True))

    assert windows("fwd") == [(8_000, 30_000)]
    assert windows("REV") == [(50_000, 62_000)]
    assert windows("TSS") == [(4_000, 14_001)]
    assert windows("EDGE") == [(0, 300)]
    assert windows("NONE") == []
