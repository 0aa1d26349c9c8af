"""Compiled loops over bytes and arrays, and how they are loaded.

- `compiler`: compiles functions once, keeps the machine code, and loads it without numba.
- `bed`, `fragments`, `fragment_tables`: lines of BED and fragment files.
- `intervals`: overlap of sorted intervals.
- `matrix`: open peaks of cells to tokens.
- `pairs`, `token_rows`: (barcode, token) pairs, grouped, and made sets.
- `postings`: lists of items that have a token, coded and decoded.
"""
