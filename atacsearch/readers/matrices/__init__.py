"""Cell x peak matrices to the token sets of cells.

- `h5ad`: AnnData and MuData.
- `tenx`: the matrices of 10x Genomics, `.h5` and Matrix Market folders.
- `peaks`: coordinates of the peaks.
- `tokens`: open peaks of cells to tokens.
"""
