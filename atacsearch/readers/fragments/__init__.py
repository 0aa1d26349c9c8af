"""Fragment files to token sets and quality measures of cells.

- `items`: a file to items, whole or in parts.
- `scan`: the one pass over the file; threads share out its chunks.
- `worker`: one thread of the pass, its tables and its calls into compiled code.
- `pairs`: (barcode, token) pairs, sorted outside of memory where they are many.
- `bins`: the index of intervals that the compiled code looks fragments up in.
- `cells`: which barcodes are cells.
- `quality`: quality measures of a barcode.
"""
