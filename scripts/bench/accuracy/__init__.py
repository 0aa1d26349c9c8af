"""How right labels are: held-out cells and BED files, named by atacsearch and by simple methods.

`bash scripts/bench/quality` runs it; `__main__` holds the command line. Rows are kept in `bench.common.cache`.
"""
