"""Fragment files: cells, their token sets and quality."""
