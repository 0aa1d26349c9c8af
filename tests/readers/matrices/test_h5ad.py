import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata.io import write_elem
from peak_matrices import PEAKS, REGIONS, counts, expected, read
from sources import universe_of

from atacsearch.errors import GenomeError, InputError
from atacsearch.readers.inputs.open import input_genome, input_intervals, open_input
from atacsearch.readers.options import ReadOptions
from atacsearch.tokens.build import build_universe


def adata(dense, matrix=None, var=None, obs=None):
    chrom, start, end = zip(*PEAKS, strict=True)
    if var is None:
        var = pd.DataFrame(
            {"chrom": chrom, "start": start, "end": end}, index=[f"p{i}" for i in range(len(PEAKS))]
        )
    if obs is None:
        obs = pd.DataFrame(index=[f"cell{i}" for i in range(len(dense))])
    return ad.AnnData(dense if matrix is None else matrix, obs=obs, var=var)


@pytest.mark.parametrize("form", [np.asarray, sp.csr_matrix, sp.csc_matrix])
@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float32])
def test_any_storage_gives_the_same_sets(tmp_path, monkeypatch, form, dtype):
    from atacsearch.readers.matrices import h5ad

    dense = counts()
    adata(dense, form(dense.astype(dtype))).write_h5ad(tmp_path / "a.h5ad")
    monkeypatch.setattr(h5ad, "RUN_VALUES", 7)
    items = read(tmp_path / "a.h5ad")
    assert [s.tolist() for s in items.sets] == expected(dense)
    assert items.sets.names == tuple(f"cell{i}" for i in range(40))
    assert items.ids[3] == "a#cell3"
    assert items.labels.column("sample").to_pylist() == ["a"] * 40
    assert any("kept as empty sets" in n for n in items.report.notes)
    assert items.report.mapped_fraction == 4 / 5


@pytest.mark.parametrize(
    "var",
    [
        pd.DataFrame({"Chromosome": [c for c, _, _ in PEAKS], "hg38_Start": [s for _, s, _ in PEAKS],
                      "hg38_End": [e for _, _, e in PEAKS], "Class": "x"}, index=list("abcde")),
        pd.DataFrame({"seqnames": pd.Categorical([c for c, _, _ in PEAKS]), "start": [str(s) for _, s, _ in PEAKS],
                      "stop": [float(e) for _, _, e in PEAKS]}, index=list("abcde")),
        *(pd.DataFrame(index=[f"{c}{x}{s}{y}{e}" for c, s, e in PEAKS]) for x, y in (":-", "--", "__")),
        pd.DataFrame({"interval": [f"{c}:{s}-{e}" for c, s, e in PEAKS]}, index=list("abcde")),
    ],
)  # fmt: skip
def test_every_form_of_coordinates(tmp_path, var):
    dense = counts()
    adata(dense, sp.csr_matrix(dense), var).write_h5ad(tmp_path / "a.h5ad")
    assert [s.tolist() for s in read(tmp_path / "a.h5ad").sets] == expected(dense)


def test_labels_keep_their_kind_and_empty_is_null(tmp_path):
    n = 40
    obs = pd.DataFrame(
        {
            "kind": pd.Categorical(["B", "", None, "T"] * 10),
            "text": ["x", "", "nan", " "] * 10,
            "whole": np.arange(n, dtype=np.int32),
            "part": [0.5, np.nan] * 20,
            "flag": [True, False] * 20,
            "maybe": pd.array([1, None] * 20, dtype="Int64"),
            "sample": "own",
        },
        index=[f"cell{i}" for i in range(n)],
    )
    dense = counts()
    adata(dense, sp.csr_matrix(dense), obs=obs).write_h5ad(tmp_path / "a.h5ad")
    items = read(tmp_path / "a.h5ad", sample="S")
    table = items.labels
    assert table.column("kind").to_pylist()[:4] == ["B", None, None, "T"]
    assert table.column("text").to_pylist()[:4] == ["x", None, "nan", None]
    assert str(table.schema.field("whole").type) == "int32"
    assert table.column("part").to_pylist()[:2] == [0.5, None]
    assert table.column("flag").to_pylist()[:2] == [True, False]
    assert table.column("maybe").to_pylist()[:2] == [1, None]
    assert table.column("sample").to_pylist()[0] == "own"
    assert items.ids[0] == "S#cell0"


@pytest.mark.parametrize(
    ("bad", "said"), [(-1.0, "negative values"), (np.nan, "NaN"), (np.inf, "infinite values")]
)
@pytest.mark.parametrize("form", [np.asarray, sp.csr_matrix, sp.csc_matrix])
def test_scaled_values_are_refused(tmp_path, bad, said, form):
    dense = counts().astype(np.float32)
    dense[2, 1] = bad
    adata(dense, form(dense)).write_h5ad(tmp_path / "a.h5ad")
    with pytest.raises(InputError, match=said):
        read(tmp_path / "a.h5ad")


