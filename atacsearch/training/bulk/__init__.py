"""Label heads for BED files."""
