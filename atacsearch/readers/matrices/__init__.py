"""Cell x peak matrices: h5ad, h5mu and 10x files."""
