"""Adding to an index: items, label tables, gene tables."""
