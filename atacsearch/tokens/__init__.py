"""Universes, token sets and tokenisation. Knows intervals, not files of data.

- `universe`, `universe_file`: the regions that are the vocabulary, and their BED file.
- `build`, `options`: a universe from peaks and fragments, and its defaults.
- `token_sets`: token sets of many items, in memory and in Parquet.
- `files`: how a universe reaches the reader of data files.
- `gtars`: token lists exactly as gtars makes them.
- `tfidf`: TF-IDF weights of regions.
"""
