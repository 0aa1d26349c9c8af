"""The one door of the readers: any input file to items.

- `detect`: what an input is.
- `open`: inputs to items, to the intervals that a universe is built from, or to token sets.
- `universes`: inputs to a universe.
- `whitelist`: the list of barcodes that are cells.
"""
