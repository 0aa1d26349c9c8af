"""Labels of held-out cells: simple methods, atacsearch, clusters, tables."""