def test_fractions_are_noted_and_stored_zeros_are_closed(tmp_path):
    dense = counts().astype(np.float32) * 0.3
    matrix = sp.csr_matrix(dense)
    matrix.data[:5] = 0
    adata(dense, matrix).write_h5ad(tmp_path / "a.h5ad")
    items = read(tmp_path / "a.h5ad")
    assert any("fractions" in n for n in items.report.notes)
    assert [s.tolist() for s in items.sets] == expected(matrix.toarray())


@pytest.mark.filterwarnings("ignore:Observation names are not unique")
def test_repeated_names_and_missing_coordinates_are_refused(tmp_path):
    dense = counts()
    obs = pd.DataFrame(index=["same"] * 40)
    adata(dense, obs=obs).write_h5ad(tmp_path / "a.h5ad")
    with pytest.raises(InputError, match="'same' occurs twice"):
        read(tmp_path / "a.h5ad")
    genes = pd.DataFrame({"symbol": list("abcde")}, index=["CD3E", "MS4A1", "LYZ", "NKG7", "GNLY"])
    adata(dense, var=genes).write_h5ad(tmp_path / "b.h5ad")
    with pytest.raises(InputError, match=r"no coordinates \(names: CD3E.*chr1:100-600, chr1-100-600"):
        read(tmp_path / "b.h5ad")


def test_bad_peaks_are_skipped_and_shown(tmp_path):
    dense = counts()
    chrom, start, end = (list(x) for x in zip(*PEAKS, strict=True))
    end[4] = 10
    var = pd.DataFrame({"chrom": chrom, "start": start, "end": end}, index=list("abcde"))
    adata(dense, var=var).write_h5ad(tmp_path / "a.h5ad")
    items = read(tmp_path / "a.h5ad")
    dense[:, 4] = 0
    assert [s.tolist() for s in items.sets] == expected(dense)
    assert items.report.n_skipped == 1
    assert "peak e" in "\n".join(items.report.lines())


def test_broken_files_are_named(tmp_path):
    for name, data, said in (
        ("e.h5ad", b"", "is empty"),
        ("t.h5ad", b"\x89HDF\r\n\x1a\n123", "cannot be opened"),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(InputError, match=said):
            read(tmp_path / name)
    with pytest.raises(InputError, match="no such file"):
        read(tmp_path / "none.h5ad")


def test_genome_of_uns_is_used_and_checked(tmp_path):
    a = adata(counts())
    a.uns["genome"] = "GRCh37"
    a.write_h5ad(tmp_path / "a.h5ad")
    assert input_genome(tmp_path / "a.h5ad") == "hg19"
    assert read(tmp_path / "a.h5ad").genome == "hg19"
    with pytest.raises(GenomeError, match="is hg19, but the universe is hg38"):
        open_input(tmp_path / "a.h5ad", universe_of(REGIONS, "hg38"))
    told = open_input(tmp_path / "a.h5ad", universe_of(REGIONS, "hg38"), ReadOptions(genome="hg38"))[0]
    assert told.genome == "hg38"
    assert any("said to be hg19" in n for n in told.report.notes)


def test_peaks_with_coverage_make_a_universe(tmp_path):
    dense = counts()
    adata(dense, sp.csr_matrix(dense)).write_h5ad(tmp_path / "a.h5ad")
    ((peaks, weights),) = input_intervals(tmp_path / "a.h5ad")
    assert weights.tolist() == (dense > 0).sum(axis=0).tolist()
    assert peaks.start.tolist() == [s for _, s, _ in PEAKS]
    assert len(build_universe(input_intervals(tmp_path / "a.h5ad"))) > 0


def test_mudata_reads_the_atac_modality(tmp_path):
    dense = counts()
    with h5py.File(tmp_path / "a.h5mu", "w") as handle:
        handle.create_group("mod")
        write_elem(handle["mod"], "atac", adata(dense, sp.csr_matrix(dense)))
        genes = ad.AnnData(
            np.ones((40, 2), np.float32), obs=pd.DataFrame(index=[f"cell{i}" for i in range(40)])
        )
        write_elem(handle["mod"], "rna", genes)
        shared = pd.DataFrame({"cell_type": ["B"] * 41}, index=[f"cell{i}" for i in range(41)])
        write_elem(handle, "obs", shared)
    items = read(tmp_path / "a.h5mu")
    assert [s.tolist() for s in items.sets] == expected(dense)
    assert items.labels.column("cell_type").to_pylist() == ["B"] * 40
    with h5py.File(tmp_path / "b.h5mu", "w") as handle:
        write_elem(handle.create_group("mod"), "rna", genes)
    with pytest.raises(InputError, match="has the modalities rna"):
        read(tmp_path / "b.h5mu")


def test_gtars_parity_is_not_for_matrices(tmp_path):
    adata(counts()).write_h5ad(tmp_path / "a.h5ad")
    with pytest.raises(InputError, match="not for matrices"):
        read(tmp_path / "a.h5ad", parity="gtars")
