import gzip

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from sources import write

from atacsearch.errors import InputError
from atacsearch.readers.inputs.whitelist import read_whitelist


def test_forms_of_whitelists(tmp_path):
    assert read_whitelist(write(tmp_path / "a.tsv.gz", gzip.compress(b"AA\nCC\n"))) == ("AA", "CC")
    assert read_whitelist(write(tmp_path / "a.csv", "x,barcode\n1,AA\n2,CC\n")) == ("AA", "CC")
    assert read_whitelist(write(tmp_path / "b.tsv", "barcode\tn\nAA\t1\r\n\n")) == ("AA",)
    ad.AnnData(np.ones((2, 1), np.float32), obs=pd.DataFrame(index=["AA", "CC"])).write_h5ad(
        tmp_path / "a.h5ad"
    )
    assert read_whitelist(tmp_path / "a.h5ad") == ("AA", "CC")
    with pytest.raises(InputError, match="'AA' twice"):
        read_whitelist(write(tmp_path / "d.txt", "AA\nCC\nAA\n"))
    with pytest.raises(InputError, match="no barcodes"):
        read_whitelist(write(tmp_path / "e.txt", "\n\n"))
