"""The quality benchmark: labels given to held-out cells and BED files, by this product and by simple methods.

`scripts/bench/quality` runs it; `__main__` holds the command line. Data and splits are in `datasets` and
`bedtasks`, the simple methods in `baselines`, `spectral` and `beds`, ours in `product` and `bedproduct`, scores
and intervals in `scores`, finished rows in `cache`, tables in `tables`.
"""
