"""Files to token sets, labels and quality. Knows universes, not models, indexes or queries.

- `inputs`: the one door: tells what a file is, and reads it.
- `bed`, `bed_sets`: BED files to intervals, and to items.
- `fragments`: fragment files to the token sets of cells.
- `matrices`: cell x peak matrices (h5ad, h5mu, 10x) to the token sets of cells.
- `manifest`: tables that list files with their labels.
- `options`, `source`, `items`, `report`: what a reader is told, what it gives back, and what it saw on the way.
- `genome_check`, `liftover`: whether the data are of the genome, and lifting where they are of another.
- `compressed`, `labels`, `names`: bytes of compressed text, label columns, names that occur twice.
"""
