"""What all benchmarks share: data sets, splits, measuring, kept rows, paths."""
