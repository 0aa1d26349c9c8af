"""Assemblies, chromosome aliases and what cannot be of an assembly."""

import pytest

from atacsearch.errors import GenomeError, InputError
from atacsearch.genome.aliases import canonical_chroms, describe_mapping
from atacsearch.genome.assemblies import ASSEMBLIES, Assembly, get_assembly, seqcol_digest
from atacsearch.genome.bounds import check_bounds, check_extents, fitting_assemblies
from atacsearch.genome.intervals import Intervals


@pytest.mark.parametrize(
    ("name", "n_main", "chr1", "chr_m"),
    [
        ("hg38", 25, 248_956_422, 16_569),
        ("hg19", 25, 249_250_621, 16_571),
        ("mm10", 22, 195_471_971, 16_299),
        ("mm39", 22, 195_154_279, 16_299),
    ],
)
def test_built_in_lengths(name, n_main, chr1, chr_m):
    assembly = get_assembly(name)
    assert len([c for c in assembly.chroms if "_" not in c]) == n_main
    assert (assembly.chroms["chr1"], assembly.chroms["chrM"]) == (chr1, chr_m)
    assert assembly.refget_digest is None


def test_lengths_agree_with_published_chrom_sizes(data_dir):
    for name in ("hg38", "hg19", "mm10"):
        published = Assembly.from_chrom_sizes(data_dir / "annotation" / f"{name}.chrom.sizes.all", name)
        assert dict(published.chroms) == dict(get_assembly(name).chroms)
        assert published.coordinate_digest == get_assembly(name).coordinate_digest


def test_names_of_assemblies():
    assert get_assembly("GRCh38.p14") is get_assembly("hg38")
    assert get_assembly("GRCm38").name == "mm10"
    with pytest.raises(InputError, match=r"'hg99' is not known.*chrom\.sizes"):
        get_assembly("hg99")


def test_coordinate_digest_ignores_order_and_differs_between_assemblies(tmp_path):
    (tmp_path / "a.sizes").write_text("chrA 10\nchrB 20\n")
    (tmp_path / "b.sizes").write_text("chrB\t20\nchrA\t10\n")
    a, b = (Assembly.from_chrom_sizes(tmp_path / f) for f in ("a.sizes", "b.sizes"))
    assert a.coordinate_digest == b.coordinate_digest
    assert len({get_assembly(name).coordinate_digest for name in ASSEMBLIES}) == len(ASSEMBLIES)


def test_seqcol_digest_is_that_of_the_specification_example():
    # chrX TTGGGGAA, chr1 GGAA, chr2 GCGC of the refget documentation
    digests = [
        "SQ.iYtREV555dUFKg2_agSJW6suquUyPpMw",
        "SQ.YBbVX0dLKG1ieEDCiMmkrTZFt_Z5Vdaj",
        "SQ.AcLxtBuKEPk_7PGE_H4dGElwZHCujwH6",
    ]
    assert seqcol_digest(["chrX", "chr1", "chr2"], digests) == "XZlrcEGi6mlopZ2uD8ObHkQB1d0oDwKk"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no chromosomes"),
        ("chr1\n", "line 1"),
        ("chr1 x\n", "line 1"),
        ("a 5\na 6\n", "listed twice"),
    ],
)
def test_bad_chrom_sizes(tmp_path, text, message):
    (tmp_path / "x.chrom.sizes").write_text(text)
    with pytest.raises(InputError, match=message):
        Assembly.from_chrom_sizes(tmp_path / "x.chrom.sizes")


def test_aliases_of_every_style():
    names = ["chr1", "2", "X", "MT", "NC_000001.11", "CM000664.2", "KI270706.1", "chr14_GL000194v1_random"]
    mapping, unmapped = canonical_chroms(names, "hg38")
    assert mapping == {
        "2": "chr2",
        "X": "chrX",
        "MT": "chrM",
        "NC_000001.11": "chr1",
        "CM000664.2": "chr2",
        "KI270706.1": "chr1_KI270706v1_random",
    }
    assert unmapped == []


def test_accessions_belong_to_one_assembly():
    assert canonical_chroms(["NC_000001.10"], "hg38") == ({}, ["NC_000001.10"])
    assert canonical_chroms(["NC_000001.10"], "hg19") == ({"NC_000001.10": "chr1"}, [])
    assert canonical_chroms(["NC_000068.8"], "mm39") == ({"NC_000068.8": "chr2"}, [])
    assert canonical_chroms(["NC_000068.7"], None) == ({"NC_000068.7": "chr2"}, [])
    assert canonical_chroms(["NC_012920.1"], "hg19") == ({"NC_012920.1": "chrM"}, [])


def test_aliases_of_an_assembly_with_names_of_its_own(tmp_path):
    (tmp_path / "own.chrom.sizes").write_text("1\t100\nMT\t50\nscaffold_7\t9\n")
    own = Assembly.from_chrom_sizes(tmp_path / "own.chrom.sizes")
    assert own.name == "own"
    assert canonical_chroms(["chr1", "chrM", "scaffold_7", "chr9"], own) == (
        {"chr1": "1", "chrM": "MT"},
        ["chr9"],
    )


def test_mapping_is_described_in_one_line():
    assert describe_mapping({}, []) is None
    assert describe_mapping({str(i): f"chr{i}" for i in range(1, 6)}, []) == (
        "chromosome names mapped: 1 -> chr1, 2 -> chr2, 3 -> chr3 and 2 more"
    )


def test_bounds_name_both_and_what_fits():
    beyond = Intervals.from_columns(["chr1", "chr2"], [5, 243_000_000], [10, 243_000_500])
    with pytest.raises(
        GenomeError, match=r"f\.bed: .*chr2 ends at 243,000,500.*hg38 has 242,193,529 bp; it fits hg19"
    ):
        check_bounds(beyond, "hg38", "f.bed")
    assert check_bounds(beyond, "hg19") == []


@pytest.mark.parametrize(
    ("name", "genome", "fits"),
    [("chr22", "mm10", "hg38 and hg19"), ("22", "mm10", "hg38"), ("chr2L", "hg38", "no built-in")],
)
def test_a_chromosome_that_the_assembly_does_not_have(name, genome, fits):
    with pytest.raises(GenomeError, match=f"{name}' does not exist in {genome}; it fits {fits}"):
        check_extents({name: 100}, genome)


def test_an_accession_of_another_assembly():
    with pytest.raises(GenomeError, match=r"NC_000001.10' does not exist in hg38; it fits hg19:"):
        check_extents({"NC_000001.10": 100}, "hg38")


def test_patches_decoys_and_viruses_prove_nothing():
    names = [
        "chrEBV",
        "chrUn_JTFH01000001v1_decoy",
        "chr1_KZ208906v1_fix",
        "HLA-A*01:01:01:01",
        "ERCC-00002",
        "phiX",
    ]
    assert check_extents(dict.fromkeys(names, 1000), "hg38") == names
    assert check_extents({"chr15_KI270905v1_alt": 5_000_000, "chr1": 7}, "hg38") == []


def test_all_that_fit():
    assert fitting_assemblies({"chr1": 249_000_000}) == ["hg19"]
    assert fitting_assemblies({"chr5": 1000}) == list(ASSEMBLIES)
