import gzip
import io

import h5py
import numpy as np
import pytest
import scipy.sparse as sp
from peak_matrices import PEAKS, counts, expected, read
from scipy.io import mmwrite

from atacsearch.errors import InputError
from atacsearch.readers.inputs.open import input_intervals


def tenx_h5(path, dense, genomes=("GRCh38",)):
    full = np.hstack([dense, np.ones((len(dense), 1), int)])  # the last feature is a gene
    matrix = sp.csc_matrix(full.T)
    ids = [f"{c}:{s}-{e}" for c, s, e in PEAKS] + ["ENSG01"]
    with h5py.File(path, "w") as handle:
        group = handle.create_group("matrix")
        for name in ("data", "indices", "indptr"):
            group[name] = getattr(matrix, name)
        group["shape"] = np.array(matrix.shape)
        group["barcodes"] = np.array([f"BC{i}-1" for i in range(len(dense))], "S")
        features = group.create_group("features")
        features["id"] = np.array(ids, "S")
        features["name"] = np.array(ids, "S")
        features["feature_type"] = np.array(["Peaks"] * len(PEAKS) + ["Gene Expression"], "S")
        features["genome"] = np.array((list(genomes) * len(ids))[: len(ids)], "S")
    return path


def test_tenx_h5_keeps_peaks_only(tmp_path):
    dense = counts()
    items = read(tenx_h5(tmp_path / "filtered_feature_bc_matrix.h5", dense), sample="s")
    assert [s.tolist() for s in items.sets] == expected(dense)
    assert items.ids[0] == "s#BC0-1"
    assert items.genome == "hg38"
    assert any("1 features that are not peaks" in n for n in items.report.notes)
    with pytest.raises(InputError, match="GRCh38 and mm10"):
        read(tenx_h5(tmp_path / "b.h5", dense, ("GRCh38", "mm10")))
    with h5py.File(tmp_path / "c.h5", "w") as handle:
        handle["other"] = 1
    with pytest.raises(InputError, match="found other"):
        read(tmp_path / "c.h5")


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("features", ["features.tsv", "peaks.bed"])
def test_mtx_folders(tmp_path, zipped, features):
    dense = counts()
    buffer = io.BytesIO()
    if features == "features.tsv":
        lines = [f"{c}:{s}-{e}\t{c}:{s}-{e}\tPeaks\t{c}\t{s}\t{e}" for c, s, e in PEAKS]
        lines.append("ENSG01\tCD3E\tGene Expression\tchr1\t1\t2")
        mmwrite(buffer, sp.coo_matrix(np.hstack([dense, np.ones((40, 1), int)]).T))
    else:
        lines = [f"{c}\t{s}\t{e}" for c, s, e in PEAKS]
        mmwrite(buffer, sp.coo_matrix(dense.T))
    members = {"matrix.mtx": buffer.getvalue(), "barcodes.tsv": b"".join(b"BC%d-1\n" % i for i in range(40))}
    members[features] = "\n".join(lines).encode()
    for name, data in members.items():
        (tmp_path / (name + ".gz" * zipped)).write_bytes(gzip.compress(data) if zipped else data)
    items = read(tmp_path)
    assert [s.tolist() for s in items.sets] == expected(dense)
    ((_, weights),) = input_intervals(tmp_path)
    assert weights.tolist() == (dense > 0).sum(axis=0).tolist()
    (tmp_path / ("barcodes.tsv" + ".gz" * zipped)).write_bytes(
        gzip.compress(b"one\n") if zipped else b"one\n"
    )
    with pytest.raises(InputError, match="1 barcodes"):
        read(tmp_path)
