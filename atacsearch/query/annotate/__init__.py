"""Label transfer: what a cell or BED file is."""
