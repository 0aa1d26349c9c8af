"""Defaults of building a universe. Imports nothing, so that `--help` can name them."""

MIN_WIDTH = 200  # bp; narrower regions are widened
MAX_WIDTH = 1000  # bp; wider regions are split
MAX_REGIONS = 250_000  # regions that are kept, by coverage
