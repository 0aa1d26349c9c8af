"""What the tables of cells and of BED files share: the plan of a run, classifiers, scores, words of a table."""
