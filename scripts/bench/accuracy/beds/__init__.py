"""Labels of held-out BED files: tasks, simple methods, atacsearch, tables."""
